"""
The distributed form on one machine: CeleryExecutor with two workers, Redis between them, PostgreSQL behind Airflow.

The same kinds of process that Docker Compose starts with its profile ``celery``. PostgreSQL and Redis are the machine's
own programs; their data is deleted with the cluster; the state folder with ledger and runs stays.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from include.errors import ChatImportError, ConfigurationError
from include.ledger.database import LEDGER_VARIABLE
from include.local.airflow import Say, Worker, start_airflow
from include.local.api import AirflowAPI
from include.local.child_processes import ChildProcesses, own_environment
from include.local.state_folder import StateFolder, free_port

WORKERS = ("worker-1", "worker-2")
_TASKS_PER_WORKER = 2
_READY_S = 60
USER = "airflow"
"""PostgreSQL's superuser, and its database."""

LEDGER_CONNECTION = "everos_ledger"
"""A connection of Airflow, in its database, that names the database of the ledger."""

_POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"
"""Debian keeps the server's programs out of PATH, a folder for each version."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running Airflow with Celery workers."""

    api: AirflowAPI
    broker_url: str
    """Of Celery: its control commands tell what each worker has done."""

    database: str
    """Of Airflow: ``user@host:port/database``."""

    ledger: str
    """URL of an empty database beside it, for workers that share no folder."""


@contextlib.contextmanager
def cluster(
    state_folder: StateFolder,
    processes: ChildProcesses,
    environ: Mapping[str, str],
    *,
    say: Say,
    environ_of: Callable[[str], Mapping[str, str]] = lambda _: {},
    ledger_on_server: bool = False,
) -> Iterator[Cluster]:
    """
    Start PostgreSQL, Redis, Airflow and two workers; everything ends with ``processes``.

    :param environ_of: What a worker has of its own: folders that it shares with nobody.
    :param ledger_on_server: Keep the ledger in PostgreSQL, in a database of its own, instead of in the home. Every
        component finds it by a connection of Airflow.
    :raises ConfigurationError: PostgreSQL or Redis is not installed; nothing was started.
    """
    programs = postgres_programs()
    redis = _program("redis-server", "Redis (Debian and Ubuntu: redis-server; macOS: brew install redis)")
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
        try:
            say("Starting PostgreSQL and Redis …")
            database = start_postgres(processes, programs, Path(folder) / "postgres")
            ledger = new_database(programs, database, "everos_ledger")
            broker_url = _start_redis(processes, redis, Path(folder))
            settings = {
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
                "AIRFLOW__CELERY__BROKER_URL": broker_url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(_TASKS_PER_WORKER),
                # a task that waits is nobody's until a worker is free for it
                "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            }
            if ledger_on_server:
                settings[LEDGER_VARIABLE] = LEDGER_CONNECTION
            workers = {
                name: Worker(
                    arguments=["celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"],
                    environ=environ_of(name),
                )
                for name in WORKERS
            }
            api = start_airflow(state_folder, processes, environ, say=say, settings=settings, workers=workers)
            _add_connection(api, LEDGER_CONNECTION, ledger)
            yield Cluster(api=api, broker_url=broker_url, database=database, ledger=ledger)
        finally:
            processes.stop()  # before their folder goes


def _add_connection(api: AirflowAPI, conn_id: str, url: str) -> None:
    address = make_url(url)
    connection = {
        "connection_id": conn_id,
        "conn_type": "postgres",
        "host": address.host,
        "port": address.port,
        "login": address.username,
        "schema": address.database,
    }
    api.http.post("/connections", json=connection).raise_for_status()


def postgres_programs() -> Path:
    """
    Return the folder of PostgreSQL's programs.

    :raises ConfigurationError: PostgreSQL is not installed.
    """
    product = "PostgreSQL (Debian and Ubuntu: postgresql; macOS: brew install postgresql@17)"
    return _program("postgres", product).resolve().parent


def start_postgres(processes: ChildProcesses, programs: Path, data: Path) -> str:
    """Start a server with an empty database and return ``user@host:port/database``."""
    port = free_port()
    _ownable(data)
    _run([*_not_as_root(), programs / "initdb", "--pgdata", data, "--username", USER, "--auth", "trust", "--no-sync"])
    run_postgres(processes, programs, data, port)
    address = f"{USER}@127.0.0.1:{port}/"
    new_database(programs, f"{address}postgres", USER)
    return address + USER


def new_database(programs: Path, server: str, name: str) -> str:
    """Create a database on the server of another one and return its URL."""
    address = server.rpartition("/")[0]
    _run([programs / "createdb", f"--maintenance-db=postgresql://{address}/postgres", name])
    return f"postgresql+psycopg2://{address}/{name}"


def run_postgres(processes: ChildProcesses, programs: Path, data: Path, port: int) -> None:
    """Start a server on the data that another one has left, and wait until it has recovered."""
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port, "fsync": "off"}
    options_given = [f"--{name}={value}" for name, value in options.items()]
    argv = [*_not_as_root(), programs / "postgres", "-D", data, *options_given]
    processes.start("postgres", [str(word) for word in argv], own_environment(), data.parent)
    _wait_for_port(port, processes, "PostgreSQL")
    ready = [programs / "pg_isready", "--host", "127.0.0.1", "--port", port, "--username", USER]
    deadline = time.monotonic() + _READY_S
    while subprocess.run([str(word) for word in ready], capture_output=True, check=False).returncode != 0:
        processes.check()  # it listens before it has recovered
        if time.monotonic() > deadline:
            raise ChatImportError(f"PostgreSQL was not ready within {_READY_S} s")
        time.sleep(0.1)


def _start_redis(processes: ChildProcesses, program: Path, folder: Path) -> str:
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    processes.start("redis", [str(program), *options], own_environment(), folder)
    _wait_for_port(port, processes, "Redis")
    return f"redis://127.0.0.1:{port}/0"


def _program(name: str, product: str) -> Path:
    folders = [os.environ.get("PATH", ""), *sorted(map(str, Path("/").glob(_POSTGRES_FOLDERS[1:])), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if not found:
        raise ConfigurationError(f"{name} was not found, so no cluster can be started: install {product}")
    return Path(found)


def _not_as_root() -> list[str | Path]:
    """Return what to put before a command of PostgreSQL, which refuses to be run by root."""
    return [] if os.geteuid() else ["setpriv", "--reuid", _NOBODY, "--clear-groups"]


_NOBODY = "nobody"


def _ownable(folder: Path) -> None:
    """Make a folder for PostgreSQL, whoever runs it."""
    folder.mkdir(mode=0o700)
    if not os.geteuid():
        os.chown(folder, pwd.getpwnam(_NOBODY).pw_uid, -1)
        folder.parent.chmod(0o711)


def _run(argv: Sequence[object]) -> None:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ChatImportError(f"{Path(str(argv[0])).name} ended with status {done.returncode}: {done.stderr[-500:]}")


def _wait_for_port(port: int, processes: ChildProcesses, what: str) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        processes.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise ChatImportError(f"{what} did not answer within {_READY_S} s")
        time.sleep(0.1)
