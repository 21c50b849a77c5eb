"""``report.json`` in a terminal: one line per conversation, the totals, and whether everything is accounted for."""

from collections.abc import Iterator, Mapping
from typing import Any

_COLUMNS = ("extracted", "loaded", "already_loaded", "out_of_range", "skipped", "rejected", "pending", "unknown")
_MOST_LINES = 40


def summary(report: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield the lines.

    :param report: The content of ``report.json`` (its keys: :mod:`include.report.document`).
    """
    conversations = report["conversations"]
    shown = conversations[:_MOST_LINES]
    width = max([len(row["conversation_id"]) for row in shown] + [len("conversation")])
    yield " ".join(["conversation".ljust(width), *(_title(name) for name in _COLUMNS), "flushed"])
    for row in shown:
        yield f"{_line(row['conversation_id'], row, width)} {row['flushed'] or '-'}"
    if len(conversations) > len(shown):
        yield f"… and {len(conversations) - len(shown)} more conversations, all in the report"
    yield _line("all", report, width)
    yield ""
    if report["conserved"]:
        yield "Every entry of the exports is accounted for: extracted is the sum of the other columns."
    else:
        yield "NOT ACCOUNTED FOR: extracted is not the sum of the other columns."
    for kind in ("skipped", "rejected"):
        yield from (f"  {kind} {count:,}: {reason}" for reason, count in report[kind].items())
    yield from (f"  {problem}" for problem in report.get("problems", []))


def _line(name: str, row: Mapping[str, Any], width: int) -> str:
    return " ".join([name.ljust(width), *(f"{_count(row[column]):>{len(_title(column))},}" for column in _COLUMNS)])


def _title(column: str) -> str:
    return f"{column.replace('_', ' '):>8}"


def _count(value: int | Mapping[str, int]) -> int:
    """Skipped and rejected are counted by reason."""
    return value if isinstance(value, int) else sum(value.values())
