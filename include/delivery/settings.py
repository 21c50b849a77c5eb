"""Settings of a load: concurrency, waits and limits."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """Defaults fit EverOS Cloud; tests and local servers shorten the times."""

    concurrency: int = 8
    """Batches in flight at most, each of another conversation; 429 lowers it for a while."""

    give_up_after_s: float = 300
    """Seconds after which the load gives up a call that is answered only by 429, or not at all."""

    backoff_base_s: float = 0.5
    backoff_cap_s: float = 60
    """Exponential backoff with full jitter, where the server names no wait of its own."""

    poll_min_s: float = 0.01
    poll_max_s: float = 15
    """Bounds of the wait between two questions about one batch; in between it follows what batches usually take."""

    task_deadline_s: float = 1800
    """A task still processing after this long stays pending, its id kept; the next try asks for the same task."""

    settle_s: float = 120
    """Seconds for which a batch must be missing before it counts as absent: the server may still be storing it."""

    max_resends: int = 3
    """Times that a batch proved not stored is sent again in one try."""

    max_rejected_in_row: int = 100
    """Messages rejected in a row, one by one, after which the conversation counts as refused."""

    max_unknown: int = 20
    """Conversations stopped with an unknown outcome after which the load stops; the rest stays pending."""

    lock_wait_s: float = 60
    """Seconds to wait for a lock that an earlier try of the task still holds."""

    existing: Literal["ask", "resend", "skip"] = "ask"
    """
    For batches that an earlier try left unknown and no evidence settles: stop, send again, or count as landed. Set
    anything but ``ask`` for one run only.
    """

    log_every_s: float = 10
    """At most one progress line per conversation and so many seconds."""
