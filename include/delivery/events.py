"""
The ledger's lines: what became of one call, one JSON object each.

An *attempt* is one call to add messages; its name is unique, and every later line about it carries that name.
So lines mean the same in whatever order they are read, and reading one twice changes nothing.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Base of all lines but the first."""

    conversation: str
    at_ms: int = 0
    """Wall clock when it was written, for people; nothing is decided by it."""


class Intent(Event, frozen=True, kw_only=True, tag="intent"):
    """The call is about to be made. From here on the messages may be at the server."""

    attempt: str
    key: str
    run: str
    ids: tuple[str, ...]
    ms: tuple[int, ...]
    """``timestamp_ms`` of each message."""
    by: tuple[str, ...] = ()
    """Who wrote them, role ``user`` only: some targets show what they hold only by person."""
    bots: tuple[str, ...] = ()
    """Writers with the role ``assistant``."""
    who: tuple[int, ...] = ()
    """Writer of each message, as a position in ``by + bots``; a single position where one person wrote all of them."""


class Accepted(Event, frozen=True, kw_only=True, tag="task"):
    """The server took the call and made a task of it."""

    attempt: str
    task_id: str


class Landed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="landed"):
    """The messages are stored: all of the attempt, or only ``ids``; the others are then proved absent."""

    attempt: str
    ids: tuple[str, ...] | None = None
    reason: str = ""


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """Proved not stored: sending the messages again duplicates nothing."""

    attempt: str
    reason: str


class Rejected(Event, frozen=True, kw_only=True, tag="rejected"):
    """The target refuses these messages for their content, now and later."""

    attempt: str
    reason: str


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """The outcome is in doubt: nothing of it is sent again before the server was asked."""

    attempt: str
    reason: str


class FlushIntent(Event, frozen=True, kw_only=True, tag="flush_intent"):
    """A flush is about to be asked for, with so many messages landed."""

    run: str
    landed: int


class Flushed(Event, frozen=True, kw_only=True, tag="flushed"):
    """The conversation was flushed; ``landed`` messages were in it, which tells later whether more have come."""

    run: str
    landed: int
    status: str


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="segment"):
    """First line of a segment: whose it is and the only conversations it can speak of."""

    run: str
    conversations: tuple[str, ...]


Line = Intent | Accepted | Landed | Failed | Rejected | Unknown | FlushIntent | Flushed

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Header | Line] = msgspec.json.Decoder(Header | Line)


def encode(line: Header | Line) -> bytes:
    """Return the line with its newline; a line without one is what a crash left and never counts."""
    return _ENCODER.encode(line) + b"\n"


def decode(line: bytes) -> Header | Line:
    """
    Read one line back.

    :raises msgspec.MsgspecError: not a line of a ledger.
    """
    return _DECODER.decode(line)
