"""
Notes why a task has failed, for the run's page, alerts and ``make import``, and in the last line of the task's log.

A failure that a person can mend ends the task without a traceback.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from airflow.sdk import Context

from everos_provider.ledger import database, existing_database
from include.errors import ChatImportError
from include.logs import get_logger
from include.report.failure import Failure, failure_of, forget_failure, state_of, write_failure

log = get_logger(__name__)


def callbacks() -> dict[str, Any]:
    """Return the callbacks of every task, for a DAG's ``default_args``."""
    return {
        "on_failure_callback": note_failure,
        "on_retry_callback": note_retry,
        "on_success_callback": note_success,
        "on_skipped_callback": note_success,
    }


def note_failure(context: Context) -> None:
    """Write the failure of a task to the ledger's database and its log."""
    _note(context, tries_again=False)


def note_retry(context: Context) -> None:
    """Write the failure of a task that Airflow repeats."""
    _note(context, tries_again=True)


def note_success(context: Context) -> None:
    """Remove what was noted of earlier tries."""
    task = context["ti"]
    try:
        if found := existing_database():
            forget_failure(found, context["run_id"], task.task_id, task.map_index if task.map_index is not None else -1)
    except ChatImportError as error:
        log.warning("The failure of an earlier try stays noted: %s", error)


def without_traceback[**P, R](task: Callable[P, R]) -> Callable[P, R]:
    """Make the project's errors end a task with their message; other exceptions are defects and keep the traceback."""

    @wraps(task)
    def ending(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return task(*args, **kwargs)
        except ChatImportError as error:
            raise _ending_quietly(error) from None

    return ending


def _ending_quietly(error: ChatImportError) -> ChatImportError:
    """
    Return the error as a ``SystemExit`` too.

    Airflow logs the ``code`` of a ``SystemExit`` where it logs the traceback of any other exception. Retry rules and
    callers still see the error's own class.
    """
    kind = type(error)
    if isinstance(error, SystemExit):
        return error
    quiet = type(kind.__name__, (kind, SystemExit), {"__module__": kind.__module__, "code": property(str)})
    ending: ChatImportError = quiet.__new__(quiet, *error.args)
    ending.__dict__.update(error.__dict__)
    return ending


def _note(context: Context, *, tries_again: bool) -> None:
    failure = _failure(context, tries_again=tries_again)
    try:
        write_failure(database(), failure)
    except ChatImportError as error:
        log.warning("The failure could not be noted for the page of the run: %s", error)
    (log.warning if tries_again else log.error)("%s", failure.sentence)


def _failure(context: Context, *, tries_again: bool) -> Failure:
    task, error = context["ti"], context.get("exception")
    try:
        state = state_of(existing_database(), context["run_id"])
    except ChatImportError:
        state = ""
    label = getattr(task, "rendered_map_index", None)
    return failure_of(
        error if isinstance(error, BaseException) else None,
        state,
        run_id=context["run_id"],
        task_id=task.task_id,
        map_index=-1 if task.map_index is None else task.map_index,
        label=label or "",
        tries_again=tries_again,
    )
