"""
Builds ``report.json``, the stable and documented account of a run. ``docs/report.md`` describes its keys.

Keys are only ever added; ``report_version`` changes when a key changes its meaning.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from include.delivery.outcomes import Outcome
from include.delivery.verification import Checked
from include.files import private_folder, write_private
from include.ledger import Call
from include.memory_api.contract import Target
from include.plan import read_layout
from include.plan.estimate import read_estimate
from include.report.columns import is_conserved
from include.report.figures import conversation_figures, notes_of, totals_of
from include.report.per_day import messages_by_day
from include.report.problems import Problem, problems_of
from include.report.speed import LoadHistory, speed_of
from include.run_folder import RunFolder

REPORT_VERSION = 1


def build_report(  # noqa: PLR0913 - the parts of a report
    run: RunFolder,
    outcomes: Mapping[str, Outcome],
    *,
    run_id: str,
    target: Target,
    target_from: str = "",
    started_at: datetime,
    dry_run: bool,
    open_calls: Sequence[Call] = (),
    history: LoadHistory | None = None,
    checked: Mapping[str, Checked] | None = None,
    problems: Sequence[Problem] = (),
) -> dict[str, Any]:
    """
    Return the report.

    :param target_from: The place of the target's settings, such as ``the connection everos_default in Airflow``.
    :param outcomes: Of the planned messages of each conversation, by conversation id.
    :param open_calls: Calls of these conversations without an outcome in the ledger.
    :param history: The run's calls in the ledger.
    :param checked: Results of reading EverOS back, by conversation id.
    :param problems: Further problems, such as exports that could not be read.
    """
    rows = conversation_figures(run, outcomes)
    planned = read_estimate(run)
    efforts = planned.conversations if planned else {}
    for row in rows:
        effort = efforts.get(row["conversation_id"])
        row["estimate"] = msgspec.to_builtins(effort) if effort else None
    totals = totals_of(rows, run)
    conserved = all(map(is_conserved, rows)) and is_conserved(totals)
    checked = checked or {}
    for row in rows:
        row.update(_read_back(checked.get(row["conversation_id"], Checked())))
    problems = [*problems, *problems_of(run, totals, rows, dry_run=dry_run, estimate=planned, checked=checked)]
    return {
        "report_version": REPORT_VERSION,
        "run_id": run_id,
        "target": {
            name: getattr(target, name) for name in ("base_url", "api_version", "account", "app_id", "project_id")
        }
        | {"from": target_from},
        "layout": msgspec.to_builtins(read_layout(run)) if run.conversations.exists() else None,
        "dry_run": dry_run,
        "started_at": started_at.astimezone(UTC).isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "conserved": conserved,
        "complete": not problems,
        "verified": _all_verified(rows),
        **totals,
        "problems": [str(problem) for problem in problems],
        "remedies": [problem.remedy for problem in problems],
        "conversations": rows,
        "open_batches": [_open_batch(call) for call in open_calls],
        "notes": notes_of(run),
        "estimate": msgspec.to_builtins(planned.total) | {"concurrency": planned.concurrency} if planned else None,
        "loading": speed_of(history or LoadHistory()),
        "messages_by_day": messages_by_day(run),
    }


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write ``report.json`` atomically."""
    private_folder(path.parent)
    write_private(path, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())


def _open_batch(call: Call) -> dict[str, Any]:
    return {
        "conversation_id": call.conversation_id,
        "segment_id": call.segment_id,
        "key": call.key,
        "messages": len(call.message_ids),
        "first_ms": min(call.timestamps_ms, default=None),
        "last_ms": max(call.timestamps_ms, default=None),
        "task_id": call.task_id,
        "run_id": call.run_id,
    }


def _read_back(checked: Checked) -> dict[str, Any]:
    found = checked.readback
    return {
        "episodes": found.episodes if found else None,
        "unprocessed": found.unprocessed if found else None,
        "verified": checked.verified,
        "segments_read": checked.segments if found else 0,
    }


def _all_verified(rows: Sequence[Mapping[str, Any]]) -> bool | None:
    verdicts = [row["verified"] for row in rows if row["loaded"]]
    if False in verdicts:
        return False
    return True if verdicts and None not in verdicts else None
