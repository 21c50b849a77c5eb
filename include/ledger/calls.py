"""Calls and flushes as the ledger keeps them: one row each; ids, times and counts, never text."""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from include.errors import LedgerError


class CallState(StrEnum):
    """State of one call to add messages."""

    INTENT = "intent"
    """It is about to be made. From here on the messages may be at the target."""
    ACCEPTED = "accepted"
    """The target made a task of it."""
    UNKNOWN = "unknown"
    """Its outcome is not known: nothing of it is sent again before the target was asked."""
    LANDED = "landed"
    NOT_STORED = "not stored"
    """Proved not stored: sending the messages again duplicates nothing."""
    REJECTED = "rejected"
    """The target refuses the messages for their content."""


OPEN = (CallState.INTENT, CallState.ACCEPTED, CallState.UNKNOWN)
"""States of a call without an outcome."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """
    One call to add messages to one segment of a conversation. All its messages share its state.

    A call of which the target stored only a part becomes two (:meth:`part`).
    """

    call_id: str
    conversation_id: str
    key: str
    """Digest of the conversation and the message ids (:func:`key_of`), as that of a planned batch."""

    run_id: str
    message_ids: tuple[str, ...]
    timestamps_ms: tuple[int, ...]
    senders: tuple[str, ...] = ()
    """Writers with the role ``user``: some targets show what they hold only by person."""
    bots: tuple[str, ...] = ()
    """Writers with the role ``assistant``."""
    segment_id: str = ""
    """By default the conversation, where that is one segment."""
    who: tuple[int, ...] = ()
    """Writer of each message, as a position in ``senders + bots``; one position where one person wrote all of them."""
    state: CallState = CallState.INTENT
    task_id: str | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.segment_id:
            msgspec.structs.force_setattr(self, "segment_id", self.conversation_id)

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.state in OPEN

    @property
    def writers(self) -> tuple[str, ...]:
        """Writer of each message; empty where the ledger does not say."""
        known = self.senders + self.bots
        places = self.who * len(self.message_ids) if len(self.who) == 1 else self.who
        return tuple(known[place] for place in places)

    def part(self, message_ids: Sequence[str], state: CallState, *, call_id: str, reason: str = "") -> "Call":
        """Return a settled call of some of the messages, in their order."""
        wanted = set(message_ids)
        places = [place for place, message_id in enumerate(self.message_ids) if message_id in wanted]
        ids = tuple(self.message_ids[place] for place in places)
        return msgspec.structs.replace(
            self,
            call_id=call_id,
            key=key_of(self.conversation_id, ids),
            message_ids=ids,
            timestamps_ms=tuple(self.timestamps_ms[place] for place in places),
            who=self.who if len(self.who) < len(self.message_ids) else tuple(self.who[place] for place in places),
            state=state,
            reason=reason,
        )


class Flush(msgspec.Struct, frozen=True, kw_only=True):
    """One flush of a segment."""

    flush_id: str
    conversation_id: str
    run_id: str
    landed: int
    """Messages that had landed in the segment when it was asked for."""
    segment_id: str = ""
    """By default the conversation, where that is one segment."""
    status: str | None = None
    """The target's answer; ``None`` before it."""

    def __post_init__(self) -> None:
        if not self.segment_id:
            msgspec.structs.force_setattr(self, "segment_id", self.conversation_id)


def key_of(conversation_id: str, message_ids: Sequence[str]) -> str:
    """Return the digest that names the messages of a call: 32 hexadecimal digits."""
    return hashlib.sha256("\x00".join((conversation_id, *message_ids)).encode()).hexdigest()[:32]


_IDS = msgspec.json.Decoder(tuple[str, ...])
_TIMES = msgspec.json.Decoder(tuple[int, ...])
_WRITERS = msgspec.json.Decoder(tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]])


def row_of(call: Call) -> dict[str, Any]:
    """Return the columns of a call that do not depend on the clock or the target."""
    first_ms = min(call.timestamps_ms)
    return {
        "call_id": call.call_id,
        "conversation_id": call.conversation_id,
        "segment_id": call.segment_id,
        "key": call.key,
        "run_id": call.run_id,
        "state": call.state.value,
        "task_id": call.task_id,
        "reason": call.reason,
        "messages": len(call.message_ids),
        "first_ms": first_ms,
        "last_ms": max(call.timestamps_ms),
        "message_ids": _json(call.message_ids),
        "after_first_ms": _json([timestamp_ms - first_ms for timestamp_ms in call.timestamps_ms]),
        "writers": _json((call.senders, call.bots, call.who)),
    }


def call_of(row: RowMapping) -> Call:
    """
    Return the call of a row of the table ``calls``.

    :raises LedgerError: the row is damaged: its key is not that of its messages, or a column cannot be read.
    """
    try:
        message_ids = _IDS.decode(row["message_ids"])
        senders, bots, who = _WRITERS.decode(row["writers"])
        call = Call(
            call_id=row["call_id"],
            conversation_id=row["conversation_id"],
            segment_id=row["segment_id"],
            key=row["key"],
            run_id=row["run_id"],
            message_ids=message_ids,
            timestamps_ms=tuple(row["first_ms"] + after_ms for after_ms in _TIMES.decode(row["after_first_ms"])),
            senders=senders,
            bots=bots,
            who=who,
            state=CallState(row["state"]),
            task_id=row["task_id"],
            reason=row["reason"],
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise damaged(row["call_id"], str(error)) from error
    if call.key != key_of(call.conversation_id, message_ids):
        raise damaged(call.call_id, "its key is not that of its messages")
    if not len(call.timestamps_ms) == len(message_ids) == row["messages"] or max(call.timestamps_ms) != row["last_ms"]:
        raise damaged(call.call_id, "its messages are not as many or not of the time that it says")
    return call


def damaged(call_id: str, problem: str) -> LedgerError:
    """Say that a row cannot be trusted."""
    return LedgerError(
        f"the ledger is damaged: call {call_id}: {problem}. Nothing was sent: without this row it is unknown "
        "what the target holds. Restore the database from its newest backup."
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
