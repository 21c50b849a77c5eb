"""The import on two Celery workers, on a machine with PostgreSQL and Redis: ``make test-distributed``."""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from include.ledger import Ledger
from include.local.child_processes import ChildProcesses, child_processes, own_environment
from include.local.standin import KEY, connection_to
from include.local.state_folder import free_port, lock_state_folder
from include.memory_api import Settings
from include.run_folder import HOME_VARIABLE, STAGING_VARIABLE
from include.standin import Fault, StandIn
from include.standin.journal import judge
from tests.distributed.cluster import WORKERS, cluster
from tests.distributed.test_database import Deployment, killed
from tests.e2e.conftest import LocalAirflow
from tests.e2e.test_import import MARKER, adds, group, ids

pytestmark = pytest.mark.distributed

MOTO = "moto[server]==5.2.5"
"""A server that stands for S3, by those who test against AWS. It runs apart: what it needs is not what Airflow has."""


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "standin") as server:
        yield server


def start_s3(processes: ChildProcesses, folder: Path) -> str:
    """Start a server with an empty bucket ``chats`` and return its address."""
    port = free_port()
    argv = [
        str(Path(sys.executable).with_name("uv")),
        "tool",
        "run",
        "--from",
        MOTO,
        "moto_server",
        "--port",
        str(port),
    ]
    processes.start("s3", argv, own_environment(), folder)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):  # the first time it is installed
        processes.check()
        with suppress(httpx.TransportError):
            httpx.put(f"{url}/chats").raise_for_status()
            return url
        time.sleep(0.2)
    raise TimeoutError(f"{MOTO} did not answer")


def alone(folder: Path) -> Mapping[str, str]:
    """The environment of a worker on a machine of its own, which has mounted nothing of another one's."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    return {
        HOME_VARIABLE: str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
    }


def tasks_done(broker_url: str) -> dict[str, int]:
    """How many of Airflow's tasks each worker has taken, by the worker's name."""
    from celery import Celery  # noqa: PLC0415 - installed for this test only

    stats = Celery(broker=broker_url).control.inspect(timeout=10).stats() or {}
    return {node.split("@")[0]: sum(worker["total"].values()) for node, worker in stats.items()}


def report_of(airflow: LocalAirflow, run_id: str) -> dict[str, Any]:
    """The report as a person downloads it: the API server, too, shares no folder with the workers."""
    url = f"{airflow.api.base_url}/everos/imports/files/report.json/{quote(run_id, safe='')}"
    answer = airflow.api.http.get(url)
    return dict(answer.raise_for_status().json())


def progress_of(airflow: LocalAirflow, run_id: str) -> str:
    """The progress of a run as its page shows it: the API server reads it from the ledger."""
    url = f"{airflow.api.base_url}/everos/imports/progress/{quote(run_id, safe='')}"
    return airflow.api.http.get(url).raise_for_status().text


def test_two_workers_that_share_a_database_and_a_bucket_load_everything_once_and_in_order_through_every_fault(
    standin: StandIn, tmp_path: Path
) -> None:
    """One load is killed, and PostgreSQL is started anew, which holds the ledger and all that Airflow knows."""
    groups = [group(f"far-{n}", 40) for n in range(8)]
    standin.set_faults(Fault(kind="add", does="slow_task", delay_s=1))
    with lock_state_folder(tmp_path / "home", "the test") as state_folder, child_processes(state_folder) as processes:
        s3 = start_s3(processes, tmp_path)
        for document in groups:
            httpx.put(f"{s3}/chats/in/{document['group_id']}.json", content=json.dumps(document)).raise_for_status()
        at_s3 = {"endpoint_url": s3, "region_name": "us-east-1"}
        environ = {
            "AIRFLOW_CONN_EVEROS_DEFAULT": connection_to(standin.base_url),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
                {"conn_type": "aws", "login": "nobody", "password": "no-secret", "extra": at_s3}
            ),
            "EVEROS_IMPORT_SCHEDULE": "",
            STAGING_VARIABLE: "s3://aws_default@chats/staged",
        }
        machines = tmp_path / "machines"
        with cluster(
            state_folder,
            processes,
            environ,
            say=print,
            environ_of=lambda worker: alone(machines / worker),
            ledger_on_server=True,
        ) as running:
            deployment = Deployment(
                LocalAirflow(api=running.api, state_folder=state_folder, processes=processes), running.database
            )
            airflow = deployment.airflow
            run_id = airflow.start_import("s3://aws_default@chats/in/", {"batch_size": 5})
            names = [document["group_id"] for document in groups]
            airflow.wait_until(lambda: len(adds(standin, names)) >= 12, "twelve batches were sent")
            assert re.search(r"\b[1-9]\d* of 320 messages", progress_of(airflow, run_id))
            airflow.task_processes(run_id, "load")[0].kill()
            airflow.wait_until(lambda: len(adds(standin, names)) >= 24, "twelve more batches were sent")
            with killed(deployment):
                pass
            runs = [deployment.wait(run_id), airflow.run_import("s3://aws_default@chats/in/")]
            assert [run.state for run in runs] == ["success", "success"]
            assert max(task.try_number for task in airflow.tasks(run_id, "load")) >= 2
            first, again = (report_of(airflow, run.run_id) for run in runs)
            done = tasks_done(running.broker_url)
            objects = httpx.get(f"{s3}/chats", params={"list-type": "2", "prefix": "staged/"}).text
            target = Settings(base_url=standin.base_url, api_key=KEY).target
            assert Ledger.open(running.ledger, target).landed() == 320
    assert first["loaded"] == 320
    assert (again["loaded"], again["already_loaded"]) == (0, 320)
    assert done.keys() == set(WORKERS)
    assert all(done.values()), done
    judged = judge(standin.journal(), {document["group_id"]: ids(document) for document in groups})
    assert all(verdict.clean and verdict.flushes == 1 for verdict in judged.values()), judged
    assert objects.count("/messages/_SUCCESS<") == 1  # of the run that had something to load
    left = list(machines.glob("*/tmp/everos-import-*"))
    assert len(left) <= 1, left  # the killed task's, unless another one has come by and removed it
    for worker in WORKERS:
        assert list((machines / worker / "home").iterdir()) == []
        files = {path for path in (machines / worker).rglob("*") if path.is_file()}
        files -= {path for folder in left for path in folder.rglob("*")}
        assert [path for path in files if MARKER.encode() in path.read_bytes()] == []
    assert not (state_folder.root / "runs").exists()
    assert not (state_folder.root / "ledger.db").exists()
