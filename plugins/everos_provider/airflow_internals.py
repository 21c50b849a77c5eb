"""
Everything that the provider uses of Airflow outside its public interface: an upgrade of Airflow is checked here.

Tried with Airflow 3.3.2. Imports are inside the functions: every component of Airflow imports this module, but only the
scheduler and the API server may import the database models, and only a task has a supervisor.
"""

import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

# airflow.sdk exports these three, but its stub file does not declare them.
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert
from airflow.sdk.exceptions import AirflowRuntimeError

__all__ = [
    "UNFINISHED",
    "DeadlineAlert",
    "Run",
    "RunDeadline",
    "Runs",
    "SyncCallback",
    "clear_run",
    "has_secrets_backend",
    "is_api_server",
    "may_read_runs_of",
    "plugins_folder",
    "read_connections_of_database",
    "run_state",
    "runs_of",
]

UNFINISHED = frozenset({"queued", "running"})
"""States of a run that is not over (``State.unfinished_dr_states``)."""


# -- every component


def is_api_server() -> bool:
    """Return whether this process is Airflow's API server."""
    return "airflow.api_fastapi.app" in sys.modules


def plugins_folder() -> Path:
    """Return Airflow's plugins folder, which may be missing."""
    from airflow.configuration import conf  # noqa: PLC0415

    return Path(conf.get_mandatory_value("core", "plugins_folder"))


def has_secrets_backend() -> bool:
    """Return whether Airflow looks for connections in a secrets backend before the environment."""
    from airflow.configuration import conf  # noqa: PLC0415

    return bool(conf.get("secrets", "backend", fallback="") or conf.get("workers", "secrets_backend", fallback=""))


# -- scheduler


class RunDeadline(BaseDeadlineReference):
    """A deadline reference that is computed from the run itself. Airflow's own ones do not see it."""

    required_kwargs: ClassVar = {"dag_id", "run_id"}

    @abstractmethod
    def due(self, run: Any) -> datetime | None:
        """Return when the ``DagRun`` is due, ``None`` if it has no deadline."""

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        """Return the time; the scheduler calls this method when it creates the run."""
        from airflow.models import DagRun  # noqa: PLC0415

        run = DagRun.find_duplicate(dag_id, run_id, session=session)
        return None if run is None else self.due(run)


# -- a task


def run_state(context: Context, run_id: str) -> str | None:
    """Return the state of a run of the task's DAG, ``None`` if the run was deleted."""
    try:
        return context["ti"].get_dagrun_state(context["dag_run"].dag_id, run_id)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise


def clear_run(context: Context, run_id: str) -> None:
    """
    Clear a run of the task's DAG, so that Airflow queues it again.

    A task can do that only by triggering the run although it exists, as ``TriggerDagRunOperator`` does.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import TriggerDagRun  # noqa: PLC0415

    trigger = TriggerDagRun(dag_id=context["dag_run"].dag_id, run_id=run_id, reset_dag_run=True)
    task_runner.SUPERVISOR_COMMS.send(trigger)


# -- a process outside of Airflow


def read_connections_of_database() -> None:
    """Let this process read connections that were made in the UI, as ``airflow connections get`` does."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


# -- API server


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a DAG, as the pages list it."""

    run_id: str
    state: str
    started_at: datetime
    """The time at which it is due, as long as it has not started."""

    took_s: float | None
    """``None`` until it has ended."""


class Runs:
    """The runs of one DAG in Airflow's database."""

    def __init__(self, session: Any, dag_id: str) -> None:
        self._session = session
        self._dag_id = dag_id

    def newest(self, *, offset: int, limit: int) -> Sequence[Run]:
        """Return at most ``limit`` runs, newest first, after the ``offset`` newest ones."""
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        found = select(DagRun).where(DagRun.dag_id == self._dag_id).offset(offset).limit(limit)
        return [
            Run(
                run_id=run.run_id,
                state=str(run.state),
                started_at=run.start_date or run.run_after,
                took_s=(run.end_date - run.start_date).total_seconds() if run.end_date and run.start_date else None,
            )
            for run in self._session.scalars(found.order_by(DagRun.run_after.desc(), DagRun.id.desc()))
        ]

    def state(self, run_id: str) -> str | None:
        """Return the state of a run, ``None`` if there is no such run."""
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        state = self._session.scalar(select(DagRun.state).where(DagRun.dag_id == self._dag_id, DagRun.run_id == run_id))
        return None if state is None else str(state)


def runs_of(dag_id: str) -> Callable[..., Runs]:
    """Return the FastAPI dependency that gives a page the runs of a DAG."""
    from airflow.api_fastapi.common.db.common import SessionDep  # noqa: PLC0415

    def runs(session: SessionDep) -> Runs:
        return Runs(session, dag_id)

    return runs


def may_read_runs_of(dag_id: str) -> Callable[..., None]:
    """Return the FastAPI dependency that requires a login and the permission to read the runs of a DAG."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity  # noqa: PLC0415
    from airflow.api_fastapi.core_api.security import requires_access_dag  # noqa: PLC0415

    return requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=dag_id)
