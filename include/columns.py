"""Functions of transform and plan on columns of messages: runs of one conversation, bytes of text, places to cut."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def conversation_runs(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the stretches of a batch that belong to one conversation each, with its id."""
    ids: Any = batch["conversation_id"]
    for start, end in pairwise(edges_of(ids)):
        yield ids[start].as_py(), batch.slice(start, end - start)


def edges_of(column: Any) -> list[int]:
    """
    Return where the stretches of equal values begin, and the length of all; nothing for no values.

    >>> edges_of(pa.array(["a", "a", "b"]))
    [0, 2, 3]
    """
    if not len(column):
        return []
    changes = np.flatnonzero(np.asarray(pc.not_equal(column[1:], column[:-1]))) + 1
    return [0, *changes.tolist(), len(column)]


def text_bytes(messages: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """Return the UTF-8 bytes of each message's text."""
    text: Any = messages["text"]
    return np.asarray(pc.binary_length(text), dtype=np.int64)


def cut(sizes: npt.NDArray[np.int64], *, most: int, most_bytes: int) -> list[int]:
    """
    Return where the pieces begin, filling each one before the next begins.

    Cutting from any of these positions on gives the same cuts again, so a stream can be cut as it comes.

    :param sizes: Bytes of each message, in order.
    :param most: Messages in a piece, at least 1.
    :param most_bytes: Bytes in a piece; a larger message makes a piece of its own.
    :returns: Ascending positions from 0; none for no messages.

    >>> cut(np.array([4, 4, 4, 99, 1]), most=2, most_bytes=10)
    [0, 2, 3, 4]
    """
    ends = np.cumsum(sizes)
    starts, start, before = [], 0, 0
    while start < len(sizes):
        starts.append(start)
        fitting = int(np.searchsorted(ends, before + most_bytes, side="right"))
        start = max(start + 1, min(start + most, fitting))
        before = int(ends[start - 1])
    return starts
