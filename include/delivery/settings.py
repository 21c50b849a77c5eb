"""How patient and how eager a load is: every number of delivery that a person may want to turn."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """Defaults fit EverOS Cloud; tests and local servers shorten the times."""

    concurrency: int = 8
    """Batches in flight at most, each of another conversation; 429 lowers it for a while."""

    give_up_after_s: float = 300
    """How long one call may be answered with nothing but "not now" (429) or nothing at all before the load gives up."""

    backoff_base_s: float = 0.5
    backoff_cap_s: float = 60
    """Exponential backoff with full jitter, where the server names no wait of its own."""

    poll_min_s: float = 0.01
    poll_max_s: float = 15
    """Bounds of the wait between two questions about one batch; in between it follows what batches usually take."""

    task_deadline_s: float = 1800
    """A task still processing after this long stays pending, its id kept; the next try asks for the same task."""

    settle_s: float = 120
    """How long a batch must be missing at the server before it counts as absent: the server may still be storing it."""

    max_resends: int = 3
    """How often a batch that was proved not stored is sent again in one try."""

    max_rejected_in_row: int = 100
    """So many single messages refused with none landing in between: the conversation is refused, not its messages."""

    max_unknown: int = 20
    """So many conversations stopped with an unknown outcome: the target is not fit, the rest stays pending."""

    lock_wait_s: float = 60
    """How long to wait for an earlier try of the task that still runs to give up a conversation's lock."""

    existing: Literal["ask", "resend", "skip"] = "ask"
    """
    What to do with batches an earlier try left unknown and no evidence settles: stop, send again, or take as landed.
    Anything but ``ask`` is a person's decision, for one run.
    """

    log_every_s: float = 10
    """At most one progress line per conversation and so many seconds."""
