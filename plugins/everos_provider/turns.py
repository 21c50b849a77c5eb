"""
Loads older intervals first: EverOS needs a conversation's history in order.

Airflow starts runs in the order in which they are due, not in the order of their intervals: a backfill has a separate
``max_active_runs`` (10 by default) and runs beside nightly runs, and a cleared older run is queued behind newer ones.
So ``discover`` of a scheduled or backfill run waits until no older run is unfinished.

A waiting run is ``running`` and keeps its place among the active runs. If the older run is *queued* and needs that
place, neither could go on. So a run waits without limit for an older run that is *running*, but only
:data:`QUEUED_LIMIT_S` for one that is *queued*. Then it fails, and is cleared, and so queued again, as soon as the
older run is over: each run does that for others when it starts and when it ends.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError

from everos_provider.airflow_internals import UNFINISHED, clear_run, run_state
from everos_provider.ledger import database
from include.errors import ImportIncomplete
from include.logs import get_logger
from include.report.waiting import Waiting, all_ended, forget_waiting, read_waiting, write_waiting

log = get_logger(__name__)

POLL_S = 5, 60
"""
First and longest time between two checks of a waiting run. A check takes about a second of CPU, and many runs of a
backfill may wait.
"""

QUEUED_LIMIT_S = 60
"""Time for which an older run may be queued: a scheduler with a free place starts it within seconds."""


def interval_of(context: Context) -> tuple[datetime, datetime] | None:
    """Return the data interval of a scheduled or backfill run; ``None`` for other runs, which have none."""
    if context["dag_run"].run_type not in ("scheduled", "backfill"):
        return None
    start, end = context["data_interval_start"], context["data_interval_end"]
    return (start, end) if start and end else None


def wait_for_turn(context: Context) -> None:
    """
    Return if no run of an older interval is unfinished. A manual run never waits.

    :raises AirflowRescheduleException: An older run is unfinished; Airflow runs the task again later.
    :raises ImportIncomplete: The older run is queued and may need this run's place.
    """
    interval = interval_of(context)
    if interval is None:
        return
    start = interval[0].astimezone(UTC).isoformat()
    queue_again(context, before=start)
    for state in ("running", "queued"):
        if older := context["ti"].get_previous_dagrun(state=state):
            break
    else:
        forget_waiting(database(), context["run_id"])
        return
    now = datetime.now(UTC)
    waiting = _noted(context["run_id"], start, older.run_id, state, now)
    waited_s = (now - datetime.fromisoformat(waiting.since)).total_seconds()
    # Only backfills have further places: other runs share one, and this run has it.
    cannot_start = "backfill" not in (context["dag_run"].run_type, older.run_type)
    if state == "queued" and (cannot_start or waited_s >= QUEUED_LIMIT_S):
        ended = msgspec.structs.replace(waiting, ended=True)
        write_waiting(database(), ended)
        raise ImportIncomplete(
            ended.sentence(), remedy="If that run stays queued, unpause its backfill, or mark it as failed."
        )
    log.info("%s", waiting.sentence())
    next_s = min(max(waited_s / 4, POLL_S[0]), POLL_S[1])
    raise AirflowRescheduleException(now + timedelta(seconds=next_s))  # type: ignore[no-untyped-call]


def queue_again(context: Context, *, before: str | None = None) -> None:
    """
    Clear the runs that failed to free their places, where the run that each waited for is over.

    A run calls it when it is about to end and, with ``before``, when it starts. Errors are logged and left to the next
    call: no import fails because of another one.

    :param before: Only runs of intervals that start earlier: ISO 8601, UTC.
    """
    unfinished = set[str]()  # runs that are not over, as far as this call knows
    for each in all_ended(database()):
        if before is not None and each.interval_start >= before:
            continue
        try:
            if each.run_id == context["run_id"] or not _queued_again(context, each, unfinished):
                unfinished.add(each.run_id)
        except AirflowRuntimeError:
            log.warning("%s could not be queued again; the next run will try it", each.run_id, exc_info=True)
            unfinished.add(each.run_id)


def _queued_again(context: Context, ended: Waiting, unfinished: set[str]) -> bool:
    """Clear a run if its turn has come; return ``False`` if newer runs have to wait for it."""
    state = run_state(context, ended.run_id)
    if state in UNFINISHED:  # it is about to end, or a user has cleared it
        return False
    if state == "failed":  # else it was deleted or marked as a success
        older = ended.older_run_id
        if older in unfinished or (older != context["run_id"] and run_state(context, older) in UNFINISHED):
            return False
        clear_run(context, ended.run_id)
        log.info("%s is queued again: the run that it waited for is over", ended.run_id)
    forget_waiting(database(), ended.run_id)
    return True


def _noted(run_id: str, start: str, older_run_id: str, state: str, now: datetime) -> Waiting:
    """Return the run's note of what it waits for; its ``since`` is the time of the first such note."""
    before = read_waiting(database(), run_id)
    if before and not before.ended and (before.older_run_id, before.older_state) == (older_run_id, state):
        return before
    since = now.isoformat(timespec="seconds")
    waiting = Waiting(run_id=run_id, interval_start=start, older_run_id=older_run_id, older_state=state, since=since)
    write_waiting(database(), waiting)
    return waiting
