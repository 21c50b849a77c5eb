"""
Imports that cannot work end before Airflow is started: the whole output is compared with a text in ``golden/``.

After a change of the wording, write the texts again with ``GOLDEN=write`` (:mod:`tests.support.golden`).
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from include.run_folder import PROJECT
from include.standin import Fault, StandIn
from tests.support.golden import assert_golden

GOLDEN = Path(__file__).parent / "golden"
SLACK = PROJECT / "include" / "samples" / "slack"

REFUSED = 2


def run_import(home: Path, source: object, conf: str = "", **environ: str) -> tuple[int, str]:
    """Run the command; return its exit status and output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVEROS_", "AIRFLOW", "MAKE"))}
    done = subprocess.run(
        [sys.executable, "-m", "include.local", "import", "--conf", conf, "--", str(source)],
        cwd=PROJECT,
        env=clean | {"COLUMNS": "100", "EVEROS_IMPORT_HOME": str(home)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def assert_refused(name: str, output: str, names: Mapping[object, str]) -> None:
    """Compare an output with its text, and check that Airflow was not started."""
    assert_golden(GOLDEN / f"{name}.txt", output, names, words_only=True)
    assert "Starting Airflow" not in output


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """An address without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("no_source", ""),
        ("missing_file", "{tmp}/acme.zip"),
        ("empty_folder", "{tmp}/empty"),
        ("no_export", "{tmp}/a.md"),
    ],
)
def test_a_source_that_cannot_be_imported(home: Path, tmp_path: Path, name: str, source: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.md").write_text("# Notes\n")
    status, output = run_import(home, source.replace("{tmp}", str(tmp_path)))
    assert status == REFUSED
    assert_refused(name, output, {tmp_path: "TMP"})


def test_corrections_of_a_run_that_has_none(home: Path) -> None:
    status, output = run_import(home, "rejects:manual__2026-03-01")
    assert status == REFUSED
    assert_refused("no_corrections", output, {home: "HOME"})


def test_no_target_is_configured(home: Path) -> None:
    status, output = run_import(home, SLACK)
    assert status == REFUSED
    assert_refused("no_target", output, {})


def test_a_target_that_refuses_connections(home: Path, refusing: str) -> None:
    status, output = run_import(home, SLACK, EVEROS_API_KEY="k", EVEROS_BASE_URL=refusing)
    assert status == REFUSED
    assert_refused("target_refuses", output, {})


def test_a_target_that_hangs(home: Path, silent: str) -> None:
    status, output = run_import(home, SLACK, EVEROS_API_KEY="k", EVEROS_BASE_URL=silent)
    assert status == REFUSED
    assert_refused("target_hangs", output, {})


def test_a_key_that_the_target_refuses(home: Path, tmp_path: Path) -> None:
    with StandIn.running(tmp_path / "standin") as standin:
        standin.set_faults(Fault(does="status", kind="settings", status=401, code="UNAUTHORIZED"))
        status, output = run_import(home, SLACK, EVEROS_API_KEY="wrong-4711", EVEROS_BASE_URL=standin.base_url)
    assert status == REFUSED
    assert "wrong-4711" not in output
    assert_refused("wrong_key", output, {})


def test_an_api_of_another_version(home: Path, tmp_path: Path) -> None:
    with StandIn.running(tmp_path / "standin") as standin:
        environ = {"EVEROS_BASE_URL": standin.base_url, "EVEROS_API_VERSION": "v2"}
        status, output = run_import(home, SLACK, **environ)
    assert status == REFUSED
    assert_refused("wrong_version", output, {})


def test_a_value_that_a_parameter_cannot_have(home: Path) -> None:
    status, output = run_import(home, SLACK, '{"batch_size": "many"}')
    assert status == REFUSED
    assert_refused("wrong_value", output, {})


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, output = run_import(tmp_path / "file" / "home", SLACK)
    assert status == REFUSED
    assert "Traceback" not in output
    assert f"error: {tmp_path}/file/home: " in output.replace("\n", " ")
    assert "EVEROS_IMPORT_HOME" in output
