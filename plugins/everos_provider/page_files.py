"""Reads the data of the pages: files of a run without message texts, and the ledger."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from everos_provider.ledger import existing_database
from everos_provider.staging.run_view import RunView, report_files
from include.report.columns import EXTRACTED, PARTS
from include.report.failure import Failure, first_failures
from include.report.live import progress_of
from include.report.speed import LoadHistory, history_of
from include.report.waiting import Waiting, read_waiting
from include.run_folder import RunFolder

_PROGRESS = (
    "conversations.parquet",
    "plan/segments.parquet",
    "extracted/*/skipped.parquet",
    "extracted/*/rejected.parquet",
    "extracted/*/redacted.parquet",
    "estimate.json",
    "target.json",
)
_REPORT = ("report.json", "rejects.jsonl", "loaded.csv")


_TOTALS: Any = msgspec.defstruct(
    "Totals",
    [
        ("target", dict[str, str]),
        ("dry_run", bool),
        ("finished_at", str),
        ("conserved", bool),
        *((column.key, dict[str, int] if column.kind == "reasons" else int) for column in (EXTRACTED, *PARTS)),
    ],
    kw_only=True,
)
"""The fields of ``report.json`` that the list of imports shows; the others are not decoded."""


class PageFiles:
    """The files of one run. Each reading reads only what has changed since the last one."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._view = RunView(run_id)

    @property
    def run(self) -> RunFolder:
        """The folder as it was last read."""
        return self._view.run

    def progress(self) -> dict[str, Any]:
        """Return how far the run has come."""
        return progress_of(self._view.refresh(*_PROGRESS), *_from_ledger(self._run_id), self._run_id)

    def waiting(self) -> Waiting | None:
        """Return what the run waits for, ``None`` if it does not wait."""
        _, waiting = _from_ledger(self._run_id)
        return waiting

    def failure(self) -> Failure | None:
        """Return the first cause of the run's failure, ``None`` if no task has failed."""
        return failures_of([self._run_id]).get(self._run_id)

    def report(self) -> RunFolder:
        """Return the folder with the current files of the report."""
        return self._view.refresh(*_REPORT)

    def file(self, name: str) -> RunFolder:
        """Return the folder with the current version of one file."""
        return self._view.refresh(name)


def _from_ledger(run_id: str) -> tuple[LoadHistory, Waiting | None]:
    """Return a run's calls, and what it waits for."""
    database = existing_database()
    if database is None:
        return LoadHistory(), None
    with database.read() as connection:
        return history_of(connection, run_id), read_waiting(database, run_id)


def failures_of(run_ids: Sequence[str]) -> Mapping[str, Failure]:
    """Return the first causes by run id, for the runs of which a task has failed."""
    database = existing_database()
    return first_failures(database, run_ids) if database else {}


@lru_cache(maxsize=8)
def page_files(run_id: str) -> PageFiles:
    """Return the files of a run; the last few runs that were asked for are kept in memory."""
    return PageFiles(run_id)


def totals_of(run_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return what the list of imports shows of the runs that have a report, by run id."""
    reports = report_files(run_ids)
    return {run_id: msgspec.to_builtins(msgspec.json.decode(text, type=_TOTALS)) for run_id, text in reports.items()}
