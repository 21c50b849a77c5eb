"""
Conclusions about a batch from reading a conversation back. Pure functions: every case can be tested.

EverOS returns messages that wait for extraction ("pending"): v1 with their ids, oldest first and at most 100; v2 with
their times, which identify messages as well. After it has made episodes of messages, it no longer returns them. So
there are two kinds of evidence.

Pending messages. If all ids of the batch are pending, it was stored. If none is, extraction may have taken them. But
extraction takes the oldest first: while a message older than the batch is pending, extraction has not reached the
batch, and ids that are missing then were never stored.

Episodes. Each has the time of its last message (v1 reference server, ``ConvMemCellExtractor``; v2's ``everalgo``,
``boundary.chat._make_cell``), and the milliseconds of a conversation are unique: an episode with the time of the
batch's last message was made from the batch. If no episode ends at the batch's first message or later, extraction has
not reached the batch either.

If more messages are pending than v1 returns, the client asks for those of one writer. If that list is not full, it is
complete, and shows of each message of that writer whether it is pending. For the others the order of storing decides:
a server stores a batch message by message from its front, and not in one step (v1 reference server,
``RawMessageService``). So messages before one that is pending are stored, and messages after one that was never stored
are not stored.

If only some ids are pending, the batch was stored in part, unless the missing ones are its oldest messages and episodes
show that extraction has taken them. Where the two kinds of evidence contradict each other, or there is none, the result
is ``UNPROVABLE``.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.memory_api.contract import WHOLE, Evidence, Readback

PAGE = 100
"""Largest ``page_size`` of both APIs' ``get``."""

MOST_PAGES = 50
"""Limit of pages read of one conversation, newest first; 5,000 episodes are some 100,000 messages."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A message that waits for extraction."""

    message_id: str | None
    timestamp_ms: int | None
    """``None`` if the server's time cannot be parsed; the message is then no evidence of age."""

    writer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Result of reading a conversation once."""

    pending: Sequence[Pending]
    """A message from an earlier reading has no time: it is stored, but may have been extracted since."""

    pending_complete: bool
    """Whether ``pending`` holds all pending messages: fewer were returned than requested."""

    episodes: "Episodes"

    complete_of: frozenset[str] = frozenset()
    """Writers of whom ``pending`` holds all pending messages."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Episodes of a conversation that were read."""

    times_ms: Sequence[int]
    complete: bool
    """Whether no episode since the requested time is missing."""

    doubled_ms: Sequence[int] = ()
    """End times that more than one episode of one owner has."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of episodes, requested newest first."""

    times_ms: Sequence[int | None]
    total: int | None
    """Number of all episodes, if the server returns it."""


@dataclass(frozen=True)
class Sought:
    """A batch whose outcome is unknown; all sequences are in its order."""

    message_ids: Sequence[str]
    timestamps_ms: Sequence[int]
    writers: Sequence[str] = ()
    """Writer of each message; empty if they are not known."""

    part: slice = WHOLE
    """The messages in question."""

    def marks(self, seen: Seen) -> list[bool | None]:
        """Return for each message whether it is pending; ``None`` if the reading does not show it."""
        shown = {message.message_id for message in seen.pending}
        writers = self.writers or ("",) * len(self.message_ids)
        complete_of = seen.complete_of if self.writers else frozenset()
        return [
            True if message_id in shown else False if seen.pending_complete or writer in complete_of else None
            for message_id, writer in zip(self.message_ids, writers, strict=True)
        ]

    def decided_by(self, pending: Sequence[Pending], complete_of: Collection[str]) -> bool:
        """Return whether more lists are useless: the last message is pending, or the first is not, or all are known."""
        nothing = Episodes(times_ms=(), complete=False)
        marks = self.marks(
            Seen(pending=pending, pending_complete=False, episodes=nothing, complete_of=frozenset(complete_of))
        )
        return marks[self.part][-1] is True or marks[0] is False or None not in marks[self.part]


def fewest_first(sought: Sought, pending: Sequence[Pending]) -> list[str]:
    """Return the writers of a batch, those with the fewest known messages first: their lists are likely complete."""
    known = Counter(message.writer for message in pending) + Counter(sought.writers)
    return sorted(dict.fromkeys(sought.writers), key=lambda writer: known[writer])


def conclude(sought: Sought, seen: Seen) -> Evidence:
    """Return the evidence about a batch; the module's docstring has the reasoning."""
    times_ms, marks, episodes = sought.timestamps_ms[sought.part], sought.marks(seen), seen.episodes
    first_ms, last_ms = times_ms[0], times_ms[-1]
    older_pending = _any_older(first_ms, seen)
    reaching = [time_ms for time_ms in episodes.times_ms if time_ms >= first_ms]
    there = _by_order(sought, marks, seen)[sought.part]

    if all(there):
        return Evidence.PRESENT
    if any(there):
        front = there.index(True)
        front_extracted = there == [False] * front + [True] * (len(there) - front) and reaching and not older_pending
        return Evidence.PRESENT if front_extracted else Evidence.UNPROVABLE
    if last_ms in reaching:
        return Evidence.PRESENT
    if None in there or not episodes.complete:
        return Evidence.UNPROVABLE
    return Evidence.ABSENT if _untouched(first_ms, last_ms, seen) else Evidence.UNPROVABLE


def _by_order(sought: Sought, marks: Sequence[bool | None], seen: Seen) -> list[bool | None]:
    """Replace ``None`` where the position decides: a batch is stored from its front."""
    if None not in marks:
        return list(marks)
    last_there = max((place for place, mark in enumerate(marks) if mark), default=-1)
    never_stored = len(marks)
    if seen.episodes.complete:
        last_ms = sought.timestamps_ms[-1]
        gone = (place for place, mark in enumerate(marks) if mark is False and place > last_there)
        never_stored = next(
            (place for place in gone if _untouched(sought.timestamps_ms[place], last_ms, seen)), never_stored
        )
    return [
        mark if mark is not None else True if place < last_there else False if place > never_stored else None
        for place, mark in enumerate(marks)
    ]


def _untouched(first_ms: int, last_ms: int, seen: Seen) -> bool:
    """Return whether extraction has not reached ``first_ms``: messages from there on are pending, or not stored."""
    reaching = [time_ms for time_ms in seen.episodes.times_ms if time_ms >= first_ms]
    if _any_older(first_ms, seen):
        return not any(time_ms <= last_ms for time_ms in reaching)
    return not reaching


def _any_older(first_ms: int, seen: Seen) -> bool:
    return any(message.timestamp_ms is not None and message.timestamp_ms < first_ms for message in seen.pending)


def holds_all_since(first_ms: int, times_ms: Sequence[int | None], *, total: int | None) -> bool:
    """
    Return whether episodes that were requested newest first include all from ``first_ms`` on.

    :param times_ms: end times in the order of the answer; with a ``None`` in them the result is ``False``.
    :param total: number of all episodes, if the server returns it.
    """
    known = [time_ms for time_ms in times_ms if time_ms is not None]
    if len(known) < len(times_ms):
        return False
    if total is not None and total <= len(known):
        return True
    as_asked = known == sorted(known, reverse=True)
    return bool(known) and as_asked and known[-1] < first_ms


async def episodes_since(since_ms: int, page: Callable[[int], Awaitable[Page]]) -> Episodes:
    """
    Read pages until all episodes from ``since_ms`` on are read, or there are no more.

    :param page: Reads one page of :data:`PAGE` episodes by its number, from 1.
    """
    times_ms: list[int | None] = []
    for number in range(1, MOST_PAGES + 1):
        found = await page(number)
        times_ms += found.times_ms
        complete = holds_all_since(since_ms, times_ms, total=found.total)
        if complete or len(found.times_ms) < PAGE or None in found.times_ms:
            break
    return Episodes(times_ms=[time_ms for time_ms in times_ms if time_ms is not None], complete=complete)


def doubled(times_ms: Iterable[int]) -> list[int]:
    """
    Return the end times that several episodes of one owner and one conversation have.

    The milliseconds of a conversation are unique, so these episodes end at the same message. Whole seconds are ignored:
    a target may round times to seconds.
    """
    return [time_ms for time_ms, count in Counter(times_ms).items() if count > 1 and time_ms % 1000]


def read_back(unprocessed: int, episodes: Episodes, *, since_ms: int, until_ms: int) -> Readback:
    """
    Return the counts of the range from ``since_ms`` to ``until_ms``, both inclusive.

    :param episodes: episodes with the same time count as one: each owner has a copy.
    """
    within = {time_ms for time_ms in episodes.times_ms if since_ms <= time_ms <= until_ms}
    return Readback(
        unprocessed=unprocessed,
        episodes=len(within),
        first_ms=min(within, default=None),
        last_ms=max(within, default=None),
        doubled=len(within & set(episodes.doubled_ms)),
    )


def milliseconds(timestamp: str | None) -> int | None:
    """Return an ISO 8601 time as Unix milliseconds; ``None`` if it is missing, invalid or without a zone."""
    try:
        parsed = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return None
    return round(parsed.timestamp() * 1000) if parsed.tzinfo else None
