"""
The decision table of delivery: the next step of one call to add messages, without I/O, clock or Airflow.

::

    Ready ─intent─▶ Sending ─▶ Accepted(task) ─▶ Landed
      ▲                │            │ └─▶ GaveUp     still processing, or nobody answers: stays open for the next try
      └── NotStored ◀──┤◀───────────┤
          Rejected    ◀──┘            ▼
              (bisected)        Unknown ─▶ Landed | NotStored | GaveUp(unknown)

Each ``after_…`` function takes an open state and what the server answered and returns what is true then, with the calls
whose rows the ledger must hold before anything else is done. Times are seconds on one clock that never jumps.
"""

from dataclasses import replace

import msgspec

from include.delivery.retry import backoff_s, poll_after_s, wait_after_s
from include.delivery.settings import LoadSettings
from include.delivery.states import (
    Accepted,
    GaveUp,
    Landed,
    Next,
    NotStored,
    NotStoredReason,
    Ready,
    Rejected,
    Unknown,
)
from include.errors import (
    ChatImportError,
    NotSent,
    OutcomeUnknown,
    PermanentError,
    QuotaExhausted,
    Refused,
    Throttled,
)
from include.ledger import Call, CallState
from include.memory_api.contract import Evidence, Receipt, TaskState

Answer = Receipt | TaskState | Evidence | ChatImportError


def after_send(call: Call, answer: Answer, now_s: float) -> Next:  # noqa: PLR0911 - a table
    """Judge the answer to the call itself."""
    match answer:
        case Receipt(landed=True):
            return _landed(call)
        case Receipt(task_id=str(task_id)):
            accepted = msgspec.structs.replace(call, task_id=task_id, state=CallState.ACCEPTED)
            return Next(state=Accepted(call=accepted, since_s=now_s, ask_at_s=now_s), calls=(accepted,))
        case Receipt():
            return start_reconciling(call, "accepted without a task id", now_s)
        case Throttled():
            return _not_stored(call, NotStoredReason.THROTTLED, answer)
        case QuotaExhausted():
            return _not_stored(call, NotStoredReason.QUOTA, answer)
        case NotSent():
            return _not_stored(call, NotStoredReason.NOT_SENT, answer)
        case Refused():
            return _turned(call, answer)
        case PermanentError():
            return _not_stored(call, NotStoredReason.BARRED, answer)
        case OutcomeUnknown():
            return start_reconciling(call, "no answer to the call", now_s)
    raise TypeError(f"not an answer to a call: {answer!r}")


def after_ask(  # noqa: PLR0911 - a table
    state: Accepted, answer: Answer, now_s: float, settings: LoadSettings, jitter: float
) -> Next:
    """
    Judge what the server says of a task.

    :param jitter: A random number in [0, 1).
    """
    call, elapsed_s = state.call, now_s - state.since_s
    match answer:
        case TaskState.SUCCESS:
            return _landed(call)
        case TaskState.MISSING:
            return start_reconciling(call, "the server does not know its task", now_s)
        case TaskState.FAILED:
            return start_reconciling(call, "its task failed: the server may have stored it, or a part", now_s)
        case PermanentError():
            return Next(state=GaveUp(reason="asking for its task is refused", error=answer))
        case TaskState.PROCESSING:
            silent_since_s = None
            wait_s = poll_after_s(elapsed_s, settings, state.typical_s, growth=state.growth)
        case ChatImportError():
            silent_since_s = now_s if state.silent_since_s is None else state.silent_since_s
            wait_s = max(_asked_wait_s(answer), poll_after_s(elapsed_s, settings) * (1 + jitter))
        case _:
            raise TypeError(f"not an answer about a task: {answer!r}")
    if elapsed_s >= settings.task_deadline_s:
        return Next(state=GaveUp(reason=f"its task is still processing after {elapsed_s:.0f} s"))
    if silent_since_s is not None and now_s + _asked_wait_s(answer) - silent_since_s >= settings.give_up_after_s:
        asked = f", and {wait_s:.0f} s to wait" if _asked_wait_s(answer) else ""
        reason = f"no answer about its task for {now_s - silent_since_s:.0f} s{asked}"
        return Next(state=GaveUp(reason=reason, error=_error(answer)))
    waiting = replace(state, ask_at_s=now_s + wait_s, silent_since_s=silent_since_s)
    return Next(state=waiting)


def after_look(  # noqa: PLR0911 - a table
    state: Unknown, answer: Answer, now_s: float, settings: LoadSettings, jitter: float
) -> Next:
    """
    Judge what reading back shows of the first group of messages.

    Presence is final. Absence counts only at the end of the settling time, which stands still while the server does
    not answer: one that comes back may first work off what it had taken. A group that shows neither then is looked
    for in halves, so that a batch stored in part is settled message by message.
    """
    if isinstance(answer, Evidence) and state.silent_since_s is not None:
        state = replace(state, since_s=state.since_s + now_s - state.silent_since_s, silent_since_s=None)
    elapsed_s, group = now_s - state.since_s, state.groups[0]
    rest = replace(state, groups=state.groups[1:], look_at_s=now_s, silent_since_s=None)
    match answer:
        case Evidence.PRESENT:
            return _settle(replace(rest, present=state.present + group))
        case PermanentError():
            return Next(state=GaveUp(reason="looking for it is refused", error=answer))
        case ChatImportError():
            silent_since_s = state.look_at_s if state.silent_since_s is None else state.silent_since_s
            if now_s + _asked_wait_s(answer) - silent_since_s >= settings.give_up_after_s:
                return Next(state=GaveUp(reason="the server cannot be asked whether it is stored", error=answer))
            wait_s = max(_asked_wait_s(answer), poll_after_s(elapsed_s, settings) * (1 + jitter))
            return Next(state=replace(state, look_at_s=now_s + wait_s, silent_since_s=silent_since_s))
        case Evidence() if elapsed_s < settings.settle_s:
            look_at_s = min(now_s + poll_after_s(elapsed_s, settings), state.since_s + settings.settle_s)
            return Next(state=replace(state, look_at_s=look_at_s))
        case Evidence.ABSENT:
            return _settle(rest)
        case Evidence.UNPROVABLE if len(group) > 1:
            half = len(group) // 2
            return Next(state=replace(rest, groups=(group[:half], group[half:], *rest.groups)))
        case Evidence.UNPROVABLE if state.recovered and settings.existing == "resend":
            return _settle(rest)  # of the others some may still be found
        case Evidence.UNPROVABLE if state.recovered and settings.existing == "skip":
            return _settle(replace(rest, present=state.present + group), reason="existing=skip")
        case Evidence.UNPROVABLE:
            return Next(state=GaveUp(reason="no evidence tells whether it is stored", unknown=True))
    raise TypeError(f"not an answer to a look: {answer!r}")


def start_reconciling(call: Call, reason: str, now_s: float, *, recovered: bool = False) -> Next:
    """Start to look for a call of unknown outcome; the ledger is told once."""
    doubted = msgspec.structs.replace(call, state=CallState.UNKNOWN, reason=reason)
    state = Unknown(call=doubted, since_s=now_s, look_at_s=now_s, groups=(call.message_ids,), recovered=recovered)
    return Next(state=state, calls=() if call.state is CallState.UNKNOWN else (doubted,))


def recover(call: Call, now_s: float) -> Next:
    """Continue with a call that an earlier try left open: ask for its task, or look for its messages."""
    if call.state is CallState.ACCEPTED:
        return Next(state=Accepted(call=call, since_s=now_s, ask_at_s=now_s))
    return start_reconciling(call, "the try that made the call ended before its answer", now_s, recovered=True)


def after_not_stored(
    ready: Ready, state: NotStored, now_s: float, settings: LoadSettings, jitter: float
) -> Ready | GaveUp:
    """Decide when a part that is proved not stored is sent again, if it is."""
    if state.why in (NotStoredReason.QUOTA, NotStoredReason.BARRED):
        return GaveUp(reason=state.why.value, error=state.error)
    if state.why is NotStoredReason.ABSENT:
        if ready.resends >= settings.max_resends:
            return GaveUp(reason=f"sent {ready.resends + 1} times, not stored: {state.why.value}")
        wait_s = backoff_s(ready.resends, jitter, settings)
        return Ready(part=ready.part, send_at_s=now_s + wait_s, resends=ready.resends + 1)
    since_s = now_s if ready.put_off_since_s is None else ready.put_off_since_s
    wait_s = wait_after_s(state.error, ready.tries, jitter, settings)
    if now_s + wait_s - since_s > settings.give_up_after_s:
        return GaveUp(reason=f"{state.why.value} for {now_s - since_s:.0f} s", error=state.error)
    return replace(ready, send_at_s=now_s + wait_s, tries=ready.tries + 1, put_off_since_s=since_s)


def _landed(call: Call) -> Next:
    return Next(state=Landed(), calls=(_as(call, CallState.LANDED),))


def _not_stored(call: Call, why: NotStoredReason, error: ChatImportError | None = None) -> Next:
    return Next(state=NotStored(why=why, error=error), calls=(_as(call, CallState.NOT_STORED, why.value),))


def _turned(call: Call, error: Refused) -> Next:
    """One message alone is rejected for good; several are only known to hold a bad one."""
    reason = f"refused by the target ({error.status}): {error.reason}"
    if len(call.message_ids) == 1:
        settled = _as(call, CallState.REJECTED, reason)
    else:
        settled = _as(call, CallState.NOT_STORED, f"refused as a whole ({error.status})")
    return Next(state=Rejected(reason=reason, error=error), calls=(settled,))


def _settle(state: Unknown, reason: str = "") -> Next:
    """Return the outcome when no group is left to look for."""
    if state.groups:
        return Next(state=state)
    call = state.call
    if not state.present:
        return _not_stored(call, NotStoredReason.ABSENT)
    present = set(state.present)
    absent = tuple(message_id for message_id in call.message_ids if message_id not in present)
    if not absent:
        return Next(state=Landed(), calls=(_as(call, CallState.LANDED, reason),))
    parts = (
        call.part(state.present, CallState.LANDED, call_id=call.call_id, reason=reason),
        call.part(absent, CallState.NOT_STORED, call_id=f"{call.call_id}-absent", reason=NotStoredReason.ABSENT.value),
    )
    return Next(state=Landed(absent=absent), calls=parts)


def _as(call: Call, state: CallState, reason: str = "") -> Call:
    return msgspec.structs.replace(call, state=state, reason=reason)


def _asked_wait_s(answer: Answer) -> float:
    return (answer.retry_after_s or 0) if isinstance(answer, Throttled) else 0


def _error(answer: Answer) -> ChatImportError | None:
    return answer if isinstance(answer, ChatImportError) else None
