"""The steps that a delivery asks its loop to do."""

from dataclasses import dataclass
from enum import StrEnum

from include.delivery.states import Part
from include.errors import ChatImportError, NotSent, PermanentError, QuotaExhausted, Refused, Throttled


class Status(StrEnum):
    """Status of a conversation; the last four are final for this try."""

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
    """Call :meth:`Delivery.add_batch` with the next planned batch, or ``None`` after the last."""


@dataclass(frozen=True, kw_only=True)
class Send:
    """Call :meth:`Delivery.begin`, make its row durable, then add ``part`` and report the answer."""

    part: Part


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask for a task and report the answer."""

    task_id: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Look for ``part`` of a batch's messages and report the evidence."""

    key: str
    message_ids: tuple[str, ...]
    timestamps_ms: tuple[int, ...]
    senders: tuple[str, ...]
    writers: tuple[str, ...]
    """Writer of each message; empty when that is not known."""

    part: slice


@dataclass(frozen=True, kw_only=True)
class End:
    """The conversation ends here in this try."""

    status: Status
    reason: str = ""
    error: ChatImportError | None = None

    @property
    def trouble(self) -> ChatImportError | None:
        """The error, where it would stop every conversation: the caller halts the others."""
        return self.error if affects_all_conversations(self.error) else None


def affects_all_conversations(error: ChatImportError | None) -> bool:
    """Tell whether the target is away, full, or refuses the caller."""
    shared = NotSent | Throttled | QuotaExhausted | PermanentError
    return isinstance(error, shared) and not isinstance(error, Refused)


Step = Wait | NextBatch | Send | Ask | Look | End
