"""Nights, backfills and what follows an import, under a real scheduler: the stand-in's journal is the judge."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.conftest import LocalAirflow, last_night

from include.layout import RunFolder
from include.local.airflow import DAG_ID
from include.standin import StandIn
from include.standin.journal import judge

FIRST = datetime(2026, 1, 5, 2, tzinfo=UTC)
"""Start of the first of three intervals."""


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


def backfill(airflow: LocalAirflow, first: int, last: int, source: Path) -> list[dict[str, Any]]:
    """Backfill days, all again, as the UI does: up to ten runs at once. Return the runs when they have ended."""
    body = {
        "dag_id": DAG_ID,
        "from_date": (FIRST + timedelta(days=first)).isoformat(),
        "to_date": (FIRST + timedelta(days=last)).isoformat(),
        "reprocess_behavior": "completed",
        "dag_run_conf": {"source": str(source), "lookback_days": 1},
    }
    answers: list[httpx.Response] = []

    url = f"{airflow.api.base_url}/api/v2/backfills"

    def asked() -> bool:
        """A busy SQLite (503) takes the runs back and leaves the backfill (409), which is called off."""
        answers.append(httpx.post(url, json=body, timeout=60))
        if answers[-1].status_code == httpx.codes.CONFLICT:
            for left in airflow.get("backfills", dag_id=DAG_ID)["backfills"]:
                if not left["completed_at"]:
                    httpx.put(f"{url}/{left['id']}/cancel", timeout=60)
        return answers[-1].is_success

    with paused(airflow):  # else the scheduler can stumble over a run that is taken back; not with PostgreSQL
        airflow.wait_until(asked, "Airflow takes the backfill")
    created = answers[-1].raise_for_status().json()
    assert created["max_active_runs"] > 1
    airflow.wait_until(
        lambda: airflow.get(f"backfills/{created['id']}")["completed_at"], "the backfill is complete", timeout_s=600
    )
    runs = airflow.runs("backfill")[first : last + 1]
    assert [run["state"] for run in runs] == ["success"] * len(runs)
    return runs


def loaded(airflow: LocalAirflow, runs: Sequence[dict[str, Any]]) -> list[int]:
    folders = [RunFolder.of(run["dag_run_id"], airflow.home.root) for run in runs]
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
        return [told["run_id"] for told in airflow.told() if told["reason"].startswith("not finished by")]

    airflow.wait_until(late, "somebody is told of the late run")
    assert set(late()) == {night["dag_run_id"]}


def test_a_backfill_goes_day_by_day_and_a_second_one_loads_only_what_came_late(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    messages = [*day(0), *day(1), *day(2)]
    source = drop(tmp_path / "drop", messages)
    runs = backfill(airflow, 0, 2, source)
    assert loaded(airflow, runs) == [3, 3, 3]
    begun_and_ended = spans(airflow, runs)
    for (_, ended), (began, _) in pairwise(begun_and_ended):
        assert ended <= began
    assert judge(faultless.journal(), {"days": ids(messages)})["days"].clean

    late = day(0, late=True)
    drop(source, [*messages, *late])
    again = backfill(airflow, 1, 2, source)
    assert loaded(airflow, again) == [1, 0]
    judged = judge(faultless.journal(), {"days": ids([*messages, *late])})["days"]
    assert judged.clean, judged


@pytest.fixture
def waiting(airflow: LocalAirflow) -> Iterator[None]:
    """The example DAG, switched on for a test."""
    airflow.api.unpause("example_after_import")
    yield
    airflow.api.pause("example_after_import")


@pytest.mark.usefixtures("faultless", "waiting")
def test_other_dags_run_after_an_import_that_loaded_something_and_only_then(
    airflow: LocalAirflow, tmp_path: Path
) -> None:
    source = drop(tmp_path / "drop", day(0))
    conf = {"source": str(source), "include": ["nobody"]}
    nothing = airflow.run_import(source, conf)
    assert nothing.report["skipped"] == {"excluded": 3}
    document = {"group_id": "announced", "messages": day(1)}
    (source / "days.json").write_text(json.dumps(document), encoding="utf-8")
    something = airflow.run_import(source)

    def announced() -> dict[str, Any]:
        """What the waiting DAG was told, by run of the import."""
        runs = airflow.get("dags/example_after_import/dagRuns", state="success")["dag_runs"]
        told = [airflow.api.xcom("example_after_import", run["dag_run_id"], "figures") for run in runs]
        return {event["run_id"]: event for events in told for event in events}

    airflow.wait_until(lambda: something.run_id in announced(), "the waiting DAG has run")
    assert nothing.run_id not in announced()
    assert announced()[something.run_id] == {
        "run_id": something.run_id,
        "conversations": 1,
        "loaded": 3,
        **dict.fromkeys(["already_loaded", "out_of_range", "skipped", "rejected", "pending", "unknown"], 0),
    }
    [asset] = airflow.get("assets", name_pattern="everos")["assets"]
    rows = airflow.get(f"assets/{asset['id']}/state-store", limit=100)["asset_state_store"]
    state = {row["key"].partition(" @ ")[0]: row["value"] for row in rows}
    last = day(1)[-1]["timestamp"]
    assert state["announced"] == {"messages": 3, "last_ms": last, "run_id": something.run_id}
