"""The files of a plan: writing them a row group at a time, and reading them back."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.columns import text_bytes
from include.layout import RunFolder
from include.records import BATCH_SCHEMA, Batch, Outgoing, PlannedConversation

PLANNED_SCHEMA = pa.schema(
    [
        pa.field(field.name, pa.string() if field.type is str else pa.int64(), nullable=False)
        for field in msgspec.structs.fields(PlannedConversation)
    ]
)
"""``plan/conversations.parquet``: :class:`include.records.PlannedConversation`, ordered by conversation id."""

CONVERSATIONS = "conversations.parquet"

_FILE_OPTIONS: dict[str, Any] = {
    "compression": "lz4",
    "write_statistics": False,
    "use_dictionary": [f"messages.list.element.{name}" for name in ("sender_id", "sender_name", "role")],
}
"""As for ``messages/``; see :mod:`include.transform.parts`."""


def chunk_name(number: int) -> str:
    """Return the file name of a chunk."""
    return f"chunk-{number:03d}.parquet"


class ChunkWriter:
    """A chunk file in the making, and the digest of its batch keys."""

    def __init__(self, folder: Path, number: int) -> None:
        self._file = pq.ParquetWriter(folder / chunk_name(number), BATCH_SCHEMA, **_FILE_OPTIONS)
        self._digest = hashlib.sha256()
        self._row_groups = 0
        self.number = number
        self.batches = 0

    @property
    def fingerprint(self) -> str:
        """Digest of all batch keys in order."""
        return self._digest.hexdigest()[:32]

    def write(self, conversation_id: str, row_groups: Iterable[pa.Table]) -> PlannedConversation:
        """Write the batches of one conversation, at least one row group, and return where they lie."""
        first_row_group, first_batch = self._row_groups, self.batches
        times_ms: list[int] = []
        messages = size = 0
        for table in row_groups:
            keys: Any = table["key"].to_pylist()
            outgoing: Any = pc.list_flatten(table["messages"])
            self._digest.update("".join(keys).encode())
            self._file.write_table(table, row_group_size=table.num_rows)
            self._row_groups += 1
            self.batches += table.num_rows
            messages += len(outgoing)
            size += int(text_bytes(pa.table({"text": pc.struct_field(outgoing, "text")})).sum())
            times_ms = [*times_ms[:1], outgoing[0]["timestamp_ms"].as_py(), outgoing[-1]["timestamp_ms"].as_py()]
        return PlannedConversation(
            conversation_id=conversation_id,
            chunk=self.number,
            first_row_group=first_row_group,
            row_groups=self._row_groups - first_row_group,
            batches=self.batches - first_batch,
            messages=messages,
            bytes=size,
            first_ms=times_ms[0],
            last_ms=times_ms[-1],
        )

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def write_plan(folder: Path, planned: Iterable[PlannedConversation]) -> None:
    """Write the table of contents of a plan."""
    rows = [msgspec.to_builtins(conversation) for conversation in planned]
    pq.write_table(pa.Table.from_pylist(rows, schema=PLANNED_SCHEMA), folder / CONVERSATIONS)


def read_plan(run: RunFolder) -> list[PlannedConversation]:
    """Return where each conversation's batches lie, ordered by conversation id."""
    return msgspec.convert(pq.read_table(run.plan / CONVERSATIONS).to_pylist(), list[PlannedConversation])


def earliest_ms(run: RunFolder) -> dict[str, int]:
    """Return the time of the first planned message of each conversation, Unix milliseconds; nothing before the plan."""
    path = run.plan / CONVERSATIONS
    rows = pq.read_table(path, columns=["conversation_id", "first_ms"]).to_pylist() if path.exists() else []
    return {row["conversation_id"]: row["first_ms"] for row in rows}


def read_batches(chunk_path: str | Path, planned: PlannedConversation) -> Iterator[Batch]:
    """
    Yield a conversation's batches in order, holding a few thousand messages at a time.

    :param chunk_path: File of the chunk that ``planned`` belongs to.
    """
    footer = _footer(str(chunk_path), Path(chunk_path).stat().st_mtime_ns)
    with pq.ParquetFile(chunk_path, metadata=footer, pre_buffer=False) as file:
        for group in range(planned.first_row_group, planned.first_row_group + planned.row_groups):
            yield from _batches(file.read_row_group(group))


@lru_cache(maxsize=1)
def _footer(path: str, _written_ns: int) -> pq.FileMetaData:
    """Parse a footer once for all conversations of a chunk: with 500 of them it takes longer than their messages."""
    return pq.read_metadata(path)


def _batches(table: pa.Table) -> Iterator[Batch]:
    messages: Any = table["messages"].combine_chunks()
    columns = [column.to_pylist() for column in messages.flatten().flatten()]
    outgoing = tuple(
        Outgoing(
            message_id=message_id, timestamp_ms=timestamp_ms, sender_id=sender, sender_name=name, role=role, text=text
        )
        for message_id, timestamp_ms, sender, name, role, text in zip(*columns, strict=True)
    )
    position = 0
    for row, length in zip(
        table.drop_columns("messages").to_pylist(), messages.value_lengths().to_pylist(), strict=True
    ):
        yield Batch(**row, messages=outgoing[position : position + length])
        position += length
