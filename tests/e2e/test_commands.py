"""The commands as people use them: processes with an exit status and lines on the screen."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from include.local.settings import airflow_environment
from include.local.standin import KEY
from include.local.state_folder import StateFolder, kept_port
from include.run_folder import PROJECT, RunFolder
from include.standin import Fault, StandIn, judge

SAMPLES = PROJECT / "include" / "samples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@contextmanager
def command(home: Path, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own, as a shell does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVEROS_", "AIRFLOW", "MAKE"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "include.local", *arguments],
        cwd=PROJECT,
        env=clean | environ | {"EVEROS_IMPORT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finished(home: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run a command to its end; return exit status and output."""
    with command(home, *arguments, **environ) as process:
        output, _ = process.communicate()
        return process.returncode, output


def row(output: str, name: str) -> list[int]:
    """The numbers of a line of the summary."""
    line = next(line for line in output.splitlines() if line.startswith(name))
    return [int(number.replace(",", "")) for number in re.findall(r"(?<= )[\d,]+(?= |$)", line)]


def episodes(output: str) -> dict[str, int]:
    """What the demo says that the memory made of each conversation."""
    return {name: int(count) for name, count in re.findall(r"^  (\S+) +(\d+) episodes?$", output, re.MULTILINE)}


def test_the_demo_fills_a_real_everos_that_answers(home: Path) -> None:
    status, output = finished(home, "demo")
    assert status == 0, output
    assert "The target is a self-hosted EverOS 1." in output
    assert "I own the billing migration" in output
    extracted, loaded, already, *_ = row(output, "all ")
    assert extracted >= loaded > 50
    assert already == 0
    for conversation in ("slack_general", "discord_help"):
        assert row(output, conversation)[1] > 0
        assert episodes(output)[conversation] > 1
    [markdown] = re.findall(r"^The memories are Markdown files: (.+)$", output, re.MULTILINE)
    assert any("I own the billing migration" in path.read_text() for path in Path(markdown).rglob("episodes/*.md"))


def test_the_memory_of_an_earlier_demo_can_be_asked_and_a_connection_made_in_the_ui_takes_precedence(
    home: Path,
) -> None:
    """The demo above has loaded it and ended."""
    status, output = finished(home, "ask", "Who owns the billing migration?", "--in", "billing-migration")
    assert status == 0, output
    assert "Asking the target of `make demo`, selfhosted" in output
    assert "Asked the memory of 1 owner for 1 conversation." in output
    assert "1. billing-migration, 2026-03-03: Ruth Calloway, Priya Raman" in output
    assert "I own the billing migration" in output
    logs = "".join(path.read_text(errors="replace") for path in (home / "logs").rglob("*.log"))
    assert "who owns the billing migration" not in logs.lower()

    environ = airflow_environment(os.environ, StateFolder(home, lock=-1), port=0, dags=PROJECT / "dags")
    connection = ["everos_default", "--conn-type", "everos", "--conn-host", "https://memory.example"]
    airflow = [sys.executable, "-m", "airflow", "connections"]
    subprocess.run([*airflow, "add", *connection, "--conn-password", "key"], env=environ, check=True)
    try:
        status, output = finished(home, "ask", "why?")
    finally:
        subprocess.run([*airflow, "delete", "everos_default"], env=environ, check=True)
    assert status == 2
    assert "Asking EverOS v1 at https://memory.example" in output
    assert "has loaded anything into https://memory.example" in " ".join(output.split())


def test_a_killed_import_leaves_no_process_and_the_light_demo_then_sends_the_rest_once(home: Path) -> None:
    """Of the same exports into the same stand-in: the demo's own, lent to the import."""
    with demos_standin(home) as standin:
        target = {"EVEROS_API_KEY": KEY, "EVEROS_BASE_URL": standin.base_url}
        standin.set_faults(Fault(does="slow_task", kind="add", after=3, delay_s=10))
        with command(home, "import", str(SAMPLES), "--conf", '{"batch_size": 5}', **target) as process:
            killed = RunFolder.of(_run_id(process), home)
            while _adds(standin) < 5:
                assert process.poll() is None, "the command ended before it sent so much"
                time.sleep(0.1)
            started = _descendants(process.pid)
            os.killpg(process.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(started, timeout=30)
        assert left == []
        sent = _adds(standin)

    status, output = finished(home, "demo", "--target", "standin-v1")
    assert status == 0, output
    assert f"STAND-IN for EverOS v1 (not EverOS): {standin.base_url}" in output
    assert "Marked as failed" in output
    assert row(output, "all ")[1] > 0
    assert "I own the billing migration" in output
    status, output = finished(home, "ask", "Who owns the billing migration?", "--target", "standin-v1")
    assert status == 0, output
    assert "I own the billing migration" in output
    assert _adds(standin) > sent
    verdicts = judge(standin.journal(), _planned(killed))
    assert [verdict for verdict in verdicts.values() if verdict.lost or verdict.doubled or verdict.out_of_order] == []


@contextmanager
def demos_standin(home: Path) -> Iterator[StandIn]:
    """The stand-in that the light demo will go on with: on its port, with its data."""
    port = kept_port(home / "standin" / "port")
    data = StateFolder(home, lock=0).standin(port)
    data.mkdir(parents=True)
    with StandIn.running(data, port=port) as standin:
        yield standin


def _run_id(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if line.startswith("Run "):
            return line.removeprefix("Run ").strip()
    raise AssertionError("the command ended before it had a run")


def _adds(standin: StandIn) -> int:
    return sum(entry.kind == "add" for entry in standin.journal())


def _descendants(pid: int) -> Sequence[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _planned(run: RunFolder) -> dict[str, list[str]]:
    """What the first run meant to send, in order."""
    planned: dict[str, list[str]] = {}
    table = pq.read_table(run.messages, columns=["conversation_id", "timestamp_ms", "message_id"])
    for message in sorted(table.to_pylist(), key=lambda message: message["timestamp_ms"]):
        planned.setdefault(message["conversation_id"], []).append(message["message_id"])
    return planned
