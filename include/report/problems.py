"""The problems of a run: what makes it incomplete, each with its remedy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet as pq

from include.delivery.verification import Checked
from include.errors import ImportIncomplete
from include.logs import counted
from include.plan.estimate import Estimate, held_sentence
from include.records import Rejected, named_files
from include.report.columns import is_conserved
from include.report.failure import Failure
from include.run_folder import RunFolder

MOST_CAUSES = 3
"""Different causes of failed tasks that are named: the first ones."""


class Problem(NamedTuple):
    """One or more sentences on what is true, and what to do."""

    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".strip()


def problems_of(
    run: RunFolder,
    totals: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    dry_run: bool,
    estimate: Estimate | None,
    checked: Mapping[str, Checked],
) -> list[Problem]:
    """
    Return the problems of a run whose figures are known.

    :param totals: Figures of the whole run.
    :param rows: Figures of each conversation.
    :param checked: Results of reading EverOS back, by conversation id.
    """
    found = []
    if unread := unread_files(run):
        found.append(_unread(unread))
    held = estimate.held if estimate and not dry_run else 0
    if estimate and held:
        found.append(Problem(held_sentence(estimate), "Run again to load the next part."))
    if totals["pending"] > held and not dry_run:
        found.append(
            Problem(
                f"{counted(totals['pending'], 'message is', 'messages are')} pending in "
                f"{_conversations_with(rows, 'pending')}.",
                "Clear the failed load tasks, or run the import again: messages that have landed are not sent again.",
            )
        )
    if totals["unknown"]:
        found.append(
            Problem(
                f"{counted(totals['unknown'], 'message has', 'messages have')} an unknown outcome in "
                f"{_conversations_with(rows, 'unknown')}: the target may or may not have them (open_batches lists the "
                "calls).",
                "Run the import again: it asks the target again before it sends them. If the target cannot tell, "
                "decide with existing=resend or existing=skip.",
            )
        )
    if broken := [row["conversation_id"] for row in rows if not is_conserved(row)]:
        found.append(
            Problem(
                f"The figures of {_first(broken)} do not add up: some entries are not accounted for.",
                "This is a defect of the import: please report it.",
            )
        )
    unflushed = [row["conversation_id"] for row in rows if row["loaded"] and row["flushed"] is None]
    if unflushed and not totals["pending"] and not totals["unknown"]:
        found.append(
            Problem(f"Loaded but not flushed: {_first(unflushed)}.", "Clear the flush task, or run the import again.")
        )
    if wrong := sorted(f"{name} ({each.mismatch})" for name, each in checked.items() if each.mismatch):
        found.append(
            Problem(
                f"EverOS accepted all messages, but its memory does not match them in {_first(wrong)}.",
                "Nothing is sent again: check the server and its model, then clear the report task to read EverOS back "
                "again.",
            )
        )
    return found


def problems_in(report: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of a report; in those of older versions cause and remedy are in one."""
    remedies = report.get("remedies") or [""] * len(report["problems"])
    return [
        Problem(problem.removesuffix(remedy).rstrip(), remedy)
        for problem, remedy in zip(report["problems"], remedies, strict=True)
    ]


def problems_of_tasks(failed: Sequence[Failure], unread: Sequence[str]) -> list[Problem]:
    """
    Return the problems of exports that could not be read, and the first causes of other failed tasks.

    A flush fails after a failed load; that is no cause.

    :param failed: The failed tasks of the run, the earliest first.
    :param unread: Names of the exports that could not be read.
    """
    extracts = {each.label: each for each in failed if each.task_id == "extract"}
    found = []
    for label in unread:
        each = extracts.get(label)
        why, remedy = (f" {each.lines[0]}", each.remedy) if each else ("", "The log of its extract task says why.")
        found.append(Problem(f"{label} could not be read.{why} Everything else was read.", remedy))
    causes = {each.cause: each for each in reversed(failed) if each.task_id not in ("extract", "report")}
    others = [each for each in reversed(causes.values()) if each.kind != ImportIncomplete.__name__]
    return found + [Problem(f"{each.where} failed: {each.lines[0]}", each.remedy) for each in others[:MOST_CAUSES]]


def unread_files(run: RunFolder) -> list[Rejected]:
    """Return the files, and the rests of files, that could not be read."""
    rows = (row for path in run.extracted_files("rejected.parquet") for row in pq.read_table(path).to_pylist())
    return [msgspec.convert(row, Rejected) for row in rows if row["unread"]]


def _unread(files: Sequence[Rejected]) -> Problem:
    what, them = ("A file", "it") if len(files) == 1 else (f"{len(files)} files", "them")
    return Problem(
        f"{what} could not be read: {named_files(files, 5)}. Everything else was read.",
        f"Repair or remove {them}, and run the import again: nothing is sent twice. README lists the formats.",
    )


def _conversations_with(rows: Sequence[Mapping[str, Any]], figure: str) -> str:
    return _first([row["conversation_id"] for row in rows if row[figure]])


def _first(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
