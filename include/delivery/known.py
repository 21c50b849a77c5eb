"""Which of a conversation's messages need not be sent any more."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from include.records import Batch, Outgoing


@dataclass
class Known:
    """What has landed or was rejected, as far as it matters to one plan."""

    keys: set[str] = field(default_factory=set)
    """Planned batches that are settled as a whole: far fewer than messages."""

    message_ids: set[str] = field(default_factory=set)
    """Settled messages that were sent in another cut."""

    attempted: set[str] = field(default_factory=set)
    """Keys of calls that came to nothing, or to something in another cut."""

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
