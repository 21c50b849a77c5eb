"""
What can be concluded from reading a conversation back (v1): pure, so that every case can be tested.

EverOS v1 shows messages that wait for extraction with their ids, oldest first, at most 100 of them, and forgets the ids
once it has made episodes. So there are two kinds of evidence.

Pending messages. All ids there: the batch was stored. None there proves nothing by itself, since extraction may have
taken them. But extraction takes the oldest first: while a message older than the batch is still pending, extraction has
not come as far as the batch, and ids that are missing then were never stored.

Episodes. Each bears the time of its last message (reference server, ``ConvMemCellExtractor``), and the milliseconds
of a conversation are unique: an episode that bears the time of the batch's last message was made from the batch. And
when no episode reaches the batch's first message, extraction has not come as far either.

Some ids there and some not is a batch stored in part, unless what is missing is just its oldest part and extraction is
seen to have taken it. Where the two kinds contradict each other or say nothing, the answer is ``UNPROVABLE``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from include.memory_api.contract import Evidence


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

    episode_times_ms: Sequence[int]
    episodes_complete: bool
    """No episode as young as the batch can be missing."""


def conclude(message_ids: Sequence[str], first_ms: int, last_ms: int, seen: Seen) -> Evidence:
    """Judge a batch by what was seen; the reasoning is the module's docstring."""
    pending_ids = {message.message_id for message in seen.pending}
    present = [message_id for message_id in message_ids if message_id in pending_ids]
    older_pending = any(m.timestamp_ms is not None and m.timestamp_ms < first_ms for m in seen.pending)
    reaching = [time_ms for time_ms in seen.episode_times_ms if time_ms >= first_ms]

    if len(present) == len(message_ids):
        return Evidence.PRESENT
    if present:
        front_extracted = list(message_ids[-len(present) :]) == present and reaching and not older_pending
        return Evidence.PRESENT if front_extracted else Evidence.UNPROVABLE
    if last_ms in reaching:
        return Evidence.PRESENT
    if not seen.pending_complete or not seen.episodes_complete:
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
