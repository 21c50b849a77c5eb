"""Databases for ledgers: SQLite files, and a PostgreSQL of the machine that tests may stop and start."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg2

from include.local.child_processes import ChildProcesses
from tests.distributed.cluster import USER, run_postgres, start_postgres

PASSWORD = "not-for-anybodys-eyes"
"""In every address, so that each error can be searched for it."""


class Postgres:
    """
    A PostgreSQL server with databases of its own.

    :param programs: Where the server's programs are.
    :param folder: Where it may keep its data.
    """

    def __init__(self, processes: ChildProcesses, programs: Path, folder: Path) -> None:
        self._processes, self._programs, self._data = processes, programs, folder / "postgres"
        address = start_postgres(processes, programs, self._data)
        self.port = int(address.partition(":")[2].partition("/")[0])
        self._numbers = count(1)

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"ledger{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, database: str = USER) -> list[tuple[object, ...]]:
        """Run a statement in a connection of its own."""
        connection = psycopg2.connect(f"postgresql://{USER}@127.0.0.1:{self.port}/{database}")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def end_connections(self, url: str) -> None:
        """End all connections to a database."""
        name = url.rpartition("/")[2]
        ours = "datname = current_database() AND pid <> pg_backend_pid()"
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}", name)  # noqa: S608 - a constant

    def stop(self) -> None:
        """End it at once, with all its connections."""
        pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        self._processes.stop()

    def start(self) -> None:
        """Start it again on the same data, and wait until it has recovered."""
        run_postgres(self._processes, self._programs, self._data, self.port)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody can connect while the block runs."""
        self.stop()
        try:
            yield
        finally:
            self.start()
