"""Makes the calls that deliveries ask for: first the row in the ledger, then the call to the memory API."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from include.delivery.actions import Ask, End, Look, NextBatch, Send, Step, Wait
from include.delivery.conversation import Delivery
from include.delivery.known_calls import KnownCalls
from include.delivery.names import Names
from include.delivery.prefetch import Prefetcher
from include.delivery.retry import Pace, retry_until_answered
from include.delivery.settings import LoadSettings
from include.delivery.state_machine import Answer
from include.delivery.throttle import Throttle
from include.errors import ChatImportError
from include.ledger import CallWriter
from include.logs import get_logger
from include.memory_api.contract import FlushStatus, MemoryAPI, Receipt
from include.records import Batch, Conversation

log = get_logger(__name__)


class Sender:
    """Shared by the conversations of one task: the API, the ledger, the throttle, and the decision to stop."""

    def __init__(self, api: MemoryAPI, writer: CallWriter, settings: LoadSettings) -> None:
        self.trouble: ChatImportError | None = None
        """The error that stopped the load; nothing more is sent."""
        self._api = api
        self.writer = writer
        self._settings = settings
        self._call_ids = writer.new_ids()
        self.throttle = Throttle(settings.concurrency, time.monotonic)
        self.names = Names(api, writer, self.throttle, settings, self.halt)
        self._pace = Pace(on_first=self._wake)
        self.news = asyncio.Event()
        """Set, and replaced by another, when conversations that wait must look again at what is next."""

    def halt(self, trouble: ChatImportError) -> None:
        """Send nothing more for any conversation; calls in flight are awaited."""
        if self.trouble is None:
            self.trouble = trouble
            self._wake()
            self.names.stop()
            self.throttle.release_all()

    def delivery(self, conversation_id: str, segment_id: str, known: KnownCalls) -> Delivery:
        """Return a segment's delivery, ready for :meth:`deliver`."""
        return Delivery(
            conversation_id,
            segment_id=segment_id,
            run_id=self.writer.run_id,
            known=known,
            settings=self._settings,
            call_ids=self._call_ids,
            jitter=random.random,
            pace=self._pace,
        )

    async def deliver(
        self,
        conversation: Conversation,
        delivery: Delivery,
        batches: Iterator[Batch],
        *,
        rank: int = 0,
        changed: Callable[[], None] = lambda: None,
    ) -> End:
        """
        Deliver a conversation: settle its open calls, then send batch after batch.

        :param rank: Among conversations that wait for a place the lowest goes first.
        :param changed: Called after each change of its rows in the ledger.
        :raises LedgerError: the ledger cannot be written; nothing more is sent.
        """
        send = _ConversationSend(
            sender=self,
            conversation=conversation,
            delivery=delivery,
            batches=Prefetcher(batches),
            rank=rank,
            changed=changed,
        )
        return await send.run()

    async def call(self, conversation: Conversation, step: Send | Ask | Look, place_s: float | None) -> Answer:
        """
        Make the call of a step; raises as the API does.

        :param place_s: When its batch got its place; ``None`` where it has none.
        """
        if isinstance(step, Send):
            with self.throttle.observing(place_s):
                receipt = await self._api.add(conversation, step.part.messages)
            self.throttle.speed_up()
            return receipt
        return await self.throttle.question(lambda: self._ask(conversation, step), place_s)

    async def _ask(self, conversation: Conversation, step: Ask | Look) -> Answer:
        match step:
            case Ask(task_id=task_id):
                return await self._api.task_state(task_id)
            case Look():
                return await self._api.find(
                    conversation,
                    step.message_ids,
                    batch_key=step.key,
                    timestamps_ms=step.timestamps_ms,
                    senders=step.senders,
                    writers=step.writers,
                    part=step.part,
                )

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """Flush a conversation, again until it is answered: a flush without new messages changes nothing."""
        status = await retry_until_answered(
            lambda: self.throttle.work(lambda: self._api.flush(conversation)), self._settings
        )
        self.throttle.speed_up()
        return status

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


@dataclass(kw_only=True)
class _ConversationSend:
    """Delivery of one conversation, step by step."""

    sender: Sender
    conversation: Conversation
    delivery: Delivery
    batches: Prefetcher[Batch]
    rank: int
    changed: Callable[[], None]
    place_s: float | None = None
    """Time at which this segment's batch got its place, while it has one."""

    async def run(self) -> End:
        try:
            while not isinstance(step := self._next(), End):
                await self._do(step)
            if step.trouble is not None:
                self.sender.halt(step.trouble)  # before another conversation can get the place
            await self._record()
            return step
        finally:
            self._release()
            await self.batches.aclose()

    def _next(self) -> Step:
        if self.sender.trouble is not None:
            self.delivery.halt()
        return self.delivery.next(time.monotonic())

    async def _do(self, step: Wait | NextBatch | Send | Ask | Look) -> None:
        match step:
            case NextBatch():
                self.delivery.add_batch(await self.batches.next())
            case Wait(until_s=until_s):
                news = self.sender.news
                self.batches.start()
                await self._record()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(until_s - time.monotonic()):
                        await news.wait()
            case Send() if self.place_s is None:
                self.place_s = await self.sender.throttle.acquire(self.rank)
            case Send():
                self.delivery.begin()
                await self._call(step)
            case _:
                await self._call(step)

    async def _call(self, step: Send | Ask | Look) -> None:
        await self._record()
        try:
            answer = await self.sender.call(self.conversation, step, self.place_s)
        except ChatImportError as error:
            answer = error
        self.delivery.on_answer(answer, time.monotonic())
        if not self.delivery.in_flight:
            self._release()
        if isinstance(step, Send) and isinstance(answer, Receipt):
            self.sender.names.note(self.conversation, step.part.messages)

    async def _record(self) -> None:
        changes = self.delivery.take_changes()
        if changes:
            await self.sender.writer.record(*changes)
            self.changed()

    def _release(self) -> None:
        if self.place_s is not None:
            self.sender.throttle.release()
            self.place_s = None
