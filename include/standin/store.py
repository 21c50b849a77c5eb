"""The data of a stand-in: journal, tasks, memory, names. Everything that it has accepted survives a SIGKILL."""

import time
import uuid
from pathlib import Path
from typing import Any

import msgspec

from include.standin.database import TABLES, Database, as_json, second_connection
from include.standin.journal import Entry
from include.standin.memory import Memory, Scope, Work
from include.standin.settings import EPISODE_MESSAGES

_STORED = ("success", "failed_stored", "stuck_stored", "404_stored")
"""Ends of a task that store its batch."""


class Store:
    """All reads and writes; called from one event loop, each call short."""

    def __init__(self, folder: Path, *, episode_messages: int = EPISODE_MESSAGES) -> None:
        self._db = Database(folder)
        self.memory = Memory(self._db, episode_messages)
        self._order = max((entry.order for entry in self.journal() if entry.order is not None), default=0)

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._db.close()

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
        """Finish a task as its ``fate`` says, in one transaction; a second call does nothing."""
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
        """Return the state that the server reports of a task, ``None`` for 404."""
        row = self._db.one("SELECT state, fate, updated_s FROM tasks WHERE task_id = ?", (task_id,))
        if row is None or row["fate"].startswith("404") or row["updated_s"] + kept_s < time.time():
            return None
        return str(row["state"])

    def batch_of(self, task_id: str) -> Entry | None:
        """Return the journal's entry of the add that a task is of."""
        row = self._db.one("SELECT entry FROM journal JOIN tasks USING (seq) WHERE task_id = ?", (task_id,))
        return msgspec.json.decode(row["entry"], type=Entry) if row else None

    # -- names

    def name(self, kind: str, key: str, name: str | None) -> None:
        """Create or rename a group or sender."""
        self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", (kind, key, name))

    def totals(self) -> dict[str, int]:
        """Rows of each kind."""
        tables = "messages", "episodes", "tasks", "journal"
        return {t: int(self._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0]) for t in tables}  # noqa: S608


def read_journal(folder: Path, after: int = 0) -> list[Entry]:
    """Return the journal of a folder, while a stand-in may serve it."""
    with second_connection(folder) as connection:
        rows = connection.execute("SELECT entry FROM journal WHERE seq > ? ORDER BY seq", (after,))
        return [msgspec.json.decode(entry, type=Entry) for (entry,) in rows]


def read_name(folder: Path, kind: str, key: str) -> str | None:
    """Return the name of a group or sender, while a stand-in may serve the folder."""
    with second_connection(folder) as connection:
        row = connection.execute("SELECT name FROM names WHERE kind = ? AND id = ?", (kind, key)).fetchone()
        return row[0] if row else None


def clear(folder: Path) -> None:
    """Delete everything, the journal included, while a stand-in may serve the folder."""
    with second_connection(folder) as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
