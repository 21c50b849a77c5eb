"""The one SQLite file of a stand-in."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

_FILE = "standin.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, conversation TEXT NOT NULL, state TEXT NOT NULL,
    fate TEXT NOT NULL, work TEXT NOT NULL, due_s REAL NOT NULL, updated_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, group_id TEXT, user_id TEXT, session_id TEXT,
    message_id TEXT NOT NULL, sender_id TEXT NOT NULL, sender_name TEXT NOT NULL, role TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL, text TEXT NOT NULL, created_s REAL NOT NULL, state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS pending_of ON messages (conversation, row) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS pending_in ON messages (group_id, row) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS pending_by ON messages (sender_id, row) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS boundaries (conversation TEXT PRIMARY KEY, extracted_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS episodes (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, group_id TEXT, user_id TEXT, session_id TEXT,
    subject TEXT NOT NULL, summary TEXT NOT NULL, episode TEXT NOT NULL, participants TEXT NOT NULL,
    sender_ids TEXT NOT NULL, timestamp_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS episodes_in ON episodes (group_id, timestamp_ms);
CREATE INDEX IF NOT EXISTS episodes_of ON episodes (user_id, timestamp_ms);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (episode, tokenize = 'porter unicode61');
CREATE TABLE IF NOT EXISTS names (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, PRIMARY KEY (kind, id)
);
"""

TABLES = ("journal", "tasks", "messages", "boundaries", "episodes", "words", "names")


class Database:
    """
    A connection that survives the death of its process at any moment.

    Used from one event loop, each statement short. ``synchronous = NORMAL`` with a write-ahead log loses nothing when
    a process is killed, only when the power goes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    def execute(self, sql: str, values: tuple[Any, ...] | list[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(sql, values)

    def one(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Row | None:
        """Return the first row."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def insert(self, table: str, *values: Any) -> int:
        """Insert a row whose key SQLite numbers; returns the number."""
        cursor = self._connection.execute(f"INSERT INTO {table} VALUES (NULL{', ?' * len(values)})", values)  # noqa: S608
        return cursor.lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; one inside another is part of it."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._connection.close()


@contextmanager
def second_connection(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the file in one transaction, from any thread or process, while a stand-in may serve it."""
    with closing(sqlite3.connect(folder / _FILE)) as connection, connection:
        yield connection


def as_json(value: object) -> str:
    """Encode for a column."""
    return msgspec.json.encode(value).decode() if isinstance(value, msgspec.Struct) else json.dumps(value)
