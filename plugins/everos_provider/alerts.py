"""
Notifies of a run that has failed, or of a scheduled run that is late (``EVEROS_IMPORT_NOTIFY``).

The setting names a callable of the installation, ``module.name``, that takes Airflow's context: a function, or a
notifier of any provider, such as ``page = SmtpNotifier(to="ops@acme.example", subject="{{ reason }}")``. The context
has at least ``run_id``, ``dag_run``, ``reason`` and ``remedy``, one sentence or two each, and no message text. For a
failed run ``reason`` is the first cause.

The DAG processor calls it for failures, the executor (LocalExecutor or CeleryExecutor; no triggerer is needed) for late
runs: the module must be importable in both.
"""

import os
import pkgutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from everos_provider.airflow_internals import DeadlineAlert, RunDeadline, SyncCallback
from everos_provider.ledger import existing_database
from include.errors import ConfigurationError
from include.logs import get_logger
from include.report.failure import Failure, first_failure

log = get_logger(__name__)

NOTIFY_VARIABLE = "EVEROS_IMPORT_NOTIFY"
DEADLINE_VARIABLE = "EVEROS_IMPORT_DEADLINE_MINUTES"


def on_failure() -> Callable[[Any], None] | None:
    """
    Return the DAG's failure callback, ``None`` without the setting.

    :raises ConfigurationError: the setting does not name a callable.
    """
    return notify if _notifier() else None


def deadline() -> DeadlineAlert | None:
    """
    Return the DAG's deadline, in minutes after a scheduled run was due; ``None`` without the setting.

    :raises ConfigurationError: the setting is not a number of minutes, or ``EVEROS_IMPORT_NOTIFY`` is not set.
    """
    minutes = os.environ.get(DEADLINE_VARIABLE)
    if not minutes:
        return None
    if not minutes.isdecimal() or not int(minutes):
        raise ConfigurationError(f"{DEADLINE_VARIABLE} is {minutes!r}: expected minutes, such as 120")
    if not _notifier():
        raise ConfigurationError(
            f"{DEADLINE_VARIABLE} is set and {NOTIFY_VARIABLE} is not, so nobody would be notified: set both or neither"
        )
    return DeadlineAlert(
        reference=ScheduledRunDue(),
        interval=timedelta(minutes=int(minutes)),
        callback=SyncCallback(f"{__name__}.{notify_late.__name__}"),
        name="late",
    )


class ScheduledRunDue(RunDeadline):
    """
    The end of a scheduled run's data interval: the time at which it was due. Other runs have no deadline.

    Airflow's own references count from the logical date or from the time of queueing, for every run. With them all runs
    of a backfill would be late, since they are queued at once and wait for each other.
    """

    def due(self, run: Any) -> datetime | None:
        """Return the end of the interval of a scheduled run."""
        end: datetime | None = run.data_interval_end
        return end if run.run_type == "scheduled" else None


def notify(context: Any) -> None:
    """Call the notifier with the first cause of the failed run, or Airflow's reason if none is known."""
    notifier = _notifier()
    if not notifier:
        return
    told = {"reason": str(context.get("reason") or "the run failed"), "remedy": "The log of its failed task says why."}
    if cause := _first_cause(context["run_id"]):
        told = {"reason": cause.sentence.removesuffix(cause.remedy).rstrip(), "remedy": cause.remedy}
    notifier({**context, **told})


def notify_late(context: Any) -> None:
    """Call the notifier with the context of a missed deadline."""
    run_id, due = context["dag_run"]["dag_run_id"], context["deadline"]["deadline_time"]
    remedy = "Its page in Airflow shows how far it is."
    if notifier := _notifier():
        notifier({**context, "run_id": run_id, "reason": f"{run_id} has not finished by {due}.", "remedy": remedy})


def _first_cause(run_id: str) -> Failure | None:
    """Return why a run has failed, ``None`` if that is not known: an alert is never lost for it."""
    try:
        found = existing_database()
        return first_failure(found, run_id) if found else None
    except Exception:  # whatever it is, the alert matters more
        log.warning("The first cause of %s could not be read", run_id, exc_info=True)
        return None


def _notifier() -> Callable[[Any], None] | None:
    path = os.environ.get(NOTIFY_VARIABLE)
    if not path:
        return None
    try:
        notifier = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{NOTIFY_VARIABLE} is {path!r}: {error}") from error
    if not callable(notifier):
        raise ConfigurationError(f"{NOTIFY_VARIABLE} is {path!r}, which is not callable")
    return notifier  # type: ignore[no-any-return]
