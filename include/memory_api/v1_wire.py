"""The shapes of v1 on the wire, as the SDK ``everos`` 0.4.0 describes them; fields we do not read are left out."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from include.records import Conversation, Outgoing

MOST_PENDING = 100
"""``raw_message`` search never shows more (reference server, ``MAX_RETRIEVE_LIMIT`` of the request)."""

_DERIVED = "gen_"
"""How every id begins that the server made up itself."""

_NO_SESSION = "-1"
"""What the server notes where no session was given."""


class AddResult(msgspec.Struct):
    """Answer to an add: ``task_id`` in async mode, ``status`` when the work is done."""

    task_id: str | None = None
    status: str | None = None
    message_count: int | None = None


class FlushResult(msgspec.Struct):
    """Answer to a flush."""

    status: str


class TaskResult(msgspec.Struct):
    """Answer to a question about a task."""

    status: str


class RawMessage(msgspec.Struct):
    """A pending message; its text is not decoded."""

    message_id: str | None = None
    group_id: str | None = None
    session_id: str | None = None
    sender_id: str | None = None
    timestamp: str | None = None


class EpisodeItem(msgspec.Struct):
    """An episode: of the group, or of one person in it."""

    id: str = ""
    group_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    subject: str | None = None
    summary: str | None = None
    episode: str | None = None
    timestamp: str | None = None
    score: float | None = None


class SearchResult(msgspec.Struct):
    """Answer to a search."""

    episodes: list[EpisodeItem] | None = None
    raw_messages: list[RawMessage] | None = None


class GetResult(msgspec.Struct):
    """One page of episodes."""

    episodes: list[EpisodeItem] | None = None
    total_count: int | None = None


class Envelope[T](msgspec.Struct):
    """Everything comes under ``data``."""

    data: T


def add_body(conversation: Conversation, messages: Sequence[Outgoing]) -> dict[str, Any]:
    """Return the body of an add. ``message_id`` is always sent: the server would derive one from the millisecond."""
    items = [
        {
            "message_id": message.message_id,
            "sender_id": message.sender_id,
            "sender_name": message.sender_name,
            "role": message.role,
            "timestamp": message.timestamp_ms,
            "content": message.text,
        }
        for message in messages
    ]
    body = {**owner(conversation), "messages": items, "async_mode": True}
    if conversation.kind == "group" and conversation.group_meta is not None:
        body["group_meta"] = msgspec.Raw(conversation.group_meta.encode())
    return body


def flaw_of(conversation: Conversation) -> str | None:
    """Name what would make an add's body unreadable as a whole."""
    try:
        msgspec.json.decode(conversation.group_meta or "{}", type=dict[str, Any])
    except (ValueError, RecursionError):
        return "its group_meta is no JSON object"
    return None


def owner(conversation: Conversation) -> dict[str, Any]:
    """Whose a conversation is, as an add or flush says it and as episodes are filtered."""
    if conversation.kind == "group":
        return {"group_id": conversation.conversation_id}
    session = {} if conversation.session_id is None else {"session_id": conversation.session_id}
    return {"user_id": conversation.user_id, **session}


def pending_filters(conversation: Conversation) -> list[dict[str, Any]]:
    """
    Return the filters that together show all pending messages of a conversation.

    For a ``user_id`` the reference server shows what that user wrote, wherever, and not the assistant's part; all of a
    personal history lies under a group id derived from the user's (``api_specs/id_generator.py``).
    """
    if conversation.kind == "group":
        return [owner(conversation)]
    user_id = conversation.user_id or ""
    digest = hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()[:12]
    return [{"group_id": f"{_DERIVED}solo_{digest}"}, {"user_id": user_id}]


def filters_by_writer(conversation: Conversation, writer: str) -> dict[str, Any]:
    """
    Return the filters that show the pending messages of one writer, person or bot, in a conversation.

    The reference server takes ``group_id`` and ``user_id`` together, the latter as whoever sent it
    (``SearchMemoryService._search_raw_message``).
    """
    return {**pending_filters(conversation)[0], "user_id": writer}


def belongs(message: RawMessage, conversation: Conversation) -> bool:
    """
    Tell whether a pending message is of this conversation.

    A user's filter also shows what they wrote elsewhere, and so might a server that takes only one of two filters.
    """
    if conversation.kind == "group":
        return message.group_id in (None, conversation.conversation_id)
    own = message.group_id is None or message.group_id.startswith(_DERIVED)
    session = None if message.session_id == _NO_SESSION else message.session_id
    return own and session == conversation.session_id
