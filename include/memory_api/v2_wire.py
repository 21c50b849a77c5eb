"""The JSON of v2 (``everos-cloud`` 1.2.0, server 1.5.1), without the fields that are not read."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from include.memory_api import wire
from include.records import Conversation, Outgoing

MOST_TASKS = 100
"""Largest ``page_size`` of the task list."""

MAX_ID_CHARACTERS = 128
_LEAST_KEPT = 64
"""Of a conversation id, every id of a segment has at least so many characters, or all."""

_LAST_CHARACTER = "\U0010ffff"
_SENDER = re.compile(r"[a-zA-Z0-9_.@+-]{1,128}")
"""The server uses the id as the name of a folder; it refuses ``.`` and ``..`` too (1.5.1, ``MessageItemDTO``)."""

_LEAST_MS = 1_000_000_000_000
"""The server reads a smaller number as seconds (SDK, ``MessageItem.timestamp``)."""


class TaskItem(msgspec.Struct):
    """One accepted request. ``status`` is an open set; a final one comes with ``finished_at``."""

    id: str = ""
    status: str = ""
    finished_at: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the server has finished it."""
        return self.finished_at is not None or self.status in ("success", "failed")


class TaskList(msgspec.Struct):
    """One page of a session's requests, newest first."""

    items: list[TaskItem] = []


class Unprocessed(msgspec.Struct):
    """A message that waits for extraction; its text is not decoded."""

    timestamp: str | None = None


class SearchResult(msgspec.Struct):
    """Answer to a search."""

    episodes: list[wire.EpisodeItem] | None = None
    unprocessed_messages: list[Unprocessed] | None = None


class Envelope[T](wire.Envelope[T]):
    """Around every answer. The ``request_id`` of an accepted request is the id of its task."""

    request_id: str | None = None


def session_of(conversation: Conversation) -> str:
    """
    Return the id of the session of a segment.

    Of a conversation it is ``conversation_id``, for a personal history too: sessions of all people share one namespace,
    and two personal histories may have the same ``session_id``.
    """
    return conversation.segment_id or conversation.conversation_id


def sessions_of(conversation: Conversation) -> list[dict[str, Any]]:
    """
    Return filters of a search, any of which selects sessions of a conversation; or of one segment, if it is one.

    Ids of segments begin with the conversation id and a dot, or where they would be too long with a part of it
    (:func:`include.transform.segments.segment_id_of`).
    """
    if conversation.segment_id:
        return [{"session_id": conversation.segment_id}]
    name = conversation.conversation_id
    start = f"{name}." if len(name) < _LEAST_KEPT else name[:_LEAST_KEPT]
    return [{"session_id": name}, beginning_with(start)]


def beginning_with(start: str) -> dict[str, Any]:
    """
    Return a filter of session ids that begin so.

    Session ids can be compared (docs.evermind.ai, "Filters DSL"; server 1.5.1, ``compile_predicate``).
    """
    return {"session_id": {"gte": start, "lt": f"{start}{_LAST_CHARACTER}"}}


def messages_of(messages: Sequence[Outgoing]) -> list[dict[str, Any]]:
    """Return the messages of an add. Message ids are not sent: v2 has its own."""
    return [wire.message_fields(message) for message in messages]


def validation_error(session_id: str, messages: Sequence[Outgoing]) -> str | None:
    """Return why the API would refuse an add or misread it; ``None`` if it is valid."""
    if not 1 <= len(session_id) <= MAX_ID_CHARACTERS:
        return f"the session id has {len(session_id)} characters, expected 1 to {MAX_ID_CHARACTERS}"
    for message in messages:
        if not _SENDER.fullmatch(message.sender_id) or message.sender_id in (".", ".."):
            return f"sender id {message.sender_id[:MAX_ID_CHARACTERS]!r} is not 1 to 128 of A-Z, a-z, 0-9 and _.@+-"
        if message.timestamp_ms < _LEAST_MS:
            return f"timestamp {message.timestamp_ms} is not in milliseconds, or from before September 2001"
    return None
