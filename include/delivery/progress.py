"""Progress of a chunk: written to checkpoint and log, and compared with the ledger by the next try."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from include.delivery.actions import End, Status
from include.delivery.checkpoint import CheckpointWriter
from include.delivery.conversation import Delivery
from include.delivery.known_calls import KnownCalls
from include.errors import LedgerError
from include.logs import counted, get_logger
from include.records import Batch, Chunk, PlannedSegment

log = get_logger(__name__)

KEY = "progress"

MOST_UNDER_WAY, MOST_STOPPED = 50, 2_000
"""
So many segments the checkpoint names, which may hold 64 KiB: of more under way it says nothing, as of those that are
stopped; with more of these it says nothing at all.
"""


class ChunkProgress:
    """
    Writes how far a chunk has come, in one small value however many segments it has.

    The value: ``plan`` (the chunk's fingerprint; in another plan the rest means nothing), ``segments`` (in all),
    ``begun``, ``under_way`` and ``stopped``. Segments are begun in the order of their places: those before ``begun``
    are done, but for the ones that are ``under_way`` (place to ``segment``, ``next_batch``, the first that is not
    wholly settled, ``batches`` in all, ``in_flight``: ``batch``, ``key`` and ``task_id`` of an open call or null, and
    ``state``) and those that are ``stopped`` (places; of these nothing is said).

    :param stored: What an earlier try left; what it says of segments that this try has not begun still holds.
    """

    def __init__(
        self, chunk: Chunk, segments: int, stored: Mapping[str, Any] | None, writer: CheckpointWriter, *, every_s: float
    ) -> None:
        self.every_s = every_s
        self._plan = chunk.fingerprint
        self._segments = segments
        self._writer = writer
        stored = stored if stored and stored.get("plan") == self._plan else {}
        self._begun: int = stored.get("begun", 0)
        self._under_way: dict[str, Any] = dict(stored.get("under_way", {}))
        self._stopped: set[int] = set(stored.get("stopped", ()))
        self._ended = 0
        self._logged_s = time.monotonic()

    def begin(self, place: int, planned: PlannedSegment) -> Mapping[str, Any]:
        """Return what an earlier try left of a segment, as an entry of ``under_way``; from now on this try speaks."""
        before: Mapping[str, Any] | None = self._under_way.pop(str(place), None)
        if before is None:
            is_done = place < self._begun and place not in self._stopped
            before = {"next_batch": planned.batches} if is_done else {}
        self._stopped.update({place, *range(self._begun, place)})  # one before may begin later: it waits for its lock
        self._begun = max(self._begun, place + 1)
        return before

    def changed(self, place: int, entry: Mapping[str, Any]) -> None:
        """Write where a segment is; call it after the ledger was written, so that no cursor is ahead of the ledger."""
        self._stopped.discard(place)
        self._under_way[str(place)] = entry
        self._writer.put(KEY, self._value)

    def ended(self, place: int, *, done: bool) -> None:
        """Write that a segment has ended in this try."""
        self._ended += 1
        if done:
            self._stopped.discard(place)
            self._under_way.pop(str(place), None)
        self._writer.put(KEY, self._value)
        if time.monotonic() - self._logged_s >= self.every_s:
            self._logged_s = time.monotonic()
            log.info("%d of %d segments have ended", self._ended, self._segments)

    def _value(self) -> dict[str, Any]:
        named = dict(list(self._under_way.items())[-MOST_UNDER_WAY:])
        stopped = sorted(self._stopped | {int(place) for place in self._under_way.keys() - named.keys()})
        too_many = len(stopped) > MOST_STOPPED
        return {
            "plan": self._plan,
            "segments": self._segments,
            "begun": 0 if too_many else self._begun,
            "under_way": named,
            "stopped": [] if too_many else stopped,
        }


class SegmentProgress:
    """Writes the progress of one segment to its chunk's and to the log."""

    def __init__(self, chunk: ChunkProgress, place: int, planned: PlannedSegment, delivery: Delivery) -> None:
        self._chunk = chunk
        self._place = place
        self._planned = planned
        self._delivery = delivery
        self._logged_s = time.monotonic()

    def changed(self) -> None:
        """Write the progress, after the ledger was written."""
        delivery, call = self._delivery, self._delivery.call
        in_flight = {"batch": delivery.batch, "key": call.key, "task_id": call.task_id} if call else None
        entry = {
            "segment": self._planned.segment_id,
            "next_batch": delivery.next_batch,
            "batches": self._planned.batches,
            "in_flight": in_flight,
            "state": delivery.status.value,
        }
        self._chunk.changed(self._place, entry)
        if time.monotonic() - self._logged_s >= self._chunk.every_s:
            self._logged_s = time.monotonic()
            log.info("%s", self)

    def ended(self, end: End) -> None:
        """Write the end of this try."""
        is_done = end.status is Status.DONE
        if not is_done:
            self.changed()
        self._chunk.ended(self._place, done=is_done)
        is_whole = self._planned.segment_id == self._planned.conversation_id
        level = logging.WARNING if not is_done else logging.INFO if is_whole else logging.DEBUG
        log.log(level, "%s: %s%s", self, end.status.value, f": {end.reason}" if end.reason else "")

    def __str__(self) -> str:
        name, batches = self._planned.segment_id, self._planned.batches
        rejected = f", {self._delivery.rejected} rejected" if self._delivery.rejected else ""
        landed = counted(self._delivery.landed, "message")
        return f"{name}: {self._delivery.next_batch}/{batches} batches, {landed}{rejected}"


def checked(batches: Iterable[Batch], stored: Mapping[str, Any], known: KnownCalls) -> Iterator[Batch]:
    """
    Yield batches after checking that the ledger knows the calls of an earlier try's checkpoint.

    The ledger is written first, so it may be ahead of the checkpoint, never behind.

    :param stored: What the checkpoint holds of the segment in this plan; empty on a first try.
    :raises LedgerError: the ledger has lost something; nothing was sent.
    """
    cursor, in_flight = stored.get("next_batch", 0), stored.get("in_flight") or {}
    for batch in batches:
        missing = known.missing(batch)
        passed = missing and batch.number < cursor
        in_the_air = (
            batch.number == in_flight.get("batch")
            and len(missing) == len(batch.messages)
            and not known.has_seen(in_flight["key"])
        )
        if passed or in_the_air:
            raise LedgerError(
                f"{batch.segment_id}: an earlier try of this task sent batch {batch.number} ({batch.key}), and "
                "the ledger knows nothing of it: it was emptied, replaced or restored from an older copy. "
                "Nothing was sent. Bring the ledger back; or, if the target was emptied too, start a new run."
            )
        yield batch


def longest_first(planned: Sequence[PlannedSegment]) -> list[PlannedSegment]:
    """Return the segments in the order in which they are begun; equal ones stay neighbours in the chunk's file."""
    return sorted(planned, key=lambda segment: -segment.batches)
