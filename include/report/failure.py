"""The first cause of a run's failure, in the ledger's database: one row for each task that has failed."""

import time
import traceback
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from sqlalchemy import ColumnElement, delete, func, insert, select

from include.errors import ChatImportError, PermanentError, QuotaExhausted, RetryableError
from include.ledger import Database
from include.ledger.schema import CALLS, FAILED_TASKS
from include.logs import printable

KILLED = "its process was killed, or its machine stopped: often there was too little memory"

NOTHING_SENT = "This run has sent nothing."

_RUN_AGAIN = "Run the import again, or clear the failed task: it goes on from there."


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The failure of one task: its cause, the state after it, and the remedy; each is one printable line."""

    run_id: str
    task_id: str
    map_index: int = -1
    label: str = ""
    """Name of a mapped task: its export, or its conversations."""

    kind: str = ""
    """Class of the error, such as ``ConfigurationError``."""
    cause: str
    state: str = ""
    """What is true now: how much has landed."""
    remedy: str = ""
    """What to do; empty if the cause says it."""
    tries_again: bool = False
    """Airflow repeats the task by itself."""
    failed_ms: int = 0
    """Unix milliseconds."""

    @property
    def where(self) -> str:
        """The task: ``load (slack_general)``."""
        return f"{self.task_id} ({self.label})" if self.label else self.task_id

    @property
    def lines(self) -> list[str]:
        """Cause, state and remedy, those that are not empty."""
        return [line for line in (_sentence(self.cause), self.state, self.remedy) if line]

    @property
    def sentence(self) -> str:
        """The same in one line, for lists, logs and alerts."""
        return f"{self.where} failed: {' '.join(self.lines)}"


def failure_of(
    error: BaseException | None,
    state: str,
    *,
    run_id: str,
    task_id: str,
    map_index: int = -1,
    label: str = "",
    tries_again: bool = False,
) -> Failure:
    """
    Return the failure of a task.

    :param error: ``None`` for a task whose process was killed.
    :param state: From :func:`state_of`; empty if the ledger cannot be read.
    """
    cause, remedy = _told(error)
    if state == NOTHING_SENT and "nothing was" in cause.lower():
        state = ""
    return Failure(
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        label=printable(label),
        kind=type(error).__name__ if error else "Killed",
        cause=cause,
        state=state,
        remedy="Airflow repeats it by itself." if tries_again and not isinstance(error, PermanentError) else remedy,
        tries_again=tries_again,
        failed_ms=time.time_ns() // 1_000_000,
    )


def state_of(database: Database | None, run_id: str) -> str:
    """
    Return a sentence about what the run has sent.

    :param database: The ledger's, ``None`` where nothing was ever written.
    """
    if database is None:
        return NOTHING_SENT
    query = select(CALLS.c.state, CALLS.c.settled_ms.is_(None), func.sum(CALLS.c.messages))
    with database.read() as connection:
        rows = connection.execute(
            query.where(CALLS.c.run_id == run_id).group_by(CALLS.c.state, CALLS.c.settled_ms.is_(None))
        ).all()
    if not rows:
        return NOTHING_SENT
    landed = sum(int(messages) for state, _, messages in rows if state == "landed")
    is_open = sum(int(messages) for _, is_unsettled, messages in rows if is_unsettled)
    told = {
        0: "No message of this run has landed.",
        1: "1 message has landed, and a rerun does not send it again.",
    }.get(landed, f"{landed:,} messages have landed, and a rerun does not send them again.")
    return told + (f" The outcome of {is_open:,} is open: a rerun asks EverOS for it first." if is_open else "")


def write_failure(database: Database, failure: Failure) -> None:
    """Insert or replace the failure of a task."""
    with database.write() as connection:
        connection.execute(delete(FAILED_TASKS).where(*_task(failure.run_id, failure.task_id, failure.map_index)))
        connection.execute(insert(FAILED_TASKS).values(**msgspec.structs.asdict(failure)))


def forget_failure(database: Database, run_id: str, task_id: str, map_index: int = -1) -> None:
    """Remove the failure of a task, because it has succeeded."""
    where = _task(run_id, task_id, map_index)
    with database.read() as connection:
        found = connection.execute(select(FAILED_TASKS.c.run_id).where(*where)).first()
    if found:
        with database.write() as connection:
            connection.execute(delete(FAILED_TASKS).where(*where))


def failures(database: Database, run_id: str) -> list[Failure]:
    """Return the failures of a run's tasks, the earliest first: it is the cause of the others."""
    return _failures(database, [run_id])


def first_failure(database: Database, run_id: str) -> Failure | None:
    """Return the first cause of a run's failure, ``None`` if no task has failed."""
    return next(iter(failures(database, run_id)), None)


def first_failures(database: Database, run_ids: Collection[str]) -> Mapping[str, Failure]:
    """Return the first cause by run id, for those of the runs that have one."""
    return {each.run_id: each for each in reversed(_failures(database, run_ids))}


def _failures(database: Database, run_ids: Collection[str]) -> list[Failure]:
    query = select(FAILED_TASKS).where(FAILED_TASKS.c.run_id.in_(run_ids)).order_by(FAILED_TASKS.c.failed_ms)
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [Failure(**row | {"tries_again": bool(row["tries_again"])}) for row in map(dict, rows)]


def _task(run_id: str, task_id: str, map_index: int) -> list[ColumnElement[bool]]:
    table = FAILED_TASKS.c
    return [table.run_id == run_id, table.task_id == task_id, table.map_index == map_index]


def _told(error: BaseException | None) -> tuple[str, str]:
    """Return cause and remedy."""
    if error is None:
        return KILLED, f"Give it more memory if that was too little. {_RUN_AGAIN}"
    if not isinstance(error, ChatImportError):
        return f"{type(error).__name__}{_place(error)}", "This is a defect: please report it, with the log."
    if error.remedy:
        return error.cause, error.remedy
    if isinstance(error, QuotaExhausted):
        return error.cause, "Run the import again when the account has quota."
    return error.cause, _RUN_AGAIN if isinstance(error, RetryableError) else ""


def _place(error: BaseException) -> str:
    """Return where an error was raised. Its message is left out: errors of other libraries may quote message text."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
