"""Runs that wait for runs of older intervals, under a real scheduler."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from include.ledger import Database, ledger_url
from include.local.airflow import DAG_ID
from include.local.settings import DATABASE
from include.report.waiting import read_waiting
from include.standin import Fault, StandIn
from include.standin.journal import judge
from tests.e2e.conftest import LocalAirflow
from tests.e2e.test_nightly import paused


def interval_run(airflow: LocalAirflow, day: int, source: Path, state: str) -> str:
    """Make a run of a day's interval, in a state, as a scheduler leaves it; return its id."""
    start, end = (datetime(2026, 2, number, tzinfo=UTC).isoformat() for number in (day, day + 1))
    run_id = f"turn__{start}"
    body = {"dag_run_id": run_id, "logical_date": start, "data_interval_start": start, "data_interval_end": end}
    conf = {"source": str(source), "lookback_days": 0}
    airflow.api.http.post(f"dags/{DAG_ID}/dagRuns", json=body | {"conf": conf}).raise_for_status()
    with closing(sqlite3.connect(airflow.state_folder.airflow / DATABASE, timeout=60)) as metadata, metadata:
        started = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}" if state == "running" else None
        metadata.execute(
            "UPDATE dag_run SET run_type = 'scheduled', state = ?, start_date = ? WHERE run_id = ?",
            [state, started, run_id],
        )
    return run_id


def drop(folder: Path, name: str = "turns", days: Sequence[int] = (3, 4)) -> list[str]:
    """Two days of a conversation; return the message ids."""
    times = [datetime(2026, 2, day, hour, tzinfo=UTC) for day in days for hour in (8, 20)]
    messages = [
        {
            "role": "user",
            "sender_id": "ann",
            "timestamp": int(time.timestamp() * 1000),
            "content": f"at {time:%H}",
            "message_id": f"{time:%d-%H}",
        }
        for time in times
    ]
    folder.mkdir()
    (folder / f"{name}.json").write_text(json.dumps({"group_id": name, "messages": messages}), encoding="utf-8")
    return [message["message_id"] for message in messages]


def test_an_older_run_that_is_queued_behind_a_newer_one_goes_first_and_both_load_without_a_person(
    airflow: LocalAirflow, standin: StandIn, tmp_path: Path
) -> None:
    """The newer run has the only place, and waits for the older one, which needs that place."""
    airflow.wait_until(lambda: airflow.runs("scheduled"), "last night's run is made up for")
    airflow.wait_until(lambda: not airflow.api.unfinished_runs(DAG_ID), "last night's run is over")
    ids = drop(tmp_path / "drop")
    with paused(airflow):
        newer = interval_run(airflow, 4, tmp_path / "drop", "running")
        older = interval_run(airflow, 3, tmp_path / "drop", "queued")
    airflow.wait_until(lambda: airflow.api.run_state(DAG_ID, newer) == "failed", "the newer run frees its place", 90)
    waiting = read_waiting(Database(ledger_url(airflow.state_folder.root)), newer)
    page = airflow.api.http.get(f"{airflow.api.base_url}/everos/imports/runs/{newer}").raise_for_status().text
    assert waiting is not None
    assert waiting.older_run_id == older
    assert f"it freed its place for {older}" in page
    assert airflow.wait(older).report["loaded"] == 2
    airflow.wait_until(lambda: airflow.api.run_state(DAG_ID, newer) == "success", "the newer run is queued again", 90)
    assert airflow.wait(newer).report["loaded"] == 2
    assert judge(standin.journal(), {"turns": ids})["turns"].clean
    assert read_waiting(Database(ledger_url(airflow.state_folder.root)), newer) is None


def test_a_run_that_waits_says_for_which_since_when_and_how_to_end_it(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    """As two runs of a backfill: both have a place, and the older one loads."""
    database = Database(ledger_url(airflow.state_folder.root))
    airflow.wait_until(lambda: not airflow.api.unfinished_runs(DAG_ID), "the runs before are over")
    ids = drop(tmp_path / "drop", "waits", days=(6, 7))
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=8, count=1))
    with paused(airflow):
        older = interval_run(airflow, 6, tmp_path / "drop", "running")
        newer = interval_run(airflow, 7, tmp_path / "drop", "running")
    airflow.wait_until(lambda: read_waiting(database, newer), "the newer run waits", 90)
    waiting = read_waiting(database, newer)
    page = airflow.api.http.get(f"{airflow.api.base_url}/everos/imports/runs/{newer}").raise_for_status().text
    assert waiting is not None
    assert waiting.older_run_id == older
    assert f"Waiting for {older}, which is {waiting.older_state}" in page
    assert f"seen since {waiting.since}" in page
    assert "To go on without it, mark that run as failed." in page
    assert airflow.wait(older).report["loaded"] == 2
    assert airflow.wait(newer).report["loaded"] == 2
    assert judge(faultless.journal(), {"waits": ids})["waits"].clean
    assert read_waiting(database, newer) is None
