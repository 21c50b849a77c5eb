"""Where one call to add messages stands: every state of delivery's machine, and no decisions."""

from dataclasses import dataclass
from enum import StrEnum

from include.errors import ChatImportError, Refused
from include.ledger import Call
from include.records import Outgoing


@dataclass(frozen=True, kw_only=True)
class Part:
    """Consecutive messages to hand over in one call: a planned batch, or what is left of one."""

    key: str
    batch: int
    messages: tuple[Outgoing, ...]


class NotStoredReason(StrEnum):
    """Reasons for which messages are proved not stored."""

    THROTTLED = "throttled"
    NOT_SENT = "not sent"
    ABSENT = "looked for and absent"
    QUOTA = "quota exhausted"
    BARRED = "the target refuses the caller"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Not at the server; to be sent at ``send_at_s``."""

    part: Part
    send_at_s: float = 0
    resends: int = 0
    """How often it was sent, and then proved not stored."""

    tries: int = 0
    put_off_since_s: float | None = None
    """Since when, and how often, the server has not even taken the call."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The server made a task of it: ask for the task at ``ask_at_s``."""

    call: Call
    since_s: float
    ask_at_s: float
    typical_s: float | None = None
    """What such a task usually takes, where that is known."""

    silent_since_s: float | None = None
    """Since when asking has brought errors only."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """It may be stored or not: look for ``groups[0]`` at ``look_at_s``."""

    call: Call
    since_s: float
    look_at_s: float
    groups: tuple[tuple[str, ...], ...]
    """Message ids still to be settled, looked for group by group: all of them, or parts where it is mixed."""

    present: tuple[str, ...] = ()
    recovered: bool = False
    """An earlier try left it unknown; only then does the parameter ``existing`` apply."""

    silent_since_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Landed:
    """Stored. ``absent`` are those messages of it that are proved not to be."""

    absent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NotStored:
    """Nothing of it is at the server; ``error`` is what said so, where it was an error."""

    why: NotStoredReason
    error: ChatImportError | None = None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Refused for what is in it; nothing stored."""

    reason: str
    error: Refused


@dataclass(frozen=True, kw_only=True)
class GaveUp:
    """Nothing more can be learned in this try; what is open stays open in the ledger."""

    reason: str
    unknown: bool = False
    """Asked, answered, and no evidence settles it."""

    error: ChatImportError | None = None


State = Accepted | Unknown | Landed | NotStored | Rejected | GaveUp


@dataclass(frozen=True, kw_only=True)
class Next:
    """What is true now, and the calls whose rows in the ledger change with it."""

    state: State
    calls: tuple[Call, ...] = ()
