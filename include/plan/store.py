"""The files of a plan: writing them as batches come, and reading them back."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, batched
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.memory_layout import MemoryLayout, layout_in
from include.plan.batches import CutBatches
from include.records import BATCH_SCHEMA, Batch, Outgoing, PlannedSegment, schema_of
from include.run_folder import RunFolder

SEGMENT_SCHEMA = schema_of(PlannedSegment)
"""``plan/segments.parquet``: :class:`include.records.PlannedSegment`, by conversation and first message."""

SEGMENTS = "segments.parquet"

GROUP_MESSAGES = 5_000
GROUP_BYTES = 8_000_000
"""Messages and text in a row group: what a load task decodes at a time."""

GROUPS_AT_ONCE = 16
"""Row groups that a load task keeps, for the neighbours of what it has just read."""

_FILE_OPTIONS: dict[str, Any] = {
    "compression": "lz4",
    "write_statistics": False,
    "use_dictionary": [
        "conversation_id",
        *(f"messages.list.element.{name}" for name in ("sender_id", "sender_name", "role")),
    ],
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
        self._waiting: list[pa.Table] = []
        self._waiting_messages = 0
        self.waiting_bytes = 0
        """Of text that is in memory yet."""
        self.number = number
        self.batches = self.messages = self.segments = 0

    @property
    def fingerprint(self) -> str:
        """Digest of all batch keys in order."""
        return self._digest.hexdigest()[:32]

    def add(self, cut: CutBatches, start: int, end: int) -> int:
        """Take the batches from ``start`` to ``end``; return the row of the first one."""
        first = self.batches
        keys: Any = cut.table["key"][start:end].to_pylist()
        self._digest.update("".join(keys).encode())
        begin = start
        for place in range(start, end):
            messages, size = int(cut.messages[place]), int(cut.bytes[place])
            if self._waiting_messages and (
                self._waiting_messages + messages > GROUP_MESSAGES or self.waiting_bytes + size > GROUP_BYTES
            ):
                self._waiting.append(cut.table.slice(begin, place - begin))
                self.write()
                begin = place
            self._waiting_messages += messages
            self.waiting_bytes += size
        self._waiting.append(cut.table.slice(begin, end - begin))
        self.batches += end - start
        self.messages += int(cut.messages[start:end].sum())
        return first

    def write(self) -> None:
        """Write what waits as one row group."""
        table = pa.concat_tables(self._waiting) if self._waiting else BATCH_SCHEMA.empty_table()
        if table.num_rows:
            self._file.write_table(table.combine_chunks(), row_group_size=table.num_rows)
        self._waiting, self._waiting_messages, self.waiting_bytes = [], 0, 0

    def close(self) -> None:
        """Finish the file."""
        self.write()
        self._file.close()


def segment_writer(folder: Path) -> pq.ParquetWriter:
    """Return a writer of a plan's table of contents."""
    return pq.ParquetWriter(folder / SEGMENTS, SEGMENT_SCHEMA, compression="lz4")


def write_plan(folder: Path, planned: Sequence[PlannedSegment]) -> None:
    """Write a plan's table of contents anew, in one step."""
    rows = [msgspec.to_builtins(segment) for segment in planned]
    draft = folder / f".{SEGMENTS}.partial"
    pq.write_table(pa.Table.from_pylist(rows, schema=SEGMENT_SCHEMA), draft, compression="lz4")
    draft.chmod(0o600)
    draft.replace(folder / SEGMENTS)


def read_plan(run: RunFolder, chunk: int | None = None) -> list[PlannedSegment]:
    """Return the planned segments, by conversation and first message; of one chunk or of all."""
    wanted = None if chunk is None else pc.field("chunk") == chunk
    return msgspec.convert(pq.read_table(run.plan / SEGMENTS, filters=wanted).to_pylist(), list[PlannedSegment])


def plan_table(run: RunFolder, *columns: str) -> pa.Table:
    """Return columns of the planned segments; no rows before the plan."""
    path = run.plan / SEGMENTS
    wanted = pa.schema([SEGMENT_SCHEMA.field(name) for name in columns])
    return pq.read_table(path, columns=list(columns)) if path.exists() else wanted.empty_table()


def read_layout(run: RunFolder) -> MemoryLayout:
    """Return the layout of a run, as transform has written it down."""
    return layout_in(pq.read_schema(run.conversations).metadata)


def earliest_ms(run: RunFolder) -> dict[str, int]:
    """Return the time of the first planned message of each conversation, Unix milliseconds; nothing before the plan."""
    table: Any = plan_table(run, "conversation_id", "first_ms")
    rows = table.group_by("conversation_id", use_threads=False).aggregate([("first_ms", "min")]).to_pylist()
    return {row["conversation_id"]: row["first_ms_min"] for row in rows}


def read_batches(chunk_path: str | Path, planned: PlannedSegment) -> Iterator[Batch]:
    """
    Yield a segment's batches in order, decoding a row group at a time.

    :param chunk_path: File of the chunk that ``planned`` belongs to.
    """
    for table in batch_tables(chunk_path, planned):
        yield from _batches(table)


def batch_tables(chunk_path: str | Path, planned: PlannedSegment) -> Iterator[pa.Table]:
    """Yield a segment's rows of the chunk's file, in order."""
    path, written_ns = str(chunk_path), Path(chunk_path).stat().st_mtime_ns
    starts = _starts(path, written_ns)
    for row, count in batched(planned.rows, 2):
        first, end = row, row + count
        while first < end:
            group = bisect_right(starts, first) - 1
            upto = min(end, starts[group + 1])
            yield _group(path, written_ns, group).slice(first - starts[group], upto - first)
            first = upto


@lru_cache(maxsize=4)
def _footer(path: str, _written_ns: int) -> pq.FileMetaData:
    """Parse a footer once for all segments of a chunk."""
    return pq.read_metadata(path)


@lru_cache(maxsize=4)
def _starts(path: str, written_ns: int) -> list[int]:
    """Return the first row of each row group, and the number of all rows."""
    footer = _footer(path, written_ns)
    groups = (footer.row_group(group).num_rows for group in range(footer.num_row_groups))
    return [0, *accumulate(groups)]


@lru_cache(maxsize=GROUPS_AT_ONCE)
def _group(path: str, written_ns: int, group: int) -> pa.Table:
    with pq.ParquetFile(path, metadata=_footer(path, written_ns), pre_buffer=False) as file:
        return file.read_row_group(group)


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


class ConversationContents:
    """The places of the batches of one conversation's segments, collected while they are written."""

    def __init__(self, conversation_id: str, segment_ids: Any, chunks: Sequence[int]) -> None:
        self._conversation_id, self._ids, self._chunks = conversation_id, segment_ids, chunks
        count = len(chunks)
        self._rows: list[list[int]] = [[] for _ in range(count)]
        self._counts = {name: np.zeros(count, dtype=np.int64) for name in ("batches", "messages", "bytes")}
        self._first_ms = np.zeros(count, dtype=np.int64)
        self._last_ms = np.zeros(count, dtype=np.int64)

    def note(self, cut: CutBatches, place: int, start: int, end: int, row: int) -> None:
        """Note that a segment's batches from ``start`` to ``end`` begin at a row of its chunk."""
        rows = self._rows[place]
        if rows and rows[-2] + rows[-1] == row:
            rows[-1] += end - start
        else:
            rows += [row, end - start]
        if not self._counts["batches"][place]:
            self._first_ms[place] = cut.table["messages"][start][0]["timestamp_ms"].as_py()
        self._last_ms[place] = cut.table["messages"][end - 1][-1]["timestamp_ms"].as_py()
        self._counts["batches"][place] += end - start
        self._counts["messages"][place] += int(cut.messages[start:end].sum())
        self._counts["bytes"][place] += int(cut.bytes[start:end].sum())

    def table(self) -> pa.Table:
        """Return the rows of :data:`SEGMENT_SCHEMA`."""
        count = len(self._chunks)
        return pa.table(
            [
                pa.repeat(self._conversation_id, count),
                self._ids,
                pa.array(self._chunks, pa.int64()),
                pa.array(self._rows, SEGMENT_SCHEMA.field("rows").type),
                *(pa.array(self._counts[name]) for name in ("batches", "messages", "bytes")),
                pa.array(self._first_ms),
                pa.array(self._last_ms),
                pa.array(np.zeros(count, dtype=np.bool_)),
            ],
            schema=SEGMENT_SCHEMA,
        )
