"""What is settled, as Parquet: written while lines are folded, never held as Python objects all at once."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from include.delivery import events
from include.delivery.fold import Settled

_MESSAGE: "list[pa.Field[Any]]" = [
    pa.field("conversation_id", pa.string(), nullable=False),
    pa.field("message_id", pa.string(), nullable=False),
    pa.field("timestamp_ms", pa.int64(), nullable=False),
    pa.field("run_id", pa.string(), nullable=False),
]

LANDED_SCHEMA = pa.schema(_MESSAGE)
"""One row per message that the target holds; ``run_id`` is the run that sent it."""

REJECTED_SCHEMA = LANDED_SCHEMA.append(pa.field("reason", pa.string(), nullable=False))
"""One row per message that the target refused for its content."""

_FLUSH: "list[pa.Field[Any]]" = [
    pa.field("conversation_id", pa.string(), nullable=False),
    pa.field("run_id", pa.string(), nullable=False),
    pa.field("landed", pa.int64(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
]

FLUSHED_SCHEMA = pa.schema(_FLUSH)
"""One row per flush; ``landed`` messages had landed in the conversation by then."""

ROWS_AT_ONCE = 100_000


class SettledWriter:
    """
    Takes what a fold settles: landed messages go to a Parquet file, rejected ones, which are few, are kept.

    :param path: The file, of :data:`LANDED_SCHEMA`, complete when the ``with`` block ends.
    """

    def __init__(self, path: Path) -> None:
        self.rows = 0
        """Landed messages so far."""
        self._writer = pq.ParquetWriter(path, LANDED_SCHEMA, compression="zstd")
        self._rejected: list[tuple[str, str, int, str, str]] = []
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._writer.close()

    def add(self, settled: Settled) -> None:
        """Take one attempt; one that failed adds nothing."""
        count, attempt = len(settled.message_ids), settled.attempt
        if settled.reason is not None:
            for message_id, timestamp_ms in zip(settled.message_ids, settled.timestamps_ms, strict=True):
                row = (attempt.conversation_id, message_id, timestamp_ms, attempt.run_id, settled.reason)
                self._rejected.append(row)
            return
        self._conversations.extend([attempt.conversation_id] * count)
        self._messages.extend(settled.message_ids)
        self._times.extend(settled.timestamps_ms)
        self._runs.extend([attempt.run_id] * count)
        self.rows += count
        if len(self._messages) >= ROWS_AT_ONCE:
            self._flush()

    def rejected(self) -> pa.Table:
        """Return the rejected messages, :data:`REJECTED_SCHEMA`."""
        return _table(self._rejected, REJECTED_SCHEMA)

    def _flush(self) -> None:
        if self._messages:
            columns = (self._conversations, self._messages, self._times, self._runs)
            self._writer.write_table(pa.table([pa.array(column) for column in columns], schema=LANDED_SCHEMA))
        self._clear()

    def _clear(self) -> None:
        self._conversations: list[str] = []
        self._messages: list[str] = []
        self._times: list[int] = []
        self._runs: list[str] = []


def flushed_table(flushes: Sequence[events.Flushed]) -> pa.Table:
    """Return flushes as rows of :data:`FLUSHED_SCHEMA`."""
    return _table([(line.conversation, line.run, line.landed, line.status) for line in flushes], FLUSHED_SCHEMA)


def _table(rows: Sequence[tuple[str | int, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
