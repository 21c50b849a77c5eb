"""
``report.json``: the stable, documented account of a run.

Top level: ``report_version``, ``run_id``, ``target``, ``dry_run``, ``started_at``, ``finished_at`` (ISO 8601, UTC),
``conserved``, ``complete``, the totals ``extracted, loaded, already_loaded, out_of_range, skipped{reason: n},
rejected{reason: n}, pending, unknown, shifted_ms, redacted{kind: n}`` (credentials taken out of what stands in the
exports: :mod:`include.redact`), ``problems[]`` (sentences for people), ``conversations[]`` with the same counts plus
``conversation_id, name, kind, source, private_reason, segments, batches, first_ms, last_ms, flushed``,
``open_batches[]``, the calls whose outcome is not known, with ``conversation_id, segment_id, key, messages, first_ms,
last_ms, task_id, run_id``, and ``notes[]``, what is peculiar about the exports though every entry was dealt with, with
``export, code, meaning, detail, count`` (codes and meanings: :data:`include.records.NOTES`).

``layout`` is how EverOS's memory is laid out, ``segments`` and ``memory_of`` (:mod:`include.memory_layout`); of a
conversation ``segments`` counts those that were planned. ``private_reason`` says why it counts as private and is empty
if it is public; ``flushed`` is ``extracted``, ``no_extraction`` or null, of several segments ``extracted`` if any
was, and null while one is missing.

``verified`` says whether EverOS, read back after the flush, remembers all that this run loaded
(:mod:`include.delivery.verification`); each conversation has its own, with ``episodes`` and ``unprocessed`` as they
were seen then, in ``segments_read`` segments: of many a sample. All three are null where nothing was loaded or EverOS
could not be asked.

``files[]`` names what lies beside the report: ``corrections.json``, rejected messages for a person to correct
(:mod:`include.redo`; it holds message text), ``loaded.csv``, what the run put into EverOS call by call
(:mod:`include.report.loaded`), and ``owners.json``, whose memory it is (:mod:`include.report.owners`).

``estimate`` says what the plan was thought to take (null without a plan): ``messages, batches, calls, tokens,
llm_calls, seconds, concurrency``; each conversation has one of its own (:mod:`include.plan.estimate` explains them).
``loading`` is what the load took (null when nothing was sent): ``calls, messages, began_ms, ended_ms`` (Unix time) and
``series``, pairs of Unix time and messages that landed in the ``step_s`` seconds from then on. ``messages_by_day``
holds ``[day, in the exports, to load by this run]``.

Keys are only ever added; ``report_version`` changes when one changes its meaning.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from include.delivery.outcomes import Outcome
from include.delivery.verification import Checked
from include.layout import RunFolder, private_folder, write_private
from include.ledger import Call
from include.memory_api.contract import Target
from include.plan import read_layout
from include.plan.estimate import held_sentence, read_estimate
from include.report.figures import conversation_figures, is_conserved, notes_of, totals_of
from include.report.loading import LoadHistory, account_of
from include.report.series import messages_by_day

REPORT_VERSION = 1


def build_report(  # noqa: PLR0913 - a report has to know all of this
    run: RunFolder,
    outcomes: Mapping[str, Outcome],
    *,
    run_id: str,
    target: Target,
    started_at: datetime,
    dry_run: bool,
    open_calls: Sequence[Call] = (),
    history: LoadHistory | None = None,
    checked: Mapping[str, Checked] | None = None,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Put the run's figures together.

    :param outcomes: What delivery made of each planned conversation, by conversation id.
    :param open_calls: Calls of these conversations whose outcome the ledger does not know.
    :param history: The run's calls in the ledger.
    :param checked: What reading back showed, by conversation id.
    :param problems: What else went wrong, such as exports that could not be read.
    """
    rows = conversation_figures(run, outcomes)
    planned = read_estimate(run)
    efforts = planned.conversations if planned else {}
    held = planned.held if planned and not dry_run else 0
    problems = [*problems, held_sentence(planned)] if planned and held else problems
    for row in rows:
        effort = efforts.get(row["conversation_id"])
        row["estimate"] = msgspec.to_builtins(effort) if effort else None
    totals = totals_of(rows, run)
    broken = [row["conversation_id"] for row in rows if not is_conserved(row)]
    conserved = not broken and is_conserved(totals)
    checked = checked or {}
    for row in rows:
        row.update(_seen(checked.get(row["conversation_id"], Checked())))
    problems = [*problems, *_problems(totals, rows, broken, dry_run=dry_run, held=held), *_mismatches(checked)]
    return {
        "report_version": REPORT_VERSION,
        "run_id": run_id,
        "target": {
            name: getattr(target, name) for name in ("base_url", "api_version", "account", "app_id", "project_id")
        },
        "layout": msgspec.to_builtins(read_layout(run)) if run.conversations.exists() else None,
        "dry_run": dry_run,
        "started_at": started_at.astimezone(UTC).isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "conserved": conserved,
        "complete": not problems,
        "verified": _all_verified(rows),
        **totals,
        "problems": problems,
        "conversations": rows,
        "open_batches": [_open_batch(call) for call in open_calls],
        "notes": notes_of(run),
        "estimate": msgspec.to_builtins(planned.total) | {"concurrency": planned.concurrency} if planned else None,
        "loading": account_of(history or LoadHistory()),
        "messages_by_day": messages_by_day(run),
    }


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write ``report.json`` in one step: a reader sees the old one or the new one, never half of it."""
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


def _problems(
    totals: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    broken: Sequence[str],
    *,
    dry_run: bool,
    held: int,
) -> list[str]:
    problems = []
    if totals["pending"] > held and not dry_run:
        problems.append(
            f"{totals['pending']} messages are pending in {_named(rows, 'pending')}: "
            "clear the failed load tasks or run again; what has landed is not sent twice."
        )
    if totals["unknown"]:
        problems.append(
            f"{totals['unknown']} messages have an unknown outcome in {_named(rows, 'unknown')}: the target may or may "
            "not hold them (open_batches names the calls). Run again: the target is asked once more, and nothing of "
            "them is sent before; or decide with existing=resend or existing=skip."
        )
    if broken:
        problems.append(f"the figures of {_few(broken)} do not add up: some entries are unaccounted for.")
    unflushed = [row["conversation_id"] for row in rows if row["loaded"] and row["flushed"] is None]
    if unflushed and not totals["pending"] and not totals["unknown"]:
        problems.append(f"loaded but not flushed: {_few(unflushed)}. Clear the flush task or run again.")
    return problems


def _seen(checked: Checked) -> dict[str, Any]:
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


def _mismatches(checked: Mapping[str, Checked]) -> list[str]:
    wrong = [f"{name} ({each.mismatch})" for name, each in checked.items() if each.mismatch]
    if not wrong:
        return []
    return [
        f"EverOS took all of it, but what it remembers does not match in {_few(sorted(wrong))}. Nothing is sent again: "
        "look at the server and its model, then clear the report task to have it read back once more."
    ]


def _named(rows: Sequence[Mapping[str, Any]], figure: str) -> str:
    return _few([row["conversation_id"] for row in rows if row[figure]])


def _few(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
