"""Triggers one run of the DAG, prints its progress, and then its summary or the reason why it has failed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from include import corrections
from include.errors import LedgerError
from include.ledger import Database, ledger_url
from include.local.airflow import Say
from include.local.api import NO_LINE, AirflowAPI, TaskInstance, newest_line
from include.local.child_processes import ChildProcesses
from include.local.follow import Progress, failed_tasks, follow
from include.local.screen import wrapped
from include.local.state_folder import StateFolder
from include.local.summary import problems, summary
from include.parameters import DAG_ID
from include.report.failure import Failure, failures, state_of
from include.run_folder import RunFolder

_INDENT = "  "


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run that has ended."""

    run: RunFolder
    good: bool
    """The run succeeded and every entry is accounted for."""


def import_once(
    state_folder: StateFolder, processes: ChildProcesses, api: AirflowAPI, conf: Mapping[str, Any], say: Say
) -> Imported:
    """
    Run the DAG once and print its progress, summary and errors.

    :param conf: The run's parameters.
    """
    run_id = api.trigger(DAG_ID, conf)
    say(f"Run {run_id}")
    url = ledger_url(state_folder.root)
    try:
        state = follow(api, DAG_ID, run_id, Progress(say, *_readers(api, run_id, url)), processes.check)
    except (KeyboardInterrupt, SystemExit):
        for line in interrupted(_state(url, run_id)):
            say(line)
        raise
    run = RunFolder.of(run_id, state_folder.root)
    report = _report(run.report_json)
    noted = _failures(url, run_id) if state != "success" else []
    say("")
    if report:
        for line in (*summary(report), *problems(report, noted[0].cause if noted else "")):
            say(line)
        if report["already_loaded"] and not report["loaded"] and not report["pending"]:
            say("Nothing was sent: everything had been loaded before.")
        say(f"Report: {run.report_json}")
        for line in correction(run, run_id, report):
            say(line)
    if state != "success":
        for line in why_failed(noted, list(failed_tasks(api, DAG_ID, run_id))):
            say(line)
    return Imported(run=run, good=state == "success" and bool(report and report["conserved"]))


def why_failed(noted: Sequence[Failure], ended: Sequence[tuple[str, str]]) -> Iterator[str]:
    """
    Yield the first cause of a run's failure, what is true now, and what to do, each on a line of its own.

    :param noted: Failures in the ledger's database, the earliest first.
    :param ended: Failed tasks and the last errors of their logs, for what is not noted.
    """
    if noted:
        first, *_ = noted
        yield wrapped(f"FAILED in {first.where}: {first.lines[0]}")
        yield from (wrapped(line, _INDENT) for line in first.lines[1:])
    elif ended:
        where, error = ended[0]
        yield wrapped(f"FAILED in {where}: {error}")
    first_where = noted[0].where if noted else ended[0][0] if ended else ""
    if others := [where for where, _ in ended if where != first_where]:
        yield wrapped(f"Failed after it: {', '.join(others)}", _INDENT)


def correction(run: RunFolder, run_id: str, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield how to load the messages that were rejected, if any of them can be corrected."""
    if run.corrections.name in report.get("files", []):
        yield wrapped(f"To load the rejected messages, correct them in {run.corrections}, and run, with the same CONF:")
        yield f"{_INDENT}make import SOURCE={corrections.PREFIX}{run_id}"


def interrupted(state: str) -> Iterator[str]:
    """
    Yield what is true after Ctrl-C, and what to do.

    :param state: From :func:`include.report.failure.state_of`; empty if the ledger cannot be read.
    """
    yield ""
    if state:
        yield wrapped(state)
    yield "Run the same command again: it goes on from there."


def _readers(
    api: AirflowAPI, run_id: str, url: str
) -> tuple[Callable[[], str], Callable[[Sequence[TaskInstance]], Sequence[str]]]:
    """Return the functions that tell how many messages have landed, and what running tasks are doing."""

    def messages() -> str:
        chunks = api.xcom(DAG_ID, run_id, "plan") or []
        if not chunks:
            return ""
        planned = sum(chunk["messages"] for chunk in chunks)
        done = _done(url, run_id, since_ms=min(chunk["planned_ms"] for chunk in chunks))
        return f"{min(done, planned):,} of {planned:,} messages"

    def news(instances: Sequence[TaskInstance]) -> Sequence[str]:
        task_ids = {task.task_id for task in instances}
        if any(task.state == "up_for_retry" for task in instances):
            for failure in reversed(_failures(url, run_id)):
                if failure.task_id in task_ids and failure.tries_again:
                    return failure.lines
        running = [task for task in instances if task.state == "running"]
        newest = max((newest_line(api.log(DAG_ID, run_id, task)) for task in running[:_MOST_LOGS]), default=NO_LINE)
        counted = task_ids == {"load"}  # its line has a count; only a warning adds to it
        return [newest.text] if newest.text and (newest.is_warning or not counted) else []

    return messages, news


_MOST_LOGS = 4
"""Logs that are read for one line: a load has at most four tasks at a time, an extract may have hundreds."""


def _state(url: str, run_id: str) -> str:
    """Return a sentence about what the run has sent, empty if the ledger cannot be read."""
    try:
        return state_of(Database.existing(url), run_id)
    except LedgerError:
        return ""


def _done(url: str, run_id: str, *, since_ms: int) -> int:
    """Return the number of messages with an outcome, those of earlier runs' open calls included."""
    database = Database.existing(url)
    if database is None:
        return 0
    with database.read() as ledger:
        return int(ledger.execute(text(_DONE), {"run": run_id, "since_ms": since_ms}).scalar() or 0)


_DONE = """
    SELECT sum(messages) FROM calls
    WHERE state IN ('landed', 'rejected') AND (run_id = :run OR settled_ms >= :since_ms)
"""


def _failures(url: str, run_id: str) -> list[Failure]:
    """Return the noted failures; none where the ledger itself cannot be read, which the logs then say."""
    try:
        database = Database.existing(url)
        return failures(database, run_id) if database else []
    except LedgerError:
        return []


def _report(path: Path) -> dict[str, Any] | None:
    """Return the report, ``None`` when the run ended before it was written."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
