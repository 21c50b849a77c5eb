"""
Renders the pages of imports: ``report.html``, and the pages in Airflow.

A page is one file. Its content security policy allows one script and one style sheet, by their digests, and no
requests: HTML in a name from an export is shown as text.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from include.files import write_private
from include.records import PLATFORM_NOTICE, SKIP_REASONS
from include.report.charts import days_chart, speed_chart, strip
from include.report.columns import PARTS, counts_of, duration, moment, shown_columns
from include.report.failure import Failure
from include.report.problems import problems_in
from include.report.rejects import first_rejects
from include.run_folder import RunFolder

TEMPLATES = Path(__file__).parent / "templates"
CSS = (TEMPLATES / "page.css").read_text(encoding="utf-8")
SCRIPT = (TEMPLATES / "page.js").read_text(encoding="utf-8")

MOST_REJECTS = 200
"""Rejected entries on the page; the files have all of them."""

MOST_PRIVATE = 500
"""Private conversations on the page; ``report.json`` has all of them."""

MOST_ROWS_RUNNING = 200
"""Conversations on the page of a running import, which is loaded again every few seconds."""


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_digest(CSS)}; script-src {_digest(SCRIPT)}; base-uri 'none'; form-action 'none'"
)
SERVED_POLICY = f"{POLICY}; connect-src 'self'"
"""Policy of the pages in Airflow: the page of a running import requests its figures every few seconds."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """State and addresses from the Airflow that serves a page; a file has none."""

    state: str = ""
    links: Sequence[tuple[str, str]] = ()
    """Addresses and labels of Airflow's pages."""
    downloads: Sequence[tuple[str, str]] = ()
    reject_files: Sequence[tuple[str, str]] = (("rejects.csv", "CSV"), ("rejects.jsonl", "JSON lines"))
    policy: str = POLICY


FILE = Place()


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as a page. A report has no message text, so a page has none."""
    rejects = list(first_rejects(RunFolder(path.parent), MOST_REJECTS))
    write_private(path, report_page(report, rejects, FILE).encode())


def report_page(
    report: Mapping[str, Any], rejects: Sequence[Mapping[str, Any]], place: Place, failure: Failure | None = None
) -> str:
    """
    Return the page of a report. Reports of older versions may lack keys.

    :param rejects: The first rejected entries.
    :param failure: The first cause of a failed run; shown if the report does not have it.
    """
    loading = report.get("loading")
    charts = [
        days_chart(report.get("messages_by_day") or [], dry_run=report["dry_run"]),
        speed_chart(loading["series"], loading["step_s"]) if loading else None,
    ]
    rows = [{**(row.get("estimate") or {}), **counts_of(row)} for row in report["conversations"]]
    counts = counts_of(report)
    return _render(
        "report.html",
        place,
        report=report,
        problems=problems_in(report),
        failure=_beside(report, failure) if failure and _is_news(failure, report) else None,
        took=_seconds_between(report["started_at"], report["finished_at"]),
        figures=_sum(counts),
        charts=[chart for chart in charts if chart],
        columns=shown_columns(rows, dry_run=report["dry_run"]),
        rows=rows,
        loading=_load_totals(loading, report["conversations"]) if loading else None,
        reasons=_reasons(report),
        private=_private(report["conversations"])[:MOST_PRIVATE],
        rejects=rejects,
        rejected=counts["rejected"],
    )


def running_page(progress: Mapping[str, Any], place: Place, *, look_at: str, failure: Failure | None = None) -> str:
    """
    Return the page of a run that has not ended.

    :param failure: Of a task that has failed or is tried again.
    :param progress: Of :func:`include.report.live.progress_of`.
    :param look_at: Address of :func:`running_part`.
    """
    return _render("running.html", place, look_at=look_at, failure=failure, **_running(progress))


def running_part(progress: Mapping[str, Any], place: Place, *, failure: Failure | None = None) -> str:
    """Return the part of :func:`running_page` that changes."""
    return _render("progress.html", place, failure=failure, **_running(progress))


def imports_page(
    runs: Sequence[Mapping[str, Any]], place: Place, *, newer: int | None = None, older: int | None = None
) -> str:
    """
    Return the list of imports.

    :param runs: With ``run_id, url, state, unfinished, started_at, took_s``, ``report`` (its totals and
        ``finished_at``, or ``None``) and ``failure`` (the first cause of a failed run, or ``None``).
    :param newer: Offset of the page before, ``None`` on the first; ``older`` likewise.
    """
    shown = [
        {
            **run,
            "counts": counts_of(run["report"]) if run["report"] else {},
            "failure": _beside(run["report"], run["failure"]),
        }
        for run in runs
    ]
    parts = [part for part in PARTS if part.shown != "if any" or any(run["counts"].get(part.key) for run in shown)]
    return _render("imports.html", place, runs=shown, parts_of_sum=parts, newer=newer, older=older)


def message_page(sentence: str, place: Place, remedy: str = "") -> str:
    """Return a page with one sentence, and what to do."""
    return _render("message.html", place, sentence=sentence, remedy=remedy, failure=None)


def failure_page(failure: Failure, place: Place) -> str:
    """Return the page of a failed run without a report: the first cause."""
    return _render("message.html", place, failure=failure)


def _render(template: str, place: Place, **values: Any) -> str:
    assets = {"css": Markup(CSS), "js": Markup(SCRIPT)}  # noqa: S704 - our own files
    return _ENVIRONMENT.get_template(template).render(**vars(place), **assets, **values)


def _running(progress: Mapping[str, Any]) -> dict[str, Any]:
    loading = progress["loading"]
    rows = [counts_of(row) for row in progress["conversations"]]
    return {
        "progress": {**progress, "conversations": rows},
        "columns": shown_columns(rows, dry_run=False),
        "most": MOST_ROWS_RUNNING,
        "strip": strip({"loaded": progress["landed"], "rejected": progress["rejected"], "": progress["left"]}),
        "chart": speed_chart(loading["series"], loading["step_s"]) if loading else None,
    }


def _is_news(failure: Failure, report: Mapping[str, Any]) -> bool:
    """Return whether a report does not say why the run failed: a task before the report's, or the report itself."""
    causes = [cause for cause, _ in problems_in(report)]
    return failure.cause != " ".join(causes) and not any(failure.cause in cause for cause in causes)


def _beside(report: Mapping[str, Any] | None, failure: Failure | None) -> Failure | None:
    """Return a failure without the counts of its time, if the report is newer and so has others."""
    if not report or not failure:
        return failure
    if failure.failed_ms > datetime.fromisoformat(report["finished_at"]).timestamp() * 1000:
        return failure
    return msgspec.structs.replace(failure, state="")


def _private(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Return the conversations that were skipped as private: id, reason, entries."""
    return [
        (row["conversation_id"], row.get("private_reason") or "", row["skipped"]["private"])
        for row in rows
        if row["skipped"].get("private")
    ]


def _reasons(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    skipped = [
        (reason, SKIP_REASONS.get(reason, PLATFORM_NOTICE), count) for reason, count in report["skipped"].items()
    ]
    rejected = [(reason, "", count) for reason, count in report["rejected"].items()]
    return [
        {
            "title": "Skipped",
            "note": "Left out on purpose. Each of these entries is listed in extracted/*/skipped.parquet.",
            "rows": skipped,
        },
        {
            "title": "Rejected",
            "note": "Broken, or rejected by EverOS. These messages were not loaded.",
            "rows": rejected,
        },
    ]


def _sum(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "extracted": counts["extracted"],
        "parts": [(part.key, part.title, part.meaning, counts[part.key]) for part in PARTS],
        "strip": strip({part.key: counts[part.key] for part in PARTS}),
    }


def _load_totals(loading: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    began, ended = loading["began_ms"], loading["ended_ms"]
    return {
        **loading,
        "flushes": sum(row.get("segments", 1) for row in rows if row["flushed"] is not None),
        "seconds": (ended - began) / 1000 if began and ended else None,
    }


def _seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _number(value: float) -> str:
    return f"{value:,}"


def _day(time_ms: int | None) -> str:
    return "" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"


def _minute(time_ms: int | None) -> str:
    return "" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"


_ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=False)
_ENVIRONMENT.filters |= {"number": _number, "day": _day, "minute": _minute, "moment": moment, "duration": duration}
