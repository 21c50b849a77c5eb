"""Reads values of unknown type from decoded JSON: a value of the wrong type counts as missing."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_INVISIBLE = re.compile(
    r"[\s\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u2800\u3164\ufe0f\ufeff\uffa0]*"
)
_EXACT = 2**53
"""Whole numbers below it are exact as floats."""

_EXACT_DIGITS = 100
"""Of a number in a name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_str(value: object) -> str:
    """Return a string, else ``""``."""
    return value if isinstance(value, str) else ""


def visible(text: str) -> str:
    """Return a text, or ``""`` if all its characters are invisible: some clients send these for an empty text."""
    if "!" <= text[:1] <= "~":  # nearly always, and quick to check
        return text
    return "" if _INVISIBLE.fullmatch(text) else text


def as_dict(value: object) -> dict[str, Any]:
    """Return an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; nothing of anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_strs(value: object) -> list[str]:
    """Return the strings of a list; nothing of anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def identifier(thing: Mapping[str, Any], key: str = "id") -> str:
    """
    Return an id, be it text or a whole number, as text without white space around it; ``""`` if it has none.

    Tools for tables write whole numbers as ``7.0`` where some rows have none.
    """
    value = thing.get(key)
    if type(value) is str:  # nearly always
        return value.strip()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else as_str(value).strip()


def microseconds(timestamp: object, zone: tzinfo = UTC) -> int | None:
    """
    Return Unix microseconds of an ISO 8601 text, ``None`` of anything else.

    :param zone: Of a text that names none.
    """
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp.strip())
        return ((moment if moment.tzinfo else moment.replace(tzinfo=zone)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def in_natural_order(name: str) -> list[tuple[int, str]]:
    """
    Return a sort key that orders numbers in names by value.

    >>> sorted(["chat-10.json", "chat-2.json"], key=in_natural_order)
    ['chat-2.json', 'chat-10.json']
    """
    pieces = re.split(r"([0-9]+)", name)  # text and digits in turn
    return [(int(piece[:_EXACT_DIGITS]), piece) if at % 2 else (0, piece) for at, piece in enumerate(pieces)]


def file_name_in(url: str) -> str:
    r"""
    Return the last part of an address or a path (``media\x.png`` of an export made on Windows).

    >>> file_name_in("https://cdn.discordapp.com/attachments/1/2/plan.pdf?ex=66aa&hm=1f")
    'plan.pdf'
    """
    return re.split(r"[/\\]", without_query(url))[-1] or "unnamed"


def without_query(url: str) -> str:
    """Drop what follows ``?`` or ``#``."""
    return re.split(r"[?#]", url, maxsplit=1)[0]
