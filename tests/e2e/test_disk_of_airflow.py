"""
The disk under Airflow's own database and logs is full in the middle of a load; the stand-in's journal is the measure.

Not in ``make test``: it needs an Airflow and a disk of its own and starts Airflow twice, which takes minutes.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from include.local.airflow import start_airflow
from include.local.child_processes import ChildProcesses, ComponentEnded, child_processes
from include.local.standin import connection_to
from include.local.state_folder import StateFolder, lock_state_folder
from include.standin import Fault, StandIn
from tests.e2e.conftest import LocalAirflow
from tests.e2e.test_faults_of_airflow import until
from tests.e2e.test_import import adds, group, verdict, write

pytestmark = pytest.mark.outage

DISK_BYTES = 64 * 2**20
FULL_S = 30


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own under a folder."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte is left on the disk that holds a folder."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


def started(state_folder: StateFolder, processes: ChildProcesses, standin: StandIn) -> LocalAirflow:
    environ = {"AIRFLOW_CONN_EVEROS_DEFAULT": connection_to(standin.base_url), "EVEROS_IMPORT_SCHEDULE": ""}
    api = start_airflow(state_folder, processes, environ, say=print)
    return LocalAirflow(api=api, state_folder=state_folder, processes=processes)


def test_an_import_goes_on_while_airflows_disk_is_full_and_sends_nothing_twice_when_airflow_is_started_again(
    tmp_path: Path,
) -> None:
    """Airflow ends when its database can no longer grow. When it is back, its runs are failed; they can be cleared."""
    document = group("full", 1000)
    source = write(tmp_path / "in", document)
    with (
        StandIn.running(tmp_path / "standin") as standin,
        small_disk(tmp_path / "home" / "airflow"),
        lock_state_folder(tmp_path / "home", "the test") as state_folder,
        child_processes(state_folder) as processes,
    ):
        standin.set_faults(Fault(kind="add", does="slow_task", delay_s=0.7))
        airflow = started(state_folder, processes, standin)
        run_id = airflow.start_import(source, {"batch_size": 10})
        until(lambda: len(adds(standin, ["full"])) >= 5)
        with full(state_folder.airflow):
            sent = len(adds(standin, ["full"]))
            time.sleep(FULL_S)
            sent_meanwhile = len(adds(standin, ["full"])) - sent
        with suppress(ComponentEnded):
            airflow.wait(run_id)
        processes.stop()
        logs = [path.read_text(errors="replace") for path in processes.logs.glob("*.log")]
        airflow = started(state_folder, processes, standin)
        run = airflow.wait(run_id)
        if run.state == "failed":  # whatever had not ended when Airflow did
            airflow.clear_failed(run_id)
            run = airflow.wait(run_id)

    assert any("disk is full" in log or "No space left" in log for log in logs)
    assert sent_meanwhile > 0
    assert run.state == "success", run.report.get("problems")
    assert run.report["loaded"] == 1000
    judged = verdict(standin, document)
    assert judged.clean, judged
    assert judged.flushes == 1
