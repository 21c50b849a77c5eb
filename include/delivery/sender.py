"""Makes the calls that deliveries ask for: first the row in the ledger, then the call to the memory API."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from include.delivery.actions import Ask, End, Look, NextBatch, Send, Status, Step, Wait
from include.delivery.conversation import Delivery
from include.delivery.known_calls import KnownCalls
from include.delivery.prefetch import Prefetcher
from include.delivery.retry import Pace, retry_until_answered
from include.delivery.settings import LoadSettings
from include.delivery.state_machine import Answer
from include.delivery.throttle import Throttle
from include.errors import ChatImportError, PermanentError, Refused
from include.ledger import CallWriter
from include.logs import get_logger
from include.memory_api.contract import FlushStatus, MemoryAPI
from include.records import Batch, Conversation

log = get_logger(__name__)

NAMES_FIRST = -1
"""Priority of a call that sets a name: it is short, and its conversation waits for it."""

NAMES_AT_ONCE = 8
"""Calls that set names of one conversation: its first batch waits for the names of hundreds of people."""


class Sender:
    """Shared by the conversations of one task: the API, the ledger, the throttle, and the decision to stop."""

    def __init__(self, api: MemoryAPI, writer: CallWriter, settings: LoadSettings) -> None:
        self.trouble: ChatImportError | None = None
        """The error that stopped the load; nothing more is sent."""
        self._api = api
        self.writer = writer
        self._settings = settings
        self._call_ids = writer.new_ids()
        self.conversations_named: set[str] = set()
        """Conversations whose names are set, or on their way: their segments share them."""
        self._named: set[tuple[str, str]] = set()
        """Names that are set, or being set: conversations share people."""
        self.throttle = Throttle(settings.concurrency, time.monotonic)
        self._pace = Pace()
        self._halted = asyncio.Event()

    def halt(self, trouble: ChatImportError) -> None:
        """Send nothing more for any conversation; calls in flight are awaited."""
        if self.trouble is None:
            self.trouble = trouble
            self._halted.set()
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
        senders: Callable[[], Mapping[str, str]] = dict,
        changed: Callable[[], None] = lambda: None,
    ) -> End:
        """
        Deliver a conversation: settle its open calls, then send batch after batch.

        :param rank: Among conversations that wait for a place the lowest goes first.
        :param senders: Returns the names to set before the first batch; called in a thread.
        :param changed: Called after each change of its rows in the ledger.
        :raises LedgerError: the ledger cannot be written; nothing more is sent.
        """
        send = _ConversationSend(
            sender=self,
            conversation=conversation,
            delivery=delivery,
            batches=Prefetcher(batches),
            rank=rank,
            senders=senders,
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

    async def register(self, conversation: Conversation, senders: Mapping[str, str]) -> None:
        """
        Set names, each again until it is answered; a person's name once per task.

        :raises Refused: the target refuses one of them; the others were set.
        :raises ChatImportError: a call was not answered in time; the rest was not tried.
        """
        refusals: list[ChatImportError] = []
        failures: list[ChatImportError] = []

        async def name(call: Callable[[], Awaitable[None]]) -> None:
            try:
                await retry_until_answered(lambda: self.throttle.work(call, NAMES_FIRST), self._settings)
            except Refused as error:
                refusals.append(error)
            except ChatImportError as error:
                failures.append(error)

        async def name_sender(sender: tuple[str, str]) -> None:
            if sender not in self._named and self.trouble is None and not failures:
                self._named.add(sender)
                await name(partial(self._api.name_sender, *sender))

        await name(lambda: self._api.name_conversation(conversation))
        await side_by_side(senders.items(), name_sender, NAMES_AT_ONCE)
        if failures:
            self._named.difference_update(senders.items())
        if failures or refusals:
            raise (failures or refusals)[0]

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """Flush a conversation, again until it is answered: a flush without new messages changes nothing."""
        status = await retry_until_answered(
            lambda: self.throttle.work(lambda: self._api.flush(conversation)), self._settings
        )
        self.throttle.speed_up()
        return status

    async def sleep(self, until_s: float) -> None:
        """Sleep until a time, or until the load stops."""
        wait_s = max(0.0, until_s - time.monotonic())
        if self._halted.is_set():
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._halted.wait()


@dataclass(kw_only=True)
class _ConversationSend:
    """Delivery of one conversation, step by step."""

    sender: Sender
    conversation: Conversation
    delivery: Delivery
    batches: Prefetcher[Batch]
    rank: int
    senders: Callable[[], Mapping[str, str]]
    changed: Callable[[], None]
    registered: bool = False
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
                self.batches.start()
                await self._record()
                await self.sender.sleep(until_s)
            case Send() if not self.registered:
                await self._register()
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

    async def _record(self) -> None:
        changes = self.delivery.take_changes()
        if changes:
            await self.sender.writer.record(*changes)
            self.changed()

    def _release(self) -> None:
        if self.place_s is not None:
            self.sender.throttle.release()
            self.place_s = None

    async def _register(self) -> None:
        """Set names. They help people read; a target that refuses them still gets the messages."""
        self.registered = True
        name = self.conversation.conversation_id
        if name in self.sender.conversations_named:
            return
        self.sender.conversations_named.add(name)
        names = await asyncio.to_thread(self.senders)
        try:
            await self.sender.register(self.conversation, names)
        except PermanentError as error:  # if the target refuses the caller, it refuses the first batch too
            log.warning("%s: the target refuses its names: %s", self.conversation.conversation_id, error)
        except ChatImportError as error:
            self.delivery.stop(Status.PENDING, "its names could not be set", error)


async def side_by_side[T](items: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Work on items in their order, ``concurrency`` at a time; an error ends all of it."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(worker())
