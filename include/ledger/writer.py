"""Writes calls and flushes: durable before the caller goes on, with proof of the lock, many in one commit."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
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

_WRITE_CALL = _upsert(CALLS, "call_id", ("asked_ms", "accepted_ms"), "settled_ms")
_WRITE_FLUSH = _upsert(FLUSHES, "flush_id", ("asked_ms",), "answered_ms")


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
        self._waiting: list[Call | Flush] = []
        self._committed = Coalesced(self._commit)
        self._using = asyncio.Lock()
        self._broken: LedgerError | None = None
        self._numbers = iter(range(1, 1 << 62))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._committed.settled()
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
        self._waiting.extend(changes)
        if changes:
            await self._committed()

    @asynccontextmanager
    async def lock(self, segment_id: str, *, wait_s: float) -> AsyncIterator[None]:
        """
        Hold a segment's lock; an earlier try of the task that still runs is given time to end.

        :raises ConversationBusy: another writer still holds it after ``wait_s``; nothing was sent.
        """
        deadline_s, told = time.monotonic() + wait_s, False
        while not await self._in_thread(self._take, segment_id):
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
            yield
        finally:
            await asyncio.shield(self._in_thread(self._release, segment_id))

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

    def _take(self, segment_id: str) -> bool:
        self._check_whole()
        return self._locks is not None and self._locks.take(self._lock_name(segment_id))

    def _release(self, segment_id: str) -> None:
        if self._locks is not None and self._broken is None:  # else closing the writer gives all of them back
            self._locks.release(self._lock_name(segment_id))

    def _lock_name(self, segment_id: str) -> str:
        return f"{self._target_id}\x1f{segment_id}"

    def _newest_run(self, segment_id: str) -> str | None:
        here = (CALLS.c.target_id == self._target_id) & (CALLS.c.segment_id == segment_id)
        with self.connection.begin():
            query = select(CALLS.c.run_id).where(here).order_by(CALLS.c.asked_ms.desc()).limit(1)
            return self.connection.execute(query).scalar()

    async def _commit(self) -> None:
        """Write what has gathered while the commit before was on its way."""
        changes, self._waiting = self._waiting, []
        await self._in_thread(self._write, changes)

    def _write(self, changes: list[Call | Flush]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._check_whole()
        connection = self.connection
        with connection.begin():
            self._check_right(connection, changes)
            for change in changes:
                statement, row = (
                    (_WRITE_CALL, self._call_row(change, now_ms))
                    if isinstance(change, Call)
                    else (_WRITE_FLUSH, self._flush_row(change, now_ms))
                )
                if connection.execute(statement, row).rowcount != 1:
                    raise lost(change.segment_id, self._database.name)
        self._newest = next((change.call_id for change in changes if isinstance(change, Call)), self._newest)
        if isinstance(self._locks, FileLocks) and not self._locks.holds(frozenset()):
            raise lost(changes[0].segment_id, self._database.name)

    def _check_whole(self) -> None:
        """Refuse to go on with a connection that has failed once: another one would hold none of the locks."""
        if self._broken is not None:
            raise self._broken

    def _check_right(self, connection: Connection, changes: list[Call | Flush]) -> None:
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

    def _call_row(self, call: Call, now_ms: int) -> dict[str, Any]:
        return row_of(call) | {
            "target_id": self._target_id,
            "asked_ms": now_ms,
            "accepted_ms": now_ms if call.state is CallState.ACCEPTED else None,
            "settled_ms": None if call.is_open else now_ms,
        }

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
