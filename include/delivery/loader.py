"""One load task: delivers the conversations of a chunk in parallel, each strictly in order."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.delivery.actions import End, Status
from include.delivery.checkpoint import Checkpoint, CheckpointWriter
from include.delivery.conversation import Delivery
from include.delivery.incomplete import StoppedConversation, error_for, unknown_error
from include.delivery.known_calls import KnownCalls
from include.delivery.progress import Progress, checked
from include.delivery.sender import Sender, side_by_side
from include.delivery.settings import LoadSettings
from include.delivery.witnesses import check_not_emptied
from include.errors import ConversationBusy, LedgerError, StorageError
from include.layout import RunFolder
from include.ledger import Ledger
from include.logs import get_logger
from include.memory_api.contract import MemoryAPI
from include.plan import chunk_name, read_batches, read_plan
from include.plan.chunk_file import batch_keys, conversations_of, senders_of
from include.records import Chunk, Conversation, PlannedConversation
from include.storage import file_trouble

log = get_logger(__name__)

LEDGER_HAS_IT = "What was sent is in the ledger, and the next try goes on there."

__all__ = ["Checkpoint", "LoadOutcome", "LoadSettings", "load_chunk"]


@dataclass(kw_only=True)
class LoadOutcome:
    """Counts of one try of a load task, for XCom."""

    conversations: int = 0
    landed: int = 0
    """Messages sent by this try that have landed."""

    rejected: int = 0
    recovered: int = 0
    """Messages of earlier tries that were found to have landed."""


async def load_chunk(
    chunk: Chunk,
    run: RunFolder,
    api: MemoryAPI,
    ledger: Ledger,
    checkpoint: Checkpoint,
    settings: LoadSettings,
    run_id: str,
) -> LoadOutcome:
    """
    Load a chunk: settle the open calls of earlier tries and runs, then send the messages that are not in the ledger.

    Each conversation stops alone; what stops one does not stop the others, unless it is the target that is away, full
    or refuses the caller. An error says what is left; what has landed is in the ledger, and another try goes on there.

    :raises LedgerError: the ledger is damaged, behind the checkpoint, or cannot be written, or the target has lost
        what the ledger says it holds; nothing more was sent.
    :raises StorageError: the run's plan cannot be read; nothing more was sent.
    :raises RetryableError: some conversations are pending (``Throttled``, ``NotSent``, ``QuotaExhausted``,
        ``ConversationBusy`` or ``LoadIncomplete``, by what stopped them).
    :raises OutcomesUnknown: nothing is pending, but no evidence tells whether the named batches are stored.
    :raises PermanentError: the target refuses the caller, or message after message of a conversation.
    """
    await check_not_emptied(ledger, api)
    resumed = await _is_resumed(chunk, checkpoint)
    path = run.plan / chunk_name(chunk.number)
    with file_trouble(run.plan, LEDGER_HAS_IT):
        planned = [conversation for conversation in read_plan(run) if conversation.chunk == chunk.number]
        names = {conversation.conversation_id for conversation in planned}
        planned_keys = await asyncio.to_thread(batch_keys, path)
        conversations = conversations_of(run, names)
    async with ledger.writer(run_id) as writer, CheckpointWriter(checkpoint) as progress:
        load = _Load(
            chunk=chunk,
            path=path,
            conversations=conversations,
            ledger=ledger,
            planned_keys=planned_keys,
            sender=Sender(api, writer, settings),
            progress=progress,
            stored=checkpoint if resumed else None,
            settings=settings,
        )
        await load.run(planned)
    if error := error_for(f"chunk {chunk.number}", load.stops, load.sender.trouble):
        raise error
    return load.outcome


async def _is_resumed(chunk: Chunk, checkpoint: Checkpoint) -> bool:
    """
    Return whether an earlier try of the same plan has left progress.

    Airflow keeps a task's state when a whole run is cleared, and the plan may then be made anew: cursors of other
    batches mean nothing here. What they stood for is in the ledger.
    """
    stored = await checkpoint.get("plan")
    if stored is not None and stored.get("fingerprint") == chunk.fingerprint:
        return True
    if stored is not None:
        log.info("Chunk %d was planned anew: the progress of the plan before is left to the ledger", chunk.number)
    await checkpoint.set("plan", {"fingerprint": chunk.fingerprint})
    return False


@dataclass(kw_only=True)
class _Load:
    """One try of one chunk."""

    chunk: Chunk
    path: Path
    conversations: Mapping[str, Conversation]
    ledger: Ledger
    planned_keys: frozenset[str]
    sender: Sender
    progress: CheckpointWriter
    stored: Checkpoint | None
    """Where an earlier try left its progress; ``None`` on the first."""
    settings: LoadSettings

    def __post_init__(self) -> None:
        self.outcome = LoadOutcome()
        self.stops: list[StoppedConversation] = []
        self._ended: set[str] = set()

    async def run(self, planned: list[PlannedConversation]) -> None:
        """
        See every conversation to its end, the longest first, so that none is left to the last alone.

        A few more than may be in flight are on their way: while one gets its next batch ready, another one's goes out.
        They only fill such gaps: if all went on alike, all would end together, and fewer than may be would be left.
        """
        longest_first = sorted(planned, key=lambda conversation: -conversation.batches)
        at_once = self.settings.concurrency + max(1, self.settings.concurrency // 4)
        await side_by_side(enumerate(longest_first), self._one, at_once)
        for name in self.conversations.keys() - self._ended:  # the worker of one conversation may be cancelled alone
            self.stops.append(
                StoppedConversation(conversation_id=name, status=Status.PENDING, reason="its worker vanished")
            )

    async def _one(self, ranked: tuple[int, PlannedConversation]) -> None:
        rank, planned = ranked
        name = planned.conversation_id
        if self.sender.trouble is not None:
            self._stopped(
                StoppedConversation(conversation_id=name, status=Status.PENDING, reason="the load was stopped")
            )
            return
        try:
            async with self.sender.writer.lock(name, wait_s=self.settings.lock_wait_s):
                with file_trouble(self.path.parent, LEDGER_HAS_IT):
                    await self._deliver(planned, rank)
        except ConversationBusy as error:
            self._stopped(StoppedConversation(conversation_id=name, status=Status.PENDING, reason="busy", error=error))
        except (LedgerError, StorageError) as error:
            self.sender.halt(error)
            self._stopped(
                StoppedConversation(conversation_id=name, status=Status.PENDING, reason=str(error), error=error)
            )

    async def _deliver(self, planned: PlannedConversation, rank: int) -> None:
        name = planned.conversation_id
        # read with the lock held: the holder before may have written to the ledger
        calls = await asyncio.to_thread(self.ledger.calls_of, name, planned.first_ms)
        known = KnownCalls.of(calls, self.planned_keys, rejections_of=self.ledger.rejections_of)
        delivery = self.sender.delivery(name, known)
        plan = self.chunk.fingerprint
        progress = Progress(plan, planned, delivery, self.progress, every_s=self.settings.log_every_s)
        stored = await self.stored.get(progress.key) if self.stored else None
        if stored is None or stored.get("plan") != plan:
            stored = {}
        end = await self.sender.deliver(
            self.conversations[name],
            delivery,
            checked(read_batches(self.path, planned), stored, known),
            rank=rank,
            senders=lambda: senders_of(self.path, planned),
            changed=progress.changed,
        )
        progress.ended(end)
        self._count(delivery, end)

    def _count(self, delivery: Delivery, end: End) -> None:
        self._ended.add(delivery.conversation_id)
        self.outcome.conversations += end.status is Status.DONE
        self.outcome.landed += delivery.landed
        self.outcome.rejected += delivery.rejected
        self.outcome.recovered += delivery.recovered
        if end.status is not Status.DONE:
            call = delivery.call
            self._stopped(
                StoppedConversation(
                    conversation_id=delivery.conversation_id,
                    status=end.status,
                    reason=end.reason,
                    error=end.error,
                    key=call.key if call else None,
                    messages=len(call.message_ids) if call else 0,
                )
            )

    def _stopped(self, stop: StoppedConversation) -> None:
        self._ended.add(stop.conversation_id)
        self.stops.append(stop)
        if stop.status is Status.UNKNOWN:
            unknown = [stop for stop in self.stops if stop.status is Status.UNKNOWN]
            if len(unknown) >= self.settings.max_unknown:
                self.sender.halt(unknown_error(f"chunk {self.chunk.number}", unknown))
