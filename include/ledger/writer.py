"""Writes calls and flushes: durable before the caller goes on, with proof of the lock, many in one commit."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, bindparam, exists, select, text

from include.errors import ConversationBusy, LedgerError
from include.ledger.calls import Call, CallState, Flush, row_of
from include.ledger.coalesce import Coalesced
from include.ledger.database import Database
from include.ledger.locks import AdvisoryLocks, FileLocks, Locks, lost
from include.ledger.schema import CALLS, FLUSHES, TARGETS
from include.ledger.snapshot import Snapshot
from include.logs import get_logger

log = get_logger(__name__)

_ASK_AGAIN_S = 0.25


def _upsert(table: Any, key: str, kept: tuple[str, ...], unanswered: str) -> Any:
    """Return an insert that changes a row with the same key, but for what it keeps, unless that has its outcome."""
    names = table.columns.keys()
    changed = [f"{name} = excluded.{name}" for name in names if name not in (key, *kept)]
    values = ", ".join(f":{name}" for name in names)
    changed += [f"{name} = coalesce({table.name}.{name}, excluded.{name})" for name in kept]
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values}) "  # noqa: S608 - names of our own columns
        f"ON CONFLICT ({key}) DO UPDATE SET {', '.join(changed)} WHERE {table.name}.{unanswered} IS NULL"
    )


_STATE = select(TARGETS.c.generation, exists().where(CALLS.c.call_id == bindparam("newest"))).where(
    TARGETS.c.target_id == bindparam("target_id")
)
"""The target's generation, and whether a call is there: a database without the newest one is an older copy."""

_CHANGE_CALL = text(
    "UPDATE calls SET state = :state, task_id = :task_id, reason = :reason, settled_ms = :settled_ms, "
    "accepted_ms = coalesce(accepted_ms, :accepted_ms) WHERE call_id = :call_id AND settled_ms IS NULL"
)
"""For a call whose row this writer has written: its messages need not be encoded again."""

_WRITE_CALL = _upsert(CALLS, "call_id", ("asked_ms", "accepted_ms"), "settled_ms")
_WRITE_FLUSH = _upsert(FLUSHES, "flush_id", ("asked_ms",), "answered_ms")

_WRITE_TOLD = text(
    "INSERT INTO told_names (target_id, kind, id, digest) VALUES (:target_id, :kind, :id, :digest) "
    "ON CONFLICT (target_id, kind, id) DO UPDATE SET digest = excluded.digest"
)


class CallWriter:
    """
    One task's connection to the ledger. An async context manager.

    :param run_id: The run that the task belongs to.
    """

    def __init__(self, database: Database, target_id: int, *, run_id: str) -> None:
        self._database, self._target_id, self.run_id = database, target_id, run_id
        self._token = secrets.token_hex(6)
        self._connection: Connection | None = None
        self._locks: Locks | None = None
        self._generation = 0
        self._newest: str | None = None
        """Id of the call that was written last: a database without it is an older copy."""
        self._open_calls: dict[str, tuple[str, ...]] = {}
        """Message ids of calls that this writer has written and that have no outcome, by call id."""
        self._committed = Coalesced[Call | Flush, None](partial(self._in_thread, self._write))
        self._taken = Coalesced[str, dict[str, bool]](partial(self._in_thread, self._take))
        self._released = Coalesced[str, None](partial(self._in_thread, self._release))
        self._using = asyncio.Lock()
        self._broken: LedgerError | None = None
        self._numbers = iter(range(1, 1 << 62))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for work in (self._committed, self._taken, self._released):
            await work.settled()
        await asyncio.to_thread(self._close)

    def new_ids(self) -> Iterator[str]:
        """Yield ids for calls and flushes that no other writer has ever given."""
        for number in self._numbers:
            yield f"{self._token}-{number}"

    async def record(self, *changes: Call | Flush) -> None:
        """
        Write the present state of calls and flushes; it is durable when this returns.

        Callers that wait at the same time share one commit.

        :raises LedgerError: it could not be written, or the right to send was lost. Nothing may be sent any more.
        """
        if changes:
            await self._committed(*changes)

    async def keep_told(self, names: Mapping[tuple[str, str], str]) -> None:
        """Note which names the target was told: digests by kind and id, as in ``Snapshot.told_names``."""
        if names:
            await self._in_thread(self._write_told, names)

    @asynccontextmanager
    async def lock(self, segment_id: str, *, wait_s: float) -> AsyncIterator[bool]:
        """
        Hold a segment's lock; an earlier try of the task that still runs is given time to end.

        Callers that wait at the same time share a thread and a query. The value tells whether any call was ever made
        of the segment, as of a moment at which the lock was held.

        :raises ConversationBusy: another writer still holds it after ``wait_s``; nothing was sent.
        """
        deadline_s, told = time.monotonic() + wait_s, False
        while segment_id not in (taken := await self._taken(segment_id)):
            if time.monotonic() >= deadline_s:
                newest = await self._in_thread(self._newest_run, segment_id)
                raise ConversationBusy(
                    f"{segment_id} is being loaded by another task (its newest call is of run {newest}); nothing "
                    "was sent. Wait for that task to end or stop it, then clear this one."
                )
            if not told:
                log.info("%s is being loaded by another task: waiting for it to end", segment_id)
                told = True
            await asyncio.sleep(_ASK_AGAIN_S)
        try:
            yield taken[segment_id]
        finally:
            await asyncio.shield(self._released(segment_id))

    async def read[T](self, query: Callable[[Snapshot], T]) -> T:
        """Return what a query finds, on the connection that is open: for small ones."""

        def asked() -> T:
            self._check_whole()
            with self.connection.begin():
                return query(Snapshot(self.connection, self._target_id))

        found: T = await self._in_thread(asked)
        return found

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        """Work on the connection, alone; a caller that is cancelled leaves only when the work is done."""
        working = asyncio.create_task(self._alone(work, *arguments))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working])
            raise

    async def _alone(self, work: Any, *arguments: Any) -> Any:
        async with self._using:
            try:
                with self._database.errors():
                    return await asyncio.to_thread(work, *arguments)
            except LedgerError as error:
                self._broken = self._broken or error
                raise

    def _open(self) -> None:
        with self._database.errors():
            self._connection = self._database.connect()
            path = self._database.path
            self._locks = FileLocks(path) if path else AdvisoryLocks(self._connection)
            with self._connection.begin():
                self._generation, _ = self._read_state(self._connection)

    def _close(self) -> None:
        if self._locks is not None:
            self._locks.close()
            self._locks = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self, segment_ids: Sequence[str]) -> dict[str, bool]:
        """Return the segments whose locks could be taken, each with whether it has calls."""
        self._check_whole()
        if self._locks is None:
            return {}
        taken = [name for name in segment_ids if self._locks.take(self._lock_name(name))]
        with self.connection.begin():
            known = Snapshot(self.connection, self._target_id).with_calls(taken)
        return {name: name in known for name in taken}

    def _release(self, segment_ids: Sequence[str]) -> None:
        if self._locks is not None and self._broken is None:  # else closing the writer gives all of them back
            for name in segment_ids:
                self._locks.release(self._lock_name(name))

    def _lock_name(self, segment_id: str) -> str:
        return f"{self._target_id}\x1f{segment_id}"

    def _newest_run(self, segment_id: str) -> str | None:
        here = (CALLS.c.target_id == self._target_id) & (CALLS.c.segment_id == segment_id)
        with self.connection.begin():
            query = select(CALLS.c.run_id).where(here).order_by(CALLS.c.asked_ms.desc()).limit(1)
            return self.connection.execute(query).scalar()

    def _write(self, changes: Sequence[Call | Flush]) -> None:
        """Write what has gathered while the commit before was on its way."""
        now_ms = time.time_ns() // 1_000_000
        self._check_whole()
        connection = self.connection
        with connection.begin():
            self._check_right(connection, changes)
            for change in changes:
                statement, row = self._written(change, now_ms)
                if connection.execute(statement, row).rowcount != 1:
                    raise lost(change.segment_id, self._database.name)
        self._newest = next((change.call_id for change in changes if isinstance(change, Call)), self._newest)
        if isinstance(self._locks, FileLocks) and not self._locks.holds(frozenset()):
            raise lost(changes[0].segment_id, self._database.name)

    def _check_whole(self) -> None:
        """Refuse to go on with a connection that has failed once: another one would hold none of the locks."""
        if self._broken is not None:
            raise self._broken

    def _write_told(self, names: Mapping[tuple[str, str], str]) -> None:
        self._check_whole()
        rows = [
            {"target_id": self._target_id, "kind": kind, "id": id_, "digest": digest}
            for (kind, id_), digest in names.items()
        ]
        with self.connection.begin():
            self.connection.execute(_WRITE_TOLD, rows)

    def _check_right(self, connection: Connection, changes: Sequence[Call | Flush]) -> None:
        """Prove, in the transaction that records an intent, that no other writer can be at work on it."""
        names = frozenset(self._lock_name(change.segment_id) for change in changes)
        generation, has_newest = self._read_state(connection)
        is_older = generation < self._generation or not has_newest
        if self._locks is None or is_older or not self._locks.holds(names):
            raise lost(changes[0].segment_id, self._database.name)

    @property
    def connection(self) -> Connection:
        """The one connection that writes and, where the database is a server, holds the locks."""
        if self._connection is None:
            raise RuntimeError("the writer is not open")
        return self._connection

    def _read_state(self, connection: Connection) -> tuple[int, bool]:
        """Return the generation, and whether what was written last is there."""
        given = {"target_id": self._target_id, "newest": self._newest}
        generation, has_newest = connection.execute(_STATE, given).one()
        return generation, self._newest is None or has_newest

    def _written(self, change: Call | Flush, now_ms: int) -> tuple[Any, dict[str, Any]]:
        """Return the statement that writes a change, and its values."""
        if isinstance(change, Flush):
            return _WRITE_FLUSH, self._flush_row(change, now_ms)
        outcome = {
            "accepted_ms": now_ms if change.state is CallState.ACCEPTED else None,
            "settled_ms": None if change.is_open else now_ms,
        }
        is_written = self._open_calls.get(change.call_id) is change.message_ids
        if change.is_open:
            self._open_calls[change.call_id] = change.message_ids
        else:
            self._open_calls.pop(change.call_id, None)
        if is_written:
            names = {"call_id": change.call_id, "task_id": change.task_id}
            return _CHANGE_CALL, {**names, "state": change.state.value, "reason": change.reason, **outcome}
        return _WRITE_CALL, {**row_of(change), "target_id": self._target_id, "asked_ms": now_ms, **outcome}

    def _flush_row(self, flush: Flush, now_ms: int) -> dict[str, Any]:
        return {
            "flush_id": flush.flush_id,
            "target_id": self._target_id,
            "conversation_id": flush.conversation_id,
            "segment_id": flush.segment_id,
            "run_id": flush.run_id,
            "landed": flush.landed,
            "status": flush.status,
            "asked_ms": now_ms,
            "answered_ms": now_ms if flush.status else None,
        }
