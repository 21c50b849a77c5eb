"""What the stand-in keeps, so that a killed one comes back with all it had accepted: journal, tasks, memory, names."""

import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from include.standin.database import Database, as_json, reading
from include.standin.extraction import EPISODE_MESSAGES
from include.standin.journal import Entry
from include.standin.memory import Memory, Scope, Work

_STORED = ("success", "failed_stored", "stuck_stored", "404_stored")
"""Fates of a task with which its batch is stored."""

_NAMED = "SELECT * FROM names WHERE kind = ? AND id = ?"


class Store:
    """All reads and writes; called from one event loop, each call short."""

    def __init__(self, folder: Path, *, episode_messages: int = EPISODE_MESSAGES) -> None:
        self._db = Database(folder)
        self.memory = Memory(self._db, episode_messages)
        self._order = max((entry.order for entry in self.journal() if entry.order is not None), default=0)

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything, the journal included."""
        self._db.clear()

    # -- journal

    def record(self, entry: Entry) -> int:
        """Add a call; returns the ``seq`` that it gets."""
        seq = self._db.insert("journal", as_json(entry))
        self._write(msgspec.structs.replace(entry, seq=seq))
        return seq

    def amend(self, seq: int, **changes: Any) -> None:
        """Change fields of a call."""
        row = self._db.one("SELECT entry FROM journal WHERE seq = ?", (seq,))
        if row is None:  # the journal was cleared while the call was going on
            return
        self._write(msgspec.structs.replace(msgspec.json.decode(row["entry"], type=Entry), **changes))

    def _write(self, entry: Entry) -> None:
        self._db.execute("UPDATE journal SET entry = ? WHERE seq = ?", (as_json(entry), entry.seq))

    def journal(self, after: int = 0) -> list[Entry]:
        """All calls with a higher ``seq`` than ``after``, in order of arrival."""
        rows = self._db.execute("SELECT entry FROM journal WHERE seq > ? ORDER BY seq", (after,))
        return [msgspec.json.decode(row["entry"], type=Entry) for row in rows]

    # -- work

    def store(self, seq: int, work: Work) -> str:
        """
        Store a batch, doubles and all, and extract what is complete.

        :returns: ``extracted`` or ``accumulated``.
        """
        with self._db.transaction():
            stored, outside = self.memory.insert(work)
            extracted = self.memory.extract(work.scope, everything=False)
            self._done(seq, stored_ids=tuple(stored), outside_window=tuple(outside))
        return "extracted" if extracted else "accumulated"

    def flush(self, seq: int, scope: Scope) -> str:
        """Cut the conversation where it stands; returns the status of v1."""
        with self._db.transaction():
            status = "extracted" if self.memory.extract(scope, everything=True) else "no_extraction"
            self._done(seq, detail=status)
        return status

    def _done(self, seq: int, **changes: Any) -> None:
        self._order += 1
        self.amend(seq, ended_s=time.time(), order=self._order, **changes)

    # -- tasks

    def accept(self, seq: int, work: Work, *, fate: str, due_s: float) -> str:
        """Keep a batch until it is due; returns the task id."""
        task_id = str(uuid.uuid4())
        row = (task_id, seq, work.scope.conversation, "processing", fate, as_json(work), due_s, time.time())
        with self._db.transaction():
            self._db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self.amend(seq, task_id=task_id)
        return task_id

    def unfinished(self) -> list[tuple[str, float]]:
        """Task ids and due times of batches not yet worked on, in order of arrival."""
        rows = self._db.execute("SELECT task_id, due_s FROM tasks WHERE work <> '' ORDER BY seq")
        return [(row["task_id"], row["due_s"]) for row in rows]

    def run_task(self, task_id: str) -> None:
        """Store an accepted batch, or do with it what its fate says. At most once, and all at once."""
        row = self._db.one("SELECT * FROM tasks WHERE task_id = ? AND work <> ''", (task_id,))
        if row is None:
            return
        fate, seq = row["fate"], row["seq"]
        with self._db.transaction():
            if fate in _STORED:
                self.store(seq, msgspec.json.decode(row["work"], type=Work))
            else:
                self.amend(seq, ended_s=time.time(), detail=fate)
            state = fate.removesuffix("_stored") if fate in ("success", "failed", "failed_stored") else "processing"
            update = "UPDATE tasks SET state = ?, work = '', updated_s = ? WHERE task_id = ?"
            self._db.execute(update, (state, time.time(), task_id))

    def task_state(self, task_id: str, *, kept_s: float) -> str | None:
        """Return what the server says of a task, ``None`` for 404."""
        row = self._db.one("SELECT state, fate, updated_s FROM tasks WHERE task_id = ?", (task_id,))
        if row is None or row["fate"].startswith("404") or row["updated_s"] + kept_s < time.time():
            return None
        return str(row["state"])

    def conversation_of(self, task_id: str) -> str | None:
        """Return whose batch a task is."""
        row = self._db.one("SELECT conversation FROM tasks WHERE task_id = ?", (task_id,))
        return row["conversation"] if row else None

    # -- names

    def name(self, kind: str, key: str, changes: Mapping[str, str | None]) -> sqlite3.Row:
        """Create or change a group or sender; fields that are not given stay."""
        now = time.time()
        with self._db.transaction():
            self._db.execute("INSERT OR IGNORE INTO names VALUES (?, ?, NULL, NULL, ?, ?)", (kind, key, now, now))
            for field in ("name", "description"):
                if field in changes:
                    query = f"UPDATE names SET {field} = ?, updated_s = ? WHERE kind = ? AND id = ?"  # noqa: S608
                    self._db.execute(query, (changes[field], now, kind, key))
            row: sqlite3.Row = self._db.execute(_NAMED, (kind, key)).fetchone()
        return row

    def named(self, kind: str, key: str) -> sqlite3.Row | None:
        """Return a group or sender."""
        return self._db.one(_NAMED, (kind, key))

    def totals(self) -> dict[str, int]:
        """Rows of each kind."""
        tables = "messages", "episodes", "tasks", "journal"
        return {t: int(self._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0]) for t in tables}  # noqa: S608


def read_journal(folder: Path, after: int = 0) -> list[Entry]:
    """Read the journal from outside, whether a stand-in serves the folder or not."""
    with reading(folder) as connection:
        rows = connection.execute("SELECT entry FROM journal WHERE seq > ? ORDER BY seq", (after,))
        return [msgspec.json.decode(entry, type=Entry) for (entry,) in rows]
