"""
Writes one export, or a part of a large one, to Parquet: messages, skipped and rejected entries with reasons, counts.

A folder for each, complete or missing: it is written to a temporary folder and moved when its counts match. A task
that is retried starts from the beginning.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import astuple, replace

from include.errors import NotConserved
from include.ids import provisional_id
from include.logs import PeriodicLine, get_logger
from include.parsers import Export, ParseOptions, parse_many
from include.records import (
    BROKEN_SCHEMA,
    CONVERSATION_SCHEMA,
    MESSAGE_SCHEMA,
    NOTE_SCHEMA,
    REDACTED_SCHEMA,
    REJECTED_SCHEMA,
    SKIPPED_SCHEMA,
    Conversation,
    Entries,
    Message,
    Messages,
    Note,
    ParsedMany,
    Rejected,
    Row,
    Skipped,
    repeated_columns,
)
from include.redact import Redactor
from include.run_folder import drafted

log = get_logger(__name__)

GROUP_ROWS = 25_000
GROUP_CHARACTERS = 16 << 20
"""Of text. A row group is written when it has this many rows or characters, so memory does not grow with the export."""

COMPRESSION: Final = "lz4"
"""
zstd takes 50 MB instead of 85 for a million messages, but 0.3 s more here and 0.6 s more in transform, which reads the
texts several times: a twentieth of all CPU time from export to plan.
"""

MAX_BROKEN = 1_000
"""Rejected entries of an export or part that are kept for correction: more than a user corrects by hand."""

NO_CONVERSATION = Conversation(conversation_id="", source="", kind="group", channel_id="", name="")
"""The conversation of entries whose conversation is not known."""

_STATISTICS = ["conversation_id", "sent_at_us"]


class ExtractResult(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of an export; goes through XCom."""

    key: str
    conversations: int
    entries: int
    messages: int
    skipped: dict[str, int]
    """By reason."""
    rejected: int


def extract(export: Export, options: ParseOptions, folder: Path, *, redact: bool = False) -> ExtractResult:
    """
    Write ``messages-*``, ``conversations``, ``skipped``, ``rejected``, ``notes``, ``broken`` and ``redacted.parquet``.

    :param redact: Remove credentials of every kind, not only those in addresses (:mod:`include.redact`). They are never
        written.
    :param folder: Replaced if it exists; after an error it is as it was before.
    :raises ExportError: if the export as a whole cannot be read.
    :raises NotConserved: if the parser did not account for every entry it decoded.
    """
    return write_records(export.key, export.label, parse_many(export, options), folder, redact=redact)


def write_rejected(rejected: Sequence[Rejected], folder: Path) -> None:
    """Write entries that belong to no export in the same form, one entry each."""
    entries = [Entries(conversation_id=record.conversation_id, count=1) for record in rejected]
    write_records("", "", [*entries, *rejected], folder)


def write_records(
    key: str, label: str, records: Iterable[ParsedMany], folder: Path, *, redact: bool = False
) -> ExtractResult:
    """Write what a parser has found, with the files and the errors of :func:`extract`."""
    with drafted(folder) as draft:
        redactor = Redactor(everything=redact)
        with _Staging(draft, label) as staging:
            staging.take(redactor.redacted(with_own_ids(records)))
        _write_redacted(redactor, draft / "redacted.parquet")
        staging.check()
    return staging.result(key)


def with_own_ids(records: Iterable[ParsedMany]) -> Iterator[ParsedMany]:
    """
    Give each channel of an export a conversation id of its own.

    Where two channels have the same id, the second keeps a provisional one until transform makes the ids of all
    exports (:mod:`include.transform.naming`).
    """
    channels: dict[str, _Key] = {}
    shared = own = ""
    for record in records:
        if isinstance(record, Conversation):
            shared = own = ""
            identity = record.identity
            if channels.setdefault(record.conversation_id, identity) != identity:
                shared, own = record.conversation_id, provisional_id(record.conversation_id, identity)
        if own and not isinstance(record, Note) and record.conversation_id == shared:
            yield record.under(own) if isinstance(record, Messages) else replace(record, conversation_id=own)
        else:
            yield record


class _Staging:
    """Writes a parser's records to files by kind."""

    def __init__(self, folder: Path, label: str) -> None:
        reading = PeriodicLine(log, "Reading %s: %s messages so far", label)
        self._messages = _Table(folder / "messages-000.parquet", MESSAGE_SCHEMA, reading)
        self._skipped = _Table(folder / "skipped.parquet", SKIPPED_SCHEMA)
        self._rejected = _Table(folder / "rejected.parquet", REJECTED_SCHEMA)
        self._conversations_path = folder / "conversations.parquet"
        self._conversations: dict[_Key, Conversation] = {}
        self._imported: Counter[_Key] = Counter()
        self._current: _Key = NO_CONVERSATION.identity
        self._before = 0
        """Messages before those of the current conversation."""
        self._entries: Counter[str] = Counter()
        self._notes_path = folder / "notes.parquet"
        self._notes: Counter[tuple[str, str]] = Counter()
        """By code and detail."""
        self._label = label
        self._broken_path = folder / "broken.parquet"
        self._broken: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table in (self._messages, self._skipped, self._rejected):
            table.close()
        if kind is None:
            self._write_conversations()
            self._write_notes()
            pq.write_table(pa.Table.from_pylist(self._broken, schema=BROKEN_SCHEMA), self._broken_path)

    def take(self, records: Iterable[ParsedMany]) -> None:
        """Consume a parser to its end."""
        tables = {Skipped: self._skipped, Rejected: self._rejected}
        for record in records:
            if isinstance(record, Messages):
                self._messages.add(record.rows)
            elif isinstance(record, Message):
                self._messages.add([astuple(record)])
            elif isinstance(record, Skipped | Rejected):
                tables[type(record)].add([astuple(record)])
                if isinstance(record, Rejected):
                    self._keep(record)
            elif isinstance(record, Entries):
                self._entries[record.conversation_id] += record.count
            elif isinstance(record, Note):
                self._notes[record.code, record.detail] += record.count
            else:
                self._turn_to(record)
        self._count_imported()

    def _keep(self, rejected: Rejected) -> None:
        if rejected.entry and rejected.conversation_id and len(self._broken) < MAX_BROKEN:
            entry = json.dumps(rejected.entry)
            columns = {name: getattr(rejected, name) for name in ("conversation_id", "reason", "origin")}
            self._broken.append(columns | {"entry": entry})

    def _turn_to(self, conversation: Conversation) -> None:
        """Assign the following records to this conversation, until the next Conversation record."""
        self._count_imported()
        self._current = (conversation.conversation_id, *conversation.identity)
        self._conversations.setdefault(self._current, conversation)

    def _count_imported(self) -> None:
        self._imported[self._current] += self._messages.total - self._before
        self._before = self._messages.total

    def check(self) -> None:
        """
        Compare the number of entries with the number of outcomes.

        :raises NotConserved: naming the first conversation in which the two differ.
        """
        outcomes = self._messages.per_conversation + self._skipped.per_conversation + self._rejected.per_conversation
        for conversation_id in sorted(self._entries.keys() | outcomes.keys()):
            read, accounted = self._entries[conversation_id], outcomes[conversation_id]
            if read != accounted:
                raise NotConserved(
                    f"{conversation_id or 'no conversation'}: {read} entries decoded, {accounted} accounted for; "
                    "nothing of this export was kept. This is a defect of the parser, please report it"
                )

    def result(self, key: str) -> ExtractResult:
        return ExtractResult(
            key=key,
            conversations=len(self._conversations),
            entries=self._entries.total(),
            messages=self._messages.rows,
            skipped=dict(sorted(self._skipped.reasons.items())),
            rejected=self._rejected.rows,
        )

    def _write_conversations(self) -> None:
        known = [self._conversations[key] for key in sorted(self._conversations)]
        if self._entries[""]:
            known.append(NO_CONVERSATION)
        left = dict(self._entries)
        rows = [
            msgspec.structs.asdict(conversation)
            | {
                "entries": left.pop(conversation.conversation_id, 0),
                "imported": self._imported[conversation.conversation_id, *conversation.identity],
                "as_of_us": conversation.as_of_us or self._messages.newest_us,
            }
            for conversation in known
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=CONVERSATION_SCHEMA), self._conversations_path)

    def _write_notes(self) -> None:
        rows = [
            {"export": self._label, "code": code, "detail": detail, "count": count}
            for (code, detail), count in self._notes.items()
            if count
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=NOTE_SCHEMA), self._notes_path)


def _write_redacted(redactor: Redactor, path: Path) -> None:
    rows = [
        {"conversation_id": conversation_id, "kind": kind, "count": count}
        for (conversation_id, kind), count in sorted(redactor.counts.items())
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=REDACTED_SCHEMA), path)


type _Key = tuple[str, ...]
"""A conversation id and the identity of its channel, or the latter alone."""


class _Table:
    """One Parquet file, written a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema, written: PeriodicLine | None = None) -> None:
        self._schema = schema
        self._written = written
        columns: dict[str, Any] = {
            "use_dictionary": repeated_columns(schema),
            "write_statistics": [name for name in _STATISTICS if name in schema.names],
        }
        self._writer = pq.ParquetWriter(path, schema, compression=COMPRESSION, **columns)
        self._waiting: list[Row] = []
        self._text = schema.names.index("text") if "text" in schema.names else None
        self._characters = 0
        self.rows = 0
        self.per_conversation: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.newest_us: int | None = None
        """The newest ``sent_at_us`` written so far."""

    @property
    def total(self) -> int:
        """Rows added so far."""
        return self.rows + len(self._waiting)

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows; they reach the disk with their row group. Columns after those of the table are left out."""
        self._waiting += rows
        if self._text is not None:
            self._characters += sum(len(row[self._text]) for row in rows)
        if len(self._waiting) >= GROUP_ROWS or self._characters >= GROUP_CHARACTERS:
            self._write_group()

    def close(self) -> None:
        """Write the remaining rows."""
        if self._waiting:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        columns: dict[str, Any] = dict(zip(self._schema.names, zip(*self._waiting, strict=True), strict=False))
        self.rows += len(self._waiting)
        self.per_conversation.update(columns["conversation_id"])
        self.reasons.update(columns.get("reason", ()))
        if times := columns.get("sent_at_us"):
            self.newest_us = max(times) if self.newest_us is None else max(self.newest_us, *times)
        self._waiting.clear()
        self._characters = 0
        self._writer.write_table(pa.table(columns, schema=self._schema), row_group_size=GROUP_ROWS)
        if self._written:
            self._written.reached(self.rows)
