"""A client of Airflow's public REST API, as far as the commands need it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import httpx

from include.errors import ChatImportError

_PAGE = 100
_GIVE_UP_AFTER_S = 180.0
UNFINISHED = ("queued", "running")
_OURS = {"include", "everos_provider"}
_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class DagBroken(ChatImportError):
    """Airflow cannot import the DAG file; nothing ran. The message has several lines: Airflow's."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


@dataclass(frozen=True, kw_only=True)
class TaskInstance:
    """One task of a run, or one of its mapped instances."""

    task_id: str
    map_index: int
    """-1 for a task that is not mapped, or not expanded yet."""

    state: str | None
    """``None`` before it is scheduled."""

    try_number: int
    label: str
    pid: int | None
    started_at: str
    """ISO 8601; sorts by time. Empty when it has not started."""


class AirflowAPI:
    """
    A client of one Airflow, with its user's password.

    :param check: Called while waiting; raises an error if waiting is useless.
    """

    def __init__(self, base_url: str, check: Callable[[], None], *, user: str, password: str) -> None:
        self.base_url = base_url
        self.user = user
        self.password = password
        self.token = ""
        """Set by :meth:`wait_until_up`."""

        self._check = check
        self.http = httpx.Client(base_url=f"{base_url}/api/v2", timeout=60, trust_env=False)

    def wait_until_up(self, timeout_s: float = 180) -> None:
        """Wait for the API server and log in."""

        def up() -> bool:
            try:
                answer = self.http.get("/monitor/health")
            except httpx.TransportError:
                return False
            return answer.is_success

        self.wait(up, timeout_s, "Airflow's API server did not answer")
        login = {"username": self.user, "password": self.password}
        answer = self.http.post(f"{self.base_url}/auth/token", json=login)
        self.token = str(answer.raise_for_status().json()["access_token"])
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def warm_up(self) -> None:
        """Load the server's API for tasks now; it takes seconds, for which the first task would have to wait."""

        def warm() -> bool:
            try:
                return self.http.get(f"{self.base_url}/execution/health").is_success
            except httpx.TransportError:
                return False

        self.wait(warm, 300, "Airflow's API server did not get ready for tasks")

    def wait_for_dag(self, dag_id: str, *, parsed_after: datetime, timeout_s: float = 180) -> None:
        """
        Wait until Airflow has parsed the DAG's present file.

        :raises DagBroken: The file cannot be imported; the message holds Airflow's.
        """

        def parsed() -> bool:
            for error in self._get("/importErrors")["import_errors"]:
                if datetime.fromisoformat(error["timestamp"]) > parsed_after:
                    raise DagBroken(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
            dag = self.http.get(f"/dags/{dag_id}")
            return dag.is_success and datetime.fromisoformat(dag.json()["last_parsed_time"]) > parsed_after

        self.wait(parsed, timeout_s, f"Airflow did not read the DAG {dag_id}")

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.pause(dag_id, is_paused=False)

    def pause(self, dag_id: str, *, is_paused: bool = True) -> None:
        """Pause or unpause the DAG; repeat the call while the metadata database is busy."""

        def switched() -> bool:
            answer = self.http.patch(f"/dags/{dag_id}", json={"is_paused": is_paused})
            return not answer.is_server_error and answer.raise_for_status().is_success

        self.wait(switched, _GIVE_UP_AFTER_S, f"Airflow did not switch the DAG {dag_id}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """
        Start a run and return its id.

        :raises ChatImportError: Airflow refuses the parameters; the message says which.
        """
        answer = self.http.post(f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf)})
        if answer.is_client_error:
            raise ChatImportError(f"Airflow refuses the run: {answer.json().get('detail', answer.text)}")
        return str(answer.raise_for_status().json()["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self._get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def unfinished_runs(self, dag_id: str) -> list[str]:
        """Return ids of runs that are queued or running; none where the DAG is not known yet."""
        answer = self.http.get(f"/dags/{dag_id}/dagRuns", params={"state": UNFINISHED, "limit": _PAGE})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [str(run["dag_run_id"]) for run in answer.raise_for_status().json()["dag_runs"]]

    def fail_run(self, dag_id: str, run_id: str, note: str) -> None:
        """
        Mark a run and its unfinished tasks as failed; call it before the scheduler starts.

        It marks each task: if the run is marked as a whole, Airflow skips the tasks that have not started, and clearing
        the failed tasks gives a run that succeeds without flush and report. Marking a task clears failed tasks after
        it, so this repeats until no unfinished task is left.
        """
        run = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        while unfinished := [task for task in self.task_instances(dag_id, run_id) if task.state not in _ENDED]:
            for task in unfinished:
                which = task.task_id if task.map_index < 0 else f"{task.task_id}/{task.map_index}"
                self.http.patch(f"{run}/{which}", json={"new_state": "failed"}).raise_for_status()
        self.http.patch(f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed", "note": note}).raise_for_status()

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return all of a run's tasks and mapped instances."""
        found: list[TaskInstance] = []
        while True:
            page = self._get(
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": _PAGE, "offset": len(found)}
            )
            found += [_task_instance(row) for row in page["task_instances"]]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return the value that an unmapped task has returned, ``None`` without one."""
        answer = self.http.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value")
        return answer.json()["value"] if answer.is_success else None

    def log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[dict[str, Any]]:
        """Return the structured log of a task's last try: ``event``, ``level``, ``error_detail`` …."""
        answer = self.http.get(
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{max(task.try_number, 1)}",
            params={"map_index": task.map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )
        content = answer.json().get("content", []) if answer.is_success else []
        return [line for line in content if isinstance(line, dict)]

    def wait(self, done: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        """
        Wait for a condition.

        :param otherwise: What to complain about when the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not done():
            self._check()
            if time.monotonic() > deadline:
                raise ChatImportError(f"{otherwise} within {timeout_s:.0f} s")
            time.sleep(0.2)

    def close(self) -> None:
        """Close connections."""
        self.http.close()

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read; repeat while the server is busy or unreachable, so that an import does not end because of it."""
        deadline = time.monotonic() + _GIVE_UP_AFTER_S
        while True:
            try:
                answer = self.http.get(path, params=dict(params or {}))
                if not answer.is_server_error or time.monotonic() > deadline:
                    return answer.raise_for_status().json()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            self._check()
            time.sleep(1)


def _task_instance(row: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=row["task_id"],
        map_index=row["map_index"],
        state=row["state"],
        try_number=row["try_number"],
        label=row["rendered_map_index"] or "",
        pid=row["pid"],
        started_at=row["start_date"] or "",
    )


def last_error(log: list[dict[str, Any]]) -> str:
    """Return the last error of a structured log in one line, empty when there is none."""
    for line in reversed(log):
        for detail in line.get("error_detail") or []:
            return f"{detail.get('exc_type')}: {detail.get('exc_value')}"
        if line.get("level") in {"error", "critical"}:
            return str(line.get("event", ""))
    return ""


class LogLine(NamedTuple):
    """A line of a task's log; sorts by time."""

    at: str
    """ISO 8601."""
    text: str
    is_warning: bool


NO_LINE = LogLine("", "", is_warning=False)


def newest_line(log: list[dict[str, Any]]) -> LogLine:
    """Return the newest line that the project's own modules have logged, :data:`NO_LINE` without one."""
    for line in reversed(log):
        if str(line.get("logger", "")).partition(".")[0] in _OURS:
            is_warning = line.get("level") in {"warning", "error", "critical"}
            return LogLine(str(line.get("timestamp", "")), str(line.get("event", "")), is_warning)
    return NO_LINE
