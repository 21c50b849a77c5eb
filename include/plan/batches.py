"""Cuts the sorted messages of one conversation into batches, named by what they hold, as they come off the disk."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.columns import cut, text_bytes
from include.records import BATCH_SCHEMA

DEFAULT_SIZE, LARGE_SIZE, LARGE_CONVERSATION = 50, 100, 10_000
"""Messages in a batch; in a batch of a conversation with more than so many messages."""

GROUP_MESSAGES = 5_000
GROUP_BYTES = 8_000_000
"""Messages and text in a row group: what a load task holds of a conversation at a time."""

_MESSAGES: Any = BATCH_SCHEMA.field("messages").type
OUTGOING = [field.name for field in _MESSAGES.value_type]


def size_of(messages: int) -> int:
    """Return how many messages make a batch where nobody said, in a conversation of so many."""
    return LARGE_SIZE if messages > LARGE_CONVERSATION else DEFAULT_SIZE


def cut_batches(
    conversation_id: str, runs: Iterable[pa.RecordBatch], *, batch_size: int, batch_bytes: int
) -> Iterator[pa.Table]:
    """
    Yield the batches of a conversation, a row group (:data:`include.records.BATCH_SCHEMA`) at a time.

    :param runs: All its messages, in order. How they are portioned makes no difference.
    """
    per_group = max(1, min(GROUP_MESSAGES // batch_size, GROUP_BYTES // batch_bytes))
    waiting: list[pa.RecordBatch] = []
    number = 0
    for run in runs:
        table = pa.Table.from_batches([*waiting, run])
        starts = cut(text_bytes(table), most=batch_size, most_bytes=batch_bytes)
        complete = (len(starts) - 1) // per_group * per_group
        for first in range(0, complete, per_group):
            yield _row_group(conversation_id, number + first, table, starts[first : first + per_group + 1])
        number += complete
        waiting = table.slice(starts[complete]).to_batches()
    table = pa.Table.from_batches(waiting)
    starts = cut(text_bytes(table), most=batch_size, most_bytes=batch_bytes)
    yield _row_group(conversation_id, number, table, [*starts, table.num_rows])


def _row_group(conversation_id: str, number: int, table: pa.Table, edges: Sequence[int]) -> pa.Table:
    messages = table.slice(edges[0], edges[-1] - edges[0]).combine_chunks()
    columns: Any = [messages[name].chunk(0) for name in OUTGOING]
    offsets: Any = pa.array(np.subtract(edges, edges[0]), type=pa.int32())
    outgoing = pa.StructArray.from_arrays(columns, fields=list(_MESSAGES.value_type))
    keys = _keys(conversation_id, pa.ListArray.from_arrays(offsets, columns[OUTGOING.index("message_id")]))
    return pa.table(
        [
            pa.repeat(conversation_id, len(keys)),
            pa.array(range(number, number + len(keys)), type=pa.int64()),
            pa.array(keys),
            pa.ListArray.from_arrays(offsets, outgoing, type=_MESSAGES),
        ],
        schema=BATCH_SCHEMA,
    )


def _keys(conversation_id: str, message_ids: Any) -> list[str]:
    r"""Digest the ids, joined with ``\x00`` since ids may contain any printable separator."""
    joined: Any = pc.binary_join(message_ids, "\x00")
    return [hashlib.sha256(f"{conversation_id}\x00{ids}".encode()).hexdigest()[:32] for ids in joined.to_pylist()]
