"""
Sorted messages become batches (one API call each) and chunks (one load task each), cut once and stored.

::

    messages/part-*       ─▶ segments  counted
    conversations.parquet ─▶ chunks    which segment goes into which chunk
                             owners    whose memory each message becomes
    messages/part-*       ─▶ batches   cut, named and written: plan/chunk-000.parquet …
                             store     plan/segments.parquet, and reading all of it back

The same messages and settings give the same batches, keys and bytes; a resume replays what is stored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from include.columns import conversation_runs, edges_of
from include.errors import ConfigurationError, NotConserved
from include.memory_api.contract import MAX_MESSAGES_PER_ADD
from include.memory_layout import MemoryLayout
from include.plan.batches import OUTGOING, CutBatches, cut_batches, size_of
from include.plan.chunk_file import conversations_of
from include.plan.chunks import assign, how_many, label_of
from include.plan.owners import owned, owner_of, shared_names
from include.plan.segments import CountedSegments, count_segments
from include.plan.store import (
    ChunkWriter,
    ConversationContents,
    chunk_name,
    earliest_ms,
    read_batches,
    read_layout,
    read_plan,
    segment_writer,
)
from include.records import Chunk
from include.run_folder import RunFolder, drafted

__all__ = ["chunk_name", "earliest_ms", "plan", "read_batches", "read_layout", "read_plan"]

BATCH_BYTES = 48_000
"""
UTF-8 bytes of text in a call. The vendor's own clients keep bodies to 64 KiB; ids, names and times of 50 messages take
about a sixth of that, and JSON escapes their share.
"""

MAX_CHUNKS = 64

READ_ROWS = 16_384


WAITING_BYTES = 64_000_000
"""Of text in all chunks together that waits for its row group to fill."""


def plan(
    run: RunFolder,
    *,
    batch_size: int | None = None,
    batch_bytes: int = BATCH_BYTES,
    max_chunks: int = MAX_CHUNKS,
) -> list[Chunk]:
    """
    Cut what transform left into ``plan/``; it appears complete or not at all.

    What is in memory does not grow with the messages but for a few dozen bytes per segment.

    :param batch_size: Messages in a batch, 1 to 500; ``None``: 50, or 100 in conversations above 10,000 messages.
    :param batch_bytes: UTF-8 bytes of text in a batch; a larger message goes alone.
    :param max_chunks: At most so many load tasks.
    :returns: The chunks, largest first; none when nothing is left to load.
    :raises ConfigurationError: a setting out of bounds, or two conversations with one segment; nothing was written.
    """
    if batch_size is not None and not 1 <= batch_size <= MAX_MESSAGES_PER_ADD:
        raise ConfigurationError(f"batch_size must be 1 to {MAX_MESSAGES_PER_ADD}, not {batch_size}; nothing was sent")
    if batch_bytes < 1 or max_chunks < 1:
        raise ConfigurationError(f"batch_bytes ({batch_bytes}) and max_chunks ({max_chunks}) must be at least 1")
    counted = count_segments(run.message_parts())
    _check(run, counted)
    parts = _Parts(counted, max_chunks)
    chunks = assign(parts.sizes(counted), max_chunks)
    number_of = {part: number for number, chunk in enumerate(chunks) for part in chunk}
    run.remove(run.plan)
    with drafted(run.plan) as draft, ExitStack() as files:
        contents = files.enter_context(segment_writer(draft))
        writers = [files.enter_context(closing(ChunkWriter(draft, number))) for number in range(len(chunks))]
        messages = groupby(_runs(run, read_layout(run)), key=itemgetter(0))
        for segments, (_, runs) in zip(counted, messages, strict=True):
            numbers = [number_of[segments.conversation_id, part] for part in parts.of(segments).tolist()]
            cut = cut_batches(
                segments,
                (messages for _, messages in runs),
                batch_size=batch_size or size_of(segments.total),
                batch_bytes=batch_bytes,
            )
            contents.write_table(_write(segments, cut, writers, numbers))
    return [
        Chunk(
            number=writer.number,
            fingerprint=writer.fingerprint,
            label=label_of(_conversations(chunk)),
            conversations=len(_conversations(chunk)),
            segments=writer.segments,
            batches=writer.batches,
            messages=writer.messages,
        )
        for writer, chunk in zip(writers, chunks, strict=True)
    ]


type _Part = tuple[str, int]
"""A conversation, and the number of a part of it: chunks are made of parts."""


class _Parts:
    """Which part of its conversation each segment is in. A conversation that is not larger than a chunk has one."""

    def __init__(self, counted: Sequence[CountedSegments], max_chunks: int) -> None:
        messages = sum(each.total for each in counted)
        largest = max((int(each.messages.max()) for each in counted), default=0)
        self._most = -(-messages // max(1, how_many(messages, largest, len(counted), max_chunks)))

    def of(self, segments: CountedSegments) -> npt.NDArray[np.int64]:
        """Return the number of each segment's part, in order."""
        return segments.parts(self._most)

    def sizes(self, counted: Sequence[CountedSegments]) -> dict[_Part, int]:
        """Return the messages of each part."""
        sizes: dict[_Part, int] = {}
        for each in counted:
            for number, size in zip(self.of(each).tolist(), each.messages.tolist(), strict=True):
                part = each.conversation_id, number
                sizes[part] = sizes.get(part, 0) + size
        return sizes


def _conversations(chunk: Mapping[_Part, int]) -> dict[str, int]:
    """Return the messages of each conversation in a chunk."""
    sizes: dict[str, int] = {}
    for (conversation_id, _), size in chunk.items():
        sizes[conversation_id] = sizes.get(conversation_id, 0) + size
    return sizes


def _write(
    segments: CountedSegments, cut: Iterable[CutBatches], writers: Sequence[ChunkWriter], numbers: Sequence[int]
) -> pa.Table:
    """
    Write the batches of a conversation, and return where they are.

    :param numbers: Number of the chunk of each segment.
    """
    contents = ConversationContents(segments.conversation_id, segments.ids, numbers)
    chunk_of = np.asarray(numbers)
    for batches in cut:
        chunks = chunk_of[batches.places]
        for start, end in pairwise(edges_of(pa.array(chunks))):
            first = writers[chunks[start]].add(batches, start, end)
            within = edges_of(pa.array(batches.places[start:end]))
            for begin, stop in pairwise(within):
                contents.note(batches, int(batches.places[start + begin]), start + begin, start + stop, first + begin)
        if sum(writer.waiting_bytes for writer in writers) > WAITING_BYTES:
            for writer in writers:
                writer.write()
    for number in numbers:
        writers[number].segments += 1
    return contents.table()


def _runs(run: RunFolder, layout: MemoryLayout) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the messages in order, each time some of one conversation, as their owner's."""
    parts = run.message_parts()
    conversations = conversations_of(run)
    ambiguous = shared_names(parts) if layout.memory_of != "person" else {}
    for part in parts:  # pre_buffer would hold the whole of each
        with pq.ParquetFile(part, pre_buffer=False) as file:
            for batch in file.iter_batches(READ_ROWS, columns=["conversation_id", "segment_id", *OUTGOING]):
                for conversation_id, messages in conversation_runs(batch):
                    owner = owner_of(conversations[conversation_id], layout)
                    yield conversation_id, owned(messages, owner, ambiguous.get(conversation_id, frozenset()))


def _check(run: RunFolder, counted: Sequence[CountedSegments]) -> None:
    table = pq.read_table(run.conversations, columns=["conversation_id", "messages"])
    sizes = {row["conversation_id"]: row["messages"] for row in table.to_pylist() if row["messages"]}
    differing = {each.conversation_id: each.total for each in counted}.items() ^ sizes.items()
    if differing or len(counted) != len(sizes):
        raise _disagreement(min(differing)[0])
    ids: Any = pa.chunked_array([each.ids for each in counted], pa.string())
    if len(ids.unique()) != len(ids):
        twice = next(row["values"] for row in ids.value_counts().to_pylist() if row["counts"] > 1)
        raise ConfigurationError(
            f"{twice} would be a segment of two conversations; nothing was sent. Give one of them another id: with the "
            "parameter conversation_id, or in the file that names it"
        )


def _disagreement(conversation_id: str) -> NotConserved:
    return NotConserved(
        f"{conversation_id}: messages/ and conversations.parquet disagree on how many messages it has; "
        "nothing was sent. Clear the transform task, so that both are written anew"
    )
