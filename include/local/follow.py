"""Prints the progress of a run: a line for each change of a step, and the errors of failed tasks."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from include.local.api import UNFINISHED, AirflowAPI, TaskInstance, last_error

_POLL_S = 1.0
_REMIND_S = 10.0
_WORDS = {
    "success": "done",
    "failed": "failed",
    "upstream_failed": "not run, an earlier step failed",
    "skipped": "skipped",
    "running": "running",
    "up_for_retry": "failed, will be retried",
    "up_for_reschedule": "waiting",
}
_NEWS = _WORDS.keys() - {"running", "up_for_reschedule"}
"""A change to another state gets a line only after :data:`_REMIND_S`."""

_WAITING = "waiting to start"
"""Of every other state: Airflow has not started the task, or not started it again."""


@dataclass
class Progress:
    """
    Prints the changes since the last call.

    :param say: Prints one line.
    :param messages: Returns what lines of the step ``load`` end with: ``1,200 of 10,000 messages``, empty if not known.
    :param news: Returns the newest lines about running or repeated tasks: how far they are, and why they wait.
    """

    say: Callable[[str], None]
    messages: Callable[[], str] = lambda: ""
    news: Callable[[Sequence[TaskInstance]], Sequence[str]] = lambda _: ()

    def __post_init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}
        self._said_at = time.monotonic()
        self._told: Sequence[str] = ()

    def show(self, tasks: Sequence[TaskInstance]) -> None:
        """Print the steps that have changed, in the order of their starts, and those that have run for long."""
        late = time.monotonic() - self._said_at > _REMIND_S
        for task_id, instances in _steps(tasks):
            states = Counter(task.state or "" for task in instances)
            news = {state: count for state, count in states.items() if state in _NEWS}
            changed = news != self._known.get(task_id, {})
            self._known[task_id] = news
            waits = late and states.keys() & {"running", "up_for_retry", "up_for_reschedule"}
            if not waits and not (changed and news):
                continue
            messages = self.messages() if task_id == "load" else ""
            self.say(f"  {task_id:<10} {_line_of(instances, states):<24} {messages}".rstrip())
            self._said_at = time.monotonic()
            if waits or states["up_for_retry"]:
                self._tell(instances)

    def _tell(self, instances: Sequence[TaskInstance]) -> None:
        """Print the newest lines about a step once."""
        lines = self.news(instances)
        if lines != self._told:
            self._told = lines
            for line in lines:
                self.say(f"  {'':<10} {line}")


def follow(api: AirflowAPI, dag_id: str, run_id: str, progress: Progress, check: Callable[[], None]) -> str:
    """
    Wait for the end of a run and return its state, ``success`` or ``failed``.

    :param check: Called before each request; raises an error if Airflow has ended.
    """
    while True:
        check()
        state = api.run_state(dag_id, run_id)
        progress.show(api.task_instances(dag_id, run_id))
        if state not in UNFINISHED:
            return state
        time.sleep(_POLL_S)


def failed_tasks(api: AirflowAPI, dag_id: str, run_id: str) -> Iterator[tuple[str, str]]:
    """Yield each task that failed itself, in the order of their starts, and the last error of its log."""
    for task in sorted(api.task_instances(dag_id, run_id), key=lambda task: task.started_at):
        if task.state == "failed":
            label = f" ({task.label})" if task.label else ""
            error = last_error(api.log(dag_id, run_id, task)) or "its log has no error; see the Airflow UI (make up)"
            yield f"{task.task_id}{label}", error


def _steps(tasks: Sequence[TaskInstance]) -> list[tuple[str, list[TaskInstance]]]:
    by_id = groupby(sorted(tasks, key=lambda task: task.task_id), key=lambda task: task.task_id)
    steps = [(task_id, list(instances)) for task_id, instances in by_id]
    return sorted(steps, key=lambda step: min((t.started_at for t in step[1] if t.started_at), default="~"))


def _line_of(instances: Sequence[TaskInstance], states: Mapping[str, int]) -> str:
    if len(instances) == 1 and instances[0].map_index < 0:
        return _WORDS.get(instances[0].state or "", _WAITING)
    parts = [f"{states['success']} of {len(instances)} done"]
    parts += [f"{states[state]} {word}" for state, word in _WORDS.items() if state != "success" and states[state]]
    return ", ".join(parts)
