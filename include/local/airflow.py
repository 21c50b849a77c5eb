"""A real Airflow on this machine: API server, DAG processor and scheduler as children of this process."""

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

from include.layout import PROJECT
from include.local.api import AirflowAPI
from include.local.settings import DATABASE, USER, airflow_environment, new_password
from include.parameters import DAG_ID
from include.processes.home import Home, free_port
from include.processes.leashed import Leashed

ABANDONED = "Left unfinished by a command that was killed. The next run's ledger settles what it left open."

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A component that runs tasks."""

    arguments: Sequence[str]
    """Of ``airflow``."""

    environ: Mapping[str, str]
    """What differs from the environment of all."""


def start_airflow(  # noqa: PLR0913 - keywords, most of them for tests
    home: Home,
    processes: Leashed,
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

    Runs that an earlier command left unfinished are marked as failed before the scheduler could take them up.

    :param environ: Environment of the components besides Airflow's own settings.
    :param port: Preferred port of the UI; another free one is taken when somebody has it.
    :param settings: ``AIRFLOW__*`` settings in place of the local ones.
    :param workers: More components by name.
    :raises ComponentEnded: A component ended on its own.
    :raises DagBroken: The DAG file cannot be imported.
    """
    port = free_port(port)
    env = airflow_environment(environ, home, port=port, dags=dags) | dict(settings)
    began = time.monotonic()
    _migrate(home, processes, env, say)
    parsed_after = datetime.now(UTC)
    say("Starting Airflow …")
    api = AirflowAPI(f"http://127.0.0.1:{port}", processes.check, user=USER, password=new_password(home))
    _start(processes, "api-server", env)
    _start(processes, "dag-processor", env)
    api.wait_until_up()
    for run_id in api.unfinished_runs(dag_id):
        api.fail_run(dag_id, run_id, ABANDONED)
        say(f"Marked as failed: {run_id}, which a command that was killed left unfinished")
    preloaded = [sys.executable, "-m", "include.local.preloaded", "airflow"]
    processes.start("scheduler", [*preloaded, "scheduler", "--skip-serve-logs"], env, PROJECT)
    for name, worker in workers.items():
        processes.start(name, [*_airflow(), *worker.arguments], env | dict(worker.environ), PROJECT)
    api.warm_up()
    api.wait_for_dag(dag_id, parsed_after=parsed_after)
    api.unpause(dag_id)
    say(f"Airflow is ready after {time.monotonic() - began:.0f} s: {api.base_url}")
    return api


def has_connection(home: Home, conn_id: str) -> bool:
    """
    Whether somebody made this connection in the UI of the home's Airflow.

    Looked up in the metadata itself: starting Airflow only to say that something is missing would take half a minute.
    """
    database = home.airflow / DATABASE
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as metadata:
        try:
            return metadata.execute("SELECT 1 FROM connection WHERE conn_id = ?", [conn_id]).fetchone() is not None
        except sqlite3.OperationalError:
            return False  # its creation was interrupted: there are no tables yet


def _start(processes: Leashed, component: str, env: Mapping[str, str], *options: str) -> None:
    processes.start(component, [*_airflow(), component, *options], env, PROJECT)


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _migrate(home: Home, processes: Leashed, env: Mapping[str, str], say: Say) -> None:
    """Create or upgrade the metadata database, once for each version of Airflow."""
    home.airflow.mkdir(mode=0o700, parents=True, exist_ok=True)
    note, version = home.airflow / "migrated", importlib.metadata.version("apache-airflow-core")
    migrated = f"{version} {env['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']}"
    if note.exists() and note.read_text() == migrated:
        return
    say(f"Preparing Airflow {version} in {_short(home.airflow)} …")
    processes.run("db-migrate", [*_airflow(), "db", "migrate"], env, PROJECT)
    if (home.airflow / DATABASE).exists():
        with contextlib.closing(sqlite3.connect(home.airflow / DATABASE)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers and one writer side by side; kept in the file
    note.write_text(migrated)


def _short(path: Path) -> str:
    """Return the path as a person would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
