"""
Turns one entry of EverOS-shaped JSON into a record, or rejects it if the v1 API would refuse it.

The API refuses a whole batch for one bad message: empty content, no time, a role other than ``user`` and
``assistant``, a group message without sender, ids it reserves, and, in a personal history, a user's message by
another sender or an assistant's by the user.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from include.ids import RESERVED_PREFIX, sender_id_of
from include.parsers.everos.text import is_of_a_tool, reply_lines, text_of
from include.parsers.everos.time import unix_us
from include.parsers.json.values import as_dict, as_dicts, as_str, identifier
from include.parsers.outcomes import Reject, Skip
from include.records import Conversation, Message, Role

SOURCE = "everos"

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "person": "user",
    "participant": "user",
    "customer": "user",
    **dict.fromkeys(("assistant", "ai", "bot", "model", "agent", "gpt", "chatgpt", "chatbot", "llm"), "assistant"),
}
"""In lower case. Chat exports of other tools call the two roles by these names."""

_MACHINE_ROLES = ("system", "developer", "tool", "function")
"""Instructions and results of tools: no messages of a user or an assistant."""

_ASSISTANTS = ("assistant", "ai", "bot", "chatbot")
"""Roles of people in ``user_details`` that mean an assistant; others may be jobs ("agent", "model")."""

_MILLISECONDS_FROM, _MILLISECONDS_BELOW = 10**12, 10**14
_MAX_ORDINALS = 100_000


@dataclass(frozen=True, kw_only=True)
class Description:
    """The header of a document: conversation, people and time zone of its entries."""

    conversation: Conversation
    flaw: str = ""
    """The reason for which none of its entries can be loaded; empty if they can."""

    people: Mapping[str, Any] = field(default_factory=dict)
    """``user_details`` by sender."""

    user_id: str = ""
    """Owner of a personal history, as the document writes it."""

    zone: tzinfo = UTC
    """Of times that name none."""


class Ordinals:
    """Numbers messages that are equal in everything: the second of two gets the ordinal 1."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def next(self, digest: str) -> int:
        """Return how often this digest came before. Starts again after 100,000: equal messages are near each other."""
        if len(self._seen) >= _MAX_ORDINALS:
            self._seen.clear()
        self._seen[digest] += 1
        return self._seen[digest] - 1


def to_message(entry: dict[str, Any], origin: str, *, description: Description, ordinals: Ordinals) -> Message:
    """
    Return the record of one entry.

    :raises Skip: for a ``system`` notice of the older format (its ``type``, not its role), and for calls of tools.
    :raises Reject: if the API would refuse the entry.
    """
    if description.flaw:
        raise Reject(description.flaw)
    if (kind := entry.get("type")) and as_str(kind).strip().lower() == "system":
        raise Skip("system")
    conversation = description.conversation
    given = identifier(entry, "sender_id") or identifier(entry, "sender")
    person = as_dict(description.people.get(given))
    role = _role(entry, person)
    sender = _sender(given, role, description)
    at_us = _sent_at_us(entry, description.zone)
    text = text_of(entry)
    if not text.strip():
        if is_of_a_tool(entry):
            raise Skip("empty")
        raise Reject("expected content, found none")
    refers = entry.get("refer_list")
    return Message(
        source=conversation.source,
        conversation_id=conversation.conversation_id,
        message_id=_given_id(entry) or _made_id((conversation.conversation_id, str(at_us), sender, text), ordinals),
        sent_at_us=at_us,
        timestamp_ms=at_us // 1000,
        sender_id=sender_id_of(sender),
        sender_name=as_str(entry.get("sender_name")) or as_str(person.get("full_name")) or sender,
        role=role,
        text="\n".join([*reply_lines(refers, description.people), text]) if refers else text,
        origin=origin,
    )


def correctable(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a rejected entry that a user can correct (:data:`include.parsers.outcomes.Correctable`)."""
    content, time = entry.get("content"), entry.get("timestamp")
    if isinstance(content, list):
        content = "\n".join(as_str(part.get("text")) for part in as_dicts(content))
    return {
        "message_id": identifier(entry, "message_id") or identifier(entry),
        "sender_id": identifier(entry, "sender_id") or identifier(entry, "sender"),
        "sender_name": entry.get("sender_name"),
        "role": entry.get("role"),
        "timestamp": entry.get("create_time") if time is None else time,
        "content": content,
    }


def role_of_person(person: Mapping[str, Any]) -> Role:
    """Return the role of a person in ``user_details``; it may be a job instead."""
    return "assistant" if as_str(person.get("role")).strip().lower() in _ASSISTANTS else "user"


def _role(entry: Mapping[str, Any], person: Mapping[str, Any]) -> Role:
    """Return the role; the older format may leave it out, or give it in ``user_details``."""
    given = entry.get("role")
    if type(given) is str and (role := _ROLES.get(given)):
        return role
    if given is None:
        if "create_time" in entry:
            return role_of_person(person)
        raise Reject("expected role user or assistant, found none")
    name = as_str(given).strip().lower()
    if role := _ROLES.get(name):
        return role
    raise Reject(f"expected role user or assistant, found {name if name in _MACHINE_ROLES else 'another'}")


def _sender(given: str, role: Role, description: Description) -> str:
    if given.startswith(RESERVED_PREFIX):
        raise Reject(f"the sender's id starts with {RESERVED_PREFIX}, which EverOS reserves")
    if description.conversation.kind == "group":
        if not given:
            raise Reject("expected a sender_id in a group, found none")
        return given
    sender = given or (description.user_id if role == "user" else "assistant")
    if (role == "user") != (sender == description.user_id):
        expected = "the user_id" if role == "user" else "another than the user_id"
        raise Reject(f"expected {expected} as sender of a message with role {role}")
    return sender


def _sent_at_us(entry: Mapping[str, Any], zone: tzinfo) -> int:
    """Return microseconds of a number or text (:mod:`include.parsers.everos.time`)."""
    given = entry.get("timestamp")
    if type(given) is int and _MILLISECONDS_FROM <= given < _MILLISECONDS_BELOW:  # as the guide has it
        return given * 1_000
    if given is None or given == "":
        given = entry.get("create_time")
    if given is None or given == "":
        raise Reject("expected a timestamp, found none")
    us = unix_us(given, zone)
    if us is None:
        raise Reject("expected a timestamp in milliseconds or as ISO 8601 text, found a value that is neither")
    return us


def _given_id(entry: Mapping[str, Any]) -> str:
    given = identifier(entry, "message_id")
    if given.startswith(RESERVED_PREFIX):
        raise Reject(f"message_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    return given


def _made_id(identity: tuple[str, ...], ordinals: Ordinals) -> str:
    """Return an id derived from the message: the same in every run and every file."""
    digest = hashlib.sha256("\x00".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    ordinal = ordinals.next(digest)
    return f"{digest}-{ordinal}" if ordinal else digest
