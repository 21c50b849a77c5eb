"""
The journal of all calls, and functions that find messages lost, doubled or out of order, and calls that overlap.

The functions are pure: they take entries and expected ids, so that a run can be judged after it has ended.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Times are Unix seconds; ``order`` numbers what was stored or cut, over all conversations."""

    seq: int
    kind: str
    conversation: str | None = None
    message_ids: tuple[str, ...] = ()
    task_id: str | None = None
    arrived_s: float
    started_s: float | None = None
    ended_s: float | None = None
    """Time at which the work was done: the batch stored or failed, the flush cut. ``None`` while it is going on."""

    order: int | None = None
    status: int | None = None
    """HTTP status answered; ``None`` when the connection was cut or is still open."""

    fault: str | None = None
    stored_ids: tuple[str, ...] = ()
    outside_window: tuple[str, ...] = ()
    """Stored, but older than what was already extracted in this load: never becomes a memory."""

    detail: str = ""


def conversation_key(*, group_id: str | None = None, user_id: str | None = None, session_id: str | None = None) -> str:
    """Name a conversation: the group id, or ``user_id/session_id`` for a personal one."""
    return group_id if group_id is not None else f"{user_id}/{session_id or ''}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The errors of one conversation; all fields are empty without errors."""

    conversation: str
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()
    overlapping: tuple[tuple[int, int], ...] = ()
    """Pairs of calls (``seq``) of one conversation that were worked on at the same time."""

    flushes: int = 0
    flushes_while_processing: tuple[int, ...] = ()
    unflushed: bool = False
    """Something was stored after the last flush."""

    @property
    def clean(self) -> bool:
        """Everything once, in order, one batch at a time, flushed at the end and never before."""
        wrong = self.lost, self.doubled, self.unexpected, self.out_of_order, self.overlapping
        return not any(wrong) and not self.flushes_while_processing and not self.unflushed


def judge(entries: Iterable[Entry], expected: Mapping[str, Sequence[str]]) -> dict[str, Verdict]:
    """
    Judge every conversation that was expected or seen.

    :param expected: conversation to the message ids that belong into it, oldest first.
    """
    by_conversation: dict[str, list[Entry]] = {conversation: [] for conversation in expected}
    for entry in entries:
        if entry.kind in ("add", "flush") and entry.conversation is not None:
            by_conversation.setdefault(entry.conversation, []).append(entry)
    return {name: _judge_one(name, calls, expected.get(name, ())) for name, calls in sorted(by_conversation.items())}


def _judge_one(name: str, calls: Sequence[Entry], expected: Sequence[str]) -> Verdict:
    stored = stored_ids(calls)
    counts = Counter(stored)
    adds = [call for call in calls if call.kind == "add" and call.stored_ids]
    flushes = [call for call in calls if call.kind == "flush" and call.order is not None]
    last_add = max((call.order for call in adds if call.order is not None), default=-1)
    last_flush = max((call.order for call in flushes if call.order is not None), default=-1)
    return Verdict(
        conversation=name,
        lost=tuple(i for i in expected if i not in counts),
        doubled=tuple(i for i, n in counts.items() if n > 1),
        unexpected=tuple(i for i in counts if i not in set(expected)),
        out_of_order=_out_of_order(stored, expected),
        overlapping=tuple((a.seq, b.seq) for a, b in _overlaps(adds)),
        flushes=len(flushes),
        flushes_while_processing=tuple(f.seq for f in flushes if any(_meet(f, add) for add in adds)),
        unflushed=last_add > last_flush,
    )


def stored_ids(entries: Iterable[Entry]) -> list[str]:
    """Message ids in the order in which they were stored, doubles included."""
    stored = sorted((e for e in entries if e.stored_ids and e.order is not None), key=lambda e: e.order or 0)
    return [message_id for entry in stored for message_id in entry.stored_ids]


def most_at_once(entries: Iterable[Entry], kind: str = "add") -> int:
    """Return the largest number of calls of a kind that were worked on at the same time."""
    spans = [span for entry in entries if entry.kind == kind and (span := _span(entry))]
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def _out_of_order(stored: Sequence[str], expected: Sequence[str]) -> tuple[str, ...]:
    """Ids stored after a younger one. The first storing of an id counts: doubles are another fault."""
    rank = {message_id: n for n, message_id in enumerate(expected)}
    youngest, seen, late = -1, set(), []
    for message_id in stored:
        if message_id in seen or message_id not in rank:
            continue
        seen.add(message_id)
        if rank[message_id] < youngest:
            late.append(message_id)
        youngest = max(youngest, rank[message_id])
    return tuple(late)


def _overlaps(adds: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Each batch with the longest-running one among those that arrived before it."""
    running: Entry | None = None
    for add in sorted((a for a in adds if _span(a)), key=lambda a: a.arrived_s):
        if running is not None and _meet(running, add):
            yield running, add
        if running is None or (add.ended_s or 0) > (running.ended_s or 0):
            running = add


def _meet(one: Entry, two: Entry) -> bool:
    a, b = _span(one), _span(two)
    return a is not None and b is not None and a[0] < b[1] and b[0] < a[1]


def _span(entry: Entry) -> tuple[float, float] | None:
    return (entry.arrived_s, entry.ended_s) if entry.ended_s is not None else None
