"""One load task: delivers the conversations of a chunk in parallel, each strictly in order."""

import asyncio
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.delivery.actions import End, Status
from include.delivery.checkpoint import Checkpoint, CheckpointWriter
from include.delivery.conversation import Delivery
from include.delivery.incomplete import StoppedSegment, error_for, unknown_error
from include.delivery.known_calls import KnownCalls
from include.delivery.moved import moved_calls
from include.delivery.outages import logged_outages
from include.delivery.progress import KEY, ChunkProgress, SegmentProgress, checked, longest_first
from include.delivery.sender import Sender
from include.delivery.settings import LoadSettings
from include.delivery.side_by_side import side_by_side
from include.delivery.witnesses import check_not_emptied
from include.errors import ChatImportError, ConversationBusy, LedgerError, StorageError
from include.files import translate_file_errors
from include.ledger import Call, Ledger
from include.logs import get_logger
from include.memory_api.contract import MemoryAPI
from include.plan import chunk_name, read_batches, read_layout, read_plan
from include.plan.chunk_file import batch_keys, conversations_of
from include.records import Chunk, Conversation, PlannedSegment
from include.run_folder import RunFolder

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
    path = run.plan / chunk_name(chunk.number)
    log.info(
        "Loading %d messages of %d conversations in %d calls into %s",
        *(chunk.messages, chunk.conversations, chunk.batches, api.target.base_url),
    )
    api = logged_outages(api, settings.log_every_s)
    with translate_file_errors(run.plan, LEDGER_HAS_IT):
        await asyncio.to_thread(ledger.keep_layout, read_layout(run))
        await check_not_emptied(ledger, api)
        planned = [segment for segment in read_plan(run, chunk.number) if not segment.held]
        planned_keys = await asyncio.to_thread(batch_keys, path)
        moved = await asyncio.to_thread(moved_calls, ledger, chunk, path, run_id)
        conversations = conversations_of(run, {segment.conversation_id for segment in planned})
    stored = await checkpoint.get(KEY)
    if stored is not None and stored.get("plan") != chunk.fingerprint:
        log.info("Chunk %d was planned anew: the progress of the plan before is left to the ledger", chunk.number)
    async with ledger.writer(run_id) as writer, CheckpointWriter(checkpoint) as progress:
        load = _Load(
            chunk=chunk,
            path=path,
            conversations=conversations,
            ledger=ledger,
            planned_keys=planned_keys,
            moved=moved,
            sender=Sender(api, writer, settings),
            progress=ChunkProgress(chunk, len(planned), stored, progress, every_s=settings.log_every_s),
            settings=settings,
        )
        async with load.sender.names:
            with _old_objects_kept():
                await load.run(longest_first(planned))
    if error := error_for(f"chunk {chunk.number}", load.stops, load.sender.trouble):
        raise error
    return load.outcome


@contextmanager
def _old_objects_kept() -> Iterator[None]:
    """Let garbage collection pass over what is there already: 3 to 10 % of the CPU time with many conversations."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(kw_only=True)
class _Load:
    """One try of one chunk."""

    chunk: Chunk
    path: Path
    conversations: Mapping[str, Conversation]
    ledger: Ledger
    planned_keys: frozenset[str]
    sender: Sender
    moved: Mapping[str, Sequence[Call]]
    """Calls of other segments that hold messages of the ones planned here, by these."""
    progress: ChunkProgress
    settings: LoadSettings

    def __post_init__(self) -> None:
        self.outcome = LoadOutcome()
        self.stops: list[StoppedSegment] = []
        self._ended: set[str] = set()

    async def run(self, planned: Sequence[PlannedSegment]) -> None:
        """
        See every segment to its end, the longest first, so that none is left to the last alone.

        A few more than may be in flight are on their way: while one gets its next batch ready, another one's goes out.
        They only fill such gaps: if all went on alike, all would end together, and fewer than may be would be left.
        """
        at_once = self.settings.concurrency + max(1, self.settings.concurrency // 4)
        await side_by_side(enumerate(planned), self._one, at_once)
        for segment in planned:  # the worker of one segment may be cancelled alone
            if segment.segment_id not in self._ended:
                self._stop(segment.segment_id, "its worker vanished")
        stopped = {stop.segment_id for stop in self.stops}
        incomplete = {each.conversation_id for each in planned if each.segment_id in stopped}
        self.outcome.conversations = len({each.conversation_id for each in planned} - incomplete)

    async def _one(self, ranked: tuple[int, PlannedSegment]) -> None:
        rank, planned = ranked
        name = planned.segment_id
        if self.sender.trouble is not None:
            self._stop(name, "the load was stopped")
            return
        try:
            async with self.sender.writer.lock(name, wait_s=self.settings.lock_wait_s) as has_calls:
                with translate_file_errors(self.path.parent, LEDGER_HAS_IT):
                    await self._deliver(planned, rank, has_calls=has_calls)
        except ConversationBusy as error:
            self._stop(name, "busy", error)
        except (LedgerError, StorageError) as error:
            self.sender.halt(error)
            self._stop(name, str(error), error)

    async def _deliver(self, planned: PlannedSegment, rank: int, *, has_calls: bool) -> None:
        name, since_ms = planned.segment_id, planned.first_ms
        calls = await asyncio.to_thread(self.ledger.calls_of, name, since_ms) if has_calls else ()
        moved = self._moved(planned)
        known = KnownCalls.of([*calls, *moved], self.planned_keys, rejections_of=self.ledger.rejections_of)
        delivery = self.sender.delivery(planned.conversation_id, planned.segment_id, known)
        stored = self.progress.begin(rank, planned)
        progress = SegmentProgress(self.progress, rank, planned, delivery)
        conversation = self.conversations[planned.conversation_id].segment(planned.segment_id)
        end = await self.sender.deliver(
            conversation,
            delivery,
            checked(read_batches(self.path, planned), stored, known),
            rank=rank,
            changed=progress.changed,
        )
        if end.status is Status.DONE:
            self.sender.names.note(conversation)  # an earlier try may have ended before it told them
        progress.ended(end)
        self._count(delivery, end)

    def _moved(self, planned: PlannedSegment) -> Sequence[Call]:
        calls = self.moved.get(planned.segment_id, ())
        for call in calls:
            if call.is_open:
                raise ConversationBusy(
                    f"{planned.segment_id}: run {call.run_id} has sent messages of it in {call.segment_id}, and their "
                    "outcome is open; nothing was sent. Clear that run's load task, then this one."
                )
        return calls

    def _count(self, delivery: Delivery, end: End) -> None:
        self._ended.add(delivery.segment_id)
        self.outcome.landed += delivery.landed
        self.outcome.rejected += delivery.rejected
        self.outcome.recovered += delivery.recovered
        if end.status is not Status.DONE:
            call = delivery.call
            self._stopped(
                StoppedSegment(
                    segment_id=delivery.segment_id,
                    status=end.status,
                    reason=end.reason,
                    error=end.error,
                    key=call.key if call else None,
                    messages=len(call.message_ids) if call else 0,
                )
            )

    def _stop(self, name: str, reason: str, error: ChatImportError | None = None) -> None:
        self._stopped(StoppedSegment(segment_id=name, status=Status.PENDING, reason=reason, error=error))

    def _stopped(self, stop: StoppedSegment) -> None:
        self._ended.add(stop.segment_id)
        self.stops.append(stop)
        if stop.status is Status.UNKNOWN:
            unknown = [stop for stop in self.stops if stop.status is Status.UNKNOWN]
            if len(unknown) >= self.settings.max_unknown:
                self.sender.halt(unknown_error(f"chunk {self.chunk.number}", unknown))
