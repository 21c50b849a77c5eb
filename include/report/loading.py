"""
How a load gets on: counted from the ledger's segments while they are written, and kept when they are compacted.

Reads without locks and writes nothing to the ledger, so it is never in the way of a load or a compaction.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from include.delivery import events
from include.delivery.fold import Tail
from include.layout import RunFolder, write_private

MOST_POINTS = 200
"""Of a segment's speed curve in ``loading.json``."""

_WIDTHS_S = (1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


class Landings(msgspec.Struct, kw_only=True):
    """What one segment of the ledger says of a run."""

    calls: int = 0
    landed: dict[str, int] = msgspec.field(default_factory=dict)
    """Messages by conversation id."""
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    flushed: dict[str, str] = msgspec.field(default_factory=dict)
    """The server's answer by conversation id."""
    per_s: dict[int, int] = msgspec.field(default_factory=dict)
    """Messages that landed, by second of the wall clock (Unix time)."""
    began_ms: int | None = None
    """When the first call was about to be made."""
    ended_ms: int | None = None
    """When the last call had its outcome."""


class Loading:
    """
    Follows one run; each :meth:`read` takes in only what was appended since the one before.

    :param ledgers: Folder of the ledgers of all targets.
    """

    def __init__(self, run: RunFolder, ledgers: Path, run_id: str) -> None:
        self._run = run
        self.ledgers = ledgers
        self._run_id = run_id
        self._tails: dict[Path, Tail] = {}
        self._segments: dict[str, Landings] = {}
        self._attempts: dict[str, int] = {}
        self._reading = threading.Lock()
        self.ledger: Path | None = None
        """Folder of the ledger that the run writes to, once it does."""

    def read(self) -> dict[str, Landings]:
        """Return what is known by now, by name of segment: those kept, and those being written."""
        with self._reading:
            for path in sorted(self.ledgers.glob("*/*.jsonl")):
                self._follow(path)
            return self._kept() | self._segments

    def keep(self) -> None:
        """Leave ``loading.json``, before a compaction takes the times away; what it held already stays."""
        segments = self.read()
        for segment in segments.values():
            segment.per_s = dict(series_of([segment], MOST_POINTS))
        if segments:
            write_private(self._run.loading, msgspec.json.encode(segments))

    def _kept(self) -> dict[str, Landings]:
        if not self._run.loading.exists():
            return {}
        return msgspec.json.decode(self._run.loading.read_bytes(), type=dict[str, Landings])

    def _follow(self, path: Path) -> None:
        tail = self._tails.setdefault(path, Tail(path, wants=lambda header: header.run == self._run_id))
        try:
            for line in tail.read():
                self.ledger = path.parent
                self._take(line, self._segments.setdefault(path.name, Landings()))
        except FileNotFoundError:
            return  # compacted between the listing and now

    def _take(self, line: events.Line, into: Landings) -> None:
        match line:
            case events.Intent():
                into.calls += 1
                into.began_ms = into.began_ms or line.at_ms
                self._attempts[line.attempt] = len(line.ids)
            case events.Landed():
                size = self._attempts.pop(line.attempt, 0)
                count = min(size, len(line.ids)) if line.ids is not None else size
                _add(into.landed, line.conversation, count)
                _add(into.per_s, line.at_ms // 1000, count)
                into.ended_ms = line.at_ms
            case events.Rejected():
                _add(into.rejected, line.conversation, self._attempts.pop(line.attempt, 0))
                into.ended_ms = line.at_ms
            case events.Flushed():
                into.flushed[line.conversation] = line.status


def by_conversation(segments: Mapping[str, Landings]) -> tuple[Counter[str], Counter[str]]:
    """Return messages landed and rejected by conversation id."""
    landed, rejected = Counter[str](), Counter[str]()
    for segment in segments.values():
        landed.update(segment.landed)
        rejected.update(segment.rejected)
    return landed, rejected


def series_of(segments: Iterable[Landings], most: int) -> list[tuple[int, int]]:
    """
    Return messages that landed, by time, in equal steps of at least a second; only steps in which any did.

    :param most: At most so many steps from the first to the last; 3 or more.
    :returns: Pairs of Unix time (seconds, start of the step) and messages, ascending.
    """
    total = Counter[int]()
    for segment in segments:
        total.update(segment.per_s)
    if not total:
        return []
    width = width_s(max(total) - min(total), most)
    steps = Counter[int]()
    for second, count in total.items():
        steps[second // width * width] += count
    return sorted(steps.items())


def width_s(span_s: int, most: int) -> int:
    """Return the step that cuts a span into at most so many, a round one where there is one."""
    return next((width for width in _WIDTHS_S if span_s // width + 2 <= most), span_s // (most - 1) + 1)


def account_of(segments: Mapping[str, Landings], most: int = 60) -> dict[str, Any] | None:
    """Return the ``loading`` of ``report.json``; ``None`` when nothing was sent."""
    if not any(segment.calls for segment in segments.values()):
        return None
    series: Sequence[tuple[int, int]] = series_of(segments.values(), most)
    seconds = [second for segment in segments.values() for second in segment.per_s]
    began = [segment.began_ms for segment in segments.values() if segment.began_ms]
    ended = [segment.ended_ms for segment in segments.values() if segment.ended_ms]
    return {
        "calls": sum(segment.calls for segment in segments.values()),
        "messages": sum(count for _, count in series),
        "began_ms": min(began, default=None),
        "ended_ms": max(ended, default=None),
        "step_s": width_s(max(seconds) - min(seconds), most) if seconds else None,
        "series": [list(step) for step in series],
    }


def _add[Key](into: dict[Key, int], key: Key, count: int) -> None:
    if count:
        into[key] = into.get(key, 0) + count
