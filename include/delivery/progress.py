"""Progress of a conversation: written to checkpoint and log, and compared with the ledger by the next try."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from include.delivery.actions import End, Status
from include.delivery.checkpoint import CheckpointWriter
from include.delivery.conversation import Delivery
from include.delivery.known_calls import KnownCalls
from include.errors import LedgerError
from include.logs import get_logger
from include.records import Batch, PlannedConversation

log = get_logger(__name__)


class Progress:
    """
    Writes the progress of one conversation to the checkpoint and the log.

    The checkpoint's value: ``plan`` (the chunk's fingerprint; in another plan the rest means nothing), ``next_batch``
    (the first that is not wholly settled), ``batches`` (in all), ``in_flight`` (``batch``, ``key``, ``task_id`` of an
    open call, or null) and ``state``.
    """

    def __init__(
        self, plan: str, planned: PlannedConversation, delivery: Delivery, writer: CheckpointWriter, *, every_s: float
    ) -> None:
        self.key = f"conversation:{planned.conversation_id}"
        self._plan = plan
        self._planned = planned
        self._delivery = delivery
        self._writer = writer
        self._every_s = every_s
        self._logged_s = time.monotonic()

    def changed(self) -> None:
        """Write the progress; call it after the ledger was written, so that no cursor is ahead of the ledger."""
        delivery, call = self._delivery, self._delivery.call
        in_flight = {"batch": delivery.batch, "key": call.key, "task_id": call.task_id} if call else None
        self._writer.put(
            self.key,
            {
                "plan": self._plan,
                "next_batch": delivery.next_batch,
                "batches": self._planned.batches,
                "in_flight": in_flight,
                "state": delivery.status.value,
            },
        )
        if time.monotonic() - self._logged_s >= self._every_s:
            self._logged_s = time.monotonic()
            log.info("%s", self)

    def ended(self, end: End) -> None:
        """Write the end of this try."""
        self.changed()
        level = logging.INFO if end.status is Status.DONE else logging.WARNING
        log.log(level, "%s: %s%s", self, end.status.value, f": {end.reason}" if end.reason else "")

    def __str__(self) -> str:
        name, batches = self._planned.conversation_id, self._planned.batches
        rejected = f", {self._delivery.rejected} rejected" if self._delivery.rejected else ""
        return f"{name}: {self._delivery.next_batch}/{batches} batches, {self._delivery.landed} messages{rejected}"


def checked(batches: Iterable[Batch], stored: Mapping[str, Any], known: KnownCalls) -> Iterator[Batch]:
    """
    Yield batches after checking that the ledger knows the calls of an earlier try's checkpoint.

    The ledger is written first, so it may be ahead of the checkpoint, never behind.

    :param stored: What the checkpoint holds of the conversation in this plan; empty on a first try.
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
                f"{batch.conversation_id}: an earlier try of this task sent batch {batch.number} ({batch.key}), and "
                "the ledger knows nothing of it: it was emptied, replaced or restored from an older copy. "
                "Nothing was sent. Bring the ledger back; or, if the target was emptied too, start a new run."
            )
        yield batch
