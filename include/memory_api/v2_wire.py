"""The shapes of v2 on the wire (``everos-cloud`` 1.2.0, server 1.5.1); fields we do not read are left out."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from include.records import Conversation, Outgoing

MOST_TASKS = 100
"""Largest ``page_size`` of the task list."""

MAX_ID_CHARACTERS = 128
_SENDER = re.compile(r"[a-zA-Z0-9_.@+-]{1,128}")
"""What becomes a folder's name on the server, besides ``.`` and ``..`` (server 1.5.1, ``MessageItemDTO``)."""

_LEAST_MS = 1_000_000_000_000
"""A smaller time counts as seconds (SDK, ``MessageItem.timestamp``)."""


class AddResult(msgspec.Struct):
    """Answer to an add: ``queued`` with 202; ``accumulated`` or ``extracted`` when the work is done."""

    status: str | None = None
    message_count: int | None = None


class FlushResult(msgspec.Struct):
    """Answer to a flush: ``queued`` with 202, else ``extracted`` or ``no_extraction``."""

    status: str


class TaskItem(msgspec.Struct):
    """One accepted request. ``status`` is an open set; what is final has ``finished_at``."""

    id: str = ""
    status: str = ""
    finished_at: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the server has done with it."""
        return self.finished_at is not None or self.status in ("success", "failed")


class TaskList(msgspec.Struct):
    """One page of a session's requests, newest first."""

    items: list[TaskItem] = []


class Unprocessed(msgspec.Struct):
    """A message that waits for extraction; its text is not decoded."""

    timestamp: str | None = None


class EpisodeItem(msgspec.Struct):
    """An episode, of one person."""

    id: str = ""
    session_id: str | None = None
    subject: str | None = None
    summary: str | None = None
    episode: str | None = None
    timestamp: str | None = None
    score: float | None = None


class SearchResult(msgspec.Struct):
    """Answer to a search."""

    episodes: list[EpisodeItem] | None = None
    unprocessed_messages: list[Unprocessed] | None = None


class GetResult(msgspec.Struct):
    """One page of episodes."""

    episodes: list[EpisodeItem] | None = None
    total_count: int | None = None


class Envelope[T](msgspec.Struct):
    """Around every answer. The ``request_id`` of an accepted request is the id of its task."""

    data: T
    request_id: str | None = None


def session_of(conversation: Conversation) -> str:
    """
    Return the session that is this segment.

    By default the conversation's own id, also for a personal history: sessions of different people share one namespace,
    so that its ``session_id`` alone would mix them.
    """
    return conversation.segment_id or conversation.conversation_id


def messages_of(messages: Sequence[Outgoing]) -> list[dict[str, Any]]:
    """Return the messages of an add. Message ids stay here: v2 knows none but its own."""
    return [
        {
            "sender_id": message.sender_id,
            "sender_name": message.sender_name,
            "role": message.role,
            "timestamp": message.timestamp_ms,
            "content": message.text,
        }
        for message in messages
    ]


def flaw_of(session_id: str, messages: Sequence[Outgoing]) -> str | None:
    """Name what the API would refuse, or worse, take for something else."""
    if not 1 <= len(session_id) <= MAX_ID_CHARACTERS:
        return f"the session id has {len(session_id)} characters, expected 1 to {MAX_ID_CHARACTERS}"
    for message in messages:
        if not _SENDER.fullmatch(message.sender_id) or message.sender_id in (".", ".."):
            return f"sender id {message.sender_id[:MAX_ID_CHARACTERS]!r} is not 1 to 128 of A-Z, a-z, 0-9 and _.@+-"
        if message.timestamp_ms < _LEAST_MS:
            return f"timestamp {message.timestamp_ms} is not in milliseconds, or from before September 2001"
    return None
