"""The progress of a running import, from the files of the run and the ledger."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from include.delivery.outcomes import Outcome
from include.plan.estimate import read_estimate
from include.plan.store import plan_table
from include.report.figures import conversation_figures
from include.report.speed import LoadHistory, speed_of
from include.report.target import read_target
from include.report.waiting import Waiting
from include.run_folder import RunFolder

_RECENT_S = 60


def progress_of(run: RunFolder, history: LoadHistory, waiting: Waiting | None, run_id: str) -> dict[str, Any]:
    """
    Return the figures of the page of a running import.

    They are not checked; the report checks them.
    """
    planned = _planned(run)
    landed, rejected, flushed = history.landed, history.rejected, history.flushed
    rows = _rows(run, planned, landed, rejected, flushed)
    done = sum(landed.values()) + sum(rejected.values())
    left = max(sum(planned.values()) - done, 0)
    per_s = _speed(history)
    estimate = read_estimate(run)
    return {
        "run_id": run_id,
        "target": history.target,
        **read_target(run),
        "step": waiting.sentence() if waiting else _step(run, left=left, flushed=len(flushed)),
        "planned": sum(planned.values()),
        "landed": sum(landed.values()),
        "rejected": sum(rejected.values()),
        "left": left,
        "per_s": per_s,
        "left_s": left / per_s if left and per_s else None,
        "flushed": len(flushed),
        "to_flush": len(planned) if planned and not left else 0,
        "conversations": rows,
        "loading": speed_of(history),
        "estimate": msgspec.to_builtins(estimate.total) | {"concurrency": estimate.concurrency} if estimate else None,
    }


def _planned(run: RunFolder) -> dict[str, int]:
    table: Any = plan_table(run, "conversation_id", "messages")
    rows = table.group_by("conversation_id", use_threads=False).aggregate([("messages", "sum")]).to_pylist()
    return {row["conversation_id"]: row["messages_sum"] for row in rows}


def _rows(
    run: RunFolder,
    planned: Mapping[str, int],
    landed: Mapping[str, int],
    rejected: Mapping[str, int],
    flushed: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Conversations in progress come first, then those without a landed message, then those that are done."""
    outcomes = {
        name: Outcome(
            conversation_id=name,
            loaded=landed.get(name, 0),
            rejected={"refused by the target": count} if (count := rejected.get(name, 0)) else {},
            pending=max(messages - landed.get(name, 0) - rejected.get(name, 0), 0),
            flushed=flushed.get(name),
        )
        for name, messages in planned.items()
    }
    rows = conversation_figures(run, outcomes) if planned else []
    return sorted(rows, key=lambda row: (not row["pending"], not row["loaded"], row["conversation_id"]))


def _speed(history: LoadHistory) -> float | None:
    """Messages a second over the last minute, or since the load began."""
    if not history.began_ms:
        return None
    now = time.time()
    since = max(now - _RECENT_S, history.began_ms / 1000)
    recent = sum(count for second, count in history.per_s.items() if second >= int(since))
    return recent / max(now - since, 1)


def _step(run: RunFolder, *, left: int, flushed: int) -> str:
    if run.plan.exists():
        if left:
            return "Loading"
        return "Flushing" if not flushed else "Flushing and reporting"
    if run.conversations.exists():
        return "Planning"
    return "Reading and ordering" if run.root.exists() else "Starting"
