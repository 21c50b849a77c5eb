"""
Older intervals first: EverOS needs a conversation's history in order.

Airflow starts runs in the order in which they are due, but not in the order of their intervals: a backfill has its own
``max_active_runs`` (10 by default) and runs beside nightly runs, and an older run that is cleared is queued behind
newer ones. So ``discover`` of a scheduled or backfill run waits until no older run is unfinished.

A run that waits is ``running`` and keeps its place, whatever its tasks do. Where the older run is queued and needs that
place, both would wait for ever. So a run waits as long as it takes for a run that is *running*, and only for a limited
time for one that is *queued*. Then it ends as failed, and is queued again (cleared) by Airflow's own means as soon as
the older one is over: each run does that for others when it starts and when it ends.
"""

from collections.abc import Set
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import TriggerDagRun

from everos_provider.ledger import database
from include.logs import get_logger
from include.report.waiting import Waiting, all_ended, forget_waiting, read_waiting, write_waiting

log = get_logger(__name__)

INTERVAL_RUNS = {"scheduled", "backfill"}
UNFINISHED = {"running", "queued"}

LOOK_AGAIN_S = 5, 60
"""
How often a waiting run looks whether the older one is over: at first, and at last. Each look costs about a second of a
core, and many runs of a backfill may wait.
"""

QUEUED_S = 60
"""How long an older run may be queued: a scheduler that has a place for it starts it within seconds."""


def wait_for_turn(context: Context) -> None:
    """
    Let runs of older intervals go first; a manual run goes at once.

    :raises AirflowRescheduleException: An older run is unfinished; the task gives its slot back meanwhile.
    :raises AirflowFailException: The older run is queued and may need the place that this run has.
    """
    run = context["dag_run"]
    if run.run_type not in INTERVAL_RUNS:
        return
    start = context["data_interval_start"].astimezone(UTC).isoformat()
    queue_again(context, before=start)
    for state in ("running", "queued"):
        if older := context["ti"].get_previous_dagrun(state=state):
            break
    else:
        forget_waiting(database(), context["run_id"])
        return
    waiting = _noted(context["run_id"], start, older.run_id, state)
    now = datetime.now(UTC)
    waited_s = (now - datetime.fromisoformat(waiting.since)).total_seconds()
    # outside of backfills there is one place for all runs, and this one has it
    cannot_start = "backfill" not in (run.run_type, older.run_type)
    if state == "queued" and (cannot_start or waited_s >= QUEUED_S):
        ended = msgspec.structs.replace(waiting, ended=True)
        write_waiting(database(), ended)
        raise AirflowFailException(
            f"{ended.sentence()} If that run stays queued: unpause its backfill, or mark it as failed to do without it."
        )
    log.info("%s", waiting.sentence())
    again_s = min(max(waited_s / 4, LOOK_AGAIN_S[0]), LOOK_AGAIN_S[1])
    raise AirflowRescheduleException(now + timedelta(seconds=again_s))


def queue_again(context: Context, *, before: str | None = None) -> None:
    """
    Queue the runs again that ended to free their places, where the run that each waited for is over.

    Call it when a run is about to end, or with ``before`` when it starts. What cannot be done is logged and left to the
    next call: no import fails because of another one's.

    :param before: Only runs of intervals that start earlier: ISO 8601, UTC.
    """
    own = context["run_id"]
    left = set[str]()
    for each in all_ended(database()):
        if before is not None and each.interval_start >= before:
            continue
        if each.run_id == own:  # this run has loaded nothing either: what waits for it goes on waiting
            left.add(own)
            continue
        try:
            if not _queued_again(context, each, left, own):
                left.add(each.run_id)
        except AirflowRuntimeError:
            log.warning("%s could not be queued again; the next run tries it", each.run_id, exc_info=True)
            left.add(each.run_id)


def _queued_again(context: Context, ended: Waiting, left: Set[str], own: str) -> bool:
    """
    Queue a run again if it is its turn; return whether newer ones need not wait for that.

    :param left: Runs that ended likewise and are not queued yet.
    """
    state = _state_of(context, ended.run_id)
    if state in UNFINISHED:  # it is just ending, or a person has cleared it
        return False
    if state == "failed":  # else it was deleted, or marked as a success
        older = ended.older_run_id
        if older in left or (older != own and _state_of(context, older) in UNFINISHED):
            return False
        # A task has one way to clear a run: to trigger it although it exists (as TriggerDagRunOperator does).
        dag_id = context["dag_run"].dag_id
        task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=ended.run_id, reset_dag_run=True))
        log.info("%s is queued again: the run that it waited for is over", ended.run_id)
    forget_waiting(database(), ended.run_id)
    return True


def _noted(run_id: str, start: str, older_run_id: str, state: str) -> Waiting:
    """Return what this run waits for, with the time at which it first saw it so."""
    before = read_waiting(database(), run_id)
    if before and not before.ended and (before.older_run_id, before.older_state) == (older_run_id, state):
        return before
    now = datetime.now(UTC).isoformat(timespec="seconds")
    waiting = Waiting(run_id=run_id, interval_start=start, older_run_id=older_run_id, older_state=state, since=now)
    write_waiting(database(), waiting)
    return waiting


def _state_of(context: Context, run_id: str) -> str | None:
    """Return a run's state, ``None`` where it was deleted."""
    try:
        return context["ti"].get_dagrun_state(context["dag_run"].dag_id, run_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise
