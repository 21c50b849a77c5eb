"""
The pages of imports: ``report.html``, a file that opens anywhere, and the same page with its neighbours in Airflow.

Everything is in the page itself. Its policy lets run the one script and the one style sheet that are named by their
digests, and load nothing: what an export smuggles into a name stays text.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from include.layout import RunFolder, write_private
from include.report.charts import days_chart, speed_chart, strip
from include.report.figures import REASONED
from include.report.rejects import first_rejects

TEMPLATES = Path(__file__).parent / "templates"
CSS = (TEMPLATES / "page.css").read_text(encoding="utf-8")
SCRIPT = (TEMPLATES / "page.js").read_text(encoding="utf-8")

MOST_REJECTS = 200
"""Shown on the page; the files hold all."""

MOST_PRIVATE = 500
"""Private conversations shown with the reason; ``report.json`` has all."""

MOST_ROWS_RUNNING = 200
"""Conversations shown while a run goes on, because they are sent anew every few seconds."""

SUM = ("loaded", "already_loaded", "out_of_range", "skipped", "rejected", "pending", "unknown")
"""What extracted is the sum of, in the order of the page."""

_WHEN_THERE = ("already_loaded", "out_of_range", "pending", "unknown", "episodes", "unprocessed")
"""Columns of the table that are shown only when they hold something."""


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_digest(CSS)}; script-src {_digest(SCRIPT)}; base-uri 'none'; form-action 'none'"
)
SERVED_POLICY = f"{POLICY}; connect-src 'self'"
"""Of the pages in Airflow: a running import is looked at again every few seconds."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a page needs to know of the Airflow that serves it; a file needs none of it."""

    state: str = ""
    links: Sequence[tuple[str, str]] = ()
    """Addresses and words of Airflow's own pages."""
    downloads: Sequence[tuple[str, str]] = ()
    reject_files: Sequence[tuple[str, str]] = (("rejects.csv", "CSV"), ("rejects.jsonl", "JSON lines"))
    policy: str = POLICY


FILE = Place()


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as a page. Shows names, reasons and counts; no message text is in the report to begin with."""
    rejects = list(first_rejects(RunFolder(path.parent), MOST_REJECTS))
    write_private(path, report_page(report, rejects, FILE).encode())


def report_page(report: Mapping[str, Any], rejects: Sequence[Mapping[str, Any]], place: Place) -> str:
    """
    Return the page of a report; one of an older version, without some of today's keys, shows what it has.

    :param rejects: The first rejected entries.
    """
    loading = report.get("loading")
    charts = [
        days_chart(report.get("messages_by_day") or [], dry_run=report["dry_run"]),
        speed_chart(loading["series"], loading["step_s"]) if loading else None,
    ]
    rows = [{**(row.get("estimate") or {}), **_flat(row)} for row in report["conversations"]]
    counts = _flat(report)
    return _render(
        "report.html",
        place,
        report=report,
        took=_seconds_between(report["started_at"], report["finished_at"]),
        figures=_figures(counts),
        charts=[chart for chart in charts if chart],
        columns=_columns(rows, dry_run=report["dry_run"] and report.get("estimate") is not None),
        rows=rows,
        loading=_spent(loading, report["conversations"]) if loading else None,
        reasons=[
            (
                "Left out",
                "Skipped on purpose, by reason; each entry stands in extracted/*/skipped.parquet.",
                report["skipped"],
            ),
            ("Broken", "Rejected, by reason: nothing of these was sent.", report["rejected"]),
        ],
        private=_private(report["conversations"])[:MOST_PRIVATE],
        rejects=rejects,
        rejected=counts["rejected"],
    )


def running_page(progress: Mapping[str, Any], place: Place, *, look_at: str) -> str:
    """
    Return the page of a run that has not ended.

    :param progress: Of :func:`include.report.progress.progress_of`.
    :param look_at: Where the script finds what :func:`running_part` returns.
    """
    return _render("running.html", place, look_at=look_at, **_running(progress))


def running_part(progress: Mapping[str, Any], place: Place) -> str:
    """Return the part of :func:`running_page` that changes."""
    return _render("progress.html", place, **_running(progress))


def imports_page(
    runs: Sequence[Mapping[str, Any]], place: Place, *, newer: int | None = None, older: int | None = None
) -> str:
    """
    Return the list of imports.

    :param runs: With ``run_id, url, state, unfinished, started_at, took_s`` and ``report`` (its totals, or ``None``).
    :param newer: Offset of the page before, ``None`` on the first; ``older`` likewise.
    """
    shown = [{**run, "counts": _flat(run["report"]) if run["report"] else None} for run in runs]
    counts = [run["counts"] for run in shown if run["counts"]]
    return _render(
        "imports.html", place, runs=shown, parts_of_sum=_titles(_shown(SUM, counts)), newer=newer, older=older
    )


def message_page(sentence: str, place: Place) -> str:
    """Return a page that only says something."""
    return _render("message.html", place, sentence=sentence)


def _render(template: str, place: Place, **values: Any) -> str:
    assets = {"css": Markup(CSS), "js": Markup(SCRIPT)}  # noqa: S704 - our own files
    return _ENVIRONMENT.get_template(template).render(**vars(place), **assets, **values)


def _running(progress: Mapping[str, Any]) -> dict[str, Any]:
    loading = progress["loading"]
    rows = [_flat(row) for row in progress["conversations"]]
    return {
        "progress": {**progress, "conversations": rows},
        "columns": _columns(rows),
        "most": MOST_ROWS_RUNNING,
        "strip": strip({"loaded": progress["landed"], "rejected": progress["rejected"], "": progress["left"]}),
        "chart": speed_chart(loading["series"], loading["step_s"]) if loading else None,
    }


def _flat(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Sum up what is counted by reason."""
    return {**figures, **{name: sum(figures[name].values()) for name in REASONED}}


def _private(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Return the conversations that were left out because they are private: id, why, entries."""
    return [
        (row["conversation_id"], row.get("private_reason") or "", row["skipped"]["private"])
        for row in rows
        if row["skipped"].get("private")
    ]


def _figures(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "extracted": counts["extracted"],
        "parts": [(name, title, counts[name]) for name, title in _titles(SUM)],
        "strip": strip({name: counts[name] for name in SUM}),
    }


def _columns(rows: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> list[dict[str, str]]:
    """
    Return the columns of the table: those that every report has, and those that these rows have something in.

    :param dry_run: Show what each conversation is thought to take.
    """
    segments = ("segments",) if any(row.get("segments", 0) > 1 for row in rows) else ()
    counts = _shown(("extracted", *SUM, *segments, "batches", *(("tokens", "llm_calls") if dry_run else ())), rows)
    counts = [name for name in counts if not (dry_run and name == "loaded")]
    found = _shown(("episodes", "unprocessed"), rows)
    return [
        _column("conversation_id", "text", "Conversation"),
        *(_column(name, "count") for name in counts),
        *([_column("seconds", "duration", "Time")] if dry_run else ()),
        *(_column(f"{name}_ms", "day", name.capitalize()) for name in ("first", "last")),
        *([] if dry_run else [_column("flushed", "text")]),
        *(_column(name, "count") for name in found),
    ]


def _column(key: str, kind: str, title: str = "") -> dict[str, str]:
    return {"key": key, "kind": kind, "title": title or _title(key)}


def _shown(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in names if name not in _WHEN_THERE or any(row.get(name) for row in rows)]


def _titles(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, _title(name)) for name in names]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("Llm", "LLM")


def _spent(loading: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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


def _moment(value: str | datetime | None) -> str:
    if not value:
        return ""
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float | None) -> str:
    """
    Return a time as people say it.

    >>> _duration(0.4), _duration(75), _duration(7290), _duration(200_000)
    ('0.4 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    left = round(seconds)
    words: list[str] = []
    for name, size in units:
        value, left = divmod(left, size)
        if value or words:
            words.append(f"{value} {name}")
    return " ".join(word for word in words[:2] if not word.startswith("0 "))


_ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=False)
_ENVIRONMENT.filters |= {"number": _number, "day": _day, "minute": _minute, "moment": _moment, "duration": _duration}
