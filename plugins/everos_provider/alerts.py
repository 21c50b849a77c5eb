"""
Tells somebody that a run has failed, or that a scheduled one is late; who is told, and how, is a setting.

``EVEROS_IMPORT_NOTIFY`` names a callable of the installation's own, ``module.name``, that takes Airflow's context: a
function, or a notifier of any provider, say ``page = SmtpNotifier(to="ops@acme.example", subject="{{ reason }}")``. In
both cases the context holds at least ``run_id``, ``dag_run`` and ``reason``; no message text.

Failures are told by the DAG processor, lateness by the executor (LocalExecutor or CeleryExecutor; no triggerer is
needed): the module must be importable in both.
"""

import os
import pkgutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import DeadlineAlert, SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference

from include.errors import ConfigurationError

NOTIFY_VARIABLE = "EVEROS_IMPORT_NOTIFY"
DEADLINE_VARIABLE = "EVEROS_IMPORT_DEADLINE_MINUTES"


def on_failure() -> Callable[[Any], None] | None:
    """
    Return the DAG's failure callback, ``None`` without the setting.

    :raises ConfigurationError: the setting names nothing that could be called.
    """
    return tell if _notifier() else None


def deadline() -> DeadlineAlert | None:
    """
    Return the DAG's deadline: so many minutes after a scheduled run was due, ``None`` without both settings.

    :raises ConfigurationError: it is no number of minutes, or there is nobody to tell.
    """
    minutes = os.environ.get(DEADLINE_VARIABLE)
    if not minutes:
        return None
    if not minutes.isdecimal() or not int(minutes):
        raise ConfigurationError(f"{DEADLINE_VARIABLE} is {minutes!r}: expected minutes, such as 120")
    if not _notifier():
        raise ConfigurationError(f"{DEADLINE_VARIABLE} is set and {NOTIFY_VARIABLE} is not: nobody would be told")
    return DeadlineAlert(
        reference=ScheduledRunDue(),
        interval=timedelta(minutes=int(minutes)),
        callback=SyncCallback(f"{__name__}.{tell_late.__name__}"),
        name="late",
    )


class ScheduledRunDue(BaseDeadlineReference):
    """
    When a scheduled run was due: the end of its data interval. Other runs have no deadline.

    Airflow's own references count from a logical date or from the queue, for every run: all runs of a backfill, which
    are queued at once and wait for each other, would be late.
    """

    required_kwargs: ClassVar = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        """Return the time; the scheduler asks when it makes the run."""
        from airflow.models import DagRun  # noqa: PLC0415 - only the scheduler may know the database

        [run] = DagRun.find(dag_id=dag_id, run_id=run_id, session=session) or [None]
        return run.data_interval_end if run is not None and run.run_type == "scheduled" else None


def tell(context: Any) -> None:
    """Call whom the setting names."""
    if notify := _notifier():
        notify(context)


def tell_late(context: Any) -> None:
    """Call whom the setting names, with the context that a missed deadline has."""
    reason = f"not finished by {context['deadline']['deadline_time']}"
    tell({**context, "run_id": context["dag_run"]["dag_run_id"], "reason": reason})


def _notifier() -> Callable[[Any], None] | None:
    path = os.environ.get(NOTIFY_VARIABLE)
    if not path:
        return None
    try:
        notifier = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{NOTIFY_VARIABLE} is {path!r}: {error}") from error
    if not callable(notifier):
        raise ConfigurationError(f"{NOTIFY_VARIABLE} is {path!r}: that is nothing that can be called")
    return notifier  # type: ignore[no-any-return]
