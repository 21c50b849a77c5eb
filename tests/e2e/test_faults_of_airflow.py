"""Airflow itself dies in the middle of a load, for real, and comes back; the stand-in's journal is the measure."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from include.local import supervisor
from include.run_folder import PROJECT
from include.standin import Fault, StandIn
from tests.e2e.conftest import LocalAirflow
from tests.e2e.test_import import adds, group, verdict, write


class Component:
    """One of the processes behind Airflow, as :mod:`include.local.child_processes` has started it."""

    def __init__(self, airflow: LocalAirflow, name: str) -> None:
        self._airflow, self._name = airflow, name
        alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        mine = [process for process in alive if supervisor.__file__ in process.cmdline()]
        [self._supervisor] = [process for process in mine if name in {Path(word).name for word in process.cmdline()}]
        command = self._supervisor.cmdline()
        self._program: Sequence[str] = command[command.index(supervisor.__file__) + 2 :]
        self._environ = self._supervisor.environ()

    @property
    def has_ended(self) -> bool:
        """Whether it has given up by itself."""
        return not self._supervisor.is_running() or self._supervisor.status() == psutil.STATUS_ZOMBIE

    def kill(self) -> None:
        """End it alone, without warning; its supervisor is suspended, so that its children go on."""
        self._supervisor.suspend()
        self._supervisor.children()[0].kill()

    def start_another(self, **environ: str) -> None:
        """Start it again, as whoever looks after it does."""
        self._airflow.processes.start(self._name, self._program, self._environ | environ, PROJECT)

    def bury(self) -> None:
        """Let the old supervisor end the children of the killed component."""
        self._supervisor.resume()
        self._supervisor.wait(timeout=60)


def until(condition: Callable[[], object]) -> None:
    """Wait without asking Airflow."""
    deadline_s = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.2)


def running(airflow: LocalAirflow, run_id: str) -> int:
    """The number of the load's try that Airflow knows to be running, or 0."""
    [load] = airflow.tasks(run_id, "load")
    return load.try_number if load.state == "running" else 0


def test_a_load_outlives_scheduler_and_api_server_and_their_successors_send_nothing_twice(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    """For Airflow nobody runs the task any more, though somebody does: another try comes upon its work."""
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=1.5))
    document = group("outlived", 500)
    run_id = airflow.start_import(write(tmp_path / "in", document), {"batch_size": 10})
    until(lambda: len(adds(faultless, ["outlived"])) >= 3)
    scheduler, api_server = Component(airflow, "scheduler"), Component(airflow, "api-server")
    try:
        scheduler.kill()
        api_server.kill()
        sent = len(adds(faultless, ["outlived"]))
        until(lambda: len(adds(faultless, ["outlived"])) > sent + 2)
        api_server.bury()
        api_server.start_another()
        airflow.api.wait_until_up()
        # as in docker-compose.yaml, where it is more
        scheduler.start_another(AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="5")
        airflow.wait_until(lambda: running(airflow, run_id) > 1, "another try has begun")
        faultless.set_faults()  # nobody waits for the rest
        run = airflow.wait(run_id)
    finally:
        scheduler.bury()

    assert run.state == "success", run.report.get("problems")
    [load] = airflow.tasks(run_id, "load")
    assert load.try_number > 1
    judged = verdict(faultless, document)
    assert judged.clean, judged
    assert judged.flushes == 1
