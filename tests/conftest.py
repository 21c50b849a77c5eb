"""Settings of all tests, and their lanes: ``make check`` runs those that need no other process and no server."""

import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from include.errors import ConfigurationError
from include.ledger import ledger_url
from include.local.child_processes import child_processes
from include.local.state_folder import lock_state_folder
from tests.distributed.cluster import postgres_programs
from tests.support.databases import Postgres

# no deadline: a slow machine is no error
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(  # make fuzz
    "fuzz",
    settings.get_profile("patient"),
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "5000")),
)
settings.register_profile("quick", settings.get_profile("patient"), max_examples=10)  # make check
settings.load_profile("patient")

# Airflow reads this when it is imported; tests do not touch the user's own Airflow
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-of-tests-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"

# Hundreds of processes import the project, and pytest rewrites each test file: compiled once, not by each of them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_unconfigure() -> None:
    """Remove what this process, the first one or a worker, has made when it read this file."""
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the project's own options."""
    parser.addoption("--samples", type=Path, metavar="DIR", help="exports to count as well: see test_conservation.py")


PROCESS = (
    "bench/",
    "contract/",
    "dags/",
    "distributed/",
    "e2e/",
    "include/archive/test_hostile.py",
    "include/delivery/test_flush.py",
    "include/delivery/test_guard.py",
    "include/delivery/test_loader.py",
    "include/delivery/test_verification.py",
    "include/ledger/",
    "include/local/test_commands.py",
    "include/local/test_other_users.py",
    "include/local/test_preloaded.py",
    "include/local/test_processes.py",
    "include/local/test_target_to_ask.py",
    "include/memory_api/test_v1_client.py",
    "include/memory_api/test_v2_client.py",
    "include/standin/test_standin.py",
    "include/standin_model/",
    "include/test_patterns.py",
    "include/test_corrections.py",
    "plugins/",
    "recall/",
    "repository/test_compose.py",
    "repository/test_kubernetes.py",
    "repository/test_wheel.py",
)
"""Tests that start a process or a server, or import Airflow, which takes longer than most tests."""

TOGETHER = {
    "postgres": ("include/ledger/", "include/delivery/test_machine.py", "include/delivery/test_guard.py"),
    "everos": ("contract/", "include/standin_model/"),
    "airflow": tuple(
        f"e2e/test_{name}.py"
        for name in ("import", "nightly", "browser", "faults_of_airflow", "turns", "access", "stranger")
    ),
}
"""Tests that share a server or an Airflow that takes long to start."""

LONGEST = (
    "airflow",
    "e2e/test_commands.py",
    "recall/test_recall.py",
    "everos",
    "bench/test_faults.py",
    "e2e/test_selfhosted.py",
    "e2e/test_faults_of_the_machine.py",
    "postgres",
    "repository/test_wheel.py",
    "include/test_patterns.py",
)
"""The groups that take longest; they go first, so that no worker is left alone with one."""


def file_of(nodeid: str) -> str:
    """Return the file of a test, relative to ``tests/``."""
    return nodeid.partition("::")[0].removeprefix("tests/")


def is_quick(config: pytest.Config) -> bool:
    """Return whether this is the run of ``make check``."""
    return bool(config.option.markexpr == "not process")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In ``make check``, do not import the files of :data:`PROCESS`: Airflow alone takes seconds."""
    file = collection_path.relative_to(Path(__file__).parent).as_posix()
    return True if is_quick(config) and f"{file}/".startswith(PROCESS) else None


def group(nodeid: str) -> str:
    """Return the name of the server that a test shares with others, or its file."""
    file = file_of(nodeid)
    return next((name for name, files in TOGETHER.items() if file.startswith(files)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of :data:`PROCESS`, and put :data:`LONGEST` first."""
    for item in items:
        if file_of(item.nodeid).startswith(PROCESS):
            item.add_marker(pytest.mark.process)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(LONGEST)))


def pytest_runtest_call(item: pytest.Item) -> None:
    """In ``make check``, fail a test that starts a process or a server and is not in :data:`PROCESS`."""
    if is_quick(item.config) and not item.config.stash.get(_WATCHED, False):
        item.config.stash[_WATCHED] = True
        sys.addaudithook(_refuse_processes)


def _refuse_processes(event: str, _: object) -> None:
    if event in {"subprocess.Popen", "os.fork", "socket.bind"}:
        raise RuntimeError(f"{event} in `make check`: add the file of this test to PROCESS in tests/conftest.py")


class ByGroup(LoadScopeScheduling):
    """Runs all tests of a group in one worker. (The marks of xdist for that have no effect with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    """Distribute tests over workers (``-n``) by group."""
    return ByGroup(config, log)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One PostgreSQL server; each test takes a database of its own."""
    try:
        programs = postgres_programs()
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    folder = Path(tempfile.mkdtemp(prefix="postgres-of-tests-"))  # PostgreSQL's user must be able to enter it
    try:
        with (
            lock_state_folder(tmp_path_factory.mktemp("postgres"), "the tests") as home,
            child_processes(home) as processes,
        ):
            server = Postgres(processes, programs, folder)
            yield server
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def ledger_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind that can hold a ledger."""
    if request.param == "sqlite":
        return ledger_url(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


_WATCHED = pytest.StashKey[bool]()
_TRIED = pytest.StashKey[list[int]]()
_STEPS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def steps(pytestconfig: pytest.Config) -> Counter[str]:
    """Counts of the steps in long random tests; printed at the end, beside the number of inputs."""
    return pytestconfig.stash.setdefault(_STEPS, Counter())


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Record the number of inputs that hypothesis has tried."""
    counts = re.findall(r"\d+(?= (?:passing|failing))", getattr(item, "hypothesis_statistics", ""))
    item.config.stash.setdefault(_TRIED, []).append(sum(map(int, counts)))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of inputs of all properties after the results."""
    tried = [count for count in terminalreporter.config.stash.get(_TRIED, []) if count]
    if tried:
        terminalreporter.write_line(f"{sum(tried):,} inputs tried on {len(tried)} properties")
    if steps := terminalreporter.config.stash.get(_STEPS, None):
        counts = ", ".join(f"{count:,} {step}" for step, count in steps.items())
        terminalreporter.write_line(f"steps in them: {counts}")
