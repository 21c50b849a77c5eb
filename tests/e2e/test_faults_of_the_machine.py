"""A full disk, a second writer, a clock that jumps: produced for real, judged by the stand-in's journal."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

import msgspec
import psutil
import pytest

from include import steps
from include.delivery.settings import LoadSettings
from include.errors import StorageError
from include.memory_api.contract import Target
from include.parsers import ParseOptions
from include.run_folder import HOME_VARIABLE, PROJECT, RunFolder
from include.standin import Fault, Latency, StandIn
from include.standin.journal import judge
from include.window import Window
from tests.bench.chats import Chats, write_chats
from tests.bench.importing import INCOMPLETE, Import

QUICK = LoadSettings(
    give_up_after_s=60, backoff_base_s=0.01, poll_min_s=0.01, poll_max_s=0.05, task_deadline_s=600, settle_s=0.5
)
NOT_NOW = Fault(kind="task", does="status", status=503)
"""While this lasts no batch is known to have landed, so every conversation waits with its first one."""

JUMPING_CLOCK = """
import runpy, time
real_ns = time.time_ns
time.time_ns = lambda: real_ns() + (0, -7, 5)[int(time.monotonic() * 5) % 3] * 3_600_000_000_000
time.time = lambda: time.time_ns() / 1e9
runpy.run_module("tests.bench.importing", run_name="__main__")
"""
"""An import on a machine whose clock jumps by hours, back and forth, five times a second."""


@dataclass(frozen=True)
class Process:
    """An import without Airflow, on its way."""

    popen: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what the import says went wrong."""
        printed, _ = self.popen.communicate(timeout=120)
        assert self.popen.returncode in {0, INCOMPLETE}, self.log.read_text()
        return self.popen.returncode, "\n".join(json.loads(printed)["errors"])


@dataclass(frozen=True)
class Machine:
    """Imports one export into one stand-in."""

    folder: Path
    standin: StandIn
    chats: Chats

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @contextmanager
    def importing(self, run_id: str, program: str = "", *, lock_wait_s: float = 60) -> Iterator[Process]:
        import_ = Import(
            source=str(self.chats.path),
            run_id=run_id,
            base_url=self.standin.base_url,
            batch_size=20,
            settings=replace(QUICK, lock_wait_s=lock_wait_s),
        )
        command = ["-c", program] if program else ["-m", "tests.bench.importing"]
        log = self.folder / f"{run_id}.log"
        with log.open("wb") as errors:
            popen = subprocess.Popen(
                [sys.executable, *command, msgspec.json.encode(import_).decode()],
                cwd=PROJECT,
                env=os.environ | {HOME_VARIABLE: str(self.home)},
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            yield Process(popen, log)
        finally:
            popen.kill()
            popen.communicate()

    def run(self, run_id: str, program: str = "") -> tuple[int, str]:
        with self.importing(run_id, program) as process:
            return process.ended()

    def adds(self) -> int:
        return sum(entry.kind == "add" for entry in self.standin.journal())

    def wrong(self) -> list[object]:
        """What is lost, doubled, out of order or not flushed once."""
        verdicts = judge(self.standin.journal(), self.chats.expected).values()
        return [verdict for verdict in verdicts if not verdict.clean or verdict.flushes != 1]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    chats = write_chats(tmp_path / "chats.json", [300, 200, 100])
    with StandIn.running(tmp_path / "standin", latency=Latency(base_s=0.03)) as standin:
        yield Machine(tmp_path, standin, chats)


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.02)


@contextmanager
def files_end_at(limit_bytes: int) -> Iterator[None]:
    """A full disk, for this process: what would be written beyond is refused by the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("full_in", "room_bytes"), [("discover", 100), ("extract", 100), ("transform", 100_000), ("plan", 100)]
)
def test_a_step_that_finds_the_disk_full_says_so_and_does_its_work_once_there_is_room(
    full_in: str, room_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    run, options = RunFolder.of("run"), ParseOptions()
    ledger = steps.open_ledger(Target(base_url="http://127.0.0.1:9", api_version="v1"))
    chats = write_chats(tmp_path / "chats.json", [6000])
    work: dict[str, Callable[[], object]] = {
        "discover": lambda: steps.discover(chats.path, run),
        "extract": lambda: [steps.extract(export, options, run) for export in steps.discover(chats.path, run)],
        "transform": lambda: steps.transform(run, Window(), ledger),
        "plan": lambda: steps.plan(run, batch_size=None),
    }
    for step, does in work.items():
        if step == full_in:
            told = rf"^{re.escape(str(run.root))}: .*MB free\)\. This step sends nothing.* Make room"
            with files_end_at(room_bytes), pytest.raises(StorageError, match=told):
                does()
        result = does()
    assert sum(chunk.messages for chunk in result) == 6000


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs a system that limits running processes")
def test_a_ledger_that_cannot_grow_stops_the_sending_and_the_next_run_finds_what_landed(machine: Machine) -> None:
    with machine.importing("first") as process:
        until(lambda: machine.adds() >= 9)
        room_bytes = 1000 + max(path.stat().st_size for path in machine.home.glob("ledger.db*") if path.is_file())
        psutil.Process(process.popen.pid).rlimit(psutil.RLIMIT_FSIZE, (room_bytes, room_bytes))
        status, told = process.ended()
    assert status == INCOMPLETE
    assert re.search(
        r"LedgerError: .*ledger\.db: .*MB free\)\. Nothing is sent without the ledger.* Make room", told
    ), told
    assert machine.adds() < 20
    assert machine.run("second") == (0, "")
    assert machine.wrong() == []


def test_a_second_writer_is_told_who_is_at_work_or_waits_for_its_turn(machine: Machine) -> None:
    machine.standin.set_faults(NOT_NOW)
    with machine.importing("first") as first:
        until(lambda: machine.adds() == 3)
        with machine.importing("hasty", lock_wait_s=0.1) as hasty:
            status, told = hasty.ended()
        assert status == INCOMPLETE
        assert "is being loaded by another task (its newest call is of run first); nothing was sent." in told
        assert "Wait for that task to end or stop it, then clear this one." in told

        with machine.importing("patient") as patient:
            until(lambda: "waiting for it to end" in patient.log.read_text())
            assert machine.adds() == 3
            machine.standin.set_faults()
            assert first.ended() == (0, "")
            assert patient.ended() == (0, "")
    assert machine.wrong() == []


def test_a_clock_that_jumps_by_hours_delays_and_doubles_nothing(machine: Machine) -> None:
    date = formatdate(time.time() + 1, usegmt=True)
    machine.standin.set_faults(
        Fault(kind="add", does="status", status=429, retry_after=date, after=5, count=2),
        Fault(kind="add", does="status_after", probability=0.1, seed=3),
    )
    with machine.importing("first", JUMPING_CLOCK) as process:
        until(lambda: machine.adds() >= 15)
        process.popen.kill()
    assert machine.run("second", JUMPING_CLOCK) == (0, "")
    assert machine.wrong() == []


def test_an_export_that_can_only_be_read_is_read_where_it_lies(machine: Machine) -> None:
    folder = machine.chats.path.with_suffix("")
    folder.mkdir()
    machine.chats.path.rename(folder / "chats.json").chmod(0o444)
    folder.chmod(0o555)
    try:
        before = [(path, path.stat()) for path in sorted(folder.rglob("*"))]
        assert replace(machine, chats=replace(machine.chats, path=folder)).run("only") == (0, "")
        assert [path for path, _ in before] == sorted(folder.rglob("*"))
    finally:
        folder.chmod(0o755)
    assert machine.wrong() == []


def test_a_work_folder_that_is_none_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    chats = write_chats(tmp_path / "chats.json", [10])
    run = RunFolder.of("run", tmp_path)
    with pytest.raises(StorageError, match=r"/runs/run: .*Not a directory.* This step sends nothing"):
        steps.discover(chats.path, run)
