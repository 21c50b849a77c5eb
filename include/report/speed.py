"""The speed of a load: the calls of a run in the ledger, summed up by time and by conversation."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, text

_WIDTHS_S = (1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


class LoadHistory(msgspec.Struct, kw_only=True):
    """The sums over the calls of a run."""

    calls: int = 0
    target: str | None = None
    """Base URL; ``None`` before the first call."""
    landed: Counter[str] = msgspec.field(default_factory=Counter)
    """Messages by conversation id."""
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    flushed: dict[str, str] = msgspec.field(default_factory=dict)
    """The server's answer by conversation id."""
    per_s: dict[int, int] = msgspec.field(default_factory=dict)
    """Messages that landed, by second of the wall clock (Unix time)."""
    began_ms: int | None = None
    """Start of the first call."""
    ended_ms: int | None = None
    """Time of the last outcome."""


def history_of(connection: Connection, run_id: str, target_id: int | None = None) -> LoadHistory:
    """
    Sum up the calls of a run to one target.

    :param connection: To the ledger's database.
    :param target_id: Default: that of the run's newest call.
    """
    if target_id is None:
        newest = "SELECT target_id FROM calls WHERE run_id = :run ORDER BY asked_ms DESC LIMIT 1"
        target_id = connection.execute(text(newest), {"run": run_id}).scalar()
    history, given = LoadHistory(), {"run": run_id, "target": target_id}
    totals = text(
        "SELECT count(*), min(asked_ms), max(settled_ms) FROM calls WHERE run_id = :run AND target_id = :target"
    )
    history.calls, history.began_ms, history.ended_ms = connection.execute(totals, given).one()
    if not history.calls:
        return history
    query = text("SELECT base_url FROM targets WHERE target_id = :target")
    history.target = connection.execute(query, given).scalar_one()
    query = text(
        "SELECT conversation_id, state, sum(messages) FROM calls WHERE run_id = :run AND target_id = :target "
        "GROUP BY conversation_id, state"
    )
    for name, state, messages in connection.execute(query, given):
        if state in ("landed", "rejected"):
            (history.landed if state == "landed" else history.rejected)[name] += int(messages)
    query = text(
        "SELECT settled_ms / 1000 AS second, sum(messages) FROM landed_calls WHERE run_id = :run "
        "AND target_id = :target GROUP BY settled_ms / 1000 ORDER BY 1"
    )
    history.per_s = {second: int(messages) for second, messages in connection.execute(query, given)}
    query = text(
        "SELECT conversation_id, status FROM flushes WHERE run_id = :run AND target_id = :target "
        "AND status IS NOT NULL ORDER BY landed"
    )
    history.flushed = {row.conversation_id: row.status for row in connection.execute(query, given)}
    return history


def series_of(per_s: Mapping[int, int], most: int) -> list[tuple[int, int]]:
    """
    Return the messages that landed, by time, in equal steps of at least a second, without empty steps.

    :param per_s: Messages by second.
    :param most: Maximum number of steps from the first to the last; 3 or more.
    :returns: Pairs of Unix time (seconds, start of the step) and messages, ascending.
    """
    if not per_s:
        return []
    width = width_s(max(per_s) - min(per_s), most)
    steps = Counter[int]()
    for second, count in per_s.items():
        steps[second // width * width] += count
    return sorted(steps.items())


def width_s(span_s: int, most: int) -> int:
    """Return the smallest step, a round number if possible, that divides a span into at most ``most`` steps."""
    return next((width for width in _WIDTHS_S if span_s // width + 2 <= most), span_s // (most - 1) + 1)


def speed_of(history: LoadHistory, most: int = 60) -> dict[str, Any] | None:
    """Return the ``loading`` of ``report.json``; ``None`` when nothing was sent."""
    if not history.calls:
        return None
    seconds = history.per_s
    return {
        "calls": history.calls,
        "messages": sum(seconds.values()),
        "began_ms": history.began_ms,
        "ended_ms": history.ended_ms,
        "step_s": width_s(max(seconds) - min(seconds), most) if seconds else None,
        "series": [list(step) for step in series_of(seconds, most)],
    }
