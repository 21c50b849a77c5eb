"""
The run's figures, per conversation and in all, and whether they add up.

``extracted = loaded + already_loaded + out_of_range + skipped + rejected + pending + unknown`` must hold for every
conversation and for the whole. ``extracted`` was counted where the files were decoded, the parts where entries were
judged, planned and delivered: what a step drops without a word shows up here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from include.delivery.outcomes import Outcome
from include.layout import RunFolder
from include.plan.store import plan_table
from include.records import NOTES, TRANSFORMED_SCHEMA

COUNTS = ("extracted", "loaded", "already_loaded", "out_of_range", "pending", "unknown", "shifted_ms")
REASONED = ("skipped", "rejected")
PARTS = ("loaded", "already_loaded", "out_of_range", "pending", "unknown")

NO_CONVERSATION = ""
"""Entries that cannot be tied to a conversation: unrecognised files, unreadable index entries."""


def conversation_figures(run: RunFolder, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """
    Return one row per conversation, ordered by id: the ``conversations`` of ``report.json``.

    :param outcomes: What delivery made of each planned conversation, by conversation id.
    """
    table = known_conversations(run)
    skipped = _by_reason(run, "skipped")
    rejected = _by_reason(run, "rejected")
    planned = _planned(run)
    redacted = _redacted(run)
    rows = []
    for known in table.sort_values("conversation_id").to_dict("records"):
        conversation_id = known["conversation_id"]
        outcome = outcomes.get(conversation_id, Outcome(conversation_id=conversation_id))
        rows.append(
            {
                "conversation_id": conversation_id,
                "name": known["name"],
                "kind": known["kind"],
                "source": known["source"],
                "private_reason": known["private_reason"],
                "extracted": known["entries"],
                "loaded": outcome.loaded,
                "already_loaded": known["already_loaded"] + outcome.already_loaded,
                "out_of_range": known["out_of_range"],
                "skipped": _merge(skipped.get(conversation_id, {}), {"duplicate": known["duplicates"]}),
                "rejected": _merge(
                    rejected.get(conversation_id, {}),
                    outcome.rejected,
                    {"refused by the target in an earlier run": known["rejected_before"]},
                ),
                "pending": outcome.pending,
                "unknown": outcome.unknown,
                "shifted_ms": known["shifted_ms"],
                "redacted": dict(sorted(redacted[conversation_id].items())),
                **planned.get(conversation_id, {"segments": 0, "batches": 0, "first_ms": None, "last_ms": None}),
                "flushed": outcome.flushed,
            }
        )
    return rows


def known_conversations(run: RunFolder) -> pd.DataFrame:
    """Return :data:`include.records.TRANSFORMED_SCHEMA`; empty when there was nothing to transform."""
    if not run.conversations.exists():
        return TRANSFORMED_SCHEMA.empty_table().to_pandas()
    return pq.read_table(run.conversations).to_pandas()


def totals_of(rows: Iterable[Mapping[str, Any]], run: RunFolder) -> dict[str, Any]:
    """Return the sums over all conversations and over the entries that belong to none."""
    by_reason = (*REASONED, "redacted")
    totals: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {name: Counter() for name in by_reason}
    for row in rows:
        for name in COUNTS:
            totals[name] += row[name]
        for name in by_reason:
            totals[name].update(row[name])
    for name in REASONED:
        homeless = _by_reason(run, name).get(NO_CONVERSATION, {})
        totals[name].update(homeless)
    totals["extracted"] += entries_without_conversation(run)
    return totals | {name: dict(sorted(totals[name].items())) for name in by_reason}


def is_conserved(figures: Mapping[str, Any]) -> bool:
    """Tell whether a row's (or the totals') parts add up to what was extracted."""
    parts = sum(figures[name] for name in PARTS) + sum(sum(figures[name].values()) for name in REASONED)
    return bool(figures["extracted"] == parts)


def entries_without_conversation(run: RunFolder) -> int:
    """Return how many entries were decoded that no conversation could be named for."""
    rows = (row for path in _files(run, "conversations") for row in pq.read_table(path).to_pylist())
    return sum(row["entries"] for row in rows if row["conversation_id"] == NO_CONVERSATION)


def notes_of(run: RunFolder) -> list[dict[str, Any]]:
    """Return what is peculiar about the exports: the ``notes`` of ``report.json``."""
    files = [*_files(run, "notes"), *([run.notes] if run.notes.exists() else [])]
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    return [row | {"meaning": NOTES[code]} for code in NOTES for row in rows if row["code"] == code]


def _by_reason(run: RunFolder, name: str) -> dict[str, dict[str, int]]:
    """Return ``{conversation id: {reason: count}}`` of the extracted ``skipped`` or ``rejected`` files."""
    files = [str(path) for path in _files(run, name)]
    if not files:
        return {}
    counted = (
        ds.dataset(files)
        .to_table(columns=["conversation_id", "reason"])
        .group_by(["conversation_id", "reason"])
        .aggregate([([], "count_all")])
    )
    result: dict[str, dict[str, int]] = {}
    for row in counted.to_pylist():
        result.setdefault(row["conversation_id"], {})[row["reason"]] = row["count_all"]
    return result


def _redacted(run: RunFolder) -> dict[str, Counter[str]]:
    """Return how many credentials of which kind were taken out, by conversation id."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for path in _files(run, "redacted"):
        for row in pq.read_table(path).to_pylist():
            counts[row["conversation_id"]][row["kind"]] += row["count"]
    return counts


def _planned(run: RunFolder) -> dict[str, dict[str, int]]:
    """Return what was planned of each conversation, over its segments."""
    table: Any = plan_table(run, "conversation_id", "batches", "first_ms", "last_ms")
    sums = [("batches", "sum"), ("first_ms", "min"), ("last_ms", "max"), ("conversation_id", "count")]
    return {
        row["conversation_id"]: {
            "segments": row["conversation_id_count"],
            "batches": row["batches_sum"],
            "first_ms": row["first_ms_min"],
            "last_ms": row["last_ms_max"],
        }
        for row in table.group_by("conversation_id", use_threads=False).aggregate(sums).to_pylist()
    }


def _files(run: RunFolder, name: str) -> list[Path]:
    return run.extracted_files(f"{name}.parquet")


def _merge(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update({reason: count for reason, count in part.items() if count})
    return dict(sorted(total.items()))
