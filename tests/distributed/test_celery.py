"""The import on two Celery workers, on a machine with PostgreSQL and Redis: ``make test-distributed``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import LocalAirflow
from e2e.test_import import group, ids, write

from include.local.cluster import WORKERS, cluster
from include.local.standin import connection_to
from include.processes.home import hold
from include.processes.leashed import leashed
from include.standin import Fault, StandIn
from include.standin.journal import judge

pytestmark = pytest.mark.distributed


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "standin") as server:
        yield server


def tasks_done(broker_url: str) -> dict[str, int]:
    """How many of Airflow's tasks each worker has taken, by the worker's name."""
    from celery import Celery  # noqa: PLC0415 - installed for this test only

    stats = Celery(broker=broker_url).control.inspect(timeout=10).stats() or {}
    return {node.split("@")[0]: sum(worker["total"].values()) for node, worker in stats.items()}


def test_two_workers_load_everything_once_and_in_order(standin: StandIn, tmp_path: Path) -> None:
    groups = [group(f"far-{n}", 40) for n in range(8)]
    source = write(tmp_path / "in", *groups)
    standin.set_faults(Fault(kind="add", does="slow_task", delay_s=0.2))
    environ = {"AIRFLOW_CONN_EVEROS_DEFAULT": connection_to(standin.base_url), "EVEROS_IMPORT_SCHEDULE": ""}
    with (
        hold(tmp_path / "home", "the test") as home,
        leashed(home) as processes,
        cluster(home, processes, environ, say=print) as running,
    ):
        airflow = LocalAirflow(api=running.api, home=home, processes=processes)
        first = airflow.run_import(source, {"batch_size": 10})
        done = tasks_done(running.broker_url)
        again = airflow.run_import(source, {"batch_size": 10})
    assert first.state == again.state == "success", first.report.get("problems")
    assert first.report["loaded"] == 320
    assert (again.report["loaded"], again.report["already_loaded"]) == (0, 320)
    assert done.keys() == set(WORKERS)
    assert all(done.values()), done
    judged = judge(standin.journal(), {document["group_id"]: ids(document) for document in groups})
    assert all(verdict.clean and verdict.flushes == 1 for verdict in judged.values()), judged
