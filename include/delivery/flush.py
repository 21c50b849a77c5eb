"""The flush after a load: each conversation once, when all its planned messages have landed and no call is open."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.delivery.actions import Status, affects_all_conversations
from include.delivery.incomplete import StoppedSegment, error_for
from include.delivery.known_calls import KnownCalls
from include.delivery.outcomes import Unsettled, unsettled_segments
from include.delivery.retry import poll_after_s
from include.delivery.sender import Sender
from include.delivery.settings import LoadSettings
from include.delivery.side_by_side import side_by_side
from include.errors import ChatImportError, ConversationBusy, PermanentError
from include.ledger import Flush, Ledger
from include.logs import get_logger
from include.memory_api.contract import FlushStatus, MemoryAPI
from include.plan.chunk_file import conversations_of
from include.records import Conversation
from include.run_folder import RunFolder

log = get_logger(__name__)


@dataclass(kw_only=True)
class FlushOutcome:
    """Counts of one try of the flush, for XCom."""

    flushed: int = 0
    held_back: int = 0
    """Segments with pending or unknown messages: the run that completes them flushes them."""


async def flush_conversations(
    run: RunFolder, api: MemoryAPI, ledger: Ledger, settings: LoadSettings, run_id: str
) -> FlushOutcome:
    """
    Flush every segment of the run's conversations in which messages have landed since its last flush, by any run.

    Conversations that the run leaves out (private, excluded) are not touched: what a person decided about batches of
    the chosen ones does not hold for them.

    A flush that got no answer is asked for again: one that finds nothing new changes nothing. Another try flushes
    only what is not flushed.

    :raises LedgerError: the ledger is damaged or cannot be written.
    :raises RetryableError: some conversations could not be flushed.
    :raises PermanentError: the target refuses the caller, or a conversation's flush.
    """
    segments, held_back = await asyncio.to_thread(_to_flush, run, ledger, run_id)
    async with ledger.writer(run_id) as writer:
        flush = _Flush(
            ledger=ledger, sender=Sender(api, writer, settings), settings=settings, run_id=run_id, held_back=held_back
        )
        await side_by_side(segments, flush.one, settings.concurrency)
    if error := error_for("flush", flush.stops, flush.sender.trouble):
        raise error
    return flush.outcome


def _to_flush(run: RunFolder, ledger: Ledger, run_id: str) -> tuple[list[Conversation], Mapping[str, Unsettled]]:
    """Return the segments of imported conversations that need a flush or have a call open, and what is not settled."""
    table: Any = pq.read_table(run.conversations, columns=["conversation_id"], filters=pc.field("imported") > 0)
    conversations = conversations_of(run, set(table["conversation_id"].to_pylist()))
    with ledger.snapshot() as snapshot:
        needed = {name: status.conversation_id for name, status in snapshot.segments(needs_flush=True).items()}
        needed |= {call.segment_id: call.conversation_id for call in snapshot.open()}
        unsettled = unsettled_segments(run, snapshot, run_id)
    return [
        conversations[conversation_id].segment(segment_id)
        for segment_id, conversation_id in sorted(needed.items())
        if conversation_id in conversations
    ], unsettled


@dataclass(kw_only=True)
class _Flush:
    """One try of a run's flush."""

    ledger: Ledger
    sender: Sender
    settings: LoadSettings
    run_id: str
    held_back: Mapping[str, Unsettled]

    def __post_init__(self) -> None:
        self.outcome = FlushOutcome()
        self.stops: list[StoppedSegment] = []
        self._flush_ids = self.sender.writer.new_ids()

    async def one(self, segment: Conversation) -> None:
        """Flush a segment, unless messages of it are pending or unknown."""
        name = segment.segment_id
        if unsettled := self.held_back.get(name):
            self.outcome.held_back += 1
            log.info("%s is not flushed: %d pending, %d unknown", name, unsettled.pending, unsettled.unknown)
            return
        if self.sender.trouble is not None:
            self._stopped(name, "the flush was stopped", None)
            return
        try:
            await self._settle_and_flush(segment)
        except ConversationBusy as error:
            self._stopped(name, "busy", error)
        except ChatImportError as error:
            self._stopped(name, str(error), error)
            if affects_all_conversations(error):
                self.sender.halt(error)

    async def _settle_and_flush(self, segment: Conversation) -> None:
        name, writer = segment.segment_id, self.sender.writer
        async with writer.lock(name, wait_s=self.settings.lock_wait_s):
            open_ = await writer.read(lambda known: known.open(name))
            delivery = self.sender.delivery(segment.conversation_id, name, KnownCalls(open=open_))
            end = await self.sender.deliver(segment, delivery, iter(()))
            if end.status is not Status.DONE:
                self.outcome.held_back += 1
                log.warning("%s is not flushed, a call is still open: %s", name, end.reason)
                return
            status = await writer.read(lambda known: known.segment(name))
            if status.needs_flush:  # else the holder of the lock before has flushed it
                await self._flush(segment, status.landed)

    async def _flush(self, segment: Conversation, landed: int) -> None:
        asked = Flush(
            flush_id=next(self._flush_ids),
            conversation_id=segment.conversation_id,
            segment_id=segment.segment_id,
            run_id=self.run_id,
            landed=landed,
        )
        await self.sender.writer.record(asked)
        status = await self._answered(segment)
        await self.sender.writer.record(msgspec.structs.replace(asked, status=status.value))
        self.outcome.flushed += 1
        is_whole = segment.segment_id == segment.conversation_id
        log.log(logging.INFO if is_whole else logging.DEBUG, "%s is flushed: %s", segment.segment_id, status.value)

    async def _answered(self, segment: Conversation) -> FlushStatus:
        """Ask until the server has flushed it; ``QUEUED`` is accepted when it stays so for ``give_up_after_s``."""
        began_s = time.monotonic()
        while True:
            status = await self.sender.flush(segment)
            elapsed_s = time.monotonic() - began_s
            if status is not FlushStatus.QUEUED or elapsed_s >= self.settings.give_up_after_s:
                return status
            await asyncio.sleep(poll_after_s(elapsed_s, self.settings))

    def _stopped(self, name: str, reason: str, error: ChatImportError | None) -> None:
        status = Status.REFUSED if isinstance(error, PermanentError) else Status.PENDING
        self.stops.append(StoppedSegment(segment_id=name, status=status, reason=reason, error=error))
