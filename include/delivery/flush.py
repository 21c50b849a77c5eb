"""The flush after a load: each conversation once, when all its planned messages have landed and no call is open."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.delivery.actions import Status, affects_all_conversations
from include.delivery.incomplete import StoppedConversation, error_for
from include.delivery.known_calls import KnownCalls
from include.delivery.outcomes import Outcome, outcomes_of
from include.delivery.retry import poll_after_s
from include.delivery.sender import Sender, side_by_side
from include.delivery.settings import LoadSettings
from include.errors import ChatImportError, ConversationBusy, PermanentError
from include.layout import RunFolder
from include.ledger import Call, ConversationStatus, Flush, Ledger
from include.logs import get_logger
from include.memory_api.contract import FlushStatus, MemoryAPI
from include.plan.chunk_file import conversations_of
from include.records import Conversation

log = get_logger(__name__)


@dataclass(kw_only=True)
class FlushOutcome:
    """Counts of one try of the flush, for XCom."""

    flushed: int = 0
    held_back: int = 0
    """Conversations with pending or unknown messages: the run that completes them flushes them."""


async def flush_conversations(
    run: RunFolder, api: MemoryAPI, ledger: Ledger, settings: LoadSettings, run_id: str
) -> FlushOutcome:
    """
    Flush every conversation of the run in which messages have landed since its last flush, whichever run sent them.

    Conversations that the run leaves out (private, excluded) are not touched: what a person decided about batches of
    the chosen ones does not hold for them.

    A flush that got no answer is asked for again: one that finds nothing new changes nothing. Another try flushes
    only what is not flushed.

    :raises LedgerError: the ledger is damaged or cannot be written.
    :raises RetryableError: some conversations could not be flushed.
    :raises PermanentError: the target refuses the caller, or a conversation's flush.
    """
    outcomes, names = await asyncio.to_thread(_to_flush, run, ledger, run_id)
    async with ledger.writer(run_id) as writer:
        flush = _Flush(
            ledger=ledger, sender=Sender(api, writer, settings), settings=settings, run_id=run_id, outcomes=outcomes
        )
        await side_by_side(conversations_of(run, names).values(), flush.one, settings.concurrency)
    if error := error_for("flush", flush.stops, flush.sender.trouble):
        raise error
    return flush.outcome


def _to_flush(run: RunFolder, ledger: Ledger, run_id: str) -> tuple[dict[str, Outcome], list[str]]:
    """Return the outcomes of the run, and the imported conversations that need a flush or have a call open."""
    table = pq.read_table(run.conversations, columns=["conversation_id"], filters=pc.field("imported") > 0)
    with ledger.snapshot() as snapshot:
        statuses = snapshot.statuses()
        open_ = {call.conversation_id for call in snapshot.open()}
        outcomes = outcomes_of(run, snapshot, run_id)
    needed = open_ | {name for name, status in statuses.items() if status.needs_flush}
    return outcomes, [str(name) for name in table["conversation_id"].to_pylist() if name in needed]


@dataclass(kw_only=True)
class _Flush:
    """One try of a run's flush."""

    ledger: Ledger
    sender: Sender
    settings: LoadSettings
    run_id: str
    outcomes: Mapping[str, Outcome]

    def __post_init__(self) -> None:
        self.outcome = FlushOutcome()
        self.stops: list[StoppedConversation] = []
        self._flush_ids = self.sender.writer.new_ids()

    async def one(self, conversation: Conversation) -> None:
        """Flush a conversation, unless messages of it are pending or unknown."""
        name = conversation.conversation_id
        outcome = self.outcomes.get(name, Outcome(conversation_id=name))
        if outcome.pending or outcome.unknown:
            self.outcome.held_back += 1
            log.info("%s is not flushed: %d pending, %d unknown", name, outcome.pending, outcome.unknown)
            return
        if self.sender.trouble is not None:
            self._stopped(name, "the flush was stopped", None)
            return
        try:
            await self._settle_and_flush(conversation)
        except ConversationBusy as error:
            self._stopped(name, "busy", error)
        except ChatImportError as error:
            self._stopped(name, str(error), error)
            if affects_all_conversations(error):
                self.sender.halt(error)

    async def _settle_and_flush(self, conversation: Conversation) -> None:
        name = conversation.conversation_id
        async with self.sender.writer.lock(name, wait_s=self.settings.lock_wait_s):
            open_ = await asyncio.to_thread(self._open_calls, name)
            delivery = self.sender.delivery(name, KnownCalls(open=open_))
            end = await self.sender.deliver(conversation, delivery, iter(()))
            if end.status is not Status.DONE:
                self.outcome.held_back += 1
                log.warning("%s is not flushed, a call is still open: %s", name, end.reason)
                return
            status = await asyncio.to_thread(self._status, name)
            if status.needs_flush:  # else the holder of the lock before has flushed it
                await self._flush(conversation, status.landed)

    def _open_calls(self, name: str) -> list[Call]:
        with self.ledger.snapshot() as snapshot:
            return snapshot.open(name)

    def _status(self, name: str) -> ConversationStatus:
        with self.ledger.snapshot() as snapshot:
            return snapshot.statuses(name).get(name, ConversationStatus())

    async def _flush(self, conversation: Conversation, landed: int) -> None:
        name = conversation.conversation_id
        asked = Flush(flush_id=next(self._flush_ids), conversation_id=name, run_id=self.run_id, landed=landed)
        await self.sender.writer.record(asked)
        status = await self._answered(conversation)
        await self.sender.writer.record(msgspec.structs.replace(asked, status=status.value))
        self.outcome.flushed += 1
        log.info("%s is flushed: %s", name, status.value)

    async def _answered(self, conversation: Conversation) -> FlushStatus:
        """Ask until the server has flushed it; ``QUEUED`` is accepted when it stays so for ``give_up_after_s``."""
        began_s = time.monotonic()
        while True:
            status = await self.sender.flush(conversation)
            elapsed_s = time.monotonic() - began_s
            if status is not FlushStatus.QUEUED or elapsed_s >= self.settings.give_up_after_s:
                return status
            await asyncio.sleep(poll_after_s(elapsed_s, self.settings))

    def _stopped(self, name: str, reason: str, error: ChatImportError | None) -> None:
        status = Status.REFUSED if isinstance(error, PermanentError) else Status.PENDING
        self.stops.append(StoppedConversation(conversation_id=name, status=status, reason=reason, error=error))
