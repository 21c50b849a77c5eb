"""
Delivery of one conversation, in order: first its open calls, then part after part. Pure, as the state machine is.

A loop calls :meth:`Delivery.next`, writes :meth:`Delivery.take_changes` to the ledger, does the step, and passes the
answer to :meth:`Delivery.on_answer`. A ``Delivery`` may be lost at any moment: the ledger holds what the next needs.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from include.delivery.actions import Ask, End, Look, NextBatch, Send, Status, Step, Wait
from include.delivery.known_calls import KnownCalls
from include.delivery.retry import PATIENT_FIRST, PATIENT_GROWTH, WATCHED_GROWTH, Pace, poll_after_s
from include.delivery.settings import LoadSettings
from include.delivery.state_machine import (
    Answer,
    after_ask,
    after_look,
    after_not_stored,
    after_send,
    recover,
)
from include.delivery.states import (
    Accepted,
    GaveUp,
    Landed,
    Next,
    NotStored,
    Part,
    Ready,
    Rejected,
    Unknown,
)
from include.errors import ChatImportError
from include.ledger import Call, key_of
from include.memory_api.contract import TaskState
from include.records import Batch, Outgoing


class Delivery:
    """
    The state of one conversation in one try.

    :param known: What the ledger holds; calls left open are settled before anything new is sent.
    :param call_ids: Unique ids for new calls.
    :param jitter: Random numbers in [0, 1).
    """

    def __init__(  # noqa: PLR0913 - what it is about, and what it shares with the others
        self,
        conversation_id: str,
        *,
        segment_id: str = "",
        run_id: str,
        known: KnownCalls,
        settings: LoadSettings,
        call_ids: Iterator[str],
        jitter: Callable[[], float],
        pace: Pace | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.segment_id = segment_id or conversation_id
        self.landed = self.rejected = self.recovered = 0
        """Messages settled in this try: new ones, rejected ones, and those of earlier tries found to have landed."""
        self.next_batch = 0
        """Number of the first batch that is not wholly settled."""
        self._run_id = run_id
        self._known = known
        self._settings = settings
        self._call_ids = call_ids
        self._jitter = jitter
        self._pace = pace or Pace()
        self._recovering = deque(known.open)
        self._parts: deque[Part] = deque()
        self._ready: Ready | None = None
        """The part being delivered; ``None`` while settling what an earlier try left."""
        self._sending: Call | None = None
        self._open: Accepted | Unknown | None = None
        self._asked_s = self._at_work_s = 0.0
        """
        Time at which the last question about a task was due, its answer comes later; and seconds from the task's
        acceptance to the last one that found it at work.
        """
        self._end: End | None = None
        self._halted = False
        self._rejected_in_row = 0
        self._changes: list[Call] = []

    @property
    def call(self) -> Call | None:
        """The call whose outcome is open, if there is one."""
        return self._open.call if self._open else self._sending

    @property
    def batch(self) -> int | None:
        """Number of the batch being delivered."""
        return self._ready.part.batch if self._ready else None

    @property
    def in_flight(self) -> bool:
        """Whether the server is processing a batch."""
        return self._sending is not None or isinstance(self._open, Accepted)

    @property
    def status(self) -> Status:
        """The status of the conversation, for people."""
        if self._end:
            return self._end.status
        if isinstance(self._open, Unknown):
            return Status.RECONCILING
        return Status.WAITING if self._open else Status.LOADING

    def take_changes(self) -> list[Call]:
        """Return the calls whose rows the ledger must hold before the next call; each change once."""
        changes, self._changes = self._changes, []
        return changes

    def halt(self) -> None:
        """Send nothing more; a call in flight is still awaited."""
        self._halted = True

    def next(self, now_s: float) -> Step:
        """Return the next step."""
        if self._end:
            return self._end
        if self._open is None and self._recovering:
            self._move(recover(self._recovering.popleft(), now_s), now_s)
        if isinstance(self._open, Accepted) and self._open.typical_s is None and self._ready is not None:
            self._open = self._informed(self._open)
        match self._open:
            case Accepted(ask_at_s=at_s) | Unknown(look_at_s=at_s) if at_s > now_s:
                return Wait(until_s=at_s)
            case Accepted(call=call) if call.task_id is not None:
                self._asked_s = now_s
                return Ask(task_id=call.task_id)
            case Unknown(call=call, groups=groups):
                return _look(call, groups[0])
        return self._end or self._next_part(now_s)

    def _next_part(self, now_s: float) -> Step:
        if self._ready is None and self._parts:
            self._ready = Ready(part=self._parts.popleft())
        if self._ready is None:
            return NextBatch()
        if self._halted:
            return self.stop(Status.PENDING, "the load was stopped")
        if self._ready.send_at_s > now_s:
            return Wait(until_s=self._ready.send_at_s)
        return Send(part=self._ready.part)

    def add_batch(self, batch: Batch | None) -> None:
        """Take the next planned batch without the messages that are settled; a batch without others is passed over."""
        if batch is None:
            self.stop(Status.DONE, "")
            return
        self.next_batch = batch.number
        missing = self._known.missing(batch)
        if missing:
            key = batch.key if len(missing) == len(batch.messages) else key_of(self.conversation_id, _ids(missing))
            self._parts.append(Part(key=key, batch=batch.number, messages=missing))
        else:
            self.next_batch += 1

    def begin(self) -> Call:
        """Return the intent of the call that :class:`Send` asked for."""
        if self._ready is None or self._sending is not None:
            raise RuntimeError(f"{self.segment_id}: begin() without a Send")
        part = self._ready.part
        senders = tuple(dict.fromkeys(message.sender_id for message in part.messages if message.role == "user"))
        bots = tuple(dict.fromkeys(message.sender_id for message in part.messages if message.role != "user"))
        places = {sender_id: place for place, sender_id in enumerate(senders + bots)}
        who = tuple(places[message.sender_id] for message in part.messages) if len(places) > 1 else (0,)
        call = Call(
            call_id=next(self._call_ids),
            conversation_id=self.conversation_id,
            segment_id=self.segment_id,
            key=part.key,
            run_id=self._run_id,
            message_ids=_ids(part.messages),
            timestamps_ms=tuple(message.timestamp_ms for message in part.messages),
            senders=senders,
            bots=bots,
            who=who,
        )
        self._changes.append(call)
        self._sending = call
        return call

    def on_answer(self, answer: Answer, now_s: float) -> None:
        """Take the answer to what :meth:`next` asked for last."""
        if self._sending is not None:
            call, self._sending = self._sending, None
            self._move(after_send(call, answer, now_s), now_s)
        elif isinstance(self._open, Accepted):
            if answer is TaskState.PROCESSING:
                self._at_work_s = self._asked_s - self._open.since_s
            self._move(after_ask(self._open, answer, now_s, self._settings, self._jitter()), now_s)
        elif isinstance(self._open, Unknown):
            self._move(after_look(self._open, answer, now_s, self._settings, self._jitter()), now_s)
        else:
            raise RuntimeError(f"{self.segment_id}: an answer to nothing")

    def _move(self, moved: Next, now_s: float) -> None:
        before = self._open
        self._changes.extend(moved.calls)
        self._open = None
        match moved.state:
            case Accepted() as accepted:
                fresh = before is None and self._ready is not None
                self._open = self._first_question(accepted) if fresh else accepted
            case Unknown() as doubtful:
                self._open = doubtful
            case Landed() as landed:
                if self._ready is not None and isinstance(before, Accepted):
                    took_s = self._asked_s - before.since_s
                    self._pace.record(len(before.call.message_ids), self._at_work_s, took_s)
                self._on_landed(landed, before.call if before else None)
            case Rejected() as rejected:
                self._on_rejected(rejected)
            case NotStored() as not_stored:
                self._on_not_stored(not_stored, now_s)
            case GaveUp() as gave_up:
                self._open = before  # the call stays open
                self._gave_up(gave_up)

    def _first_question(self, accepted: Accepted) -> Accepted:
        self._at_work_s = 0.0
        informed = self._informed(accepted)
        if informed.typical_s is not None:
            return informed
        growth, first = (WATCHED_GROWTH, 1) if self._pace.watch() else (PATIENT_GROWTH, PATIENT_FIRST)
        wait_s = min(self._settings.poll_max_s, first * self._settings.poll_min_s)
        return replace(accepted, ask_at_s=accepted.since_s + wait_s, growth=growth)

    def _informed(self, accepted: Accepted) -> Accepted:
        """Set the time of the first question by what other tasks have taken, once that is known."""
        typical_s = self._pace.typical_s(len(accepted.call.message_ids))
        if typical_s is None:
            return accepted
        wait_s = poll_after_s(0, self._settings, typical_s)
        return replace(accepted, ask_at_s=accepted.since_s + wait_s, typical_s=typical_s)

    def _on_landed(self, landed: Landed, recovered: Call | None) -> None:
        if self._ready is None:
            if recovered is not None:
                self._on_recovered(recovered, landed)
            return
        self._rejected_in_row = 0
        part = self._ready.part
        self.landed += len(part.messages) - len(landed.absent)
        absent = set(landed.absent)
        self._finish([m for m in part.messages if m.message_id in absent])

    def _on_recovered(self, call: Call, landed: Landed) -> None:
        absent = set(landed.absent)
        found = [message_id for message_id in call.message_ids if message_id not in absent]
        self._known.add(found)
        self.recovered += len(found)

    def _on_rejected(self, rejected: Rejected) -> None:
        part = self._current().part
        if len(part.messages) > 1:  # bisect: the bad ones end up alone
            half = len(part.messages) // 2
            self._finish(part.messages[:half], part.messages[half:])
            return
        self.rejected += 1
        self._rejected_in_row += 1
        self._finish()
        if self._rejected_in_row >= self._settings.max_rejected_in_row:
            reason = f"{self._rejected_in_row} messages in a row were {rejected.reason}"
            self.stop(Status.REFUSED, reason, rejected.error)

    def _on_not_stored(self, not_stored: NotStored, now_s: float) -> None:
        if self._ready is None:
            return  # a call of an earlier try: the plan holds its messages, if they are still to be sent
        again = after_not_stored(self._ready, not_stored, now_s, self._settings, self._jitter())
        if isinstance(again, GaveUp):
            self._gave_up(again)
        else:
            self._ready = again

    def _gave_up(self, gave_up: GaveUp) -> None:
        status = Status.UNKNOWN if gave_up.unknown else Status.PENDING
        self.stop(status, gave_up.reason, gave_up.error)

    def _finish(self, *left: Sequence[Outgoing]) -> None:
        """Continue after a part, with the rest of it first."""
        part, self._ready = self._current().part, None
        for messages in reversed([tuple(messages) for messages in left if messages]):
            self._parts.appendleft(
                Part(key=key_of(self.conversation_id, _ids(messages)), batch=part.batch, messages=messages)
            )
        if not self._parts:
            self.next_batch = part.batch + 1

    def _current(self) -> Ready:
        if self._ready is None:
            raise RuntimeError(f"{self.segment_id}: no part is on its way")
        return self._ready

    def stop(self, status: Status, reason: str, error: ChatImportError | None = None) -> End:
        """End this try; an open call stays open in the ledger."""
        self._end = End(status=status, reason=reason, error=error)
        return self._end


def _ids(messages: Sequence[Outgoing]) -> tuple[str, ...]:
    return tuple(message.message_id for message in messages)


def _look(call: Call, group: tuple[str, ...]) -> Look:
    first = call.message_ids.index(group[0])
    whole = len(group) == len(call.message_ids)
    return Look(
        key=call.key if whole else key_of(call.conversation_id, group),
        message_ids=call.message_ids,
        timestamps_ms=call.timestamps_ms,
        senders=call.senders,
        writers=call.writers,
        part=slice(first, first + len(group)),
    )
