"""One pass over sorted messages: rising milliseconds, segments, then range and ledger, and a count of each decision."""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.columns import conversation_runs
from include.records import MESSAGE_SCHEMA, ORDERED_SCHEMA, TransformCounts
from include.transform.segments import Segments
from include.transform.staging import DUPLICATE, KEEP, LANDED, REFUSED

Milliseconds = npt.NDArray[np.int64]
Choice = npt.NDArray[np.bool_]


def strictly_increasing(times_ms: Milliseconds, *, after: int | None = None) -> Milliseconds:
    """
    Move every time that is not later than the one before to one millisecond after it; none is moved back.

    :param after: The last time already given, if any: all results are later.

    >>> strictly_increasing(np.array([5, 5, 5, 6, 20]))
    array([ 5,  6,  7,  8, 20])
    """
    steps = np.arange(len(times_ms))
    slack = times_ms - steps
    if after is not None:
        slack = np.maximum(slack, after + 1)
    return np.maximum.accumulate(slack) + steps


class Timeline:
    """
    Feed it sorted batches, get back what is left to load; carries its state over batch edges.

    :param fates: What is known of each row, by row number (see :meth:`include.transform.staging.Staging.fates`).
    :param segments: Says to which segment each message belongs.
    """

    def __init__(
        self,
        fates: npt.NDArray[np.uint8],
        segments: Segments | None = None,
        *,
        since_us: int | None,
        until_us: int | None,
    ) -> None:
        self._fates = fates
        self._segments = segments or Segments()
        self._since_us = since_us
        self._until_us = until_us
        self._conversation_id: str | None = None
        self._last_ms: int | None = None
        self.counts: dict[str, TransformCounts] = defaultdict(TransformCounts)

    def feed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch without what is not to be loaded, with ``timestamp_ms`` and ``segment_id``, and count."""
        times_ms, load = [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
        segments = [pa.array([], pa.string())]
        for conversation_id, run in conversation_runs(batch):
            if conversation_id != self._conversation_id:
                self._conversation_id, self._last_ms = conversation_id, None
            fates = self._fates[run["row"].to_numpy()]
            judged = self._judge(run["sent_at_us"].to_numpy(), fates, self.counts[conversation_id])
            segments.append(self._segments.assign(conversation_id, run, fates != DUPLICATE))
            times_ms.append(judged[0])
            load.append(judged[1])
        columns = {name: batch[name] for name in MESSAGE_SCHEMA.names}
        columns["timestamp_ms"] = pa.array(np.concatenate(times_ms))
        columns["segment_id"] = pa.concat_arrays(segments)
        return pa.RecordBatch.from_pydict(columns, schema=ORDERED_SCHEMA).filter(pa.array(np.concatenate(load)))

    def _judge(
        self, sent_at_us: npt.NDArray[np.int64], fates: npt.NDArray[np.uint8], counts: TransformCounts
    ) -> tuple[Milliseconds, Choice]:
        unique = fates != DUPLICATE
        source_ms = sent_at_us // 1000
        times_ms = source_ms.copy()
        if unique.any():
            times_ms[unique] = strictly_increasing(source_ms[unique], after=self._last_ms)
            self._last_ms = int(times_ms[unique][-1])
        in_range = unique & self._in_range(sent_at_us)
        load = in_range & (fates == KEEP)
        counts.duplicates += _count(~unique)
        counts.out_of_range += _count(unique & ~in_range)
        counts.already_loaded += _count(in_range & (fates == LANDED))
        counts.rejected_before += _count(in_range & (fates == REFUSED))
        counts.shifted_ms += _count(times_ms != source_ms)
        counts.messages += _count(load)
        return times_ms, load

    def _in_range(self, sent_at_us: npt.NDArray[np.int64]) -> Choice:
        inside = np.ones(len(sent_at_us), dtype=np.bool_)
        if self._since_us is not None:
            inside &= sent_at_us >= self._since_us
        if self._until_us is not None:
            inside &= sent_at_us < self._until_us
        return inside


def _count(mask: Choice) -> int:
    return int(np.count_nonzero(mask))
