"""What one conversation's delivery asks its loop to do, step by step."""

from dataclasses import dataclass
from enum import StrEnum

from include.delivery.states import Part
from include.errors import ChatImportError


class Standing(StrEnum):
    """Where a conversation stands; the last four are ends."""

    LOADING = "loading"
    WAITING = "waiting for its task"
    RECONCILING = "reconciling"
    DONE = "done"
    PENDING = "pending"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do before ``until_s``."""

    until_s: float


@dataclass(frozen=True, kw_only=True)
class NextBatch:
    """Call :meth:`Delivery.offer` with the next planned batch, or ``None`` after the last."""


@dataclass(frozen=True, kw_only=True)
class Send:
    """Call :meth:`Delivery.begin`, make its lines durable, then add ``part`` and report the answer."""

    part: Part


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask for a task and report the answer."""

    task_id: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Look for messages and report the evidence."""

    key: str
    message_ids: tuple[str, ...]
    first_ms: int
    last_ms: int


@dataclass(frozen=True, kw_only=True)
class End:
    """The conversation ends here in this try."""

    standing: Standing
    reason: str = ""
    error: ChatImportError | None = None
    shared: bool = False
    """Whether what stopped it stops every conversation: the caller halts the others."""


Step = Wait | NextBatch | Send | Ask | Look | End
