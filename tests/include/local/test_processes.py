"""The programs of a command end with it, however it ends; one command at a time uses a state folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.local.child_processes import ComponentEnded, child_processes, own_environment
from include.local.state_folder import StateFolderLocked, free_port, kept_port, lock_state_folder
from include.run_folder import PROJECT

FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print("ready", child.pid, flush=True)
time.sleep(600)
"""
"""A program with a child in a process group of its own, as Airflow's supervisors have."""

COMMAND = f"""
import sys, time
from pathlib import Path
from include.local.state_folder import lock_state_folder
from include.local.child_processes import child_processes
from include.run_folder import PROJECT
from include.local.child_processes import own_environment
with lock_state_folder(Path(sys.argv[1]), "make demo") as state_folder, child_processes(state_folder) as processes:
    processes.start("family", [sys.executable, "-c", {FAMILY!r}], own_environment(), PROJECT)
    while "ready" not in (state_folder.root / "logs" / "family.log").read_text():
        time.sleep(0.02)
    print("ready", flush=True)
    time.sleep(600)
"""
PATIENCE_S = 60


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command with a supervised family, in a separate process group."""
    argv = [sys.executable, "-c", COMMAND, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=own_environment(), process_group=0) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("whom", ["the command", "its process group"])
def test_nothing_survives_a_command_that_is_killed(command: subprocess.Popen[str], whom: str) -> None:
    family = psutil.Process(command.pid).children(recursive=True)
    assert len(family) == 3, "the supervisor, the program, the program's child"
    if whom == "the command":
        os.kill(command.pid, signal.SIGKILL)
    else:
        os.killpg(command.pid, signal.SIGKILL)
    _, left = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert left == []


def test_the_program_stays_in_the_process_group_of_the_command(command: subprocess.Popen[str]) -> None:
    """A signal to the group reaches it; the supervisor is in another group."""
    supervisor, program, _ = psutil.Process(command.pid).children(recursive=True)
    assert os.getpgid(program.pid) == command.pid
    assert os.getpgid(supervisor.pid) == supervisor.pid


def test_the_state_folder_is_unlocked_when_every_process_of_a_killed_command_has_ended(
    command: subprocess.Popen[str], tmp_path: Path
) -> None:
    family = psutil.Process(command.pid).children(recursive=True)
    command.kill()
    command.wait()
    with lock_state_folder(tmp_path, "make demo"):
        assert [process for process in family[1:] if process.is_running()] == []


def test_a_second_command_in_one_state_folder_is_refused_and_names_the_first(
    command: subprocess.Popen[str], tmp_path: Path
) -> None:
    sentence = rf"in use by `make demo` \(process {command.pid}\).*EVEROS_IMPORT_HOME"
    with pytest.raises(StateFolderLocked, match=sentence), lock_state_folder(tmp_path, "make up"):
        pass


def test_two_state_folders_can_be_used_at_once(command: subprocess.Popen[str], tmp_path: Path) -> None:
    with lock_state_folder(tmp_path / "other", "make demo") as other:
        assert other.root == tmp_path / "other"


def test_a_program_that_ends_by_itself_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    last_lines = [sys.executable, "-c", "print('good bye'); raise SystemExit(3)"]
    with (
        lock_state_folder(tmp_path, "make demo") as state_folder,
        child_processes(state_folder) as processes,
        pytest.raises(ComponentEnded, match=r"(?s)greeter ended with status 3.*good bye"),
    ):
        processes.run("greeter", last_lines, own_environment(), PROJECT)


def test_a_kept_port_is_the_same_the_next_time(tmp_path: Path) -> None:
    note = tmp_path / "standin" / "port"
    assert kept_port(note) == kept_port(note)


def test_a_kept_port_that_another_program_uses_is_replaced(tmp_path: Path) -> None:
    note = tmp_path / "port"
    before = kept_port(note)
    with socket.create_server(("127.0.0.1", before)):
        assert kept_port(note) != before


def test_a_preferred_port_is_taken_when_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port


POLITE = """
import signal, sys, time
def end(*_):
    if sys.argv[1:]: time.sleep(1)
    print("ended at", time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_program_that_others_need_to_shut_down_ends_after_them(tmp_path: Path) -> None:
    with lock_state_folder(tmp_path, "make demo") as state_folder, child_processes(state_folder) as processes:
        argv = [sys.executable, "-c", POLITE]
        processes.start("needed", argv, own_environment(), PROJECT, outlives_others=True)
        processes.start("slow", [*argv, "slowly"], own_environment(), PROJECT)
        logs = [state_folder.root / "logs" / f"{name}.log" for name in ("slow", "needed")]
        while not all("ready" in log.read_text() for log in logs):
            time.sleep(0.02)
    first, last = (float(log.read_text().split("ended at")[1]) for log in logs)
    assert first < last
