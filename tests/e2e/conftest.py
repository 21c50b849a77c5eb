"""One real Airflow and one stand-in for all end-to-end tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from include.local.airflow import DAG_ID, start_airflow
from include.local.api import AirflowAPI, TaskInstance
from include.local.child_processes import ChildProcesses, child_processes
from include.local.follow import Progress, follow
from include.local.settings import airflow_environment
from include.local.state_folder import StateFolder, lock_state_folder
from include.run_folder import PROJECT, RunFolder
from include.standin import Latency, StandIn
from tests.e2e.notifier import NOTICES

HERE = Path(__file__).parent

KEY = "sk-e2e-4711-tell-nobody"
"""The API key of these tests; the stand-in takes any."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that has ended."""

    run_id: str
    state: str
    """``success`` or ``failed``."""

    report: dict[str, Any]
    """Empty when the run ended before it wrote one."""

    folder: RunFolder


@dataclass(frozen=True, kw_only=True)
class LocalAirflow:
    """The running Airflow of an end-to-end test. Runs of the DAG are executed one after the other."""

    api: AirflowAPI
    state_folder: StateFolder
    processes: ChildProcesses

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``airflow …`` where its components run."""
        port = int(self.api.base_url.rpartition(":")[2])
        environ = airflow_environment(os.environ, self.state_folder, port=port, dags=PROJECT / "dags")
        argv = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)

    def run_import(self, source: Path | str, conf: Mapping[str, Any] | None = None) -> Run:
        """Import and wait for the end."""
        return self.wait(self.start_import(source, conf))

    def start_import(self, source: Path | str, conf: Mapping[str, Any] | None = None) -> str:
        """
        Trigger a run and return its id at once.

        On a busy machine the server may answer late, or that its database is locked: then it is asked again, for a run
        of the same id, which it creates only once.
        """
        run_id = f"manual__{datetime.now(UTC).isoformat()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {"source": str(source), **(conf or {})}}

        def triggered() -> bool:
            try:
                answer = self.api.http.post(f"dags/{DAG_ID}/dagRuns", json=body)
            except httpx.TimeoutException:
                return False
            if answer.is_server_error:
                return False
            return answer.status_code == httpx.codes.CONFLICT or answer.raise_for_status().is_success

        self.wait_until(triggered, "Airflow takes the run")
        return run_id

    def wait(self, run_id: str) -> Run:
        """Wait for the end of a run."""
        state = follow(self.api, DAG_ID, run_id, Progress(print), self.processes.check)
        folder = RunFolder.of(run_id, self.state_folder.root)
        written = folder.report_json.exists()
        report = json.loads(folder.report_json.read_text(encoding="utf-8")) if written else {}
        return Run(run_id=run_id, state=state, report=report, folder=folder)

    def wait_until(self, condition: Callable[[], object], what: str, timeout_s: float = 300) -> None:
        """Wait for something that a run brings about."""
        self.api.wait(lambda: bool(condition()), timeout_s, f"this did not happen: {what}")

    def tasks(self, run_id: str, task_id: str | None = None) -> list[TaskInstance]:
        """The run's task instances, all or those of one task."""
        tasks = self.api.task_instances(DAG_ID, run_id)
        return [task for task in tasks if task_id in {None, task.task_id}]

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read from Airflow's public REST API."""
        answer = self.api.http.get(path, params=params)
        return dict(answer.raise_for_status().json())

    def runs(self, run_type: str) -> list[dict[str, Any]]:
        """The DAG's runs of a type, in the order of their intervals."""
        return list(self.get(f"dags/{DAG_ID}/dagRuns", run_type=run_type, order_by="logical_date")["dag_runs"])

    def notices(self) -> list[dict[str, str]]:
        """The notices of failed and late runs."""
        path = self.state_folder.root / NOTICES
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def log(self, run_id: str, task: TaskInstance) -> list[dict[str, Any]]:
        """The structured log of a task instance's last try."""
        return self.api.log(DAG_ID, run_id, task)

    def clear_failed(self, run_id: str) -> None:
        """Clear the failed tasks of a run, as a person does in the UI."""
        body = {"dag_run_id": run_id, "only_failed": True, "reset_dag_runs": True, "dry_run": False}
        self.api.http.post(f"dags/{DAG_ID}/clearTaskInstances", json=body).raise_for_status()

    def task_state(self, run_id: str, task: TaskInstance) -> dict[str, Any]:
        """What a task instance keeps in Airflow's task state store, by key: what people see in the UI."""
        path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task.task_id}/state-store"
        answer = self.api.http.get(path, params={"map_index": task.map_index, "limit": 100})
        return {row["key"]: row["value"] for row in answer.raise_for_status().json()["task_state_store"]}

    def task_processes(self, run_id: str, task_id: str) -> list[psutil.Process]:
        """The living processes that run a task's instances; the parent of each is its supervisor."""
        found = []
        for task in self.tasks(run_id, task_id):
            with suppress(psutil.NoSuchProcess):
                if task.state == "running" and task.pid:
                    found.append(psutil.Process(task.pid))
        return found


NIGHT = 2 if 2 <= datetime.now(UTC).hour < 14 else 14
"""The hour, UTC, at which intervals end here: none ends while the tests run."""


def last_night() -> datetime:
    """The end of the last interval."""
    now = datetime.now(UTC)
    today = now.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def fill_drop_folder(folder: Path, night: datetime) -> None:
    """One message an hour, from five days before a night until an hour after it; each id says how many hours before."""
    hours = range(5 * 24, -2, -1)
    messages = [
        {
            "role": "user",
            "sender_id": "ann",
            "timestamp": int((night - timedelta(hours=hour)).timestamp() * 1000),
            "content": f"{hour} hours before",
            "message_id": f"before-{hour}",
        }
        for hour in hours
    ]
    folder.mkdir(parents=True)
    (folder / "nightly.json").write_text(json.dumps({"group_id": "nightly", "messages": messages}), encoding="utf-8")


@pytest.fixture(scope="package")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The EverOS that the running Airflow loads into; journal and faults are at hand."""
    with StandIn.running(tmp_path_factory.mktemp("standin"), latency=Latency(base_s=0.02)) as server:
        yield server


@pytest.fixture
def faultless(standin: StandIn) -> Iterator[StandIn]:
    """The stand-in, without faults before and after the test."""
    standin.set_faults()
    yield standin
    standin.set_faults()


@pytest.fixture(scope="package")
def airflow(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """
    A real Airflow in a separate state folder, started once for all tests of this folder.

    Like any that is switched on after the night's hour, it first makes up for last night's run.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EVEROS_")}
    environ |= {
        "AIRFLOW_CONN_EVEROS_DEFAULT": json.dumps({"conn_type": "everos", "host": standin.base_url, "password": KEY}),
        "EVEROS_IMPORT_SCHEDULE": f"0 {NIGHT} * * *",
        "EVEROS_IMPORT_NOTIFY": "tests.e2e.notifier.write_down",
        "EVEROS_IMPORT_DEADLINE_MINUTES": "1",
    }
    root = tmp_path_factory.mktemp("home")
    fill_drop_folder(root / "drop", last_night())
    with lock_state_folder(root, "the tests") as state_folder, child_processes(state_folder) as processes:
        api = start_airflow(state_folder, processes, environ, say=print)
        yield LocalAirflow(api=api, state_folder=state_folder, processes=processes)
