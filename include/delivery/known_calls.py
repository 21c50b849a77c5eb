"""The calls that the ledger holds of a conversation, compared with its plan."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from include.ledger import Call, CallState
from include.records import Batch, Outgoing


@dataclass
class KnownCalls:
    """The calls of earlier tries and runs for one segment."""

    keys: set[str] = field(default_factory=set)
    """Planned batches that are settled as a whole: far fewer than messages."""

    message_ids: set[str] = field(default_factory=set)
    """Settled messages that were sent in another cut."""

    attempted: set[str] = field(default_factory=set)
    """Keys of calls that came to nothing, or to something in another cut."""

    open: list[Call] = field(default_factory=list)
    """Calls whose outcome is not known, oldest first."""

    @classmethod
    def of(
        cls, calls: Iterable[Call], planned_keys: Collection[str], *, rejections_of: str | None = None
    ) -> "KnownCalls":
        """
        Sum up what the ledger holds of a conversation.

        :param planned_keys: Keys of the batches of the plan at hand.
        :param rejections_of: A run that sends again what earlier runs had rejected.
        """
        known = cls()
        for call in calls:
            rejected = call.state is CallState.REJECTED
            if call.is_open:
                known.open.append(call)
            elif call.state is CallState.NOT_STORED or (rejected and rejections_of not in (None, call.run_id)):
                known.attempted.add(call.key)
            elif call.key in planned_keys:
                known.keys.add(call.key)
            else:
                known.message_ids.update(call.message_ids)
                known.attempted.add(call.key)
        return known

    def has_seen(self, key: str) -> bool:
        """Tell whether the ledger holds any call of this key."""
        return key in self.keys or key in self.attempted or any(call.key == key for call in self.open)

    def missing(self, batch: Batch) -> tuple[Outgoing, ...]:
        """Return the batch's messages that have neither landed nor been rejected."""
        if batch.key in self.keys:
            return ()
        if not self.message_ids:
            return batch.messages
        return tuple(message for message in batch.messages if message.message_id not in self.message_ids)

    def add(self, message_ids: Sequence[str]) -> None:
        """Note messages that were found to have landed after all."""
        self.message_ids.update(message_ids)
