"""What a stand-in is started with."""

import msgspec

from include.standin.extraction import EPISODE_MESSAGES


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long work takes.

    A batch ``base_s`` and ``per_message_s`` for each message, a flush ``flush_s``, any answer ``answer_s``.

    Batches are worked on side by side, those of one conversation too: nothing but the client keeps their order.
    """

    base_s: float = 0.0
    per_message_s: float = 0.0
    flush_s: float = 0.0
    answer_s: float = 0.0

    def of(self, messages: int) -> float:
        """Seconds for a batch."""
        return self.base_s + self.per_message_s * messages


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that does not change while it runs."""

    latency: Latency = Latency()
    key: str | None = None
    """The one key that is accepted; ``None`` accepts any."""

    task_kept_s: float = 3600.0
    """After this a task answers 404, as in EverOS."""

    episode_messages: int = EPISODE_MESSAGES
    """Longest episode, and so the most messages that stay pending."""
