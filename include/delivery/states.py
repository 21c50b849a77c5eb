"""The states of one call to add messages, without decisions."""

from dataclasses import dataclass
from enum import StrEnum

from include.errors import ChatImportError, Refused
from include.ledger import Call
from include.records import Outgoing


@dataclass(frozen=True, kw_only=True)
class Part:
    """Consecutive messages for one call: a planned batch, or the rest of one."""

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
    """Times it was sent and then proved not stored."""

    tries: int = 0
    put_off_since_s: float | None = None
    """Time of the first and number of the calls that the server has not taken."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The server made a task of it: ask for the task at ``ask_at_s``."""

    call: Call
    since_s: float
    ask_at_s: float
    typical_s: float | None = None
    """The time that such a task usually takes, where it is known."""

    growth: float = 0.25
    """Where it is not: the share of the time passed that the next question waits."""

    silent_since_s: float | None = None
    """Time since which every question was answered with an error."""


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
    """Nothing of it is at the server; ``error`` is the proof, where an error is one."""

    why: NotStoredReason
    error: ChatImportError | None = None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Refused for its content; nothing is stored."""

    reason: str
    error: Refused


@dataclass(frozen=True, kw_only=True)
class GaveUp:
    """No outcome in this try; the call stays open in the ledger."""

    reason: str
    unknown: bool = False
    """The target answered, and no evidence settles it."""

    error: ChatImportError | None = None


State = Accepted | Unknown | Landed | NotStored | Rejected | GaveUp


@dataclass(frozen=True, kw_only=True)
class Next:
    """A new state, and the calls whose rows in the ledger change with it."""

    state: State
    calls: tuple[Call, ...] = ()
