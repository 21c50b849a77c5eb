"""The filter language of v1 (``eq`` implicit, ``in``, ``gt``, ``gte``, ``lt``, ``lte``, ``AND``, ``OR``) as SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from include.standin.validation import Invalid

_COLUMNS = ("group_id", "user_id", "session_id", "timestamp")
_OPERATORS = {"eq": "IS", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def where(filters: Mapping[str, Any], *, columns: Sequence[str] = _COLUMNS) -> tuple[str, list[Any]]:
    """
    Translate filters into a condition and its values.

    :param columns: fields that count; others are ignored, as the real server ignores times of raw messages.
    :raises Invalid: an unknown field or operator, or no ``user_id`` and no ``group_id`` anywhere.
    """
    if not _scoped(filters):
        raise Invalid("filters must contain at least one of 'user_id' or 'group_id'")
    return _all(filters, columns)


def _scoped(filters: Mapping[str, Any]) -> bool:
    inner = [f for name in ("AND", "OR") for f in filters.get(name) or ()]
    return "user_id" in filters or "group_id" in filters or any(_scoped(f) for f in inner)


def _all(filters: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, list[Any]]:
    parts = [_one(name, value, columns) for name, value in filters.items()]
    return " AND ".join(f"({sql})" for sql, _ in parts), [v for _, values in parts for v in values]


def _one(name: str, value: Any, columns: Sequence[str]) -> tuple[str, list[Any]]:
    if name in ("AND", "OR"):
        parts = [_all(item, columns) for item in value]
        return f" {name} ".join(f"({sql})" for sql, _ in parts) or "1", [v for _, values in parts for v in values]
    if name not in _COLUMNS:
        raise Invalid(f"unknown filter field: {name}")
    if name not in columns:
        return "1", []
    return _compare(name, value if isinstance(value, dict) else {"eq": value})


def _compare(name: str, operators: Mapping[str, Any]) -> tuple[str, list[Any]]:
    column = "timestamp_ms" if name == "timestamp" else name
    parts, values = [], []
    for operator, operand in operators.items():
        if operator == "in":
            parts.append(f"{column} IN ({', '.join('?' * len(operand))})")
            values.extend(operand)
        elif operator in _OPERATORS:
            parts.append(f"{column} {_OPERATORS[operator]} ?")
            values.append(_milliseconds(operand) if name == "timestamp" else operand)
        else:
            raise Invalid(f"unknown filter operator: {operator}")
    return " AND ".join(parts) or "1", values


def _milliseconds(value: Any) -> int:
    if isinstance(value, str):
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    return int(value)
