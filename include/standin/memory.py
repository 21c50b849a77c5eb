"""Messages, what becomes of them, and how they are found again."""

import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from include.standin.database import Database, as_json
from include.standin.extraction import Stored, cut, draft
from include.standin.filters import EPISODES, PENDING, where
from include.standin.ids import NO_SESSION, derived


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages: a group's, or those of a user and a session, which lie under a derived group."""

    conversation: str
    group_id: str
    user_id: str | None = None
    session_id: str = NO_SESSION


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A checked batch on its way into the store."""

    scope: Scope
    messages: list[dict[str, Any]]


class Memory:
    """Pending messages and episodes. Order is the order of arrival; nothing is ever recognised as sent before."""

    def __init__(self, database: Database, episode_messages: int) -> None:
        self._db = database
        self._episode_messages = episode_messages

    def insert(self, work: Work) -> tuple[list[str], list[str]]:
        """
        Put a batch behind what is there.

        :returns: ids stored, and those of them that are older than what this load has extracted already: they have
            fallen outside the window and never become a memory.
        """
        scope = work.scope
        stored, outside = [], []
        row = self._db.one("SELECT extracted_ms FROM boundaries WHERE conversation = ?", (scope.conversation,))
        boundary_ms = row["extracted_ms"] if row else -1
        for message in work.messages:
            at_ms = message["timestamp_ms"]
            message_id = message["message_id"] or derived("msg", f"{scope.conversation}_{at_ms}")
            late = at_ms <= boundary_ms
            self._db.insert(
                "messages",
                *(scope.conversation, scope.group_id, scope.user_id, scope.session_id, message_id),
                *(message["sender_id"], message["sender_name"], message["role"], at_ms, message["text"]),
                *(time.time(), "outside" if late else "pending"),
            )
            stored.append(message_id)
            if late:
                outside.append(message_id)
        return stored, outside

    def extract(self, scope: Scope, *, everything: bool) -> int:
        """
        Turn pending messages into episodes.

        :param everything: a flush: the last piece too, which may otherwise still grow, and a new load begins.
        :returns: how many episodes.
        """
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
        if everything:
            self._db.execute("DELETE FROM boundaries WHERE conversation = ?", (scope.conversation,))
        return len(complete)

    def _add_episode(self, scope: Scope, messages: Sequence[Stored]) -> None:
        made = draft(messages)
        row = self._db.insert(
            "episodes",
            *(scope.conversation, scope.group_id, scope.user_id, scope.session_id, made.subject, made.summary),
            *(made.episode, as_json(made.participants), as_json(made.sender_ids), made.timestamp_ms),
        )
        self._db.execute("INSERT INTO words (rowid, episode) VALUES (?, ?)", (row, made.episode))

    def pending(self, filters: Mapping[str, Any], limit: int) -> list[sqlite3.Row]:
        """Return the oldest messages that are stored but not extracted."""
        condition, values = where(filters, PENDING)
        query = f"SELECT * FROM messages WHERE state = 'pending' AND {condition} ORDER BY row LIMIT ?"  # noqa: S608
        return self._db.execute(query, [*values, limit]).fetchall()

    def episodes(
        self, filters: Mapping[str, Any], *, page: int, size: int, newest_first: bool
    ) -> tuple[int, list[sqlite3.Row]]:
        """Return how many episodes match, and one page of them by time."""
        condition, values = where(filters, EPISODES)
        total = self._db.execute(f"SELECT count(*) FROM episodes WHERE {condition}", values).fetchone()[0]  # noqa: S608
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT * FROM episodes WHERE {condition} ORDER BY timestamp_ms {order}, row {order} LIMIT ? OFFSET ?"  # noqa: S608
        return int(total), self._db.execute(query, [*values, size, (page - 1) * size]).fetchall()

    def search(self, filters: Mapping[str, Any], query: str, limit: int) -> list[tuple[sqlite3.Row, float]]:
        """Return episodes that hold any word of the query, best first (BM25)."""
        terms = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query) if len(word) > 1)
        if not terms:
            return []
        condition, values = where(filters, EPISODES)
        found = "SELECT episodes.*, -bm25(words) AS score FROM words JOIN episodes ON episodes.row = words.rowid"
        sql = f"{found} WHERE words MATCH ? AND {condition} ORDER BY score DESC, episodes.row LIMIT ?"
        return [(row, float(row["score"])) for row in self._db.execute(sql, [terms, *values, limit])]
