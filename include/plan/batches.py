"""Cuts the sorted messages of one conversation into batches of its segments, named by what they hold."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.columns import cut, edges_of, text_bytes
from include.plan.segments import CountedSegments
from include.records import BATCH_SCHEMA

DEFAULT_SIZE, LARGE_SIZE, LARGE_CONVERSATION = 50, 100, 10_000
"""Messages in a batch; in a batch of a conversation with more than so many messages."""

SLICE_BYTES = 32_000_000
"""Of a conversation, what is in memory at a time: text, and :data:`ROW_BYTES` for each message."""

ROW_BYTES = 200

_MESSAGES: Any = BATCH_SCHEMA.field("messages").type
OUTGOING = [field.name for field in _MESSAGES.value_type]


def size_of(messages: int) -> int:
    """Return how many messages make a batch where nobody said, in a conversation of so many."""
    return LARGE_SIZE if messages > LARGE_CONVERSATION else DEFAULT_SIZE


type Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CutBatches:
    """Batches, segment by segment; of each segment in order."""

    table: pa.Table
    """:data:`include.records.BATCH_SCHEMA`."""

    places: Numbers
    """Of each batch, the place of its segment among the conversation's."""

    messages: Numbers
    bytes: Numbers
    """Of each batch."""


def cut_batches(
    segments: CountedSegments, runs: Iterable[pa.RecordBatch], *, batch_size: int, batch_bytes: int
) -> Iterator[CutBatches]:
    """
    Yield the batches of a conversation, a slice of its messages at a time.

    A segment that spans two slices has batches in both. Only the one that the slice's last message is in is cut as if
    there were no slices.

    :param runs: All its messages, in order. How they are portioned makes no difference.
    :raises ValueError: there are more messages of a segment than were counted.
    """
    left, numbers = segments.messages.copy(), np.zeros(len(segments.messages), dtype=np.int64)
    rest: pa.Table | None = None
    for piece in _slices(runs):
        left -= np.bincount(_places(segments, piece), minlength=len(left))
        if (left < 0).any():
            raise ValueError("more messages than were counted")
        table = pa.concat_tables([rest, piece]) if rest is not None else piece
        places = _places(segments, table)
        last = places[-1]
        order = np.argsort(places, kind="stable")
        table, places, sizes = table.take(pa.array(order, pa.int64())), places[order], text_bytes(table)[order]
        starts, ends = _cut_segments(edges_of(places), sizes, batch_size, batch_bytes)
        rest = None
        if left[last]:
            held = int(np.searchsorted(places[starts], last, side="right")) - 1
            rest = table.slice(starts[held], ends[held] - starts[held])
            table = pa.concat_tables([table.slice(0, starts[held]), table.slice(ends[held])])
            sizes = np.delete(sizes, np.s_[starts[held] : ends[held]])
            places = np.delete(places, np.s_[starts[held] : ends[held]])
            lengths = np.delete(np.subtract(ends, starts), held)
        else:
            lengths = np.subtract(ends, starts)
        if len(lengths):
            yield _cut_slice(segments, table, places, sizes, lengths, numbers)


def _slices(runs: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Portion a stream anew, by what its messages weigh."""
    waiting: list[pa.RecordBatch] = []
    weight = 0
    for run in runs:
        waiting.append(run)
        weight += int(text_bytes(run).sum()) + ROW_BYTES * run.num_rows
        if weight > SLICE_BYTES:
            table = pa.Table.from_batches(waiting)
            starts = cut(text_bytes(table) + ROW_BYTES, most=table.num_rows, most_bytes=SLICE_BYTES)
            for start, end in pairwise(starts):
                yield table.slice(start, end - start)
            waiting = table.slice(starts[-1]).to_batches()
            weight = int(text_bytes(table.slice(starts[-1])).sum()) + ROW_BYTES * (table.num_rows - starts[-1])
    if waiting:
        yield pa.Table.from_batches(waiting)


def _places(segments: CountedSegments, table: pa.Table) -> Numbers:
    found: Any = pc.index_in(table["segment_id"], value_set=segments.ids)
    if found.null_count:
        raise ValueError("a segment that was not counted")
    return np.asarray(found, dtype=np.int64)


def _cut_segments(edges: list[int], sizes: Numbers, batch_size: int, batch_bytes: int) -> tuple[list[int], list[int]]:
    """Return where batches begin and end; most segments are one."""
    weights = np.add.reduceat(sizes, edges[:-1])
    starts: list[int] = []
    for (start, end), weight in zip(pairwise(edges), weights.tolist(), strict=True):
        if end - start <= batch_size and weight <= batch_bytes:
            starts.append(start)
        else:
            starts.extend(start + first for first in cut(sizes[start:end], most=batch_size, most_bytes=batch_bytes))
    return starts, [*starts[1:], edges[-1]]


def _cut_slice(
    segments: CountedSegments, table: pa.Table, rows: Numbers, sizes: Numbers, lengths: Numbers, numbers: Numbers
) -> CutBatches:
    """
    Put the batches together.

    :param rows: Place of each message's segment.
    :param lengths: Messages of each batch.
    :param numbers: Batches of each segment so far; raised here.
    """
    table = table.combine_chunks()
    starts = np.cumsum(lengths) - lengths
    places = rows[starts]
    found, first, counts = np.unique(places, return_index=True, return_counts=True)
    within = numbers[places] + np.arange(len(places)) - np.repeat(first, counts)
    numbers[found] += counts
    columns: Any = [table[name].chunk(0) for name in OUTGOING]
    offsets: Any = pa.array([*starts.tolist(), table.num_rows], type=pa.int32())
    outgoing = pa.StructArray.from_arrays(columns, fields=list(_MESSAGES.value_type))
    ids = pa.ListArray.from_arrays(offsets, columns[OUTGOING.index("message_id")])
    keys = _keys(segments.conversation_id, ids)
    return CutBatches(
        table=pa.table(
            [
                pa.repeat(segments.conversation_id, len(keys)),
                segments.ids.take(pa.array(places)),
                pa.array(within, type=pa.int64()),
                pa.array(keys),
                pa.ListArray.from_arrays(offsets, outgoing, type=_MESSAGES),
            ],
            schema=BATCH_SCHEMA,
        ),
        places=places,
        messages=lengths,
        bytes=np.add.reduceat(sizes, starts),
    )


def _keys(conversation_id: str, message_ids: Any) -> list[str]:
    r"""Digest the ids, joined with ``\x00`` since ids may contain any printable separator."""
    joined: Any = pc.binary_join(message_ids, "\x00")
    return [hashlib.sha256(f"{conversation_id}\x00{ids}".encode()).hexdigest()[:32] for ids in joined.to_pylist()]
