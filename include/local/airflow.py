"""Starts Airflow on this machine: API server, DAG processor and scheduler as children of this process."""

import contextlib
import importlib.metadata
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from include.local.api import AirflowAPI
from include.local.child_processes import ChildProcesses
from include.local.settings import DATABASE, USER, airflow_environment, new_password
from include.local.state_folder import StateFolder, free_port
from include.parameters import DAG_ID
from include.run_folder import PROJECT

ABANDONED = "The command that ran it has ended. The next run asks the target about the calls that it left open."

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that runs tasks."""

    arguments: Sequence[str]
    """Arguments of ``airflow``."""

    environ: Mapping[str, str]
    """Variables in addition to those of all components."""


def start_airflow(  # noqa: PLR0913 - keywords, most of them for tests
    state_folder: StateFolder,
    processes: ChildProcesses,
    environ: Mapping[str, str],
    *,
    say: Say,
    dags: Path = PROJECT / "dags",
    dag_id: str = DAG_ID,
    port: int | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    workers: Mapping[str, Worker] = MappingProxyType({}),
) -> AirflowAPI:
    """
    Start Airflow and return once it has read the DAG.

    Unfinished runs of an earlier command are marked as failed before the scheduler starts.

    :param environ: Environment of the components besides Airflow's own settings.
    :param port: Preferred port of the UI; a free one is used if another program has it.
    :param settings: ``AIRFLOW__*`` settings that replace the local ones.
    :param workers: More components by name.
    :raises ComponentEnded: A component has ended.
    :raises DagBroken: The DAG file cannot be imported.
    """
    port = free_port(port)
    env = airflow_environment(environ, state_folder, port=port, dags=dags) | dict(settings)
    began = time.monotonic()
    _migrate(state_folder, processes, env, say)
    parsed_after = datetime.now(UTC)
    say("Starting Airflow …")

    def reached(what: str) -> None:
        say(f"  {time.monotonic() - began:3.0f} s  {what}")

    api = AirflowAPI(f"http://127.0.0.1:{port}", processes.check, user=USER, password=new_password(state_folder))
    _start(processes, "api-server", env)
    _start(processes, "dag-processor", env)
    api.wait_until_up()
    reached("the API server answers")
    for run_id in api.unfinished_runs(dag_id):
        api.fail_run(dag_id, run_id, ABANDONED)
        say(f"Marked as failed: {run_id}, because the command that ran it has ended")
    preloaded = [sys.executable, "-m", "include.local.preloaded", "airflow"]
    processes.start("scheduler", [*preloaded, "scheduler", "--skip-serve-logs"], env, PROJECT)
    for name, worker in workers.items():
        processes.start(name, [*_airflow(), *worker.arguments], env | dict(worker.environ), PROJECT)
    api.warm_up()
    reached("the scheduler is started")
    api.wait_for_dag(dag_id, parsed_after=parsed_after)
    reached("the DAG is read")
    api.unpause(dag_id)
    say(f"Airflow is ready after {time.monotonic() - began:.0f} s: {api.base_url}")
    return api


def has_connection(state_folder: StateFolder, conn_id: str) -> bool:
    """
    Return whether this connection was made in the UI of the local Airflow.

    Reads the metadata database: starting Airflow only to report a missing connection would take half a minute.
    """
    database = state_folder.airflow / DATABASE
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as metadata:
        try:
            return metadata.execute("SELECT 1 FROM connection WHERE conn_id = ?", [conn_id]).fetchone() is not None
        except sqlite3.OperationalError:
            return False  # creating the database was interrupted: it has no tables yet


def _start(processes: ChildProcesses, component: str, env: Mapping[str, str], *options: str) -> None:
    processes.start(component, [*_airflow(), component, *options], env, PROJECT)


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _migrate(state_folder: StateFolder, processes: ChildProcesses, env: Mapping[str, str], say: Say) -> None:
    """Create or upgrade the metadata database, once for each version of Airflow."""
    state_folder.airflow.mkdir(mode=0o700, parents=True, exist_ok=True)
    note, version = state_folder.airflow / "migrated", importlib.metadata.version("apache-airflow-core")
    migrated = f"{version} {env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']}"
    if note.exists() and note.read_text() == migrated:
        return
    say(f"Preparing Airflow {version} in {_short(state_folder.airflow)} …")
    processes.run("db-migrate", [*_airflow(), "db", "migrate"], env, PROJECT)
    if (state_folder.airflow / DATABASE).exists():
        with contextlib.closing(sqlite3.connect(state_folder.airflow / DATABASE)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers and one writer at a time; stored in the file
    note.write_text(migrated)


def _short(path: Path) -> str:
    """Return the path relative to the working folder, if it is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
