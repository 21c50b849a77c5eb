"""Settings of a stand-in, fixed for as long as it runs."""

import msgspec

EPISODE_MESSAGES = 60
"""
Longest episode: a model sees a new topic every few dozen messages.

The reference server cuts by force at 500, so with a larger value more than the 100 messages that a
``raw_message`` search shows can be pending.
"""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """
    Seconds of work: ``base_s`` and ``per_message_s`` for a batch, ``flush_s`` for a flush, ``answer_s`` for every call.

    Batches are processed in parallel, even those of one conversation: only the client keeps their order.
    """

    base_s: float = 0.0
    per_message_s: float = 0.0
    flush_s: float = 0.0
    answer_s: float = 0.0

    def of(self, messages: int) -> float:
        """Seconds for a batch."""
        return self.base_s + self.per_message_s * messages


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings."""

    latency: Latency = Latency()
    key: str | None = None
    """The one key that is accepted; ``None`` accepts any."""

    task_kept_s: float = 3600.0
    """After this a task answers 404, as in EverOS."""

    episode_messages: int = EPISODE_MESSAGES
    """Longest episode, and so the most messages that stay pending."""
