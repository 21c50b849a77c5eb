"""
Sorted messages become batches (one API call each) and chunks (one load task each), cut once and stored.

::

    conversations.parquet ─▶ chunks    which conversation goes into which chunk
    messages/part-*       ─▶ batches   cut, named and written: plan/chunk-000.parquet …
                             store     plan/conversations.parquet, and reading all of it back

The same messages and settings give the same batches, keys and bytes; a resume replays what is stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.columns import conversation_runs
from include.errors import ConfigurationError, NotConserved
from include.layout import RunFolder, drafted
from include.memory_api.contract import MAX_MESSAGES_PER_ADD
from include.plan.batches import OUTGOING, cut_batches, size_of
from include.plan.chunks import assign, label_of
from include.plan.store import ChunkWriter, chunk_name, earliest_ms, read_batches, read_plan, write_plan
from include.records import Chunk, PlannedConversation

__all__ = ["chunk_name", "earliest_ms", "plan", "read_batches", "read_plan"]

BATCH_BYTES = 48_000
"""
UTF-8 bytes of text in a call. The vendor's own clients keep bodies to 64 KiB; ids, names and times of 50 messages take
about a sixth of that, and JSON escapes their share.
"""

MAX_CHUNKS = 64

READ_ROWS = 16_384


def plan(
    run: RunFolder, *, batch_size: int | None = None, batch_bytes: int = BATCH_BYTES, max_chunks: int = MAX_CHUNKS
) -> list[Chunk]:
    """
    Cut what transform left into ``plan/``; it appears complete or not at all.

    Memory does not grow with the number of messages.

    :param batch_size: Messages in a batch, 1 to 500; ``None``: 50, or 100 in conversations above 10,000 messages.
    :param batch_bytes: UTF-8 bytes of text in a batch; a larger message goes alone.
    :param max_chunks: At most so many load tasks.
    :returns: The chunks, largest first; none when nothing is left to load.
    :raises ConfigurationError: a setting out of bounds; nothing was written.
    """
    if batch_size is not None and not 1 <= batch_size <= MAX_MESSAGES_PER_ADD:
        raise ConfigurationError(f"batch_size must be 1 to {MAX_MESSAGES_PER_ADD}, not {batch_size}; nothing was sent")
    if batch_bytes < 1 or max_chunks < 1:
        raise ConfigurationError(f"batch_bytes ({batch_bytes}) and max_chunks ({max_chunks}) must be at least 1")
    table = pq.read_table(run.conversations, columns=["conversation_id", "messages"])
    sizes = {row["conversation_id"]: row["messages"] for row in table.to_pylist() if row["messages"]}
    chunks = assign(sizes, max_chunks)
    run.remove(run.plan)
    with drafted(run.plan) as draft:
        with ExitStack() as open_files:
            writers = [open_files.enter_context(closing(ChunkWriter(draft, number))) for number in range(len(chunks))]
            planned = list(_write(run, chunks, writers, batch_size=batch_size, batch_bytes=batch_bytes))
        _check_complete(planned, sizes)
        write_plan(draft, planned)
    return [
        Chunk(
            number=writer.number,
            fingerprint=writer.fingerprint,
            label=label_of(conversations),
            conversations=len(conversations),
            batches=writer.batches,
            messages=sum(conversations.values()),
        )
        for writer, conversations in zip(writers, chunks, strict=True)
    ]


def _write(
    run: RunFolder,
    chunks: Sequence[Mapping[str, int]],
    writers: Sequence[ChunkWriter],
    *,
    batch_size: int | None,
    batch_bytes: int,
) -> Iterator[PlannedConversation]:
    where = {
        conversation_id: (writer, batch_size or size_of(messages))
        for writer, conversations in zip(writers, chunks, strict=True)
        for conversation_id, messages in conversations.items()
    }
    for conversation_id, runs in groupby(_runs(run.message_parts()), key=itemgetter(0)):
        if conversation_id not in where:
            raise _disagreement(conversation_id)
        writer, size = where.pop(conversation_id)
        messages = (messages for _, messages in runs)
        yield writer.write(
            conversation_id, cut_batches(conversation_id, messages, batch_size=size, batch_bytes=batch_bytes)
        )


def _runs(parts: Sequence[Path]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the messages in order, each time some of one conversation."""
    for part in parts:  # pre_buffer would hold the whole of each
        with pq.ParquetFile(part, pre_buffer=False) as file:
            for batch in file.iter_batches(READ_ROWS, columns=["conversation_id", *OUTGOING]):
                yield from conversation_runs(batch)


def _check_complete(planned: Sequence[PlannedConversation], sizes: Mapping[str, int]) -> None:
    differing = {each.conversation_id: each.messages for each in planned}.items() ^ sizes.items()
    if differing:
        raise _disagreement(min(differing)[0])


def _disagreement(conversation_id: str) -> NotConserved:
    return NotConserved(
        f"{conversation_id}: messages/ and conversations.parquet disagree on how many messages it has; "
        "nothing was sent. Clear the transform task, so that both are written anew"
    )
