"""The error of a load or flush that is incomplete, by what the user can do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from include.delivery.actions import Status
from include.errors import ChatImportError, ConversationBusy, LoadIncomplete, OutcomesUnknown, PermanentError
from include.logs import counted

NAMED = 10
"""Conversations named in a message; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class StoppedSegment:
    """A conversation that ended before its last batch."""

    segment_id: str
    status: Status
    reason: str
    error: ChatImportError | None = None
    key: str | None = None
    messages: int = 0
    """The batch of the open call, where there is one, and its number of messages."""

    def __str__(self) -> str:
        batch = f", batch {self.key} of {counted(self.messages, 'message')}" if self.key else ""
        return f"{self.segment_id}{batch}: {self.reason}"


def error_for(what: str, stops: Sequence[StoppedSegment], trouble: ChatImportError | None) -> ChatImportError | None:
    """
    Return the error to raise, or ``None`` when everything was delivered.

    What stopped everybody comes first, then what another try can mend; only when nothing of that is left, what needs a
    person. So a try is never the last one while there is something that it could still do.

    :param what: Whose stops these are: ``chunk 3``.
    :param trouble: What stopped the whole load.
    """
    by_standing = {status: [stop for stop in stops if stop.status is status] for status in Status}
    pending, unknown = by_standing[Status.PENDING], by_standing[Status.UNKNOWN]
    refused = by_standing[Status.REFUSED]
    if trouble is not None:
        trouble.add_note(f"{what}: conversations not at their end: {len(stops)}; what has landed is recorded")
        return _with_unknown(unknown, trouble)
    if pending and all(isinstance(stop.error, ConversationBusy) for stop in pending):
        return _with_unknown(unknown, pending[0].error)
    if pending:
        told = f"{what}: pending conversations: {len(pending)}; the next try goes on. {_named(pending)}"
        cause = next((stop.error.cause for stop in pending if stop.error), "")
        return _with_unknown(unknown, LoadIncomplete(f"{cause} {told}".lstrip()))
    if unknown:
        return unknown_error(what, unknown)
    if refused:
        return PermanentError(
            f"{what}: the target refuses {counted(len(refused), 'conversation')} as a whole. {_named(refused)}"
        )
    return None


def unknown_error(what: str, stops: Sequence[StoppedSegment]) -> OutcomesUnknown:
    """Return the error that names the batches of unknown outcome and what the user can do."""
    return OutcomesUnknown(
        f"{what}: conversations stopped at a batch that the target may or may not hold: {len(stops)}. {_named(stops)}. "
        "Nothing of them is sent again by itself. Run again: the target is asked once more, and what it then shows is "
        "taken; or look for yourself and run with existing=resend or existing=skip for exactly these batches."
    )


def _with_unknown(unknown: Sequence[StoppedSegment], error: ChatImportError | None) -> ChatImportError | None:
    """Add the batches of unknown outcome to an error; the next try asks for them again."""
    if unknown and error is not None and not isinstance(error, OutcomesUnknown):
        error.add_note(f"not known whether stored, to be asked for again: {_named(unknown)}")
    return error


def _named(stops: Sequence[StoppedSegment]) -> str:
    more = f"; and {len(stops) - NAMED} more" if len(stops) > NAMED else ""
    return "; ".join(str(stop) for stop in stops[:NAMED]) + more
