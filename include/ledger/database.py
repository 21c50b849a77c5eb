"""The database that holds the ledger: SQLite in the home, or PostgreSQL where workers share no folder."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, NullPool, event, text

from include.errors import LedgerError, LedgerUnavailable
from include.files import described
from include.ledger.schema import MIGRATIONS, migrate, version_of
from include.run_folder import home

LEDGER_VARIABLE = "EVEROS_IMPORT_LEDGER"

TRUTH = "Nothing is sent without the ledger; calls made before are settled by the next try."

_BUSY_S = 60
"""Seconds that SQLite waits for another process's transaction; each takes milliseconds."""

_AWAY = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
"""A server is away, refuses connections, or has ended one."""

_ALONE_LOCK = 0x45564552


def ledger_url(base: Path | None = None) -> str:
    """Return the URL of the ledger's database: ``EVEROS_IMPORT_LEDGER``, default ``<home>/ledger.db`` (SQLite)."""
    given = os.environ.get(LEDGER_VARIABLE, "") if base is None else ""
    return given if "://" in given else f"sqlite:///{(base or home()) / 'ledger.db'}"


class Database:
    """
    Connections to the ledger's database; opening one creates or migrates the tables.

    :param url: A SQLAlchemy URL, ``sqlite:///<path>`` or ``postgresql+psycopg2://…``.
    :raises LedgerError: it cannot be used; nothing was sent.
    """

    def __init__(self, url: str) -> None:
        address = _address(url)
        self.url = url
        self.path = Path(address.database or "") if address.get_backend_name() == "sqlite" else None
        """The file; ``None`` for a server."""
        self.name = str(self.path) if self.path else address.render_as_string(hide_password=True)
        """For people."""
        if self.path:
            self.engine = sqlalchemy.create_engine(
                address,
                poolclass=NullPool,
                hide_parameters=True,
                connect_args={"timeout": _BUSY_S, "check_same_thread": False},
            )
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = sqlalchemy.create_engine(address, pool_pre_ping=True, hide_parameters=True)
        with self.errors():
            if self.path:
                self._create_file(self.path)
            with self.read() as connection:
                is_present = version_of(connection) == len(MIGRATIONS)
            if not is_present:
                with self.write_alone() as connection:
                    migrate(connection)

    @classmethod
    def existing(cls, url: str) -> "Database | None":
        """Return the database, ``None`` where nothing was ever written; for those who only look."""
        address = _address(url)
        is_missing = address.get_backend_name() == "sqlite" and not Path(address.database or "").exists()
        return None if is_missing else cls(url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection on which all queries see the database as of one moment."""
        options = {} if self.path else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.errors(), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection with a transaction that is committed when the block ends without an error."""
        with self.errors(), self.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write_alone(self) -> Iterator[Connection]:
        """Yield what :meth:`write` does, one block at a time among all processes: for what is to be there once."""
        with self.write() as connection:
            if not self.path:  # SQLite has locked the file already
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALONE_LOCK})
            yield connection

    def connect(self) -> Connection:
        """Return a connection to write with; SQLite allows one transaction of such at a time."""
        return self.engine.connect().execution_options(writes=True)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what goes wrong with the database into one error that says what is true and what to do."""
        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause = getattr(error, "orig", None) or error
            if self.path:
                what, remedy = described(cause, self.path.parent), "Make room there, mend its permissions or restore it"
            else:
                what, remedy = str(cause).partition("\n")[0], "Bring the database server back, or check the address"
            is_away = not self.path and isinstance(error, _AWAY)
            raise (LedgerUnavailable if is_away else LedgerError)(
                f"{self.name}: {what}. {TRUTH} {remedy}, then clear the failed task or run again."
            ) from error

    def _create_file(self, path: Path) -> None:
        old = path.parent / "ledger"
        if next(old.glob("*/target.json"), None):
            raise LedgerError(
                f"{old} is a ledger of an earlier version, which this one does not read: nothing was sent. Use a new "
                "EVEROS_IMPORT_HOME and a new account or project_id, or go on with the earlier version."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode


def _address(url: str) -> sqlalchemy.URL:
    try:
        address = sqlalchemy.make_url(url.replace("postgres://", "postgresql://", 1))
        address.get_dialect()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        address = None
    if address is None or address.get_backend_name() not in ("sqlite", "postgresql"):
        raise LedgerError(  # which names no part of the address: a part that looks like a port may be of the password
            f"{LEDGER_VARIABLE} is no address of a database that can hold the ledger: nothing was sent. Write "
            "postgresql+psycopg2://user:password@host:5432/database, with %40 for an @ in the password, or name a "
            "connection of Airflow."
        )
    return address


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, see below
    cursor = connection.cursor()
    if _write_ahead(cursor) != "wal":
        raise LedgerError(
            "the ledger's file system does not support what SQLite needs for several writers (WAL). Nothing was sent. "
            f"Put EVEROS_IMPORT_HOME on a local file system, or set {LEDGER_VARIABLE} to a PostgreSQL database."
        )
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _write_ahead(cursor: Any) -> str:
    """Return the journal mode; SQLite does not wait by itself where several processes set that of a new database."""
    deadline_s = time.monotonic() + _BUSY_S
    while True:
        try:
            return str(cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where something will be written: a later upgrade fails instead of waiting."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
