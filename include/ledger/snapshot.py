"""The ledger of one target as of one moment: statuses, open calls, landed and rejected messages as Arrow data."""

from collections.abc import Collection, Iterator, Mapping
from itertools import batched, chain
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Select, select, text

from include.ledger.calls import Call, call_of
from include.ledger.schema import CALLS, FLUSHES, TOLD_NAMES


def _schema(**types: pa.DataType) -> pa.Schema:
    fields: list[pa.Field[Any]] = [pa.field(name, type_, nullable=False) for name, type_ in types.items()]
    return pa.schema(fields)


MESSAGE_SCHEMA = _schema(
    conversation_id=pa.string(), message_id=pa.string(), timestamp_ms=pa.int64(), run_id=pa.string(), reason=pa.string()
)
"""One row per message of a call; ``run_id`` is the run that made the call."""

FLUSH_SCHEMA = _schema(
    conversation_id=pa.string(), segment_id=pa.string(), run_id=pa.string(), landed=pa.int64(), status=pa.string()
)
"""One row per flush that was answered."""

CALLS_AT_ONCE = 2_000
"""Of at most 500 messages each."""

MARGIN_MS = 86_400_000
"""A message may be in the ledger with an earlier time than now: equal times are moved apart, by milliseconds."""

MEMORY_LIMIT = "256MB"

type Since = Mapping[str, int]
"""Conversation id to the earliest time of interest, Unix milliseconds."""


class LoadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one segment, or of a conversation, over all runs."""

    conversation_id: str = ""

    landed: int = 0
    rejected: int = 0
    last_ms: int | None = None
    """``timestamp_ms`` of the newest message that landed."""
    flushed: int = 0
    """Messages that had landed when it, or each of its segments, was last flushed."""

    @property
    def needs_flush(self) -> bool:
        """Whether messages have landed since the last flush."""
        return self.landed > self.flushed


class Snapshot:
    """
    Queries about one target that all see the same moment.

    :param rejections_of: Only what this run's calls had rejected counts as rejected: what earlier runs had rejected may
        be sent again, since a person has corrected it.
    """

    def __init__(self, connection: Connection, target_id: int, *, rejections_of: str | None = None) -> None:
        self.connection = connection
        self.target_id = target_id
        self.rejections_of = rejections_of

    def statuses(self) -> dict[str, LoadStatus]:
        """Return the status of every conversation that a call was ever made of, by its id."""
        return self._statuses("conversations", "conversation_id", "")

    def segments(self, *, conversation_id: str | None = None, needs_flush: bool = False) -> dict[str, LoadStatus]:
        """
        Return the status of segments that a call was ever made of, by their ids.

        :param conversation_id: Only its segments.
        :param needs_flush: Only those in which messages have landed since their last flush.
        """
        where = " AND conversation_id = :name" if conversation_id is not None else ""
        where += " AND needs_flush" if needs_flush else ""
        return self._statuses("segments", "segment_id", where, name=conversation_id)

    def segment(self, segment_id: str) -> LoadStatus:
        """Return the status of one segment."""
        found = self._statuses("segments", "segment_id", " AND segment_id = :name", name=segment_id)
        return found.get(segment_id, LoadStatus())

    def _statuses(self, view: str, key: str, where: str, **given: object) -> dict[str, LoadStatus]:
        columns = f"{key}, conversation_id, landed, rejected, last_ms, flushed"
        query = f"SELECT {columns} FROM {view} WHERE target_id = :target{where}"  # noqa: S608 - names of our own
        rows = self.connection.execute(text(query), {"target": self.target_id, **given})
        return {
            name: LoadStatus(
                conversation_id=conversation_id,
                landed=int(landed),
                rejected=int(rejected),
                last_ms=last_ms,
                flushed=int(flushed),
            )
            for name, conversation_id, landed, rejected, last_ms, flushed in rows
        }

    def open(self, segment_id: str | None = None) -> list[Call]:
        """Return the calls without an outcome, oldest first; of one segment, or of all."""
        query = self._select().where(CALLS.c.settled_ms.is_(None))
        if segment_id is not None:
            query = query.where(CALLS.c.segment_id == segment_id)
        return list(self._calls(query.order_by(CALLS.c.asked_ms, CALLS.c.first_ms)))

    def calls_of(self, segment_id: str, since_ms: int) -> Iterator[Call]:
        """Yield the open calls of a segment, and those settled ones that reach beyond a time, in order of time."""
        recent = CALLS.c.settled_ms.is_(None) | (CALLS.c.last_ms >= since_ms - MARGIN_MS)
        here = self._select().where(CALLS.c.segment_id == segment_id)
        yield from self._calls(here.where(recent).order_by(CALLS.c.asked_ms, CALLS.c.first_ms))

    def with_calls(self, segment_ids: Collection[str]) -> frozenset[str]:
        """Return those of some segments that a call was ever made of; at most a few hundred at a time."""
        here = CALLS.c.target_id == self.target_id, CALLS.c.segment_id.in_(segment_ids)
        return frozenset(self.connection.execute(select(CALLS.c.segment_id).where(*here).distinct()).scalars())

    def told_names(self, ids: Collection[str]) -> dict[tuple[str, str], str]:
        """Return the digests of the names told of some groups and senders, by kind and id; a few hundred at a time."""
        told = TOLD_NAMES.c
        query = select(told.kind, told.id, told.digest).where(told.target_id == self.target_id, told.id.in_(ids))
        return {(kind, id_): digest for kind, id_, digest in self.connection.execute(query)}

    def calls_since(self, asked_ms: int, *, without_run: str) -> Iterator[Call]:
        """Yield the calls that other runs than this one have made since a time of the writers' clocks."""
        query = self._select().where(CALLS.c.asked_ms >= asked_ms, CALLS.c.run_id != without_run)
        yield from self._calls(query.order_by(CALLS.c.asked_ms, CALLS.c.first_ms))

    def landed_calls(self, run_id: str) -> list[dict[str, Any]]:
        """Return the calls of a run that landed, without their messages, by conversation and time."""
        names = ("conversation_id", "segment_id", "messages", "first_ms", "last_ms", "key", "task_id")
        query = select(*(CALLS.c[name] for name in names)).where(
            CALLS.c.target_id == self.target_id, CALLS.c.run_id == run_id, CALLS.c.state == "landed"
        )
        rows = self.connection.execute(query.order_by(CALLS.c.conversation_id, CALLS.c.first_ms)).mappings()
        return [dict(row) for row in rows]

    def landed(self, since: Since | None = None) -> pa.RecordBatchReader:
        """
        Stream the landed messages, :data:`MESSAGE_SCHEMA`.

        :param since: Only of these conversations, and not much earlier than these times; default: all.
        """
        return self._messages("landed", since)

    def rejected(self, since: Since | None = None) -> pa.RecordBatchReader:
        """Stream the rejected messages, as :meth:`landed` does."""
        return self._messages("rejected", since)

    def flushes(self) -> pa.Table:
        """Return the flushes that were answered, :data:`FLUSH_SCHEMA`."""
        columns = [FLUSHES.c[name] for name in FLUSH_SCHEMA.names]
        rows = self.connection.execute(
            select(*columns).where(FLUSHES.c.target_id == self.target_id, FLUSHES.c.status.is_not(None))
        )
        return pa.Table.from_pylist([dict(row) for row in rows.mappings()], schema=FLUSH_SCHEMA)

    def tables(self, since: Since) -> duckdb.DuckDBPyConnection:
        """
        Return DuckDB with the tables ``landed``, ``rejected`` and ``flushed``; close it after use.

        ``rejected`` has one row per message that was rejected and has not landed since.

        :param since: As for :meth:`landed`; rejected messages and flushes are there of all conversations.
        """
        connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
        refused = self.rejected().read_all()
        times: Any = refused.group_by("conversation_id").aggregate([("timestamp_ms", "min")]).to_pylist()
        earliest = {row["conversation_id"]: row["timestamp_ms_min"] for row in times}
        since = earliest | {name: min(since_ms, earliest.get(name, since_ms)) for name, since_ms in since.items()}
        for name, rows in (("landed", self.landed(since)), ("refused", refused), ("flushed", self.flushes())):
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE {name} AS FROM rows")
            connection.unregister("rows")
        connection.execute(
            """
            CREATE TABLE rejected AS
            SELECT conversation_id, message_id, any_value(reason) AS reason FROM refused
            ANTI JOIN landed USING (conversation_id, message_id) GROUP BY ALL
            """
        )
        return connection

    def _select(self) -> "Select[Any]":
        return select(CALLS).where(CALLS.c.target_id == self.target_id)

    def _calls(self, query: "Select[Any]") -> Iterator[Call]:
        rows = self.connection.execute(query, execution_options={"yield_per": CALLS_AT_ONCE})
        yield from map(call_of, rows.mappings())

    def _messages(self, state: str, since: Since | None) -> pa.RecordBatchReader:
        query = self._select().where(CALLS.c.state == state)
        if state == "rejected" and self.rejections_of is not None:
            query = query.where(CALLS.c.run_id == self.rejections_of)
        queries = (
            [query]
            if since is None
            else [
                query.where(CALLS.c.conversation_id == name, CALLS.c.last_ms >= since_ms - MARGIN_MS)
                for name, since_ms in since.items()
            ]
        )
        calls = (call for each in queries for call in self._calls(each))
        return pa.RecordBatchReader.from_batches(MESSAGE_SCHEMA, _batches(calls))


def _batches(calls: Iterator[Call]) -> Iterator[pa.RecordBatch]:
    for some in batched(calls, CALLS_AT_ONCE):
        counts = [len(call.message_ids) for call in some]
        columns: list[pa.Array[Any]] = [
            _repeated([call.conversation_id for call in some], counts),
            pa.array(list(chain.from_iterable(call.message_ids for call in some)), pa.string()),
            pa.array(list(chain.from_iterable(call.timestamps_ms for call in some)), pa.int64()),
            _repeated([call.run_id for call in some], counts),
            _repeated([call.reason for call in some], counts),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=MESSAGE_SCHEMA)


def _repeated(values: list[str], counts: list[int]) -> "pa.Array[Any]":
    """Return each value as often as its count says."""
    return pa.array(values, pa.string()).take(np.repeat(np.arange(len(values)), counts))
