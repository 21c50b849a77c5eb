"""Rules of delivery's machine, alone: no server, no clock, no files."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from include.delivery.actions import Ask, End, Look, NextBatch, Send, Status, Wait
from include.delivery.conversation import Delivery
from include.delivery.known_calls import KnownCalls
from include.delivery.retry import Pace, backoff_s, poll_after_s
from include.delivery.settings import LoadSettings
from include.delivery.state_machine import (
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
    NotStored,
    NotStoredReason,
    Part,
    Ready,
    Rejected,
    Unknown,
)
from include.errors import (
    ConfigurationError,
    NotSent,
    OutcomeUnknown,
    QuotaExhausted,
    Refused,
    Throttled,
)
from include.ledger import Call, CallState, CallWriter, Ledger, key_of, ledger_url
from include.ledger.schema import CALLS
from include.memory_api.contract import Evidence, Receipt, Target, TaskState
from include.records import Batch, Outgoing
from tests.support.model_memory import LAG_S, ModelMemory

RULES = LoadSettings(settle_s=LAG_S + 1, give_up_after_s=300, task_deadline_s=200, max_resends=3)


def call(*message_ids: str, task_id: str | None = None, state: CallState | None = None) -> Call:
    return Call(
        call_id="a-1",
        conversation_id="slack_general",
        segment_id=SEGMENT,
        key="k1",
        run_id="run 1",
        message_ids=message_ids or ("m0", "m1", "m2", "m3"),
        timestamps_ms=tuple(range(1_000, 1_000 + (len(message_ids) or 4))),
        task_id=task_id,
        state=state or (CallState.ACCEPTED if task_id else CallState.INTENT),
    )


def accepted(since_s: float = 0) -> Accepted:
    return Accepted(call=call(task_id="t1"), since_s=since_s, ask_at_s=since_s)


def doubtful(*groups: tuple[str, ...], recovered: bool = False) -> Unknown:
    whole = call()
    return Unknown(call=whole, since_s=0, look_at_s=0, groups=groups or (whole.message_ids,), recovered=recovered)


def outgoing(number: int, turns: Sequence[int] = (0,)) -> Outgoing:
    """Every other person is a bot."""
    writer = turns[number % len(turns)]
    return Outgoing(
        message_id=f"m{number:03d}",
        timestamp_ms=1_000 + number,
        sender_id=f"U{writer}",
        sender_name="Ann",
        role="assistant" if writer % 2 else "user",
        text="x",
    )


SEGMENT = "slack_general.2023-11-14"


def batch_of(number: int, messages: Sequence[Outgoing]) -> Batch:
    key = key_of("slack_general", [message.message_id for message in messages])
    name = "slack_general"
    return Batch(conversation_id=name, segment_id=SEGMENT, number=number, key=key, messages=tuple(messages))


def a_delivery(pace: Pace, call_ids: str = "") -> Delivery:
    return Delivery(
        "slack_general",
        run_id="run",
        known=KnownCalls(),
        settings=RULES,
        call_ids=(f"{call_ids}{number}" for number in count()),
        jitter=lambda: 0.5,
        pace=pace,
    )


def send(delivery: Delivery, *, now_s: float, number: int = 0) -> None:
    """Bring a delivery to the point where its task is at work."""
    assert isinstance(delivery.next(now_s), NextBatch)
    delivery.add_batch(batch_of(number, [outgoing(number)]))
    assert isinstance(delivery.next(now_s), Send)
    delivery.begin()
    delivery.on_answer(Receipt(task_id=f"t{number}", landed=False), now_s)


class TestTheCall:
    """What the answer to the call itself means."""

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Throttled("429"), NotStoredReason.THROTTLED),
            (NotSent("refused"), NotStoredReason.NOT_SENT),
            (QuotaExhausted("quota"), NotStoredReason.QUOTA),
            (ConfigurationError("401"), NotStoredReason.BARRED),
        ],
    )
    def test_an_answer_that_proves_it_not_stored_closes_the_intent(
        self, answer: Exception, why: NotStoredReason
    ) -> None:
        judged = after_send(call(), answer, 0)
        assert isinstance(judged.state, NotStored)
        assert judged.state.why is why
        assert [each.state for each in judged.calls] == [CallState.NOT_STORED]

    def test_a_task_id_is_written_down_before_anybody_asks_for_it(self) -> None:
        judged = after_send(call(), Receipt(task_id="t9", landed=False), 5)
        assert judged.state == Accepted(call=call(task_id="t9"), since_s=5, ask_at_s=5)
        assert judged.calls == (call(task_id="t9"),)

    def test_no_answer_and_no_task_id_are_doubts_not_failures(self) -> None:
        for answer in (OutcomeUnknown("reset"), Receipt(task_id=None, landed=False)):
            judged = after_send(call(), answer, 0)
            assert isinstance(judged.state, Unknown)
            assert [each.state for each in judged.calls] == [CallState.UNKNOWN]

    def test_a_refused_batch_is_only_known_to_hold_a_bad_message_and_a_refused_message_is_rejected(self) -> None:
        refusal = Refused("422", status=422, reason="content is empty")
        whole, alone = after_send(call("m0", "m1"), refusal, 0), after_send(call("m0"), refusal, 0)
        assert isinstance(whole.state, Rejected)
        assert [each.state for each in whole.calls] == [CallState.NOT_STORED]
        [rejected] = alone.calls
        assert (rejected.state, rejected.reason) == (
            CallState.REJECTED,
            "refused by the target (422): content is empty",
        )


class TestTheTask:
    """What the answer about a task means."""

    @pytest.mark.parametrize("state", [TaskState.MISSING, TaskState.FAILED])
    def test_a_task_that_is_not_found_or_has_failed_proves_nothing(self, state: TaskState) -> None:
        assert isinstance(after_ask(accepted(), state, 1, RULES, 0).state, Unknown)

    def test_a_task_of_unknown_length_is_asked_for_ever_more_rarely(self) -> None:
        assert [poll_after_s(elapsed_s, RULES) for elapsed_s in (0, 1, 10, 100)] == [0.01, 0.25, 2.5, 15]

    def test_a_task_is_asked_for_when_such_tasks_are_done_and_then_closely(self) -> None:
        assert [poll_after_s(elapsed_s, RULES, 10) for elapsed_s in (0, 10, 20)] == pytest.approx([10, 0.15, 2.65])

    def test_what_is_typical_is_what_the_quicker_tasks_took(self) -> None:
        pace = Pace()
        assert pace.typical_s(50) is None
        for took_s in (40, 10, 30, 20, 50):
            pace.record(50, 0, took_s)
        assert pace.typical_s(50) == pytest.approx(20, rel=0.02)

    def test_where_tasks_take_alike_the_first_question_comes_when_nearly_all_are_done(self) -> None:
        pace = Pace()
        for took_s in (1.0, 1.01, 1.0, 1.01):
            pace.record(50, took_s - 0.001, took_s)
        assert pace.typical_s(50) == pytest.approx(1.01, rel=0.001)

    def test_a_task_is_done_between_the_last_question_at_work_and_the_first_one_after(self) -> None:
        pace = Pace()
        pace.record(50, 9, 11)
        assert pace.typical_s(50) == 10

    def test_questions_come_earlier_until_one_comes_too_early(self) -> None:
        pace = Pace()
        took_s, asked_s = 10.0, 10.3
        for _ in range(200):
            pace.record(50, 0, asked_s)
            asked_s = pace.typical_s(50) or 0
            if asked_s < took_s:
                break
        assert 0.98 * took_s <= asked_s < took_s

    @pytest.mark.parametrize(("messages", "typical_s"), [(50, 10), (75, 15), (100, 20), (10, 2), (200, 40)])
    def test_what_is_typical_of_a_size_follows_from_the_sizes_beside_it(self, messages: int, typical_s: float) -> None:
        pace = Pace()
        pace.record(50, 9, 11)
        pace.record(100, 19, 21)
        assert pace.typical_s(messages) == pytest.approx(typical_s)

    @pytest.mark.parametrize(("messages", "typical_s"), [(25, 5), (50, 10), (500, 10)])
    def test_of_one_known_size_a_smaller_batch_may_take_its_share_and_a_larger_one_takes_no_less(
        self, messages: int, typical_s: float
    ) -> None:
        pace = Pace()
        pace.record(50, 9, 11)
        assert pace.typical_s(messages) == typical_s

    def test_one_task_of_unknown_length_is_watched_and_the_others_learn_from_it(self) -> None:
        told: list[bool] = []
        pace = Pace(on_first=lambda: told.append(True))
        watched, patient = a_delivery(pace, "a"), a_delivery(pace, "b")
        for delivery in (watched, patient):
            send(delivery, now_s=0)
        asked = {"watched": 0, "patient": 0}
        now_s = 0.0
        while now_s < 9:
            steps = {"watched": watched.next(now_s), "patient": patient.next(now_s)}
            for name, delivery in (("watched", watched), ("patient", patient)):
                if isinstance(steps[name], Ask):
                    asked[name] += 1
                    delivery.on_answer(TaskState.PROCESSING, now_s)
            now_s = min(step.until_s for step in (watched.next(now_s), patient.next(now_s)) if isinstance(step, Wait))
        assert asked["watched"] > 5 * asked["patient"]
        assert not told
        while not isinstance(step := watched.next(now_s), Ask):
            assert isinstance(step, Wait)
            now_s = step.until_s
        watched.on_answer(TaskState.SUCCESS, now_s)
        assert told == [True]
        assert isinstance(patient.next(now_s), Ask)

    def test_the_wait_ends_at_a_time_not_after_a_count_and_keeps_the_task(self) -> None:
        state = after_ask(accepted(), TaskState.PROCESSING, RULES.task_deadline_s, RULES, 0)
        assert isinstance(state.state, GaveUp)
        assert not state.state.unknown
        assert state.calls == ()

    def test_errors_of_the_polling_itself_are_waited_out(self) -> None:
        state = accepted()
        for now_s in (1, 2, 3):
            following = after_ask(state, OutcomeUnknown("HTTP 500"), now_s, RULES, 0).state
            assert isinstance(following, Accepted)
            state = following
        assert isinstance(after_ask(state, TaskState.SUCCESS, 4, RULES, 0).state, Landed)

    def test_a_server_that_no_longer_answers_ends_the_wait_when_patience_does(self) -> None:
        rules = LoadSettings(give_up_after_s=10)
        silent = after_ask(accepted(), NotSent("refused"), 1, rules, 0).state
        assert isinstance(silent, Accepted)
        assert isinstance(after_ask(silent, NotSent("refused"), 11, rules, 0).state, GaveUp)

    def test_a_poll_that_is_throttled_waits_as_long_as_asked(self) -> None:
        state = after_ask(accepted(), Throttled("429", retry_after_s=40), 1, RULES, 0).state
        assert isinstance(state, Accepted)
        assert state.ask_at_s == 41

    def test_a_poll_that_is_to_wait_longer_than_patience_lasts_leaves_the_task_to_the_next_try(self) -> None:
        hour = Throttled("429", retry_after_s=3600)
        assert after_ask(accepted(), hour, 1, RULES, 0).state == GaveUp(
            reason="no answer about its task for 0 s, and 3600 s to wait", error=hour
        )


class TestTheDoubt:
    """What reading back means."""

    def test_a_look_that_is_to_wait_longer_than_patience_lasts_leaves_the_doubt_to_the_next_try(self) -> None:
        hour = Throttled("429", retry_after_s=3600)
        assert after_look(doubtful(), hour, 1, RULES, 0).state == GaveUp(
            reason="the server cannot be asked whether it is stored", error=hour
        )

    def test_presence_is_final_at_once(self) -> None:
        assert after_look(doubtful(), Evidence.PRESENT, 0, RULES, 0).state == Landed()

    def test_absence_counts_only_at_the_end_of_the_settling_time(self) -> None:
        early = after_look(doubtful(), Evidence.ABSENT, 0, RULES, 0).state
        assert isinstance(early, Unknown)
        assert early.look_at_s <= RULES.settle_s
        late = after_look(doubtful(), Evidence.ABSENT, RULES.settle_s, RULES, 0).state
        assert late == NotStored(why=NotStoredReason.ABSENT)

    def test_the_settling_time_stands_still_while_the_server_does_not_answer(self) -> None:
        """A server that was frozen still has the batch in its sockets: the first look after that shows nothing yet."""
        silent = after_look(doubtful(), OutcomeUnknown("timeout"), 60, RULES, 0).state
        assert isinstance(silent, Unknown)
        back_s = 10 * RULES.settle_s
        back = after_look(silent, Evidence.ABSENT, back_s, RULES, 0).state
        assert isinstance(back, Unknown)
        assert isinstance(after_look(back, Evidence.ABSENT, back_s + 0.9 * RULES.settle_s, RULES, 0).state, Unknown)
        late = after_look(back, Evidence.ABSENT, back_s + RULES.settle_s, RULES, 0).state
        assert late == NotStored(why=NotStoredReason.ABSENT)

    def test_a_batch_stored_in_part_is_looked_for_in_halves(self) -> None:
        mixed = after_look(doubtful(), Evidence.UNPROVABLE, RULES.settle_s, RULES, 0).state
        assert isinstance(mixed, Unknown)
        assert mixed.groups == (("m0", "m1"), ("m2", "m3"))
        half = after_look(mixed, Evidence.PRESENT, RULES.settle_s, RULES, 0).state
        assert isinstance(half, Unknown)
        judged = after_look(half, Evidence.ABSENT, RULES.settle_s, RULES, 0)
        assert judged.state == Landed(absent=("m2", "m3"))
        stored, absent = judged.calls
        assert (stored.call_id, stored.message_ids, stored.state) == ("a-1", ("m0", "m1"), CallState.LANDED)
        assert (absent.message_ids, absent.state) == (("m2", "m3"), CallState.NOT_STORED)
        assert stored.key == key_of("slack_general", ("m0", "m1"))

    def test_without_evidence_it_stays_open_and_nothing_is_sent(self) -> None:
        judged = after_look(doubtful(("m0",)), Evidence.UNPROVABLE, RULES.settle_s, RULES, 0)
        assert isinstance(judged.state, GaveUp)
        assert judged.state.unknown
        assert judged.calls == ()

    @pytest.mark.parametrize(
        ("existing", "state"),
        [("resend", NotStored(why=NotStoredReason.ABSENT)), ("skip", Landed())],
        ids=["resend", "skip"],
    )
    def test_a_person_decides_only_about_what_an_earlier_try_left(self, existing: str, state: object) -> None:
        rules = LoadSettings(settle_s=1, existing=existing)  # type: ignore[arg-type]
        look = Evidence.UNPROVABLE
        left, fresh = doubtful(("m0", "m1", "m2", "m3"), recovered=True), doubtful(("m0",))
        for _ in range(2):  # in halves first
            following = after_look(left, look, 1, rules, 0).state
            if not isinstance(following, Unknown):
                break
            left = following
        while isinstance(following, Unknown):
            following = after_look(following, look, 1, rules, 0).state
        assert following == state
        assert isinstance(after_look(fresh, look, 1, rules, 0).state, GaveUp)

    @pytest.mark.parametrize(("existing", "absent"), [("resend", ("m0", "m3")), ("skip", ())])
    def test_what_a_person_decided_does_not_hold_for_messages_that_are_found(
        self, existing: Literal["resend", "skip"], absent: tuple[str, ...]
    ) -> None:
        rules = LoadSettings(settle_s=1, existing=existing)
        state: object = doubtful(recovered=True)
        while isinstance(state, Unknown):
            found = set(state.groups[0]) <= {"m1", "m2"}
            state = after_look(state, Evidence.PRESENT if found else Evidence.UNPROVABLE, 1, rules, 0).state
        assert state == Landed(absent=absent)

    def test_what_an_earlier_try_left_is_asked_for_by_its_task_if_it_has_one(self) -> None:
        assert isinstance(recover(call(task_id="t1"), 0).state, Accepted)
        assert isinstance(recover(call(), 0).state, Unknown)
        assert isinstance(recover(call(task_id="t1", state=CallState.UNKNOWN), 0).state, Unknown)


class TestSendingAgain:
    """When a part that is proved not stored goes out again."""

    part = Part(key="k1", batch=0, messages=(outgoing(0),))

    def test_retry_after_is_honoured(self) -> None:
        again = after_not_stored(
            Ready(part=self.part),
            NotStored(why=NotStoredReason.THROTTLED, error=Throttled("429", retry_after_s=7)),
            100,
            RULES,
            0,
        )
        assert isinstance(again, Ready)
        assert again.send_at_s == 107

    def test_backoff_has_full_jitter_and_a_cap(self) -> None:
        assert [backoff_s(tries, 1.0, RULES) for tries in (0, 1, 2, 1_000)] == [0.5, 1, 2, 60]
        assert backoff_s(5, 0.0, RULES) == 0

    def test_patience_ends_and_the_part_stays_pending(self) -> None:
        ready = Ready(part=self.part, put_off_since_s=0, tries=3)
        gave_up = after_not_stored(
            ready, NotStored(why=NotStoredReason.NOT_SENT, error=NotSent("x")), RULES.give_up_after_s + 1, RULES, 0
        )
        assert isinstance(gave_up, GaveUp)

    def test_a_wait_longer_than_patience_is_not_begun(self) -> None:
        hour = Throttled("429", retry_after_s=3600)
        assert isinstance(
            after_not_stored(Ready(part=self.part), NotStored(why=NotStoredReason.THROTTLED, error=hour), 0, RULES, 0),
            GaveUp,
        )

    def test_a_part_that_is_absent_again_and_again_is_sent_so_often_and_no_more(self) -> None:
        ready, sent = Ready(part=self.part), 1
        while isinstance(ready, Ready):
            ready = after_not_stored(ready, NotStored(why=NotStoredReason.ABSENT), 0, RULES, 0)  # type: ignore[assignment]
            sent += isinstance(ready, Ready)
        assert sent == RULES.max_resends + 1


class Crash(Exception):
    """The process is gone."""


class Try:
    """One try: a delivery rebuilt from the ledger's calls, driven against the model."""

    def __init__(
        self,
        ledger: dict[str, Call],
        memory: ModelMemory,
        rules: LoadSettings = RULES,
        names: Iterator[int] = count(),  # noqa: B008 - names are unique in all tests
        now_s: float = 0,
    ) -> None:
        self.ledger, self.memory, self.now_s = ledger, memory, now_s
        self.steps = 0
        self.delivery = Delivery(
            "slack_general",
            segment_id=SEGMENT,
            run_id="run",
            known=KnownCalls.of(ledger.values(), planned_keys=()),
            settings=rules,
            call_ids=(f"a-{number}" for number in names),
            jitter=lambda: 0.5,
        )

    def record(self, changes: Sequence[Call]) -> None:
        for change in changes:
            assert change.segment_id == SEGMENT
            assert change.call_id not in self.ledger or self.ledger[change.call_id].is_open
            self.ledger[change.call_id] = change

    def run(
        self, batches: Sequence[Batch], crashes: Callable[[], bool] = lambda: False, halts_at: int | None = None
    ) -> End:
        left = iter(batches)
        while True:
            if self.steps == halts_at:
                self.delivery.halt()
            self.now_s += 0.01
            self.steps += 1
            step = self.delivery.next(self.now_s)
            if crashes():
                raise Crash
            if isinstance(step, NextBatch):
                self.delivery.add_batch(next(left, None))
                continue
            if isinstance(step, Send):
                self.delivery.begin()
            self.record(self.delivery.take_changes())
            if crashes():
                raise Crash
            match step:
                case End():
                    return step
                case Wait(until_s=until_s):
                    self.now_s = max(self.now_s, until_s)
                    continue
                case Send(part=part):
                    answer = self.memory.add([message.message_id for message in part.messages], self.now_s)
                case Ask(task_id=task_id):
                    answer = self.memory.task_state(task_id, self.now_s)
                case Look():
                    answer = self.memory.find(step, self.now_s)
            assert len(self.memory.stored) == len(set(self.memory.stored)), "a message is stored twice"
            if crashes():
                raise Crash
            self.delivery.on_answer(answer, self.now_s)


class StoredCalls:
    """Calls of one conversation in a real ledger; each try has a writer of its own."""

    def __init__(self, ledger: Ledger, runner: asyncio.Runner) -> None:
        self._ledger, self._runner = ledger, runner
        self._task = AsyncExitStack()
        self._writer: CallWriter | None = None

    def values(self) -> Iterable[Call]:
        """Read all."""
        return self._ledger.calls_of(SEGMENT, 0)

    def begin(self) -> None:
        """Open a writer and take the lock, as a task does."""
        self._writer = self._runner.run(self._task.enter_async_context(self._ledger.writer("run")))
        self._runner.run(self._task.enter_async_context(self._writer.lock(SEGMENT, wait_s=0)))

    def record(self, changes: Sequence[Call]) -> None:
        """Write what has changed in one commit."""
        assert self._writer
        self._runner.run(self._writer.record(*changes))

    def end(self) -> None:
        """End the task."""
        self._runner.run(self._task.aclose())

    def forget(self) -> None:
        """Delete everything."""
        with self._ledger.database.write() as connection:
            connection.execute(CALLS.delete())


class StoredTry(Try):
    """One try whose calls are rows of a ledger."""

    ledger: StoredCalls  # type: ignore[assignment]

    def record(self, changes: Sequence[Call]) -> None:
        self.ledger.record(changes)

    def run(self, *arguments: Any) -> End:
        self.ledger.begin()
        try:
            return super().run(*arguments)
        finally:
            self.ledger.end()


@settings(max_examples=max(300, settings().max_examples), deadline=None)
@given(data=st.data())
def test_whatever_happens_nothing_is_lost_doubled_or_out_of_order(steps: Counter[str], data: st.DataObject) -> None:
    """Any interleaving of answers, faults, stops and crashes, then one healthy try: the project's whole promise."""
    live_through(data, {}, Try, steps)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def stored_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredCalls]:
    if request.param == "sqlite":
        url = ledger_url(tmp_path_factory.mktemp("ledger"))
    else:
        url = request.getfixturevalue("postgres").new_database()
    with asyncio.Runner() as runner:
        yield StoredCalls(Ledger.open(url, Target(base_url="http://model.example", api_version="v1")), runner)


@settings(max_examples=max(40, settings().max_examples // 20), deadline=None)
@given(data=st.data())
def test_nor_is_it_with_a_ledger_that_is_a_database(
    stored_calls: StoredCalls, steps: Counter[str], data: st.DataObject
) -> None:
    stored_calls.forget()
    live_through(data, stored_calls, StoredTry, steps)


def live_through(data: st.DataObject, ledger: Any, a_try_of: type[Try], steps: Counter[str]) -> None:
    """Draw a story, let it happen, and compare what the memory holds with what was to be loaded."""
    size = data.draw(st.integers(1, 4), "batch size")
    turns = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=5), "turns")
    messages = [outgoing(number, turns) for number in range(data.draw(st.integers(1, 10), "messages"))]
    batches = [batch_of(n, messages[at : at + size]) for n, at in enumerate(range(0, len(messages), size))]
    ids = [message.message_id for message in messages]
    poison = data.draw(st.frozensets(st.sampled_from(ids), max_size=2), "poison")
    blind = data.draw(st.booleans(), "blind")
    window = data.draw(st.integers(1, 12), "window")
    memory = ModelMemory(
        choose=lambda options: data.draw(st.sampled_from(list(options))),
        poison=poison,
        blind=blind,
        window=window,
        turns=turns,
    )
    names, now_s = count(), 0.0
    for _ in range(data.draw(st.integers(0, 4), "tries that go wrong")):
        crash_at = data.draw(st.integers(0, 60), "crash after")
        halts_at = data.draw(st.none() | st.integers(0, 60), "everything is stopped after")
        moments = iter(range(crash_at))
        a_try = a_try_of(ledger, memory, RULES, names, now_s)
        try:
            a_try.run(batches, lambda left=moments: next(left, None) is None, halts_at)  # type: ignore[misc]
        except Crash:
            event("crashed")
            steps["crashes"] += 1
        steps["steps of delivery"] += a_try.steps
        now_s = a_try.now_s + data.draw(st.sampled_from((0.0, 2 * LAG_S)), "pause")
    memory.healthy = True
    last = a_try_of(ledger, memory, RULES, names, now_s)
    end = last.run(batches)
    memory.settle(now_s + 1_000 * LAG_S)
    steps["steps of delivery"] += last.steps
    steps["calls"] += memory.calls

    held = [message_id for message_id in memory.stored if message_id not in poison]
    assert memory.stored == sorted(memory.stored), "out of order"
    assert held == memory.stored, "a refused message was stored"
    event(f"ends {end.status}")
    if end.status is Status.UNKNOWN:
        most_by_one = max(Counter(message.sender_id for message in messages).values())
        assert blind or most_by_one >= window, "stopped as unknown although reading back could have settled it"
        return
    assert end.status is Status.DONE
    assert held == [message_id for message_id in ids if message_id not in poison], "lost"
    rejected = [each for each in ledger.values() if each.state is CallState.REJECTED]
    assert {message_id for each in rejected for message_id in each.message_ids} == poison
    landed = [
        message_id for each in ledger.values() if each.state is CallState.LANDED for message_id in each.message_ids
    ]
    assert sorted(landed) == held, "the ledger and the server disagree"


@pytest.mark.parametrize("turns", [[0], [1], [0, 1], [2, 0, 1, 0]])
def test_the_ledger_keeps_who_wrote_each_message_bots_too(turns: list[int]) -> None:
    messages = [outgoing(number, turns) for number in range(5)]
    a_try = Try({}, ModelMemory(choose=lambda options: options[0]))
    a_try.delivery.next(0)
    a_try.delivery.add_batch(batch_of(0, messages))
    assert isinstance(a_try.delivery.next(0), Send)
    a_try.delivery.begin()
    [kept] = a_try.delivery.take_changes()
    assert kept.writers == tuple(message.sender_id for message in messages)
    assert kept.senders == tuple(dict.fromkeys(m.sender_id for m in messages if m.role == "user"))


def test_a_call_whose_writers_the_ledger_does_not_know_names_nobody() -> None:
    assert call("m0", "m1").writers == ()


def test_one_bad_message_costs_itself_alone_and_the_order_stays() -> None:
    memory = ModelMemory(choose=lambda options: options[0], poison=frozenset({"m005"}), healthy=True)
    ledger: dict[str, Call] = {}
    messages = [outgoing(number) for number in range(8)]
    end = Try(ledger, memory).run([batch_of(0, messages)])
    assert end.status is Status.DONE
    assert memory.stored == ["m000", "m001", "m002", "m003", "m004", "m006", "m007"]


def test_a_conversation_whose_every_message_is_refused_stops_instead_of_rejecting_them_all() -> None:
    messages = [outgoing(number) for number in range(20)]
    memory = ModelMemory(choose=lambda options: options[0], poison=frozenset(m.message_id for m in messages))
    rules = LoadSettings(max_rejected_in_row=5)
    end = Try({}, memory, rules).run([batch_of(0, messages)])
    assert end.status is Status.REFUSED
    assert "5 messages in a row" in end.reason


def test_what_was_open_is_settled_before_anything_new_is_sent() -> None:
    memory = ModelMemory(choose=lambda options: options[0], healthy=True)
    first = batch_of(0, [outgoing(0), outgoing(1)])
    left_open = msgspec.structs.replace(call("m000", "m001"), call_id="x", key=first.key, run_id="old")
    ledger = {"x": left_open}
    memory.stored = ["m000", "m001"]
    a_try = Try(ledger, memory)
    assert isinstance(a_try.delivery.next(0), Look)
    end = a_try.run([first, batch_of(1, [outgoing(2)])])
    assert end.status is Status.DONE
    assert memory.stored == ["m000", "m001", "m002"]
    assert a_try.delivery.recovered == 2


def test_a_plan_cut_otherwise_sends_only_what_is_missing() -> None:
    memory = ModelMemory(choose=lambda options: options[0], healthy=True)
    ledger: dict[str, Call] = {}
    messages = [outgoing(number) for number in range(6)]
    Try(ledger, memory).run([batch_of(0, messages[:4])])
    Try(ledger, memory).run([batch_of(0, messages[:3]), batch_of(1, messages[3:])])
    assert memory.stored == [message.message_id for message in messages]


def test_answers_that_come_late_do_not_make_the_questions_late() -> None:
    took_s, late_s, now_s = 10.0, 1.0, 0.0
    pace = Pace()
    delivery = a_delivery(pace)
    for number in range(50):
        send(delivery, now_s=now_s, number=number)
        done_s, asked_s = now_s + took_s, 0.0
        while asked_s < done_s:
            if isinstance(step := delivery.next(now_s), Wait):
                now_s = step.until_s
            else:
                asked_s, now_s = now_s, now_s + late_s
                delivery.on_answer(TaskState.SUCCESS if asked_s >= done_s else TaskState.PROCESSING, now_s)
    assert pace.typical_s(1) == pytest.approx(took_s, rel=0.05)


def test_only_the_first_task_of_unknown_length_is_watched_and_the_others_ask_when_it_has_told_its_length() -> None:
    pace = Pace()
    first, other = a_delivery(pace), a_delivery(pace)
    send(first, now_s=0, number=0)
    send(other, now_s=0, number=1)
    assert first.next(0) == Wait(until_s=LoadSettings().poll_min_s)
    assert other.next(0) == Wait(until_s=pytest.approx(1.0))
    pace.record(1, 0.39, 0.41)
    assert other.next(0) == Wait(until_s=pytest.approx(0.4))


def test_a_halted_delivery_sends_nothing_more_but_sees_through_what_is_in_flight() -> None:
    memory = ModelMemory(choose=lambda options: options[0], healthy=True)
    a_try = Try({}, memory)
    delivery = a_try.delivery
    delivery.next(0)
    delivery.add_batch(batch_of(0, [outgoing(0)]))
    assert isinstance(delivery.next(0), Send)
    delivery.begin()
    delivery.on_answer(memory.add(["m000"], 0), 0)
    delivery.halt()
    end = a_try.run([batch_of(1, [outgoing(1)])])
    assert memory.stored == ["m000"]
    assert end == End(status=Status.PENDING, reason="the load was stopped")
