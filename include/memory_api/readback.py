"""
What can be concluded from reading a conversation back: pure, so that every case can be tested.

EverOS shows messages that wait for extraction, v1 with their ids, oldest first and at most 100 of them, v2 with their
times, which name messages as well; and it forgets them once it has made episodes. So there are two kinds of evidence.

Pending messages. All ids there: the batch was stored. None there proves nothing by itself, since extraction may have
taken them. But extraction takes the oldest first: while a message older than the batch is still pending, extraction has
not come as far as the batch, and ids that are missing then were never stored.

Episodes. Each bears the time of its last message (v1 reference server, ``ConvMemCellExtractor``; v2's ``everalgo``,
``boundary.chat._make_cell``), and the milliseconds of a conversation are unique: an episode that bears the time of the
batch's last message was made from the batch. And when no episode reaches the batch's first message, extraction has not
come as far either.

Where more waits than v1 shows, it is asked for what one person wrote of it: a list that is not full is all that waits
of that person, so that each of their messages is known to be there or not. Of the others the order tells: a server
stores a batch message by message from its front, and not all at once (v1 reference server, ``RawMessageService``), so
what lies before a message that is there is stored, and what lies behind one that was never stored is not.

Some ids there and some not is a batch stored in part, unless what is missing is just its oldest part and extraction is
seen to have taken it. Where the two kinds contradict each other or say nothing, the answer is ``UNPROVABLE``.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.memory_api.contract import WHOLE, Evidence, Readback

PAGE = 100
"""Largest ``page_size`` of both APIs' ``get``."""

MOST_PAGES = 50
"""So many are read of one conversation, newest first; 5,000 episodes are some 100,000 messages."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A message that waits for extraction."""

    message_id: str | None
    timestamp_ms: int | None
    """``None`` when the server's time cannot be read with certainty: no evidence of age."""

    writer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look at a conversation showed."""

    pending: Sequence[Pending]
    """A message from an earlier look has no time: it is stored, but may have been extracted since."""

    pending_complete: bool
    """No further messages can be pending: fewer came than were asked for."""

    episodes: "Episodes"

    complete_of: frozenset[str] = frozenset()
    """Writers all of whose pending messages are in ``pending``."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """What was read of a conversation's episodes."""

    times_ms: Sequence[int]
    complete: bool
    """No episode as young as was asked for can be missing."""

    doubled_ms: Sequence[int] = ()
    """Times that more than one episode of one person bears."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of episodes, asked for newest first."""

    times_ms: Sequence[int | None]
    total: int | None
    """How many episodes there are in all, if the server says."""


@dataclass(frozen=True)
class Sought:
    """A batch whose outcome is unknown; everything is in its order."""

    message_ids: Sequence[str]
    timestamps_ms: Sequence[int]
    writers: Sequence[str] = ()
    """Writer of each message; empty when that is not known."""

    part: slice = WHOLE
    """The messages in question."""

    def marks(self, seen: Seen) -> list[bool | None]:
        """Return for each message whether it is pending; ``None`` where the look could not show it."""
        shown = {message.message_id for message in seen.pending}
        writers = self.writers or ("",) * len(self.message_ids)
        complete_of = seen.complete_of if self.writers else frozenset()
        return [
            True if message_id in shown else False if seen.pending_complete or writer in complete_of else None
            for message_id, writer in zip(self.message_ids, writers, strict=True)
        ]

    def decided_by(self, pending: Sequence[Pending], complete_of: Collection[str]) -> bool:
        """Return whether more lists add nothing: the last message is pending, or the first is not, or all are known."""
        nothing = Episodes(times_ms=(), complete=False)
        marks = self.marks(
            Seen(pending=pending, pending_complete=False, episodes=nothing, complete_of=frozenset(complete_of))
        )
        return marks[self.part][-1] is True or marks[0] is False or None not in marks[self.part]


def fewest_first(sought: Sought, pending: Sequence[Pending]) -> list[str]:
    """Return the writers of a batch, first those with the fewest known messages: their lists are likely complete."""
    known = Counter(message.writer for message in pending) + Counter(sought.writers)
    return sorted(dict.fromkeys(sought.writers), key=lambda writer: known[writer])


def conclude(sought: Sought, seen: Seen) -> Evidence:
    """Judge a batch by what was seen; the reasoning is the module's docstring."""
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
    """Fill in messages that the look could not show by their position: a batch is stored from its front."""
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
    Tell whether no episode from ``first_ms`` on is missing from a page that was asked for newest first.

    :param times_ms: of the page's episodes, as they came; an unreadable one makes the page useless.
    :param total: how many episodes there are in all, if the server says.
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
    Read page after page until no episode from ``since_ms`` on can be missing, or more pages would not help.

    :param page: Asks for the page of this number, from 1, of :data:`PAGE` episodes.
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
    Return the times that more than one of a person's episodes of one conversation bears.

    The milliseconds of a conversation are unique, so those episodes end at the same message. Whole seconds prove
    nothing: a target may keep no more than that.
    """
    return [time_ms for time_ms, count in Counter(times_ms).items() if count > 1 and time_ms % 1000]


def read_back(unprocessed: int, episodes: Episodes, *, since_ms: int, until_ms: int) -> Readback:
    """
    Put together what a look showed of the stretch ``since_ms`` to ``until_ms``, both inclusive.

    :param episodes: the same time stands for the same episode, however many people it belongs to.
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
    """Read an ISO time as Unix milliseconds; ``None`` when it is missing, unreadable or without a zone."""
    try:
        parsed = datetime.fromisoformat(timestamp or "")
    except ValueError:
        return None
    return round(parsed.timestamp() * 1000) if parsed.tzinfo else None
