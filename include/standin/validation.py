"""Checks requests as v1 does. Error messages name the field and the rule, and never repeat content."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

RESERVED = "gen_"
"""Ids that begin so are the server's: a client's are refused."""

NO_SESSION = "-1"
"""Session of groups, and of a user who named none."""

MAX_MESSAGES = 500
_SECONDS_BELOW = 10**12


class Invalid(Exception):
    """HTTP 422: the whole batch is refused."""


def derived(kind: str, of: str) -> str:
    """Return ``gen_<kind>_<12 hex digits>``: ``solo`` groups of users, ``sdr`` of assistants, ``msg`` of messages."""
    return f"{RESERVED}{kind}_{hashlib.md5(of.encode(), usedforsecurity=False).hexdigest()[:12]}"


def parse_object(body: bytes) -> dict[str, Any]:
    """Decode a request body. Raises :class:`Invalid`."""
    try:
        decoded = json.loads(body)
    except ValueError:
        raise Invalid("JSON decode error") from None
    if not isinstance(decoded, dict):
        raise Invalid("Input should be a valid dictionary")
    return decoded


def check_add(body: Mapping[str, Any], *, group: bool) -> list[dict[str, Any]]:
    """
    Check a batch and return its messages in one shape; one bad message rejects the batch.

    :returns: messages with ``message_id`` (or ``None``), ``sender_id``, ``sender_name``, ``role``, ``timestamp_ms``
        and ``text``.
    """
    owner = check_owner(body, group=group)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Invalid("Missing required field: messages")
    if len(messages) > MAX_MESSAGES:
        raise Invalid(f"List should have at most {MAX_MESSAGES} items after validation: messages")
    if group and not isinstance(body.get("group_meta") or {}, dict):
        raise Invalid("Input should be a valid dictionary: group_meta")
    return [_check_message(message, f"messages[{n}]", group, owner) for n, message in enumerate(messages)]


def check_owner(body: Mapping[str, Any], *, group: bool) -> str:
    """Return the ``group_id`` or ``user_id`` of an add or flush."""
    field = "group_id" if group else "user_id"
    owner = _text(body, field, field)
    if not owner:
        raise Invalid(f"Missing required field: {field}")
    if group:
        _not_reserved(owner, field)
    elif str(body.get("session_id")) == NO_SESSION:
        raise Invalid(f"session_id must not be {NO_SESSION} (reserved)")
    return owner


def _check_message(message: object, where: str, group: bool, owner: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise Invalid(f"Input should be a valid dictionary: {where}")
    role = message.get("role")
    if role not in ("user", "assistant"):
        raise Invalid(f"{where}.role must be 'user' or 'assistant'")
    sender_id = _text(message, "sender_id", where)
    if group and not sender_id:
        raise Invalid(f"{where}.sender_id is required for group add")
    if not group:
        sender_id = sender_id or (owner if role == "user" else derived("sdr", owner))
        if (role == "user") != (sender_id == owner):
            raise Invalid(f"{where}.sender_id does not fit its role in a personal conversation")
    message_id = _text(message, "message_id", where)
    for field in ("message_id", "sender_id"):
        if message.get(field):
            _not_reserved(message[field], f"{where}.{field}")
    return {
        "message_id": message_id,
        "sender_id": sender_id,
        "sender_name": _text(message, "sender_name", where) or sender_id,
        "role": role,
        "timestamp_ms": _timestamp_ms(message.get("timestamp"), where),
        "text": _content(message.get("content"), where),
    }


def _timestamp_ms(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise Invalid(f"Missing required field: {where}.timestamp")
    return value * 1000 if value < _SECONDS_BELOW else value


def _content(value: object, where: str) -> str:
    if isinstance(value, list):
        value = "\n".join(str(item.get("text") or "") for item in value if isinstance(item, dict))
    if not isinstance(value, str) or not value:
        raise Invalid(f"{where}.content must not be empty")
    return value


def _text(body: Mapping[str, Any], field: str, where: str) -> str | None:
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"Input should be a valid string: {where}.{field}")
    return value


def _not_reserved(value: str, where: str) -> None:
    if value.startswith(RESERVED):
        raise Invalid(f"{where} must not start with '{RESERVED}' (reserved)")
