"""
Messages, the episodes that are made of them, and how both are found again.

An episode ends at a long silence and repeats what people wrote. EverOS asks a language model for both. Nothing here is
invented, so that an answer found in the stand-in proves that the messages arrived, and nothing more.
"""

import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from include.standin.database import Database, as_json
from include.standin.settings import EPISODE_MESSAGES
from include.standin.validation import NO_SESSION, Invalid, derived

SILENCE_MS = 30 * 60 * 1000
"""A pause longer than this ends an episode."""

_EPISODES = {"group_id": "group_id", "user_id": "user_id", "session_id": "session_id"}
"""Fields of a filter and the columns of episodes."""

_PENDING = {"group_id": "group_id", "user_id": "sender_id"}
"""
The same for raw messages. They have no session, and ``user_id`` means the sender, in any conversation
(``SearchMemoryService`` of the reference server).
"""

_SUBJECT_CHARS = 80
_SUMMARY_CHARS = 200


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message."""

    row: int
    sender_id: str
    sender_name: str
    timestamp_ms: int
    text: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An episode before it has an id."""

    subject: str
    summary: str
    episode: str
    participants: tuple[str, ...]
    sender_ids: tuple[str, ...]
    timestamp_ms: int
    """Of its last message, as in the reference server (``ConvMemCellExtractor``)."""


def cut(messages: Sequence[Stored], *, most: int = EPISODE_MESSAGES) -> list[list[Stored]]:
    """Split messages, in the order given, after every silence and after ``most`` messages."""
    pieces: list[list[Stored]] = []
    for message in messages:
        silent = bool(pieces) and message.timestamp_ms - pieces[-1][-1].timestamp_ms > SILENCE_MS
        if not pieces or silent or len(pieces[-1]) >= most:
            pieces.append([])
        pieces[-1].append(message)
    return pieces


def draft(messages: Sequence[Stored]) -> Draft:
    """Make an episode out of one piece of conversation: who said what, word for word."""
    lines = [f"{m.sender_name or m.sender_id}: {m.text}" for m in messages]
    names = tuple(dict.fromkeys(m.sender_name or m.sender_id for m in messages))
    day = datetime.fromtimestamp(messages[0].timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    return Draft(
        subject=_short(messages[0].text, _SUBJECT_CHARS),
        summary=_short(f"{day} UTC, {', '.join(names)}. {lines[0]}", _SUMMARY_CHARS),
        episode="\n".join([f"{day} UTC", *lines]),
        participants=names,
        sender_ids=tuple(dict.fromkeys(m.sender_id for m in messages)),
        timestamp_ms=messages[-1].timestamp_ms,
    )


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of messages: a group, or a user and a session, which have a derived group."""

    conversation: str
    group_id: str
    user_id: str | None = None
    session_id: str = NO_SESSION


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A checked batch, not stored yet."""

    scope: Scope
    messages: list[dict[str, Any]]


class Memory:
    """Pending messages and episodes, in order of arrival. A message that is sent twice is stored twice."""

    def __init__(self, database: Database, episode_messages: int) -> None:
        self._db = database
        self._episode_messages = episode_messages

    def insert(self, work: Work) -> tuple[list[str], list[str]]:
        """
        Append a batch.

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
        condition, values = _where(filters, _PENDING)
        query = f"SELECT * FROM messages WHERE state = 'pending' AND {condition} ORDER BY row LIMIT ?"  # noqa: S608
        return self._db.execute(query, [*values, limit]).fetchall()

    def episodes(
        self, filters: Mapping[str, Any], *, page: int, size: int, newest_first: bool
    ) -> tuple[int, list[sqlite3.Row]]:
        """Return how many episodes match, and one page of them by time."""
        condition, values = _where(filters, _EPISODES)
        total = self._db.execute(f"SELECT count(*) FROM episodes WHERE {condition}", values).fetchone()[0]  # noqa: S608
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT * FROM episodes WHERE {condition} ORDER BY timestamp_ms {order}, row {order} LIMIT ? OFFSET ?"  # noqa: S608
        return int(total), self._db.execute(query, [*values, size, (page - 1) * size]).fetchall()

    def search(self, filters: Mapping[str, Any], query: str, limit: int) -> list[tuple[sqlite3.Row, float]]:
        """Return episodes that hold any word of the query, best first (BM25)."""
        terms = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query) if len(word) > 1)
        if not terms:
            return []
        condition, values = _where(filters, _EPISODES)
        found = "SELECT episodes.*, -bm25(words) AS score FROM words JOIN episodes ON episodes.row = words.rowid"
        sql = f"{found} WHERE words MATCH ? AND {condition} ORDER BY score DESC, episodes.row LIMIT ?"
        return [(row, float(row["score"])) for row in self._db.execute(sql, [terms, *values, limit])]


def _where(filters: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """
    Translate filters, each ``field: value`` or ``field: {"in": [values]}``, into an SQL condition and its values.

    :param columns: Fields that count, and their columns; others are ignored, as the real server does.
    :raises Invalid: An unknown field or operator, or neither ``user_id`` nor ``group_id``.
    """
    if filters.keys().isdisjoint({"user_id", "group_id"}):
        raise Invalid("filters must contain at least one of 'user_id' or 'group_id'")
    if unknown := filters.keys() - _EPISODES.keys():
        raise Invalid(f"unknown filter field: {min(unknown)}")
    parts: list[str] = []
    values: list[Any] = []
    for name, value in filters.items():
        if name in columns:
            wanted = value if isinstance(value, dict) else {"in": [value]}
            if wanted.keys() != {"in"}:
                raise Invalid(f"unknown filter operator of {name}")
            parts.append(f"{columns[name]} IN ({', '.join('?' * len(wanted['in']))})")
            values += wanted["in"]
    return " AND ".join(parts) or "1", values
