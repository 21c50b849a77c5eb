"""Rules of loading, against the stand-in over HTTP: whatever breaks, every message once, in order, or named."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from include.delivery.checkpoint import CheckpointWriter
from include.delivery.loader import LoadOutcome
from include.delivery.names import Names
from include.delivery.settings import LoadSettings
from include.delivery.throttle import Throttle
from include.errors import (
    ConfigurationError,
    ConversationBusy,
    LedgerError,
    LoadIncomplete,
    NotSent,
    OutcomesUnknown,
    QuotaExhausted,
    Throttled,
)
from include.memory_api.contract import Name, Receipt
from include.records import Conversation, Outgoing
from include.standin.faults import CallKind, Fault
from include.standin.journal import Verdict, judge, most_at_once
from include.standin.server import StandIn
from include.standin.settings import Latency
from tests.support.delivery_runs import QUICK, Blindfold, Notes, PromptMemory, World, a_run, message_ids

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "server") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, server: StandIn) -> World:
    return World(tmp_path / "home", server.base_url)


def verdicts(server: StandIn, conversations: Mapping[str, int]) -> dict[str, Verdict]:
    return judge(server.journal(), {name: message_ids(name, count) for name, count in conversations.items()})


def assert_once_and_in_order(server: StandIn, conversations: Mapping[str, int]) -> None:
    for verdict in verdicts(server, conversations).values():
        assert (verdict.lost, verdict.doubled, verdict.out_of_order, verdict.overlapping) == ((), (), (), ())


def adds(server: StandIn) -> int:
    return sum(entry.kind == "add" for entry in server.journal())


class TestLanding:
    def test_every_message_arrives_once_in_order_one_batch_at_a_time(self, world: World, server: StandIn) -> None:
        sizes = {"slack_a": 95, "slack_b": 40, "slack_c": 3}
        run, (chunk,) = a_run(world.home, sizes)
        outcome = world.load(run, chunk)
        assert outcome == LoadOutcome(conversations=3, landed=138)
        assert_once_and_in_order(server, sizes)
        assert {name: (o.loaded, o.pending) for name, o in world.outcomes(run).items()} == {
            "slack_a": (95, 0),
            "slack_b": (40, 0),
            "slack_c": (3, 0),
        }

    def test_a_second_run_sends_nothing(self, world: World, server: StandIn) -> None:
        first, (chunk,) = a_run(world.home, {"slack_a": 30})
        world.load(first, chunk)
        sent = adds(server)
        second, (chunk,) = a_run(world.home, {"slack_a": 30}, run_id="run 2", batch_size=7)
        assert world.load(second, chunk, run_id="run 2") == LoadOutcome(conversations=1)
        assert adds(server) == sent
        assert world.outcomes(second, run_id="run 2")["slack_a"].already_loaded == 30

    def test_conversations_overlap_and_are_bounded_by_concurrency(self, tmp_path: Path) -> None:
        with StandIn.running(tmp_path / "server", latency=Latency(base_s=0.05)) as server:
            world = World(tmp_path / "home", server.base_url)
            run, (chunk,) = a_run(world.home, {f"slack_{n}": 20 for n in range(9)})
            world.load(run, chunk, settings=replace(QUICK, concurrency=3))
            assert 1 < most_at_once(server.journal()) <= 3

    def test_a_group_is_named_after_its_first_batch_and_its_people_by_their_messages(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 5})
        world.load(run, chunk)
        kinds = [entry.kind for entry in server.journal() if entry.kind in ("register", "add")]
        assert kinds == ["add", "register"]
        assert server.name_of("group", "slack_a") == "slack_a"

    def test_no_batch_waits_for_a_name(self, tmp_path: Path) -> None:
        class Waiting(PromptMemory):
            """Takes a name only after all messages."""

            def __init__(self) -> None:
                super().__init__()
                self.all_there = asyncio.Event()

            async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
                receipt = await super().add(conversation, messages)
                if sum(map(len, self.stored.values())) == 60:
                    self.all_there.set()
                return receipt

            async def set_name(self, name: Name) -> None:
                await self.all_there.wait()
                await super().set_name(name)

        memory = Waiting()
        world = World(tmp_path, memory)
        run, (chunk,) = a_run(world.home, {"slack_a": 30, "slack_b": 30})
        assert world.load(run, chunk, after_s=20).landed == 60
        assert sorted(name.id for name in memory.names) == ["slack_a", "slack_b"]

    def test_a_name_that_was_told_before_is_told_again_only_when_it_changes(self, tmp_path: Path) -> None:
        memory = PromptMemory()
        world = World(tmp_path, memory)
        for number, name in enumerate(("general", "general", "all hands")):
            run_id = f"run {number}"
            run, (chunk,) = a_run(world.home, {"slack_a": 10}, run_id=run_id, start=10 * number, name=name)
            assert world.load(run, chunk, run_id=run_id).landed == 10
        assert [name.name for name in memory.names] == ["general", "all hands"]

    def test_a_name_that_a_try_has_not_told_is_told_by_the_next_one_though_it_sends_nothing(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 5})
        server.set_faults(Fault(does="status", kind="register", status=404))
        assert world.load(run, chunk).landed == 5
        server.set_faults()
        assert world.load(run, chunk).landed == 0
        assert [entry.status for entry in server.journal() if entry.kind == "register"] == [404, 200]

    @pytest.mark.parametrize("status", [404, 422])
    def test_a_target_that_takes_no_names_gets_the_messages_all_the_same(
        self, world: World, server: StandIn, status: int
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 25})
        server.set_faults(Fault(does="status", kind="register", status=status))
        assert world.load(run, chunk).landed == 25
        assert all(verdict.lost == () for verdict in verdicts(server, {"slack_a": 25}).values())

    def test_the_checkpoint_says_how_far_the_chunk_has_come(self, world: World) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 25})
        world.load(run, chunk)
        assert world.notes["run 1", 0].values == {
            "progress": {"plan": chunk.fingerprint, "segments": 1, "begun": 1, "under_way": {}, "stopped": []}
        }


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(does="status", kind="add", status=429, retry_after="0.1", count=3),
            Fault(does="status", kind="add", status=429, probability=0.4, seed=1),
            Fault(does="rate_limit", rate_per_s=40),
            Fault(does="task_failed", kind="add", count=2),
            Fault(does="task_failed_stored", kind="add", count=2),
            Fault(does="status", kind="task", status=500, count=3),
            Fault(does="status", kind="register", status=503, count=3),
            Fault(does="status", kind="add", status=500, after=1, count=2),
            Fault(does="status_after", kind="add", status=502, after=1, count=2),
            Fault(does="reset_after", kind="add", after=1, count=2),
            Fault(does="reset_before", kind="add", after=1, count=2),
            Fault(does="hang_after", kind="add", after=1, count=1),
            Fault(does="partial", kind="add", after=1, count=1, keep=4),
            Fault(does="no_task_id", kind="add", after=1, count=1),
            Fault(does="task_404_stored", kind="add", after=1, count=1),
            Fault(does="task_404_failed", kind="add", after=1, count=1),
        ],
        ids=lambda fault: f"{fault.does} {fault.kind}",
    )
    def test_it_is_waited_out_or_settled_within_one_try(self, world: World, server: StandIn, fault: Fault) -> None:
        sizes = {"slack_a": 40, "slack_b": 40}
        run, (chunk,) = a_run(world.home, sizes)
        server.set_faults(fault)
        assert world.load(run, chunk).landed + world.load(run, chunk).recovered == 80
        assert_once_and_in_order(server, sizes)

    def test_a_refused_connection_is_pending_and_the_next_try_goes_on(self, tmp_path: Path) -> None:
        with StandIn.running(tmp_path / "server") as server:
            url, port = server.base_url, int(server.base_url.rsplit(":", 1)[1])
        world = World(tmp_path / "home", url)
        run, (chunk,) = a_run(world.home, {"slack_a": 20})
        with pytest.raises(NotSent):
            world.load(run, chunk, settings=replace(QUICK, give_up_after_s=0.2))
        assert world.outcomes(run)["slack_a"].pending == 20
        with StandIn.running(tmp_path / "server", port=port) as server:
            world.load(run, chunk)
            assert_once_and_in_order(server, {"slack_a": 20})

    def test_names_do_not_make_up_for_a_429(self, tmp_path: Path) -> None:
        writer = World(tmp_path, PromptMemory()).ledger.writer("run 1")
        throttle = Throttle(8, time.monotonic)
        throttle.slow_down(0, None)
        memory = PromptMemory()

        async def task() -> None:
            async with writer, Names(memory, writer, throttle, LoadSettings(), pytest.fail) as names:  # type: ignore[arg-type]
                for number in range(100):
                    name = f"slack_{number}"
                    names.note(
                        Conversation(conversation_id=name, source="slack", kind="group", channel_id=name, name="a")
                    )

        asyncio.run(task())
        assert (len(memory.names), throttle.limit) == (100, 4)

    @pytest.mark.parametrize("kind", ["register", "add", "task", "search"])
    def test_a_429_slows_down_all_calls_whichever_meets_it(
        self, world: World, server: StandIn, kind: CallKind, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        sizes = {f"slack_{n}": 40 for n in range(6)}
        run, (chunk,) = a_run(world.home, sizes)
        slow_down = Fault(does="status", kind=kind, status=429, retry_after="1", count=1)
        server.set_faults(slow_down, Fault(does="reset_after", kind="add", count=1))  # something to search for
        world.load(run, chunk)
        assert "4 calls in flight at most" in caplog.text
        [met] = [entry for entry in server.journal() if entry.status == 429]
        between = [entry.arrived_s - met.arrived_s for entry in server.journal()]
        assert [gap for gap in between if 0.3 < gap < 0.95] == []  # what was on its way already may arrive
        assert max(between) > 1
        assert_once_and_in_order(server, sizes)

    @pytest.mark.parametrize("kind", ["register", "task"])
    def test_a_wait_longer_than_patience_leaves_the_rest_to_the_next_try_whichever_call_is_told(
        self, world: World, server: StandIn, kind: CallKind
    ) -> None:
        sizes = {"slack_a": 400, "slack_b": 400}
        run, (chunk,) = a_run(world.home, sizes)
        server.set_faults(Fault(does="status", kind=kind, status=429, retry_after="3600"))
        with pytest.raises(Throttled):
            world.load(run, chunk)
        assert all(outcome.pending for outcome in world.outcomes(run).values())
        server.set_faults()
        world.load(run, chunk)
        assert_once_and_in_order(server, sizes)

    def test_a_name_without_an_answer_is_told_again(self, world: World, server: StandIn) -> None:
        sizes = {f"slack_{n}": 10 for n in range(5)}
        run, (chunk,) = a_run(world.home, sizes)
        server.set_faults(Fault(does="status", kind="register", status=503, count=2))
        world.load(run, chunk)
        answered = [entry.status for entry in server.journal() if entry.kind == "register"]
        assert sorted(status or 0 for status in answered) == [200] * 5 + [503] * 2

    def test_a_wait_longer_than_patience_is_left_to_the_next_try(self, world: World, server: StandIn) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 20, "slack_b": 20})
        server.set_faults(Fault(does="status", kind="add", status=429, retry_after="3600"))
        with pytest.raises(Throttled) as caught:
            world.load(run, chunk)
        assert caught.value.retry_after_s == 300
        assert {name: outcome.pending for name, outcome in world.outcomes(run).items()} == {
            "slack_a": 20,
            "slack_b": 20,
        }

    def test_a_used_up_quota_stops_everything_as_pending(self, world: World, server: StandIn) -> None:
        sizes = {f"slack_{n}": 30 for n in range(4)}
        run, (chunk,) = a_run(world.home, sizes)
        server.set_faults(Fault(does="status", kind="add", status=429, code="quota_exceeded", after=3))
        with pytest.raises(QuotaExhausted):
            world.load(run, chunk, settings=replace(QUICK, concurrency=2))
        assert adds(server) <= 3 + 2
        server.set_faults()
        world.load(run, chunk)
        assert_once_and_in_order(server, sizes)

    def test_a_refused_key_stops_everything_at_once(self, tmp_path: Path) -> None:
        with StandIn.running(tmp_path / "server", key="another") as server:
            world = World(tmp_path / "home", server.base_url)
            run, (chunk,) = a_run(world.home, {f"slack_{n}": 30 for n in range(9)})
            with pytest.raises(ConfigurationError, match="API key"):
                world.load(run, chunk, settings=replace(QUICK, concurrency=2))
            assert adds(server) == 0

    def test_bad_messages_are_rejected_with_the_servers_reason_and_the_rest_is_loaded(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 40})
        bad = (message_ids("slack_a", 1, 3)[0], message_ids("slack_a", 1, 27)[0])
        server.set_faults(Fault(does="refuse", kind="add", message_ids=bad))
        assert world.load(run, chunk) == LoadOutcome(conversations=1, landed=38, rejected=2)
        (verdict,) = verdicts(server, {"slack_a": 40}).values()
        assert (set(verdict.lost), verdict.doubled, verdict.out_of_order) == (set(bad), (), ())
        outcome = world.outcomes(run)["slack_a"]
        assert (outcome.loaded, sum(outcome.rejected.values())) == (38, 2)
        assert all("422" in reason for reason in outcome.rejected)

    @pytest.mark.parametrize("status", [422, 500])
    def test_what_a_server_repeats_of_a_message_is_in_no_ledger_log_or_error(
        self, world: World, server: StandIn, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The text of each message is ``words`` and a number."""
        caplog.set_level("DEBUG")
        run, (chunk,) = a_run(world.home, {"slack_a": 20})
        server.set_faults(Fault(does="echo", kind="add", status=status, after=1, count=30))
        said = ""
        try:
            world.load(run, chunk)
        except LoadIncomplete as error:
            said = f"{error} {error.__notes__ if hasattr(error, '__notes__') else ''}"
        outcome = world.outcomes(run)["slack_a"]
        assert (outcome.loaded, sum(outcome.rejected.values()) + outcome.pending) == (10, 10)
        kept = [path.read_bytes().decode(errors="replace") for path in world.home.glob("ledger.db*") if path.is_file()]
        assert "slack_a" in "".join(kept)
        for told in (*kept, caplog.text, said, *map(str, outcome.rejected), str(world.notes["run 1", 0].values)):
            assert "words" not in told.lower()

    def test_a_task_that_does_not_end_stays_pending_and_is_asked_for_again(self, world: World, server: StandIn) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 30, "slack_b": 30})
        server.set_faults(Fault(does="slow_task", kind="add", conversation="slack_a", count=1, delay_s=1.5))
        with pytest.raises(LoadIncomplete, match=r"slack_a, batch .* still processing"):
            world.load(run, chunk, settings=replace(QUICK, task_deadline_s=0.3))
        assert world.notes["run 1", 0].values["progress"]["under_way"]["0"]["in_flight"]["task_id"]
        assert {name: (o.loaded, o.pending) for name, o in world.outcomes(run).items()} == {
            "slack_a": (0, 30),
            "slack_b": (30, 0),
        }
        world.load(run, chunk)
        assert_once_and_in_order(server, {"slack_a": 30, "slack_b": 30})

    def test_without_evidence_the_conversation_stops_and_the_batch_is_named(
        self, world: World, server: StandIn
    ) -> None:
        """The answer is lost, and reading back fails as well: nobody can tell, so nobody sends."""
        run, (chunk,) = a_run(world.home, {"slack_a": 30, "slack_b": 30})
        server.set_faults(Fault(does="status_after", kind="add", conversation="slack_a", after=1, count=1))
        world.through = Blindfold
        with pytest.raises(
            OutcomesUnknown, match=r"slack_a, batch [0-9a-f]+ of 10 messages.*existing=resend"
        ) as caught:
            world.load(run, chunk)
        assert "slack_b" not in str(caught.value)
        assert {name: (o.loaded, o.pending, o.unknown) for name, o in world.outcomes(run).items()} == {
            "slack_a": (10, 10, 10),
            "slack_b": (30, 0, 0),
        }

    @pytest.mark.parametrize(("existing", "sent_again"), [("resend", True), ("skip", False)])
    def test_a_person_decides_about_exactly_the_batches_that_were_left_unknown(
        self, world: World, server: StandIn, existing: Literal["resend", "skip"], sent_again: bool
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 30})
        server.set_faults(Fault(does="status_after", kind="add", after=1, count=1))
        world.through = Blindfold
        with pytest.raises(OutcomesUnknown):
            world.load(run, chunk)
        world.load(run, chunk, settings=replace(QUICK, existing=existing))
        (verdict,) = verdicts(server, {"slack_a": 30}).values()
        assert verdict.lost == ()
        assert verdict.doubled == (tuple(message_ids("slack_a", 10, 10)) if sent_again else ())

    def test_a_target_that_settles_nothing_is_left_alone_after_a_few_conversations(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {f"slack_{n:02}": 5 for n in range(30)})
        server.set_faults(Fault(does="status_after", kind="add"))
        world.through = Blindfold
        with pytest.raises(OutcomesUnknown):
            world.load(run, chunk, settings=replace(QUICK, settle_s=0.05, concurrency=2, max_unknown=4))
        assert adds(server) <= 4 + 2, "more than were on their way already"
        assert sum(outcome.pending for outcome in world.outcomes(run).values()) >= 24 * 5


class TestStateFromBefore:
    def test_progress_of_another_plan_means_nothing_and_the_ledger_still_counts(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 10})
        world.load(run, chunk)
        calls = adds(server)
        world.load(run, msgspec.structs.replace(chunk, fingerprint="other"))
        assert adds(server) == calls

    def test_a_cursor_of_a_plan_before_says_nothing_about_this_one(self, world: World, server: StandIn) -> None:
        """Airflow keeps it when a run is cleared; the first try of the new plan may die before it writes its own."""
        run, (chunk,) = a_run(world.home, {"slack_a": 30})
        world.load(run, chunk)
        again, (anew,) = a_run(world.home, {"slack_a": 20}, run_id="run 1 anew", start=30)
        assert world.load(again, anew).landed == 20
        assert_once_and_in_order(server, {"slack_a": 50})

    @pytest.mark.parametrize("died", ["between batches", "in flight"])
    def test_a_ledger_behind_the_checkpoint_is_an_error_not_an_empty_ledger(
        self, world: World, server: StandIn, died: str
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 30})
        gave_up = Fault(does="task_stuck", kind="add", after=0 if died == "in flight" else 1)
        server.set_faults(gave_up)
        with pytest.raises(LoadIncomplete):
            world.load(run, chunk, settings=replace(QUICK, task_deadline_s=0.1))
        for path in world.home.glob("ledger.db*"):
            path.unlink() if path.is_file() else None
        sent = adds(server)
        with pytest.raises(LedgerError, match=r"an earlier try .* sent batch 0"):
            world.load(run, chunk)
        assert adds(server) == sent

    def test_a_run_that_died_is_settled_by_the_next_run(self, world: World, server: StandIn) -> None:
        """The first run is never resumed: the second finds its open batch in the ledger and asks for its task."""
        first, (chunk,) = a_run(world.home, {"slack_a": 30})
        server.set_faults(Fault(does="slow_task", kind="add", after=1, count=1, delay_s=0.5))
        with pytest.raises(LoadIncomplete):
            world.load(first, chunk, settings=replace(QUICK, task_deadline_s=0.1))
        second, (chunk,) = a_run(world.home, {"slack_a": 30}, run_id="run 2", batch_size=15)
        assert world.load(second, chunk, run_id="run 2") == LoadOutcome(conversations=1, landed=10, recovered=10)
        assert_once_and_in_order(server, {"slack_a": 30})
        outcome = world.outcomes(second, run_id="run 2")["slack_a"]
        assert (outcome.loaded, outcome.already_loaded) == (10, 20)

    def test_a_conversation_that_another_process_loads_is_busy_and_the_others_are_loaded(
        self, world: World, server: StandIn
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 10, "slack_b": 10})

        async def task() -> None:
            async with world.ledger.writer("run 0") as writer, writer.lock("slack_a", wait_s=0):
                with pytest.raises(ConversationBusy, match="slack_a is being loaded by another task"):
                    await asyncio.to_thread(world.load, run, chunk, settings=replace(QUICK, lock_wait_s=0.1))

        asyncio.run(task())
        assert {name: outcome.loaded for name, outcome in world.outcomes(run).items()} == {"slack_a": 0, "slack_b": 10}


LOAD_IN_A_PROCESS = """
import sys
from pathlib import Path
from tests.support.delivery_runs import World, msgspec
from include.run_folder import RunFolder
from include.records import Chunk

home, url, chunk = Path(sys.argv[1]), sys.argv[2], msgspec.json.decode(sys.argv[3], type=Chunk)
World(home, url).load(RunFolder.of("run 1", home), chunk)
"""


class TestCrashes:
    def test_a_load_that_is_cancelled_goes_on_where_it_was(self, tmp_path: Path) -> None:
        with StandIn.running(tmp_path / "server", latency=Latency(base_s=0.05)) as server:
            world = World(tmp_path / "home", server.base_url)
            sizes = {"slack_a": 100, "slack_b": 60}
            run, (chunk,) = a_run(world.home, sizes)
            for after_s in (0.2, 0.3):
                with pytest.raises(TimeoutError):
                    world.load(run, chunk, after_s=after_s)
            world.load(run, chunk)
            assert_once_and_in_order(server, sizes)
            assert {name: outcome.loaded for name, outcome in world.outcomes(run).items()} == sizes

    def test_a_process_that_is_killed_again_and_again_loses_and_doubles_nothing(self, tmp_path: Path) -> None:
        """SIGKILL: no cleaning up, no last words; the next try has the files and nothing else."""
        with StandIn.running(tmp_path / "server", latency=Latency(base_s=0.04, answer_s=0.02)) as server:
            world = World(tmp_path / "home", server.base_url)
            sizes = {"slack_a": 150, "slack_b": 150, "slack_c": 30}
            run, (chunk,) = a_run(world.home, sizes)
            command = [
                sys.executable,
                "-c",
                LOAD_IN_A_PROCESS,
                str(world.home),
                server.base_url,
                msgspec.json.encode(chunk),
            ]
            for killed_at in (0.2, 0.5):
                process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
                while sum(len(e.stored_ids) for e in server.journal()) < killed_at * sum(sizes.values()):
                    assert process.poll() is None, "it ended before it could be killed"
                    time.sleep(0.01)
                process.kill()
                process.wait()
            world.load(run, chunk)
            assert_once_and_in_order(server, sizes)

    @pytest.mark.parametrize("death", [RuntimeError, asyncio.CancelledError])
    def test_a_death_between_intent_and_call_is_no_success_and_the_batch_is_sent_once(
        self, world: World, server: StandIn, death: type[BaseException]
    ) -> None:
        run, (chunk,) = a_run(world.home, {"slack_a": 20})

        class Dies(Blindfold):
            async def add(self, *args: object) -> object:
                raise death

        world.through = Dies
        with pytest.raises((ExceptionGroup, LoadIncomplete)):
            world.load(run, chunk)
        world.through = lambda api: api
        world.load(run, chunk)
        assert_once_and_in_order(server, {"slack_a": 20})


class TestCheckpoint:
    def test_a_slow_store_slows_nothing_down_and_has_the_last_word_in_the_end(self) -> None:
        notes = Notes(delay_s=0.02)

        async def task() -> None:
            async with CheckpointWriter(notes) as writer:
                for number in range(1_000):
                    writer.put("a", {"next_batch": number})
                    writer.put("b", {"next_batch": -number})
                    if number % 100 == 0:
                        await asyncio.sleep(0)

        asyncio.run(task())
        assert notes.values == {"a": {"next_batch": 999}, "b": {"next_batch": -999}}
        assert notes.writes < 10

    def test_the_store_is_written_at_intervals_and_at_the_end(self) -> None:
        notes = Notes()

        async def task() -> None:
            async with CheckpointWriter(notes, every_s=3600) as writer:
                for number in range(100):
                    writer.put("a", number)
                    await asyncio.sleep(0)
                assert notes.writes == 1

        asyncio.run(task())
        assert (notes.values, notes.writes) == ({"a": 99}, 2)

    def test_a_store_that_is_away_for_a_moment_is_asked_again(self) -> None:
        class Flaky(Notes):
            failures = 3

            async def set(self, key: str, value: object) -> None:
                if self.failures:
                    self.failures -= 1
                    raise ConnectionError("the API server is away")
                await super().set(key, value)

        notes = Flaky()

        async def task() -> None:
            async with CheckpointWriter(notes, retry_after_s=0.001) as writer:
                writer.put("a", 1)

        asyncio.run(task())
        assert notes.values == {"a": 1}

    def test_a_store_that_stays_away_does_not_fail_the_load(self) -> None:
        class Away(Notes):
            async def set(self, key: str, value: object) -> None:
                self.writes += 1
                raise ConnectionError("the API server is away")

        notes = Away()

        async def task() -> None:
            async with CheckpointWriter(notes, retry_after_s=0.001) as writer:
                for number in range(100):
                    writer.put(f"conversation {number}", 1)

        asyncio.run(task())
        assert notes.writes < 110, "one value is tried several times, the others once"
