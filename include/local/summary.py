"""Prints ``report.json`` in a terminal: a line per conversation, the totals, and the check of the sum."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from include.local.screen import wrapped
from include.logs import counted, printable
from include.report.columns import TOTALS, Column, count_of, duration
from include.report.problems import problems_in

_MOST_LINES = 40
_MOST_CHARACTERS = 48
_INDENT = "  "


def summary(report: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield the lines.

    :param report: The content of ``report.json`` (its keys: :mod:`include.report.document`).
    """
    columns = [
        column for column in TOTALS if column.shown != "never" and (column.shown != "if any" or report[column.key])
    ]
    conversations = report["conversations"]
    shown = conversations[:_MOST_LINES]
    names = [shortened(row["conversation_id"]) for row in shown]
    width = max(map(len, [*names, "conversation"]))
    yield "  ".join(["conversation".ljust(width), *(_heading(column) for column in columns), "flushed"])
    for name, row in zip(names, shown, strict=True):
        yield f"{_line(name.ljust(width), row, columns)}  {row['flushed'] or '-'}"
    if len(conversations) > len(shown):
        yield f"… and {len(conversations) - len(shown)} more conversations, see the report"
    yield _line("all".ljust(width), report, columns)
    yield ""
    if report["conserved"]:
        yield "Every entry is accounted for: extracted is the sum of the columns after it."
    else:
        yield "NOT EVERY ENTRY IS ACCOUNTED FOR: extracted is not the sum of the columns after it."
    if report["dry_run"]:
        calls = sum(row["batches"] for row in conversations)
        messages = counted(report["pending"], "message")
        yield f"Dry run: nothing was sent. Without it {messages} would go in {counted(calls, 'call')}."
        if estimate := report.get("estimate"):
            yield wrapped(
                f"The estimate is {counted(estimate['tokens'], 'token')} of text, "
                f"{counted(estimate['llm_calls'], 'call')} of EverOS's language model and "
                f"{duration(estimate['seconds'])}; the report says how that is estimated."
            )
    for kind in ("skipped", "rejected"):
        for reason, count in report[kind].items():
            yield wrapped(f"{kind} {count:,}: {printable(reason)}", _INDENT)
    for note in report["notes"]:
        detail = f" ({note['detail']})" if note["detail"] else ""
        yield wrapped(printable(f"note on {note['export']}: {note['count']:,} {note['meaning']}{detail}"), _INDENT)


def problems(report: Mapping[str, Any], noted: str = "") -> Iterator[str]:
    """
    Yield the problems of a report, each with its remedy on a line of its own.

    :param noted: Cause of the run's failure, which is printed in another place; the problem that it is in is left out.
    """
    for problem in problems_in(report):
        if not (noted and (noted in problem.cause or problem.cause in noted)):
            yield wrapped(printable(problem.cause), _INDENT)
            if problem.remedy:
                yield wrapped(printable(problem.remedy), 2 * _INDENT)


def _line(name: str, row: Mapping[str, Any], columns: Sequence[Column]) -> str:
    return "  ".join([name, *(f"{count_of(row[column.key]):>{len(_heading(column))},}" for column in columns)])


def _heading(column: Column) -> str:
    return column.title.lower()


def shortened(name: str) -> str:
    """Cut a long id in the middle: ids of related conversations differ at the end."""
    name = printable(name)
    half = (_MOST_CHARACTERS - 1) // 2
    return name if len(name) <= _MOST_CHARACTERS else f"{name[:half]}…{name[-half:]}"
