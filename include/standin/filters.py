"""The filter language of v1 (``eq`` implicit, ``in``, ``gt``, ``gte``, ``lt``, ``lte``, ``AND``, ``OR``) as SQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from include.standin.validation import Invalid

EPISODES = {"group_id": "group_id", "user_id": "user_id", "session_id": "session_id", "timestamp": "timestamp_ms"}
"""Fields and columns of episodes."""

PENDING = {"group_id": "group_id", "user_id": "sender_id"}
"""
Raw messages know no times and no sessions, and a user means what that user wrote, wherever (``SearchMemoryService``).
"""

_OPERATORS = {"eq": "IS", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def where(filters: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """
    Translate filters into a condition and its values.

    :param columns: fields that count and where they are kept; the others are ignored, as the real server does.
    :raises Invalid: an unknown field or operator, or no ``user_id`` and no ``group_id`` anywhere.
    """
    if not _scoped(filters):
        raise Invalid("filters must contain at least one of 'user_id' or 'group_id'")
    return _all(filters, columns)


def _scoped(filters: Mapping[str, Any]) -> bool:
    inner = [f for name in ("AND", "OR") for f in filters.get(name) or ()]
    return "user_id" in filters or "group_id" in filters or any(_scoped(f) for f in inner)


def _all(filters: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    parts = [_one(name, value, columns) for name, value in filters.items()]
    return " AND ".join(f"({sql})" for sql, _ in parts), [v for _, values in parts for v in values]


def _one(name: str, value: Any, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    if name in ("AND", "OR"):
        parts = [_all(item, columns) for item in value]
        return f" {name} ".join(f"({sql})" for sql, _ in parts) or "1", [v for _, values in parts for v in values]
    if name not in EPISODES:
        raise Invalid(f"unknown filter field: {name}")
    if name not in columns:
        return "1", []
    return _compare(columns[name], value if isinstance(value, dict) else {"eq": value})


def _compare(column: str, operators: Mapping[str, Any]) -> tuple[str, list[Any]]:
    parts, values = [], []
    for operator, operand in operators.items():
        if operator == "in":
            parts.append(f"{column} IN ({', '.join('?' * len(operand))})")
            values.extend(operand)
        elif operator in _OPERATORS:
            parts.append(f"{column} {_OPERATORS[operator]} ?")
            values.append(_milliseconds(operand) if column == "timestamp_ms" else operand)
        else:
            raise Invalid(f"unknown filter operator: {operator}")
    return " AND ".join(parts) or "1", values


def _milliseconds(value: Any) -> int:
    if isinstance(value, str):
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    return int(value)
