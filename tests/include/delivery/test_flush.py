"""Rules of the flush, against the stand-in: once, at the end, and only what is complete."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from include.delivery.flush import FlushOutcome
from include.errors import ConfigurationError, LoadIncomplete, NotSent, OutcomesUnknown, QuotaExhausted
from include.memory_api.contract import FlushStatus
from include.records import Conversation
from include.standin.faults import Fault
from include.standin.journal import judge
from include.standin.server import StandIn
from tests.support.delivery_runs import QUICK, Blindfold, World, a_run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "server") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, server: StandIn) -> World:
    return World(tmp_path / "home", server.base_url)


def flushes(server: StandIn) -> list[str | None]:
    return sorted(str(entry.conversation) for entry in server.journal() if entry.kind == "flush")


def test_each_loaded_conversation_is_flushed_once_after_its_last_batch(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25, "slack_b": 5})
    world.load(run, chunk)
    assert world.flush(run) == FlushOutcome(flushed=2)
    for verdict in judge(server.journal(), {}).values():
        assert (verdict.flushes, verdict.unflushed, verdict.flushes_while_processing) == (1, False, ())
    assert {name: outcome.flushed for name, outcome in world.outcomes(run).items()} == {
        "slack_a": "extracted",
        "slack_b": "extracted",
    }


def test_flushing_again_asks_for_nothing(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    world.load(run, chunk)
    world.flush(run)
    assert world.flush(run) == FlushOutcome(flushed=0)
    assert flushes(server) == ["slack_a"]


def test_two_flushes_at_the_same_time_ask_once(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    world.load(run, chunk)
    server.set_faults(Fault(does="slow", kind="flush", delay_s=1))
    with ThreadPoolExecutor() as threads:
        one = threads.submit(world.flush, run)
        while not flushes(server):  # it has the lease
            time.sleep(0.01)
        other = threads.submit(world.flush, run, run_id="run 2")
        assert (one.result().flushed, other.result().flushed) == (1, 0)
    assert flushes(server) == ["slack_a"]


def test_a_conversation_with_something_pending_is_not_cut(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25, "slack_b": 25})
    server.set_faults(Fault(does="task_stuck", kind="add", conversation="slack_a", after=1))
    with pytest.raises(LoadIncomplete):
        world.load(run, chunk, settings=replace(QUICK, task_deadline_s=0.1))
    assert world.flush(run) == FlushOutcome(flushed=1, held_back=1)
    assert flushes(server) == ["slack_b"]


def test_a_conversation_of_which_a_part_was_not_sent_is_not_cut(world: World, server: StandIn) -> None:
    """Nothing is open there: the calls that were made have all landed or were proved not stored."""
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    server.set_faults(Fault(does="status", kind="add", status=429, code="quota_exceeded", after=1))
    with pytest.raises(QuotaExhausted):
        world.load(run, chunk)
    assert world.flush(run) == FlushOutcome(held_back=1)
    assert flushes(server) == []


def test_a_conversation_with_an_unknown_outcome_is_not_cut(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    server.set_faults(Fault(does="status_after", kind="add", after=1, count=1))
    world.through = Blindfold
    with pytest.raises(OutcomesUnknown):
        world.load(run, chunk)
    assert world.flush(run) == FlushOutcome(held_back=1)
    assert flushes(server) == []


def test_a_run_that_died_before_its_flush_is_flushed_by_the_next(world: World, server: StandIn) -> None:
    first, (chunk,) = a_run(world.home, {"slack_a": 25})
    world.load(first, chunk)
    second, _ = a_run(world.home, {"slack_a": 0}, run_id="run 2")
    assert world.flush(second, run_id="run 2") == FlushOutcome(flushed=1)
    assert world.outcomes(second, run_id="run 2")["slack_a"].flushed == "extracted"


def test_what_an_earlier_run_left_open_is_settled_before_the_cut(world: World, server: StandIn) -> None:
    """Its messages are not in this run's plan, so no load task has asked for them."""
    first, (chunk,) = a_run(world.home, {"slack_a": 10})
    server.set_faults(Fault(does="slow_task", kind="add", delay_s=0.5))
    with pytest.raises(LoadIncomplete):
        world.load(first, chunk, settings=replace(QUICK, task_deadline_s=0.1))
    second, _ = a_run(world.home, {"slack_a": 0}, run_id="run 2")
    assert world.flush(second, run_id="run 2") == FlushOutcome(flushed=1)
    (verdict,) = judge(server.journal(), {}).values()
    assert (verdict.flushes_while_processing, verdict.unflushed) == ((), False)
    assert world.ledger.landed() == 10


def test_what_an_earlier_run_left_open_and_nothing_settles_holds_the_flush_back(world: World, server: StandIn) -> None:
    first, (chunk,) = a_run(world.home, {"slack_a": 20})
    server.set_faults(Fault(does="task_stuck", kind="add", after=1))
    with pytest.raises(LoadIncomplete):
        world.load(first, chunk, settings=replace(QUICK, task_deadline_s=0.1))
    second, _ = a_run(world.home, {"slack_a": 0}, run_id="run 2")
    quick = replace(QUICK, task_deadline_s=0.1)
    assert world.flush(second, run_id="run 2", settings=quick) == FlushOutcome(held_back=1)
    assert flushes(server) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(does="status", kind="flush", status=500, count=2),
        Fault(does="status", kind="flush", status=429, count=2),
        Fault(does="status_after", kind="flush", status=500, count=1),
        Fault(does="reset_after", kind="flush", count=1),
    ],
    ids=lambda fault: f"{fault.does} {fault.status}",
)
def test_a_flush_without_an_answer_is_asked_for_again_by_itself(world: World, server: StandIn, fault: Fault) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    world.load(run, chunk)
    server.set_faults(fault)
    assert world.flush(run) == FlushOutcome(flushed=1)
    (verdict,) = judge(server.journal(), {}).values()
    assert not verdict.unflushed


def test_a_429_to_a_flush_slows_down_all_flushes(
    world: World, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run, (chunk,) = a_run(world.home, {f"slack_{n}": 5 for n in range(12)})
    world.load(run, chunk)
    server.set_faults(
        Fault(does="status", kind="flush", status=429, retry_after="1", count=1),
        Fault(does="slow", kind="flush", delay_s=0.2),
    )
    assert world.flush(run) == FlushOutcome(flushed=12)
    assert "4 calls in flight at most" in caplog.text
    [met] = [entry for entry in server.journal() if entry.status == 429]
    gaps = [entry.arrived_s - met.arrived_s for entry in server.journal() if entry.kind == "flush"]
    assert [gap for gap in gaps if 0.3 < gap < 0.95] == []
    assert sum(gap > 1 for gap in gaps) >= 12 - 8 + 1


def test_flushes_that_fail_leave_the_others_alone_and_are_made_up_for(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5, "slack_b": 5})
    world.load(run, chunk)
    server.set_faults(Fault(does="status", kind="flush", status=500, conversation="slack_a"))
    with pytest.raises(LoadIncomplete, match=r"flush: pending conversations: 1.*slack_a"):
        world.flush(run, settings=replace(QUICK, give_up_after_s=0.1))
    server.set_faults()
    assert world.flush(run) == FlushOutcome(flushed=1)
    assert {name: outcome.flushed for name, outcome in world.outcomes(run).items()} == {
        "slack_a": "extracted",
        "slack_b": "extracted",
    }


def test_a_target_that_is_away_stops_the_flush_at_once(tmp_path: Path) -> None:
    with StandIn.running(tmp_path / "server") as server:
        world = World(tmp_path / "home", server.base_url)
        run, (chunk,) = a_run(world.home, {f"slack_{n}": 5 for n in range(6)})
        world.load(run, chunk)
    with pytest.raises(NotSent):
        world.flush(run, settings=replace(QUICK, give_up_after_s=0.1, concurrency=1))


def test_a_refused_key_is_said_so(tmp_path: Path) -> None:
    with StandIn.running(tmp_path / "server") as server:
        world = World(tmp_path / "home", server.base_url)
        run, (chunk,) = a_run(world.home, {"slack_a": 5})
        world.load(run, chunk)
        port = int(server.base_url.rsplit(":", 1)[1])
    with StandIn.running(tmp_path / "server", port=port, key="another"), pytest.raises(ConfigurationError):
        world.flush(run)


def test_a_flush_that_is_queued_is_waited_for(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5})
    world.load(run, chunk)
    answers: list[FlushStatus] = [FlushStatus.QUEUED, FlushStatus.QUEUED]

    class Queues(Blindfold):
        async def flush(self, conversation: Conversation) -> FlushStatus:
            return answers.pop() if answers else await self._api.flush(conversation)

    world.through = Queues
    assert world.flush(run) == FlushOutcome(flushed=1)
    assert world.outcomes(run)["slack_a"].flushed == "extracted"


def test_rejected_messages_do_not_hold_the_flush_back(world: World, server: StandIn) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 20})
    server.set_faults(Fault(does="refuse", kind="add", message_ids=("slack_a.000007",)))
    world.load(run, chunk)
    assert world.flush(run) == FlushOutcome(flushed=1)
    outcome = world.outcomes(run)["slack_a"]
    assert (outcome.loaded, list(outcome.rejected.values()), outcome.flushed) == (19, [1], "extracted")
