"""
Shows what a run would send: the conversations with counts, the private ones that it leaves out, and first messages.

The steps of a run do their work in a temporary folder, which is removed at the end. Nothing is sent or logged. No
ledger is read, so messages that EverOS has already are shown as well. It reads the beginning of a large source and
sorts only the first messages of each conversation, so that it takes seconds.
"""

import tempfile
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import astuple

from include.errors import ConfigurationError, ExportError
from include.extract import write_records
from include.ids import DEFAULT_ID_TEMPLATE
from include.local.summary import shortened
from include.logs import counted, printable
from include.memory_api.settings import API_VERSIONS
from include.memory_layout import MemoryLayout, memory_layout
from include.parsers import Export, ParseOptions, discover, parse_many
from include.parsers.everos.zones import zone_of
from include.plan import chunk_name, plan, read_batches, read_plan
from include.plan.chunk_file import conversations_of
from include.records import (
    Conversation,
    Entries,
    Message,
    Messages,
    Note,
    Outgoing,
    ParsedMany,
    PlannedSegment,
    Rejected,
    Skipped,
)
from include.report.columns import count_of
from include.report.figures import conversation_figures, notes_of
from include.run_folder import RunFolder
from include.transform import transform
from include.transform.naming import Identity
from include.window import Window, window_of_parameters

MOST_ENTRIES = 300_000
"""Entries that are read of a source."""

MOST_KEPT = 1_000
"""Messages of a conversation that go through all steps; the others are counted."""

MOST_LINES = 40
"""Conversations that are listed, of each kind."""

MOST_CHARACTERS = 1_000
"""Characters that are shown of one message."""

type Outcome = Message | Messages | Skipped | Rejected

_SENT_AT = Message.__struct_fields__.index("sent_at_us")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a run that change what it sends, with the defaults of the form."""

    conversation_id: str = DEFAULT_ID_TEMPLATE
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    include_private: bool = False
    bots: Literal["assistant", "skip"] = "assistant"
    redact: bool = False
    since: str | None = None
    until: str | None = None
    segments: str | None = None
    memory_of: str | None = None
    batch_size: int | None = None

    @property
    def options(self) -> ParseOptions:
        """The options of the parsers."""
        return ParseOptions(
            id_template=self.conversation_id,
            include=self.include or (),
            exclude=self.exclude or (),
            include_private=self.include_private,
            bots=self.bots,
        )

    @property
    def window(self) -> Window:
        """The range of times."""
        return window_of_parameters(self.since, self.until)

    def layout(self, api_version: str) -> MemoryLayout:
        """Return the sessions and owners of the memory; only v2 has ``segments`` and ``memory_of``."""
        if api_version not in API_VERSIONS:
            raise ConfigurationError(f"EVEROS_API_VERSION={api_version} is not one of {', '.join(API_VERSIONS)}")
        return memory_layout("v2" if self.segments or self.memory_of else api_version, self.segments, self.memory_of)


def parameters_of(conf: Mapping[str, Any]) -> Parameters:
    """
    Return the parameters in a ``CONF`` whose names are known.

    :raises ConfigurationError: a value has another type; nothing was read.
    """
    try:
        return msgspec.convert(conf, Parameters)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"CONF: {error}. Nothing was read") from None


def preview(
    source: Path, given: Parameters, *, messages: int, api_version: str = "v1", most_entries: int = MOST_ENTRIES
) -> Generator[str]:
    """
    Yield lines of text: the conversations, the private ones that are left out, and the first messages.

    :param messages: Messages to show, the first ones of each conversation.
    :param api_version: Of the target: v2 gets a conversation session by session.
    :param most_entries: Entries to read; the exports of a source share them.
    :raises ExportError: no export was found.
    :raises ConfigurationError: a parameter is invalid; nothing was read.
    """
    window, layout = given.window, given.layout(api_version)
    exports, unread = discover(source)
    if not exports:
        found = f"{unread[0].origin}: {unread[0].reason}" if unread else "the folder is empty"
        raise ExportError(f"nothing to preview: {found}")
    with tempfile.TemporaryDirectory(prefix="everos-preview-") as folder:
        run = RunFolder(Path(folder) / "run")
        beginnings = []
        for export in exports:
            records = parse_many(export, given.options)
            beginning = Beginning(records, window, most=-(-most_entries // len(exports)))
            write_records(export.key, export.label, beginning, run.extracted(export.key), redact=given.redact)
            yield _found(export, beginning)
            beginnings.append(beginning)
        yield from (f"not read: {printable(each.origin)}: {printable(each.reason)}" for each in unread)
        options = given.options
        if not all(beginning.whole for beginning in beginnings):  # a name may be in the part that was not read
            options = msgspec.structs.replace(options, include=(), exclude=())
        transform(
            run.all_extracted(),
            run,
            since_us=window.since_us,
            until_us=window.until_us,
            options=options,
            layout=layout,
        )
        plan(run, batch_size=given.batch_size)
        yield from _conversations(run, beginnings)
        yield from _messages(run, messages)


class Beginning:
    """
    The first records of an export, and of each conversation the first messages in the range; the others are counted.

    :param most: Entries after which the export is cut; some more may be read.
    :param kept: Messages of each conversation that are passed on.
    """

    def __init__(self, records: Iterable[ParsedMany], window: Window, *, most: int, kept: int = MOST_KEPT) -> None:
        self._records, self._window, self._most, self._kept = records, window, most, kept
        self.entries = 0
        """Entries so far."""
        self.whole = True
        """Whether the export has no more entries."""
        self.only_counted: Counter[Identity] = Counter()
        """Messages in the range that were not passed on, by conversation."""
        self._in_range: Counter[Identity] = Counter()

    def __iter__(self) -> Iterator[ParsedMany]:
        """Yield the records, and then the number of entries that were yielded less than the parser has declared."""
        missing: Counter[str] = Counter()
        identity: Identity = ()
        for record in self._records:
            if isinstance(record, Conversation | Entries | Note):
                if isinstance(record, Conversation):
                    identity = record.identity
                elif isinstance(record, Entries):
                    missing[record.conversation_id] -= record.count
                yield record
            elif self.entries < self._most:
                first, read = self._first(record, identity)
                self.entries += read
                missing[record.conversation_id] += _outcomes(first)
                yield first
            else:
                self.whole = False
                break
        for conversation_id, count in missing.items():
            yield Entries(conversation_id=conversation_id, count=count)

    def _first(self, record: Outcome, identity: Identity) -> tuple[Outcome, int]:
        """Return the part of a record that is passed on, and the number of entries in the whole."""
        if isinstance(record, Skipped | Rejected):
            return record, 1
        rows = [astuple(record)] if isinstance(record, Message) else record.rows
        in_range = rows if self._window == Window() else [row for row in rows if self._window.holds(row[_SENT_AT])]
        room = max(0, self._kept - self._in_range[identity])
        self._in_range[identity] += len(in_range)
        self.only_counted[identity] += len(in_range[room:])
        return Messages(conversation_id=record.conversation_id, rows=in_range[:room]), len(rows)


def _outcomes(record: Outcome) -> int:
    return len(record.rows) if isinstance(record, Messages) else 1


def _found(export: Export, beginning: Beginning) -> str:
    read = "all" if beginning.whole else "only the first"
    return f"{export.format}: {printable(export.label)}: {read} {beginning.entries:,} entries read"


def _conversations(run: RunFolder, beginnings: Sequence[Beginning]) -> Iterator[str]:
    """Yield the table of conversations, what is left out of it and why, and notes on the exports."""
    counts = _counts(run, beginnings)
    rows = conversation_figures(run, {})
    sent = [row for row in rows if counts[row["conversation_id"]]]
    private = [row for row in rows if not counts[row["conversation_id"]] and row["skipped"].get("private")]
    empty = [row for row in rows if row not in sent and row not in private]
    if not all(beginning.whole for beginning in beginnings):
        yield "The counts are of the part that was read; a dry run reads everything."
    if any(beginning.only_counted.total() for beginning in beginnings):
        yield f"Duplicates are left out of the counts among the first {MOST_KEPT:,} messages of a conversation only."
    yield ""
    width = max(len(shortened(row["conversation_id"])) for row in [{"conversation_id": "conversation"}, *sent])
    yield "conversation".ljust(width) + "  messages  skipped  rejected  first day"
    yield from _some(
        f"{shortened(row['conversation_id']).ljust(width)}  {counts[row['conversation_id']]:>8,}  "
        f"{count_of(row['skipped']):>7,}  {count_of(row['rejected']):>8,}  {_utc(row['first_ms']):%Y-%m-%d}"
        for row in sent
    )
    yield f"{'all'.ljust(width)}  {counts.total():>8,}"
    if private:
        yield ""
        yield "Private and not imported; with CONF='{\"include_private\": true}' they are:"
        yield from _some(
            f"  {shortened(row['conversation_id'])}: {counted(row['skipped']['private'], 'entry', 'entries')}; "
            f"{printable(row['private_reason'])}"
            for row in private
        )
    if empty:
        yield ""
        yield "Nothing to send of:"
        yield from _some(f"  {shortened(row['conversation_id'])}: {_reasons(row)}" for row in empty)
    if notes := notes_of(run):
        yield ""
    for note in notes:
        detail = f" ({note['detail']})" if note["detail"] else ""
        yield printable(f"note on {note['export']}: {note['count']:,} {note['meaning']}{detail}")


def _counts(run: RunFolder, beginnings: Sequence[Beginning]) -> Counter[str]:
    """Return the messages of each conversation that would be sent."""
    only_counted: Counter[Identity] = Counter()
    for beginning in beginnings:
        only_counted.update(beginning.only_counted)
    counts: Counter[str] = Counter()
    for segment in read_plan(run):
        counts[segment.conversation_id] += segment.messages
    for conversation_id, conversation in conversations_of(run, list(counts)).items():
        counts[conversation_id] += only_counted[conversation.identity]
    return counts


def _some(lines: Iterable[str]) -> Iterator[str]:
    """Yield the first lines, and the number of the others."""
    lines = list(lines)
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"… and {len(lines) - MOST_LINES:,} more"


def _reasons(row: Mapping[str, Any]) -> str:
    """Return why nothing of a conversation is sent."""
    reasons = {**row["skipped"], **row["rejected"], "out of range": row["out_of_range"]}
    counts = (f"{count:,} {printable(reason)}" for reason, count in reasons.items() if count)
    return ", ".join(counts) or "no messages"


def _messages(run: RunFolder, most: int) -> Iterator[str]:
    """Yield the first messages of each conversation, as a target gets them."""
    segments: dict[str, list[PlannedSegment]] = {}
    for segment in read_plan(run):
        segments.setdefault(segment.conversation_id, []).append(segment)
    sizes = [sum(segment.messages for segment in planned) for planned in segments.values()]
    shares = share(most, sizes)
    if not sum(shares):
        return
    yield ""
    yield f"The first messages as EverOS gets them, {sum(shares):,} in all:"
    conversations = conversations_of(run, segments)
    for (conversation_id, planned), count in zip(segments.items(), shares, strict=True):
        if count:
            yield ""
            yield f"{shortened(conversation_id)}"
            outgoing = (
                message
                for segment in planned
                for batch in read_batches(run.plan / chunk_name(segment.chunk), segment)
                for message in batch.messages
            )
            for message in islice(outgoing, count):
                yield from _message(message, conversations[conversation_id])


def share(total: int, sizes: Sequence[int]) -> list[int]:
    """
    Divide a number evenly among some that can each take so many.

    >>> share(10, [1, 9, 9]), share(2, [5, 5, 5])
    ([1, 5, 4], [1, 1, 0])
    """
    shares = [0] * len(sizes)
    while left := min(total, sum(sizes)) - sum(shares):
        open_ = [place for place, size in enumerate(sizes) if shares[place] < size]
        for place in open_[:left]:
            shares[place] += min(max(1, left // len(open_)), sizes[place] - shares[place])
    return shares


def _message(message: Outgoing, conversation: Conversation) -> Iterator[str]:
    at = _utc(message.timestamp_ms)
    zone = conversation.time_zone
    there = f"{at.astimezone(zone_of(zone)):%Y-%m-%d %H:%M:%S} {zone} = " if zone else ""
    utc = f"{at:%H:%M:%S}" if zone and at.astimezone(zone_of(zone)).date() == at.date() else f"{at:%Y-%m-%d %H:%M:%S}"
    role = "" if message.role == "user" else f" ({message.role})"
    text = message.text[:MOST_CHARACTERS]
    more = len(message.text) - len(text)
    if more:
        text += f" … and {more:,} more characters"
    yield f"  {there}{utc} UTC  {shown(message.sender_name)}{role}:"
    yield from (f"    {shown(line)}" for line in text.splitlines())


def shown(text: str) -> str:
    r"""
    Return a text as a terminal may get it: without control characters and halves of characters, which are escaped.

    >>> shown("a\x1b[2Jb"), shown("👩\u200d💻\xa0é")
    ('a\\x1b[2Jb', '👩\u200d💻\xa0é')
    """
    escaped = {"Cc", "Cs"}
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in escaped else char for char in text)


def _utc(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(milliseconds))
