"""Nights, backfills and what follows an import, under a real scheduler: the stand-in's journal is the judge."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from include.ledger import Database, ledger_url
from include.local.airflow import DAG_ID
from include.report.columns import moment
from include.report.waiting import Waiting, read_waiting
from include.run_folder import PROJECT, RunFolder
from include.standin import Fault, StandIn
from include.standin.journal import Verdict, judge
from tests.e2e.conftest import NIGHT, LocalAirflow, last_night

EXAMPLE = "example_after_import"
"""A DAG that waits for imports."""

FIRST = datetime(2026, 1, 5, NIGHT, tzinfo=UTC)
"""Start of the first of three intervals; there are messages in the first two."""


def day(number: int, *, late: bool = False) -> list[dict[str, Any]]:
    """Three messages of a day's interval, or one that was found later."""
    hours = [5] if late else [0, 9, 23]
    return [
        {
            "role": "user",
            "sender_id": f"u{hour % 2}",
            "timestamp": int((FIRST + timedelta(days=number, hours=hour)).timestamp() * 1000),
            "content": f"day {number} hour {hour}",
            "message_id": f"d{number}h{hour:02d}",
        }
        for hour in hours
    ]


def drop(folder: Path, messages: Sequence[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    document = {"group_id": "days", "messages": messages}
    (folder / "days.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def ids(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["message_id"] for message in messages]


@contextmanager
def paused(airflow: LocalAirflow) -> Iterator[None]:
    airflow.api.pause(DAG_ID)
    try:
        yield
    finally:
        airflow.api.unpause(DAG_ID)


def backfill(airflow: LocalAirflow, first: int, last: int, source: Path, *options: str) -> list[dict[str, Any]]:
    """Backfill days; return the runs when they have ended."""
    start_backfill(airflow, first, last, source, *options)
    return backfilled_runs(airflow, first, last)


def start_backfill(airflow: LocalAirflow, first: int, last: int, source: Path, *options: str) -> None:
    """Backfill days with the command of the documents, several at once as it does."""
    conf = json.dumps({"source": str(source), "lookback_days": 1})
    from_date, to_date = (str((FIRST + timedelta(days=day)).date()) for day in (first, last + 1))

    def created() -> bool:
        """Not when SQLite is busy: then Airflow takes the runs back, and may leave the backfill."""
        ours = ["--from-date", from_date, "--to-date", to_date, "--dag-run-conf", conf, *options]
        done = airflow.command(*documented("backfill create"), *ours)  # of options given twice the last one holds
        for left in backfills(airflow) if done.returncode else ():
            airflow.api.http.put(f"backfills/{left['id']}/cancel")
        assert done.returncode == 0 or "database is locked" in done.stderr, done.stderr
        return done.returncode == 0

    with paused(airflow):  # else the scheduler can stumble over a run that is taken back; not with PostgreSQL
        airflow.wait_until(created, "Airflow takes the backfill")
        [ours] = backfills(airflow)
    assert ours["max_active_runs"] > 1


def backfilled_runs(airflow: LocalAirflow, first: int, last: int) -> list[dict[str, Any]]:
    """Wait for the end of a backfill of days; return its runs."""
    airflow.wait_until(lambda: not backfills(airflow), "the backfill is complete", timeout_s=600)
    runs = airflow.runs("backfill")[first : last + 1]
    assert [run["state"] for run in runs] == ["success"] * len(runs)
    return runs


def backfills(airflow: LocalAirflow) -> list[dict[str, Any]]:
    """Those that are not complete."""
    found = airflow.get("backfills", dag_id=DAG_ID)["backfills"]
    return [backfill for backfill in found if not backfill["completed_at"]]


def documented(command: str) -> list[str]:
    """The arguments of a command of Airflow as the documents print it."""
    document = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
    [line] = re.findall(rf"^ +airflow ({command} .+)$", document, re.MULTILINE)
    return shlex.split(line)


def loaded(airflow: LocalAirflow, runs: Sequence[dict[str, Any]]) -> list[int]:
    folders = [RunFolder.of(run["dag_run_id"], airflow.state_folder.root) for run in runs]
    return [json.loads(folder.report_json.read_text(encoding="utf-8"))["loaded"] for folder in folders]


def spans(airflow: LocalAirflow, runs: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """When each run's work began and ended: from the end of its discovery to the end of the run."""
    found = []
    for run in runs:
        tasks = airflow.tasks(run["dag_run_id"])
        began = min(task.started_at for task in tasks if task.task_id == "extract")
        found.append((began, run["end_date"]))
    return found


def test_last_nights_run_loads_its_interval_and_the_lookback_from_the_drop_folder(
    airflow: LocalAirflow, standin: StandIn
) -> None:
    airflow.wait_until(lambda: airflow.runs("scheduled"), "last night's run is made up for")
    [night] = airflow.runs("scheduled")
    run = airflow.wait(night["dag_run_id"])
    assert run.state == "success", run.report.get("problems")
    expected = [f"before-{hour}" for hour in range(4 * 24, 0, -1)]
    assert judge(standin.journal(), {"nightly": expected})["nightly"].clean
    assert (run.report["loaded"], run.report["out_of_range"]) == (96, 5 * 24 + 2 - 96)
    assert night["data_interval_end"].startswith(f"{last_night():%Y-%m-%dT%H}")


def test_somebody_is_told_that_a_scheduled_run_is_late(airflow: LocalAirflow) -> None:
    [night] = airflow.runs("scheduled")

    def late() -> list[str]:
        return [told["run_id"] for told in airflow.notices() if "has not finished by" in told["reason"]]

    airflow.wait_until(late, "somebody is told of the late run")
    assert set(late()) == {night["dag_run_id"]}


@dataclass(frozen=True, kw_only=True)
class Waited:
    """The second run of a backfill, while the first one loads."""

    waiting: Waiting
    page: str
    log: str
    runs: list[dict[str, Any]]
    """Both runs, at that time."""


def see_waiting(airflow: LocalAirflow) -> Waited:
    """Wait until the second run waits for the first one, and read its page and its log."""
    database = Database(ledger_url(airflow.state_folder.root))
    run_id = airflow.runs("backfill")[1]["dag_run_id"]
    airflow.wait_until(lambda: read_waiting(database, run_id), "the second day's run waits")
    page = airflow.api.http.get(f"{airflow.api.base_url}/everos/imports/runs/{run_id}").raise_for_status().text
    waiting = read_waiting(database, run_id)
    assert waiting
    [discover] = airflow.tasks(run_id, "discover")
    log = "\n".join(str(line["event"]) for line in airflow.log(run_id, discover))
    return Waited(waiting=waiting, page=page, log=log, runs=airflow.runs("backfill"))


@dataclass(frozen=True, kw_only=True)
class Backfilled:
    """Two days, and the second of them again, with a third one, after a message of the first one was found."""

    first: list[dict[str, Any]]
    """The runs of the first backfill."""
    waited: Waited
    began_and_ended: list[tuple[str, str]]
    loaded: tuple[list[int], list[int]]
    """By run, of each backfill."""
    judged: tuple[Verdict, Verdict]
    """After each backfill."""


@pytest.fixture(scope="module")
def backfilled(airflow: LocalAirflow, standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Backfilled:
    """Made while the example DAG is switched on."""
    airflow.api.unpause(EXAMPLE)
    messages = [*day(0), *day(1)]
    source = drop(tmp_path_factory.mktemp("days") / "drop", messages)
    standin.set_faults(Fault(kind="add", does="status", status=429, retry_after="1"))  # else the first day may be over
    start_backfill(airflow, 0, 1, source)
    waited = see_waiting(airflow)
    standin.set_faults()
    first = backfilled_runs(airflow, 0, 1)
    loaded_first, began_and_ended = loaded(airflow, first), spans(airflow, first)
    judged = judge(standin.journal(), {"days": ids(messages)})["days"]

    messages += day(0, late=True)
    drop(source, messages)
    again = backfill(airflow, 1, 2, source, "--reprocess-behavior", "completed")
    return Backfilled(
        first=first,
        waited=waited,
        began_and_ended=began_and_ended,
        loaded=(loaded_first, loaded(airflow, again)),
        judged=(judged, judge(standin.journal(), {"days": ids(messages)})["days"]),
    )


def test_a_backfill_goes_day_by_day(backfilled: Backfilled) -> None:
    assert backfilled.loaded[0] == [3, 3]
    for (_, ended), (began, _) in pairwise(backfilled.began_and_ended):
        assert ended <= began
    assert backfilled.judged[0].clean, backfilled.judged[0]


def test_a_run_that_waits_for_an_older_day_says_for_which_since_when_and_how_to_end_it(
    airflow: LocalAirflow, backfilled: Backfilled
) -> None:
    waited, (older, newer) = backfilled.waited, [run["dag_run_id"] for run in backfilled.first]
    assert [run["state"] for run in waited.runs] == ["running", "running"]
    assert (waited.waiting.run_id, waited.waiting.older_run_id) == (newer, older)
    since = moment(waited.waiting.since)
    sentence = (
        f"Waiting for {older}, which is running and loads an older interval (seen since {since}). "
        "To go on without it, mark that run as failed."
    )
    assert sentence in waited.log
    assert sentence in waited.page
    assert read_waiting(Database(ledger_url(airflow.state_folder.root)), newer) is None


def test_a_second_backfill_loads_only_what_came_late(backfilled: Backfilled) -> None:
    assert backfilled.loaded[1] == [1, 0]
    assert backfilled.judged[1].clean, backfilled.judged[1]


def test_other_dags_run_after_an_import_that_loaded_something_and_only_then(
    airflow: LocalAirflow, backfilled: Backfilled
) -> None:
    """The last run, that of the third day, loaded nothing."""
    first, second = [run["dag_run_id"] for run in backfilled.first]

    def announced() -> list[dict[str, Any]]:
        """What the waiting DAG was told, in order."""
        runs = airflow.get(f"dags/{EXAMPLE}/dagRuns", state="success", order_by="run_after")["dag_runs"]
        told = [event for run in runs for event in airflow.api.xcom(EXAMPLE, run["dag_run_id"], "figures")]
        return [event for event in told if event["run_id"].startswith("backfill")]

    airflow.wait_until(lambda: len(announced()) >= 3, "the waiting DAG has run")
    airflow.api.pause(EXAMPLE)
    told = announced()
    assert [(event["run_id"], event["loaded"]) for event in told] == [(first, 3), (second, 3), (second, 1)]
    assert told[0] == {
        "run_id": first,
        "conversations": 1,
        "loaded": 3,
        "out_of_range": 3,
        **dict.fromkeys(["already_loaded", "skipped", "rejected", "pending", "unknown"], 0),
    }
    [asset] = airflow.get("assets", name_pattern="everos")["assets"]
    rows = airflow.get(f"assets/{asset['id']}/state-store", limit=100)["asset_state_store"]
    state = {row["key"].partition(" @ ")[0]: row["value"] for row in rows}
    last = day(1)[-1]["timestamp"]
    assert state["days"] == {"messages": 7, "last_ms": last, "run_id": second}
