"""
Turns one entry of EverOS-shaped JSON into a record, or rejects what the v1 API would refuse.

The API refuses a whole batch for one bad message: empty content, no time, a role other than ``user`` and
``assistant``, a group message without sender, ids it reserves, and, in a personal history, a user's message by
somebody else or an assistant's by the user.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from include.ids import RESERVED_PREFIX, sender_id_of
from include.parsers.everos_text import is_of_a_tool, reply_lines, text_of
from include.parsers.everos_time import unix_us
from include.parsers.outcomes import Reject, Skip
from include.parsers.values import identifier, mapping, string
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
"""Instructions and results of tools: neither a person nor an assistant said them."""

_ASSISTANTS = ("assistant", "ai", "bot", "chatbot")
"""Roles of people in ``user_details`` that mean an assistant; others may be jobs ("agent", "model")."""

_MILLISECONDS_FROM, _MILLISECONDS_BELOW = 10**12, 10**14
_MAX_ORDINALS = 100_000


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a document says about its entries."""

    conversation: Conversation
    flaw: str = ""
    """Why none of its entries can be loaded; empty if they can."""

    people: Mapping[str, Any] = field(default_factory=dict)
    """``user_details`` by sender."""

    user_id: str = ""
    """Owner of a personal history, as the document writes it."""

    zone: tzinfo = UTC
    """Of times that name none."""


class Ordinals:
    """Tells messages apart that agree in everything: the second of two gets the ordinal 1."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def next(self, digest: str) -> int:
        """Return how often this digest came before; forgets in the long run, identical messages stand together."""
        if len(self._seen) >= _MAX_ORDINALS:
            self._seen.clear()
        self._seen[digest] += 1
        return self._seen[digest] - 1


def to_message(entry: dict[str, Any], origin: str, *, description: Description, ordinals: Ordinals) -> Message:
    """
    Return the record of one entry.

    :raises Skip: for a ``system`` notice of the older format (its ``type``, not its role), and for calls of tools.
    :raises Reject: for whatever the API would refuse.
    """
    if description.flaw:
        raise Reject(description.flaw)
    if (kind := entry.get("type")) and string(kind).strip().lower() == "system":
        raise Skip("system")
    conversation = description.conversation
    given = identifier(entry, "sender_id") or identifier(entry, "sender")
    person = mapping(description.people.get(given))
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
        sender_name=string(entry.get("sender_name")) or string(person.get("full_name")) or sender,
        role=role,
        text="\n".join([*reply_lines(refers, description.people), text]) if refers else text,
        origin=origin,
    )


def role_of_person(person: Mapping[str, Any]) -> Role:
    """Return the role of a person in ``user_details``, who may have a job there instead."""
    return "assistant" if string(person.get("role")).strip().lower() in _ASSISTANTS else "user"


def _role(entry: Mapping[str, Any], person: Mapping[str, Any]) -> Role:
    """Return the role; the older format may leave it out, or say it of the person."""
    given = entry.get("role")
    if type(given) is str and (role := _ROLES.get(given)):
        return role
    if given is None:
        if "create_time" in entry:
            return role_of_person(person)
        raise Reject("expected role user or assistant, found none")
    name = string(given).strip().lower()
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
        whose = "the user_id" if role == "user" else "another than the user_id"
        raise Reject(f"expected {whose} as sender of a message with role {role}")
    return sender


def _sent_at_us(entry: Mapping[str, Any], zone: tzinfo) -> int:
    """Return microseconds of a number or text (:mod:`include.parsers.everos_time`)."""
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
    """Return an id made of what the message is: the same in every run and every file."""
    digest = hashlib.sha256("\x00".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    ordinal = ordinals.next(digest)
    return f"{digest}-{ordinal}" if ordinal else digest
