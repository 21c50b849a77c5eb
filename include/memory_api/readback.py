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

Some ids there and some not is a batch stored in part, unless what is missing is just its oldest part and extraction is
seen to have taken it. Where the two kinds contradict each other or say nothing, the answer is ``UNPROVABLE``.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.memory_api.contract import Evidence, Readback

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


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look at a conversation showed."""

    pending: Sequence[Pending]
    pending_complete: bool
    """No further messages can be pending: fewer came than were asked for."""

    episodes: "Episodes"


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


def conclude(message_ids: Sequence[str], first_ms: int, last_ms: int, seen: Seen) -> Evidence:
    """Judge a batch by what was seen; the reasoning is the module's docstring."""
    pending_ids = {message.message_id for message in seen.pending}
    present = [message_id for message_id in message_ids if message_id in pending_ids]
    older_pending = any(m.timestamp_ms is not None and m.timestamp_ms < first_ms for m in seen.pending)
    reaching = [time_ms for time_ms in seen.episodes.times_ms if time_ms >= first_ms]

    if len(present) == len(message_ids):
        return Evidence.PRESENT
    if present:
        front_extracted = list(message_ids[-len(present) :]) == present and reaching and not older_pending
        return Evidence.PRESENT if front_extracted else Evidence.UNPROVABLE
    if last_ms in reaching:
        return Evidence.PRESENT
    if not seen.pending_complete or not seen.episodes.complete:
        return Evidence.UNPROVABLE
    if older_pending:
        inside = any(time_ms <= last_ms for time_ms in reaching)
        return Evidence.UNPROVABLE if inside else Evidence.ABSENT
    return Evidence.UNPROVABLE if reaching else Evidence.ABSENT


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
