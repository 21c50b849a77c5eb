"""
Airflow's PostgreSQL is locked, or killed, in the middle of a load; the stand-in's journal is the measure.

Not in ``make test``: it needs an Airflow with PostgreSQL of its own, and half a minute of each outage, which is what
tells a database that is away from one that is slow.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from include.local.child_processes import ComponentEnded, child_processes
from include.local.standin import connection_to
from include.local.state_folder import lock_state_folder
from include.standin import Fault, StandIn
from tests.distributed.cluster import cluster
from tests.e2e.conftest import LocalAirflow, Run
from tests.e2e.test_faults_of_airflow import Component, until
from tests.e2e.test_import import adds, group, verdict, write

pytestmark = pytest.mark.outage

LOCKED_S = 35
DOWN_S = 20
TABLES = ("dag_run", "task_instance", "task_state_store", "asset_state_store", "xcom", "job")
"""What tasks, their supervisors and the scheduler cannot do without."""


class Deployment:
    """An Airflow whose components are started again when they give up: ``restart: unless-stopped`` of Compose."""

    def __init__(self, airflow: LocalAirflow, database: str) -> None:
        self.airflow = airflow
        self.database = database
        self._components = {name: Component(airflow, name) for name in ("api-server", "dag-processor", "scheduler")}

    def wait(self, run_id: str) -> Run:
        """Wait for the end of a run."""
        deadline_s = time.monotonic() + 600
        while True:
            try:
                return self.airflow.wait(run_id)
            except ComponentEnded:
                if time.monotonic() > deadline_s:
                    raise
                self._start_what_has_ended()

    def _start_what_has_ended(self) -> None:
        for name, component in self._components.items():
            if component.has_ended:
                component.start_another()
                self._components[name] = Component(self.airflow, name)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.running(tmp_path_factory.mktemp("standin")) as server:
        server.set_faults(Fault(kind="add", does="slow_task", delay_s=0.7))
        yield server


@pytest.fixture(scope="module")
def deployment(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    environ = {"AIRFLOW_CONN_EVEROS_DEFAULT": connection_to(standin.base_url), "EVEROS_IMPORT_SCHEDULE": ""}
    with (
        lock_state_folder(tmp_path_factory.mktemp("home"), "the test") as state_folder,
        child_processes(state_folder) as processes,
        cluster(state_folder, processes, environ, say=print) as started,
    ):
        yield Deployment(
            LocalAirflow(api=started.api, state_folder=state_folder, processes=processes), started.database
        )


@contextmanager
def locked(deployment: Deployment) -> Iterator[None]:
    """Nobody else reads or writes these tables, as while they are rebuilt."""
    import psycopg2  # noqa: PLC0415 - installed for these tests only

    connection = psycopg2.connect(f"postgresql://{deployment.database}")
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


@contextmanager
def killed(deployment: Deployment) -> Iterator[None]:
    """PostgreSQL is gone without a word, and comes back with the same data."""
    postgres = Component(deployment.airflow, "postgres")
    postgres.kill()
    yield
    postgres.bury()
    postgres.start_another()


@pytest.mark.parametrize(("outage", "for_s"), [(locked, LOCKED_S), (killed, DOWN_S)])
def test_a_load_goes_on_without_airflows_database_and_the_run_ends_well(
    deployment: Deployment, standin: StandIn, tmp_path: Path, outage: Any, for_s: float
) -> None:
    """The ledger is what delivery needs; Airflow gets the progress when it can take it again."""
    groups = [group(f"{outage.__name__}-{n}", 700) for n in range(3)]
    names: Sequence[str] = [document["group_id"] for document in groups]
    run_id = deployment.airflow.start_import(write(tmp_path / "in", *groups), {"batch_size": 10})
    until(lambda: len(adds(standin, names)) >= 9)
    with outage(deployment):
        sent = len(adds(standin, names))
        time.sleep(for_s)
        assert len(adds(standin, names)) > sent
    run = deployment.wait(run_id)

    assert run.state == "success", run.report.get("problems")
    assert run.report["loaded"] == 3 * 700
    judged = [verdict(standin, document) for document in groups]
    assert all(each.clean and each.flushes == 1 for each in judged), judged
