"""What the stand-in keeps: one SQLite file, so that a killed stand-in comes back with all it had accepted."""

import json
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from include.standin.extraction import EPISODE_MESSAGES, Stored, cut, draft
from include.standin.filters import EPISODES, PENDING, where
from include.standin.ids import NO_SESSION, derived
from include.standin.journal import Entry

_FILE = "standin.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, state TEXT NOT NULL, fate TEXT NOT NULL,
    work TEXT NOT NULL, due_s REAL NOT NULL, updated_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, group_id TEXT, user_id TEXT, session_id TEXT,
    message_id TEXT NOT NULL, sender_id TEXT NOT NULL, sender_name TEXT NOT NULL, role TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL, text TEXT NOT NULL, created_s REAL NOT NULL, state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_pending ON messages (conversation, row) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS messages_pending_by ON messages (group_id, user_id, row) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS boundaries (conversation TEXT PRIMARY KEY, extracted_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS episodes (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL, group_id TEXT, user_id TEXT, session_id TEXT,
    subject TEXT NOT NULL, summary TEXT NOT NULL, episode TEXT NOT NULL, participants TEXT NOT NULL,
    sender_ids TEXT NOT NULL, timestamp_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS episodes_of ON episodes (conversation, timestamp_ms);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (episode, tokenize = 'porter unicode61');
CREATE TABLE IF NOT EXISTS names (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, description TEXT, created_s REAL NOT NULL, updated_s REAL NOT NULL,
    PRIMARY KEY (kind, id)
);
"""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages: a group's, or those of a user and a session, which lie under a derived group."""

    conversation: str
    group_id: str
    user_id: str | None = None
    session_id: str = NO_SESSION


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A batch on its way into the store, kept with its task so that it survives a restart."""

    scope: Scope
    messages: list[dict[str, Any]]


class Store:
    """All reads and writes; called from one event loop, each call short."""

    def __init__(self, folder: Path, *, episode_messages: int = EPISODE_MESSAGES) -> None:
        self._episode_messages = episode_messages
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._order = max((e.order for e in self.journal() if e.order is not None), default=0)

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything, the journal included."""
        with self._transaction():
            for table in ("journal", "tasks", "messages", "boundaries", "episodes", "words", "names"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608

    # -- journal

    def record(self, entry: Entry) -> Entry:
        """Add a call; returns it with its ``seq``."""
        cursor = self._db.execute("INSERT INTO journal (entry) VALUES (?)", (_json(entry),))
        return self._save(msgspec.structs.replace(entry, seq=cursor.lastrowid or 0))

    def amend(self, seq: int, **changes: Any) -> None:
        """Change fields of a call."""
        row = self._db.execute("SELECT entry FROM journal WHERE seq = ?", (seq,)).fetchone()
        if row is not None:  # else the journal was cleared while the call was going on
            self._save(msgspec.structs.replace(msgspec.json.decode(row["entry"], type=Entry), **changes))

    def journal(self, after: int = 0) -> list[Entry]:
        """All calls with a higher ``seq`` than ``after``, in order of arrival."""
        return _entries(self._db, after)

    def _save(self, entry: Entry) -> Entry:
        self._db.execute("UPDATE journal SET entry = ? WHERE seq = ?", (_json(entry), entry.seq))
        return entry

    # -- tasks

    def accept(self, seq: int, work: Work, *, fate: str, due_s: float) -> str:
        """Keep a batch until it is due; returns the task id."""
        task_id = str(uuid.uuid4())
        row = (task_id, seq, "processing", fate, _json(work), due_s, time.time())
        self._db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return task_id

    def unfinished(self) -> list[tuple[str, float]]:
        """Task ids and due times of batches not yet worked on, in order of arrival."""
        rows = self._db.execute(
            "SELECT task_id, due_s FROM tasks WHERE state = 'processing' AND work <> '' ORDER BY seq"
        )
        return [(row["task_id"], row["due_s"]) for row in rows]

    def run_task(self, task_id: str) -> None:
        """Store an accepted batch, or do with it what its fate says. At most once, and all at once."""
        row = self._db.execute("SELECT * FROM tasks WHERE task_id = ? AND work <> ''", (task_id,)).fetchone()
        if row is None:
            return
        fate, seq = row["fate"], row["seq"]
        with self._transaction():
            if fate in ("success", "stuck_stored", "404_stored"):
                self.store(seq, msgspec.json.decode(row["work"], type=Work))
            else:
                self.amend(seq, ended_s=time.time(), detail=fate)
            state = {"success": "success", "failed": "failed"}.get(fate, "processing")
            values = (state, time.time(), task_id)
            self._db.execute("UPDATE tasks SET state = ?, work = '', updated_s = ? WHERE task_id = ?", values)

    def task_state(self, task_id: str, *, kept_s: float) -> str | None:
        """Return what the server says of a task, ``None`` for 404."""
        row = self._db.execute("SELECT state, fate, updated_s FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None or row["fate"].startswith("404") or row["updated_s"] + kept_s < time.time():
            return None
        return str(row["state"])

    # -- messages

    def store(self, seq: int, work: Work) -> str:
        """
        Store a batch behind what is there, in order of arrival, doubles and all, and extract what is complete.

        :returns: ``extracted`` or ``accumulated``.
        """
        with self._transaction():
            stored, outside = self._insert(work)
            extracted = self._extract(work.scope, everything=False)
            self._order += 1
            self.amend(
                seq, ended_s=time.time(), order=self._order, stored_ids=tuple(stored), outside_window=tuple(outside)
            )
        return "extracted" if extracted else "accumulated"

    def _insert(self, work: Work) -> tuple[list[str], list[str]]:
        scope, stored, outside = work.scope, [], []
        boundary = self._boundary(scope.conversation)
        for message in work.messages:
            message_id = message["message_id"] or derived("msg", f"{scope.conversation}_{message['timestamp_ms']}")
            late = message["timestamp_ms"] <= boundary
            row = (
                *(scope.conversation, scope.group_id, scope.user_id, scope.session_id, message_id),
                *(message["sender_id"], message["sender_name"], message["role"], message["timestamp_ms"]),
                *(message["text"], time.time(), "outside" if late else "pending"),
            )
            self._db.execute(f"INSERT INTO messages VALUES (NULL{', ?' * len(row)})", row)  # noqa: S608
            stored.append(message_id)
            if late:
                outside.append(message_id)
        return stored, outside

    def flush(self, seq: int, scope: Scope) -> str:
        """Cut the conversation where it stands and begin a new load; returns the status of v1."""
        with self._transaction():
            extracted = self._extract(scope, everything=True)
            self._db.execute("DELETE FROM boundaries WHERE conversation = ?", (scope.conversation,))
            self._order += 1
            status = "extracted" if extracted else "no_extraction"
            self.amend(seq, ended_s=time.time(), order=self._order, detail=status)
        return status

    def _boundary(self, conversation: str) -> int:
        query = "SELECT extracted_ms FROM boundaries WHERE conversation = ?"
        row = self._db.execute(query, (conversation,)).fetchone()
        return int(row["extracted_ms"]) if row else -1

    def _extract(self, scope: Scope, *, everything: bool) -> int:
        """Turn pending messages into episodes; the last piece may still grow, unless ``everything`` is asked for."""
        query = "SELECT * FROM messages WHERE conversation = ? AND state = 'pending' ORDER BY row"
        rows = self._db.execute(query, (scope.conversation,)).fetchall()
        pending = [Stored(**{name: row[name] for name in Stored.__struct_fields__}) for row in rows]
        pieces = cut(pending, most=self._episode_messages)
        complete = pieces if everything else pieces[:-1]
        for piece in complete:
            self._add_episode(scope, piece)
        if complete:
            last_row, last_ms = complete[-1][-1].row, max(m.timestamp_ms for m in complete[-1])
            update = "UPDATE messages SET state = 'extracted' WHERE conversation = ? AND state = 'pending' AND row <= ?"
            self._db.execute(update, (scope.conversation, last_row))
            self._db.execute("INSERT OR REPLACE INTO boundaries VALUES (?, ?)", (scope.conversation, last_ms))
        return len(complete)

    def _add_episode(self, scope: Scope, messages: Sequence[Stored]) -> None:
        made = draft(messages)
        row = (
            *(scope.conversation, scope.group_id, scope.user_id, scope.session_id, made.subject, made.summary),
            *(made.episode, _json(made.participants), _json(made.sender_ids), made.timestamp_ms),
        )
        cursor = self._db.execute(f"INSERT INTO episodes VALUES (NULL{', ?' * len(row)})", row)  # noqa: S608
        self._db.execute("INSERT INTO words (rowid, episode) VALUES (?, ?)", (cursor.lastrowid, made.episode))

    # -- reading back

    def pending(self, filters: Mapping[str, Any], limit: int) -> list[sqlite3.Row]:
        """Return the oldest messages that are stored but not extracted."""
        condition, values = where(filters, PENDING)
        query = f"SELECT * FROM messages WHERE state = 'pending' AND {condition} ORDER BY row LIMIT ?"  # noqa: S608
        return self._db.execute(query, (*values, limit)).fetchall()

    def episodes(
        self, filters: Mapping[str, Any], *, page: int, size: int, newest_first: bool
    ) -> tuple[int, list[sqlite3.Row]]:
        """Return how many episodes match and one page of them, by time."""
        condition, values = where(filters, EPISODES)
        total = self._db.execute(f"SELECT count(*) FROM episodes WHERE {condition}", values).fetchone()[0]  # noqa: S608
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT * FROM episodes WHERE {condition} ORDER BY timestamp_ms {order}, row {order} LIMIT ? OFFSET ?"  # noqa: S608
        return int(total), self._db.execute(query, (*values, size, (page - 1) * size)).fetchall()

    def search(self, filters: Mapping[str, Any], query: str, limit: int) -> list[tuple[sqlite3.Row, float]]:
        """Return episodes that hold any word of the query, best first (BM25)."""
        terms = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query) if len(word) > 1)
        if not terms:
            return []
        condition, values = where(filters, EPISODES)
        found = "SELECT episodes.*, -bm25(words) AS score FROM words JOIN episodes ON episodes.row = words.rowid"
        sql = f"{found} WHERE words MATCH ? AND {condition} ORDER BY score DESC, episodes.row LIMIT ?"
        return [(row, float(row["score"])) for row in self._db.execute(sql, (terms, *values, limit))]

    # -- names

    def name(self, kind: str, key: str, changes: Mapping[str, str | None]) -> sqlite3.Row:
        """Create or change a group or sender; fields that are not given stay."""
        now = time.time()
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO names VALUES (?, ?, NULL, NULL, ?, ?)", (kind, key, now, now))
            for field in ("name", "description"):
                if field in changes:
                    query = f"UPDATE names SET {field} = ?, updated_s = ? WHERE kind = ? AND id = ?"  # noqa: S608
                    self._db.execute(query, (changes[field], now, kind, key))
        found = self.named(kind, key)
        assert found is not None  # noqa: S101
        return found

    def named(self, kind: str, key: str) -> sqlite3.Row | None:
        """Return a group or sender."""
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM names WHERE kind = ? AND id = ?", (kind, key)
        ).fetchone()
        return row

    def totals(self) -> dict[str, int]:
        """Rows of each kind."""
        tables = "messages", "episodes", "tasks", "journal"
        return {t: int(self._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0]) for t in tables}  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def read_journal(folder: Path, after: int = 0) -> list[Entry]:
    """Read the journal from outside, whether a stand-in serves the folder or not."""
    with closing(sqlite3.connect(folder / _FILE)) as db:
        return _entries(db, after)


def _entries(db: sqlite3.Connection, after: int) -> list[Entry]:
    rows = db.execute("SELECT entry FROM journal WHERE seq > ? ORDER BY seq", (after,))
    return [msgspec.json.decode(entry, type=Entry) for (entry,) in rows]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, msgspec.Struct) else json.dumps(value)
