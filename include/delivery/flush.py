"""The flush after a load: once per conversation, only when all that was planned has landed and nothing is open."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.delivery import events
from include.delivery.chunkfile import conversations_of
from include.delivery.compaction import compact
from include.delivery.courier import Courier, side_by_side
from include.delivery.history import History
from include.delivery.known import Known
from include.delivery.lease import leased
from include.delivery.ledger import Ledger, Summary
from include.delivery.machine import poll_after_s
from include.delivery.outcomes import Outcome, outcomes_of
from include.delivery.rounds import Rounds
from include.delivery.segment import Segment
from include.delivery.settings import LoadSettings
from include.delivery.steps import Standing, is_everybodys
from include.delivery.verdict import Stop, error_of
from include.errors import ChatImportError, ConversationBusy, PermanentError
from include.layout import RunFolder
from include.logs import get_logger
from include.memory_api.contract import FlushStatus, MemoryAPI
from include.records import Conversation

log = get_logger(__name__)


@dataclass(kw_only=True)
class FlushOutcome:
    """What one try of the flush did: counts, small enough for XCom."""

    flushed: int = 0
    held_back: int = 0
    """Conversations with messages pending or unknown: they are flushed by the run that completes them."""


async def flush_conversations(
    run: RunFolder, api: MemoryAPI, ledger: Ledger, settings: LoadSettings, run_id: str
) -> FlushOutcome:
    """
    Flush every conversation of the run that messages were added to since its last flush, by whichever run.

    Conversations that the run leaves out (private, excluded) are not touched: what a person decided about batches of
    the chosen ones does not hold for them.

    A flush that got no answer is asked for again: one that finds nothing new changes nothing. Another try flushes
    only what is not flushed.

    :raises LedgerError: the ledger is damaged or cannot be written.
    :raises RetryableError: some conversations could not be flushed.
    :raises PermanentError: the target refuses the caller, or a conversation's flush.
    """
    await asyncio.to_thread(compact, ledger)
    outcomes = await asyncio.to_thread(outcomes_of, run, ledger, run_id)
    summaries = await asyncio.to_thread(ledger.summaries)
    table = pq.read_table(run.conversations, columns=["conversation_id"], filters=pc.field("imported") > 0)
    names = [str(name) for name in table["conversation_id"].to_pylist()]
    wanted = [name for name in names if name in summaries and (summaries[name].needs_flush or summaries[name].open)]
    history = History(ledger, wanted, None)
    async with ledger.segment(run_id, wanted) as segment:
        flush = _Flush(
            ledger=ledger,
            history=history,
            segment=segment,
            courier=Courier(api, segment, settings, run_id=run_id),
            settings=settings,
            run_id=run_id,
            outcomes=outcomes,
            summaries=summaries,
        )
        conversations = conversations_of(run, wanted)
        await side_by_side(conversations.values(), flush.one, settings.concurrency)
    if error := error_of("flush", flush.stops, flush.courier.trouble):
        raise error
    return flush.outcome


@dataclass(kw_only=True)
class _Flush:
    """One try of a run's flush."""

    ledger: Ledger
    history: History
    segment: Segment
    courier: Courier
    settings: LoadSettings
    run_id: str
    outcomes: Mapping[str, Outcome]
    summaries: Mapping[str, Summary]

    def __post_init__(self) -> None:
        self.outcome = FlushOutcome()
        self.stops: list[Stop] = []
        self._refreshed = Rounds(lambda: asyncio.to_thread(self.history.refresh))

    async def one(self, conversation: Conversation) -> None:
        """Flush a conversation, unless something of it is not at the target yet."""
        name = conversation.conversation_id
        outcome = self.outcomes.get(name, Outcome(conversation_id=name))
        if outcome.pending or outcome.unknown:
            self.outcome.held_back += 1
            log.info("%s is not flushed: %d pending, %d unknown", name, outcome.pending, outcome.unknown)
            return
        if self.courier.trouble is not None:
            self._stopped(name, "the flush was stopped", None)
            return
        try:
            await self._settle_and_flush(conversation)
        except ConversationBusy as error:
            self._stopped(name, "busy", error)
        except ChatImportError as error:
            self._stopped(name, str(error), error)
            if is_everybodys(error):
                self.courier.halt(error)

    async def _settle_and_flush(self, conversation: Conversation) -> None:
        name = conversation.conversation_id
        wait_s = self.settings.lease_wait_s
        async with leased(self.ledger.folder, name, holder=self.run_id, wait_s=wait_s) as lease:
            await self._refreshed()
            delivery = self.courier.delivery(name, self.history.open(name), Known())
            end = await self.courier.deliver(conversation, delivery, iter(()), lease=lease)
            if end.standing is not Standing.DONE:
                self.outcome.held_back += 1
                log.warning("%s is not flushed, a call is still open: %s", name, end.reason)
                return
            summary = self.summaries[name]
            landed = summary.landed + delivery.recovered
            if landed > max(summary.flushed, self.history.flushed(name)):  # whoever had the lease may have done it
                await self._flush(conversation, landed)

    async def _flush(self, conversation: Conversation, landed: int) -> None:
        name = conversation.conversation_id
        await self.segment.write(events.FlushIntent(conversation=name, run=self.run_id, landed=landed))
        status = await self._answered(conversation)
        line = events.Flushed(conversation=name, run=self.run_id, landed=landed, status=status.value)
        await self.segment.write(line)
        self.outcome.flushed += 1
        log.info("%s is flushed: %s", name, status.value)

    async def _answered(self, conversation: Conversation) -> FlushStatus:
        """Ask until the server has done it; one that only queues it, and goes on doing so, is taken at its word."""
        began_s = time.monotonic()
        while True:
            status = await self.courier.flush(conversation)
            elapsed_s = time.monotonic() - began_s
            if status is not FlushStatus.QUEUED or elapsed_s >= self.settings.patience_s:
                return status
            await asyncio.sleep(poll_after_s(elapsed_s, self.settings))

    def _stopped(self, name: str, reason: str, error: ChatImportError | None) -> None:
        standing = Standing.REFUSED if isinstance(error, PermanentError) else Standing.PENDING
        self.stops.append(Stop(conversation_id=name, standing=standing, reason=reason, error=error))
