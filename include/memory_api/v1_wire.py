"""The JSON of v1, as the SDK ``everos`` 0.4.0 describes it, without the fields that are not read."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from include.memory_api import wire
from include.memory_api.contract import Name
from include.records import Conversation, Outgoing

MOST_PENDING = 100
"""A ``raw_message`` search returns at most so many (reference server, ``MAX_RETRIEVE_LIMIT`` of the request)."""

_DERIVED = "gen_"
"""Prefix of the ids that the server derives itself."""

_NO_SESSION = "-1"
"""The server's value for "no session was given"."""


class AddResult(wire.AddResult):
    """Answer to an add; ``task_id`` in async mode."""

    task_id: str | None = None


class TaskResult(msgspec.Struct):
    """State of a task."""

    status: str


class RawMessage(msgspec.Struct):
    """A pending message; its text is not decoded."""

    message_id: str | None = None
    group_id: str | None = None
    session_id: str | None = None
    sender_id: str | None = None
    timestamp: str | None = None


class EpisodeItem(wire.EpisodeItem):
    """An episode: of the group, or of one person in it."""

    group_id: str | None = None
    user_id: str | None = None


class SearchResult(msgspec.Struct):
    """Answer to a search."""

    episodes: list[EpisodeItem] | None = None
    raw_messages: list[RawMessage] | None = None


def add_body(conversation: Conversation, messages: Sequence[Outgoing]) -> dict[str, Any]:
    """Return the body of an add. ``message_id`` is always sent: the server would derive one from the millisecond."""
    items = [{"message_id": message.message_id, **wire.message_fields(message)} for message in messages]
    body = {**scope(conversation), "messages": items, "async_mode": True}
    if conversation.kind == "group" and conversation.group_meta is not None:
        body["group_meta"] = msgspec.Raw(conversation.group_meta.encode())
    return body


def names_in(conversation: Conversation, messages: Sequence[Outgoing]) -> tuple[Name, ...]:
    """
    Return the names to tell in calls of their own.

    A message of a group has a ``sender_name``, one of a personal conversation has none (SDK ``everos`` 0.4.0,
    ``GroupMessageItemParam`` and ``MessageItemParam``). Of a name that changes the last one is told.
    """
    if conversation.kind == "group":
        of_group = {"name": conversation.name, "description": conversation.description}
        return (Name(kind="group", id=conversation.conversation_id, **of_group),)
    names = {message.sender_id: message.sender_name for message in messages}
    return tuple(Name(kind="sender", id=sender_id, name=name) for sender_id, name in names.items())


def name_call(name: Name) -> tuple[str, dict[str, str]]:
    """Return path and body of the call that tells a name."""
    if name.kind == "group":
        return "/api/v1/groups", {"group_id": name.id, "name": name.name, "description": name.description}
    return "/api/v1/senders", {"sender_id": name.id, "name": name.name}


def validation_error(conversation: Conversation) -> str | None:
    """Return why the body of an add would not be valid JSON; ``None`` if it is valid."""
    try:
        msgspec.json.decode(conversation.group_meta or "{}", type=dict[str, Any])
    except (ValueError, RecursionError):
        return "its group_meta is no JSON object"
    return None


def scope(conversation: Conversation) -> dict[str, Any]:
    """Return the fields that name a conversation, in an add, in a flush and as a filter of episodes."""
    if conversation.kind == "group":
        return {"group_id": conversation.conversation_id}
    session = {} if conversation.session_id is None else {"session_id": conversation.session_id}
    return {"user_id": conversation.user_id, **session}


def pending_filters(conversation: Conversation) -> list[dict[str, Any]]:
    """
    Return the filters that together show all pending messages of a conversation.

    For a ``user_id`` the reference server returns the messages that the user wrote in any conversation, and not the
    assistant's. All messages of a personal history have a group id derived from the user's
    (``api_specs/id_generator.py``).
    """
    if conversation.kind == "group":
        return [scope(conversation)]
    user_id = conversation.user_id or ""
    digest = hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()[:12]
    return [{"group_id": f"{_DERIVED}solo_{digest}"}, {"user_id": user_id}]


def filters_by_writer(conversation: Conversation, writer: str) -> dict[str, Any]:
    """
    Return the filters that show the pending messages of one writer, person or bot, in a conversation.

    The reference server takes ``group_id`` and ``user_id`` together, and compares the latter with the sender
    (``SearchMemoryService._search_raw_message``).
    """
    return {**pending_filters(conversation)[0], "user_id": writer}


def is_in(message: RawMessage, conversation: Conversation) -> bool:
    """
    Return whether a pending message is in this conversation.

    A filter by user also returns messages of other conversations, and so might a server that applies only one of two
    filters.
    """
    if conversation.kind == "group":
        return message.group_id in (None, conversation.conversation_id)
    own = message.group_id is None or message.group_id.startswith(_DERIVED)
    session = None if message.session_id == _NO_SESSION else message.session_id
    return own and session == conversation.session_id
