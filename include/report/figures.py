"""
Computes the figures of a run, for each conversation and in total (:mod:`include.report.columns` lists them).

A figure that transform, plan or delivery counts is taken over under its name.

``extracted`` was counted where the files were decoded; its parts are counted where entries were classified, planned and
delivered. A message that any step loses makes the sum differ.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from include.delivery.outcomes import Outcome
from include.plan.store import plan_table
from include.records import NOTES, TRANSFORMED_SCHEMA
from include.report.columns import COLUMNS, TOTALS
from include.run_folder import RunFolder

NO_CONVERSATION = ""
"""Id of entries without a conversation: unrecognised files, unreadable index entries."""

DESCRIPTION = ("conversation_id", "name", "kind", "source", "private_reason")
"""Fields of a conversation in the report beside its figures."""

REJECTED_BEFORE = "refused by the target in an earlier run"


def conversation_figures(run: RunFolder, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """
    Return one row per conversation, ordered by id: the ``conversations`` of ``report.json``.

    :param outcomes: Of the planned messages of each conversation, by conversation id.
    """
    skipped = _counted(run, "skipped", "reason")
    rejected = _counted(run, "rejected", "reason")
    redacted = _counted(run, "redacted", "kind")
    planned = _planned(run)
    rows = []
    conversations: Any = known_conversations(run).sort_values("conversation_id").to_dict("records")
    for known in conversations:
        conversation_id = known["conversation_id"]
        outcome = outcomes.get(conversation_id, Outcome(conversation_id=conversation_id))
        found = {
            **known,
            **msgspec.structs.asdict(outcome),
            **planned.get(conversation_id, {"segments": 0, "batches": 0, "first_ms": None, "last_ms": None}),
            "extracted": known["entries"],
            "already_loaded": known["already_loaded"] + outcome.already_loaded,
            "skipped": _sum(skipped.get(conversation_id, {}), {"duplicate": known["duplicates"]}),
            "rejected": _sum(
                rejected.get(conversation_id, {}), outcome.rejected, {REJECTED_BEFORE: known["rejected_before"]}
            ),
            "redacted": _sum(redacted.get(conversation_id, {})),
        }
        names = (*DESCRIPTION, *(column.key for column in COLUMNS if column.key in found))
        rows.append({name: found[name] for name in names})
    return rows


def known_conversations(run: RunFolder) -> pd.DataFrame:
    """Return :data:`include.records.TRANSFORMED_SCHEMA`; empty when there was nothing to transform."""
    if not run.conversations.exists():
        return TRANSFORMED_SCHEMA.empty_table().to_pandas()
    return pq.read_table(run.conversations).to_pandas()


def totals_of(rows: Iterable[Mapping[str, Any]], run: RunFolder) -> dict[str, Any]:
    """Return the sums over all conversations and over the entries without a conversation."""
    rows = [*rows, _without_conversation(run)]
    return {
        column.key: _sum(*(row[column.key] for row in rows if column.key in row))
        if column.kind == "reasons"
        else sum(row.get(column.key, 0) for row in rows)
        for column in TOTALS
    }


def notes_of(run: RunFolder) -> list[dict[str, Any]]:
    """Return the ``notes`` of ``report.json``."""
    files = [*run.extracted_files("notes.parquet"), *([run.notes] if run.notes.exists() else [])]
    counts: Counter[tuple[str, str, str]] = Counter()
    for path in files:
        for row in pq.read_table(path).to_pylist():
            counts[row["export"], row["code"], row["detail"]] += row["count"]  # parts of an export add up
    return [
        {"export": export, "code": code, "detail": detail, "count": count, "meaning": NOTES[code]}
        for code in NOTES
        for (export, noted, detail), count in counts.items()
        if noted == code
    ]


def _without_conversation(run: RunFolder) -> dict[str, Any]:
    rows = (row for path in run.extracted_files("conversations.parquet") for row in pq.read_table(path).to_pylist())
    return {
        "extracted": sum(row["entries"] for row in rows if row["conversation_id"] == NO_CONVERSATION),
        **{name: _counted(run, name, "reason").get(NO_CONVERSATION, {}) for name in ("skipped", "rejected")},
    }


def _counted(run: RunFolder, name: str, by: str) -> dict[str, dict[str, int]]:
    """Return ``{conversation id: {reason or kind: count}}`` of the extracted files of this name."""
    files = [str(path) for path in run.extracted_files(f"{name}.parquet")]
    if not files:
        return {}
    rows = ds.dataset(files)
    names = [name for name in ("conversation_id", by, "count") if name in rows.schema.names]
    sums: Any = [("count", "sum")] if "count" in names else [([], "count_all")]  # without counts, a row is one entry
    found: dict[str, dict[str, int]] = {}
    for row in rows.to_table(columns=names).group_by(names[:2]).aggregate(sums).to_pylist():
        conversation_id, reason = row.pop("conversation_id"), row.pop(by)
        [found.setdefault(conversation_id, {})[reason]] = row.values()
    return found


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


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update({reason: count for reason, count in part.items() if count})
    return dict(sorted(total.items()))
