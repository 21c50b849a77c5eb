"""Rules of turns: the runs that wait, those that fail to free their place, and those that are queued again."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pendulum
import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
from everos_provider.ledger import database
from everos_provider.turns import QUEUED_LIMIT_S, queue_again, wait_for_turn

from include.errors import ImportIncomplete
from include.report.columns import moment
from include.report.live import progress_of
from include.report.speed import LoadHistory
from include.report.waiting import Waiting, all_ended, read_waiting, write_waiting
from include.run_folder import HOME_VARIABLE, RunFolder


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that a task asked Airflow to clear."""
    asked: list[str] = []

    def send(message: Any) -> None:
        assert isinstance(message, TriggerDagRun)
        assert message.reset_dag_run
        asked.append(message.run_id)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    return asked


class Runs:
    """The runs of the DAG, as a task can ask for them."""

    def __init__(self, states: Mapping[str, str], older: Mapping[str, Any]) -> None:
        self._states, self._older = states, older

    def get_previous_dagrun(self, state: str) -> Any:
        return self._older.get(state)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        if run_id not in self._states:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        return self._states[run_id]


def a_context(run_type: str, *, run_id: str = "this", states: Mapping[str, str] | None = None, **older: str) -> Any:
    """``older``: the type of the older run in each state."""
    runs = {state: SimpleNamespace(run_id="older", run_type=kind) for state, kind in older.items()}
    return {
        "run_id": run_id,
        "dag_run": SimpleNamespace(run_type=run_type, dag_id="dag"),
        "data_interval_start": pendulum.datetime(2026, 1, 9),
        "data_interval_end": pendulum.datetime(2026, 1, 10),
        "ti": Runs(states or {}, runs),
    }


def waited(seconds: float) -> None:
    """Set the time for which this run has waited."""
    waiting = read_waiting(database(), "this")
    assert waiting is not None
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    write_waiting(database(), msgspec.structs.replace(waiting, since=since))


def ended(run_id: str, day: int, older: str) -> None:
    write_waiting(
        database(),
        Waiting(
            run_id=run_id,
            interval_start=f"2026-01-{day:02}T00:00:00+00:00",
            older_run_id=older,
            older_state="queued",
            since="2026-01-20T00:00:00+00:00",
            ended=True,
        ),
    )


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
@pytest.mark.parametrize("older", ["scheduled", "backfill"])
def test_a_run_waits_as_long_as_an_older_one_is_running(run_type: str, older: str) -> None:
    for seconds in (0, 100 * QUEUED_LIMIT_S):
        with pytest.raises(AirflowRescheduleException):
            wait_for_turn(a_context(run_type, running=older, queued="scheduled"))
        waited(seconds)


def test_a_run_whose_place_an_older_one_needs_fails_at_once() -> None:
    with pytest.raises(match="freed its place for older"):
        wait_for_turn(a_context("scheduled", queued="scheduled"))


@pytest.mark.parametrize(
    ("run_type", "older"), [("scheduled", "backfill"), ("backfill", "backfill"), ("backfill", "scheduled")]
)
def test_a_run_waits_a_limited_time_for_one_that_is_queued_and_then_fails(run_type: str, older: str) -> None:
    """A backfill that is paused stays queued, and one whose places are all taken by waiting runs."""
    context = a_context(run_type, queued=older)
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(context)
    waited(QUEUED_LIMIT_S - 10)
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(context)
    waited(QUEUED_LIMIT_S + 1)
    with pytest.raises(match="unpause its backfill"):
        wait_for_turn(context)


def test_the_waiting_time_starts_again_when_the_older_run_or_its_state_changes() -> None:
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(a_context("backfill", running="backfill"))
    waited(100 * QUEUED_LIMIT_S)
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(a_context("backfill", queued="backfill"))


def test_a_run_starts_when_no_older_one_is_unfinished_and_a_manual_one_at_once() -> None:
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(a_context("backfill", running="backfill"))
    wait_for_turn(a_context("backfill"))
    assert read_waiting(database(), "this") is None
    wait_for_turn(a_context("manual", running="backfill"))


def test_the_page_of_a_run_says_which_run_it_waits_for_and_since_when(tmp_path: Path) -> None:
    with pytest.raises(AirflowRescheduleException):
        wait_for_turn(a_context("backfill", running="backfill"))
    waiting = read_waiting(database(), "this")
    run = RunFolder.of("this")
    step = progress_of(run, LoadHistory(), waiting, "this")["step"]
    assert waiting is not None
    assert step == (
        f"Waiting for older, which is running and loads an older interval (seen since {moment(waiting.since)}). "
        "To go on without it, mark that run as failed."
    )


def test_a_run_that_ends_queues_the_runs_again_that_failed_to_free_their_place_for_it(queued: list[str]) -> None:
    ended("newer", 9, older="this")
    queue_again(a_context("scheduled", states={"this": "running", "newer": "failed"}))
    assert queued == ["newer"]
    assert all_ended(database()) == []


def test_a_run_is_not_queued_again_while_the_one_that_it_waited_for_is_unfinished(queued: list[str]) -> None:
    ended("newer", 9, older="paused")
    for state in ("queued", "running"):
        queue_again(a_context("manual", states={"newer": "failed", "paused": state}))
    assert queued == []
    queue_again(a_context("manual", states={"newer": "failed", "paused": "failed"}))
    assert queued == ["newer"]


def test_a_run_is_queued_again_when_the_one_that_it_waited_for_was_deleted(queued: list[str]) -> None:
    ended("newer", 9, older="deleted")
    queue_again(a_context("manual", states={"newer": "failed"}))
    assert queued == ["newer"]


def test_runs_that_wait_for_each_other_are_queued_again_oldest_first_and_none_before_one_that_has_to_wait(
    queued: list[str],
) -> None:
    ended("third", 3, older="second")
    ended("second", 2, older="first")
    ended("first", 1, older="paused")
    states = {"first": "failed", "second": "failed", "third": "failed"}
    queue_again(a_context("manual", states=states | {"paused": "queued"}))
    assert queued == []
    queue_again(a_context("manual", states=states | {"paused": "success"}))
    assert queued == ["first", "second", "third"]


def test_a_run_that_ends_to_free_its_place_queues_none_of_those_that_wait_for_it(queued: list[str]) -> None:
    ended("this", 8, older="queued")
    ended("newer", 9, older="this")
    queue_again(a_context("backfill", states={"this": "running", "newer": "failed", "queued": "queued"}))
    assert queued == []


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_run_that_a_user_cleared_is_not_cleared_again(queued: list[str], state: str) -> None:
    ended("newer", 9, older="this")
    queue_again(a_context("scheduled", states={"newer": state}))
    assert queued == []


@pytest.mark.parametrize("states", [{}, {"newer": "success"}])
def test_a_run_that_was_deleted_or_marked_as_a_success_is_forgotten(queued: list[str], states: dict[str, str]) -> None:
    ended("newer", 9, older="this")
    queue_again(a_context("scheduled", states=states))
    assert (queued, all_ended(database())) == ([], [])


def test_a_run_that_starts_queues_only_older_ones_again_and_then_waits_for_them(queued: list[str]) -> None:
    ended("older", 8, older="over")
    ended("newer", 10, older="over")
    states = {"older": "failed", "newer": "failed", "over": "success"}
    with pytest.raises(ImportIncomplete):
        wait_for_turn(a_context("scheduled", states=states, queued="scheduled"))
    assert queued == ["older"]


def test_an_import_does_not_fail_if_another_run_cannot_be_queued_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: Any) -> None:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    ended("newer", 9, older="this")
    queue_again(a_context("scheduled", states={"newer": "failed"}))
    assert [each.run_id for each in all_ended(database())] == ["newer"]
