"""Settings for all tests."""

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Postgres
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from include.errors import ConfigurationError
from include.ledger import ledger_url
from include.local.cluster import postgres_programs
from include.processes.home import hold
from include.processes.leashed import leashed

# A busy machine is slow, not wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(  # make fuzz
    "fuzz",
    settings.get_profile("patient"),
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "5000")),
)
settings.load_profile("patient")

# Airflow reads this when it is imported. Tests leave the person's own Airflow alone.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-of-tests-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the project's own options."""
    parser.addoption("--samples", type=Path, metavar="DIR", help="exports to count as well: see test_conservation.py")


TOGETHER = {
    "postgres": ("include/test_ledger", "include/test_machine.py", "include/test_guard.py"),
    "everos": ("contract/", "include/test_selfhosted_model.py"),
    "airflow": tuple(
        f"e2e/test_{name}.py" for name in ("import", "nightly", "browser", "faults_of_airflow", "turns", "access")
    ),
}
"""Tests that share something that takes long to start."""


def group(nodeid: str) -> str:
    """Return what a test shares with others: the longest-starting thing it needs, or else its file."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return next((name for name, files in TOGETHER.items() if file.startswith(files)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest group first, so that at the end no process is left alone with it."""
    items.sort(key=lambda item: group(item.nodeid) != "airflow")


class ByGroup(LoadScopeScheduling):
    """Gives a group to one process as a whole. (xdist's own marks for that do nothing with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    """Spread tests over processes (``-n``) by group."""
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
        with hold(tmp_path_factory.mktemp("postgres"), "the tests") as home, leashed(home) as processes:
            server = Postgres(processes, programs, folder)
            yield server
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind that can hold a ledger."""
    if request.param == "sqlite":
        return ledger_url(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


_TRIED = pytest.StashKey[list[int]]()
_STEPS = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def steps(pytestconfig: pytest.Config) -> Counter[str]:
    """What a property that lives through long stories counts: told at the end, beside the number of inputs."""
    return pytestconfig.stash.setdefault(_STEPS, Counter())


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Note how many inputs hypothesis tried a property with."""
    told = re.findall(r"\d+(?= (?:passing|failing))", getattr(item, "hypothesis_statistics", ""))
    item.config.stash.setdefault(_TRIED, []).append(sum(map(int, told)))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many in all, in one line after the results."""
    tried = [count for count in terminalreporter.config.stash.get(_TRIED, []) if count]
    if tried:
        terminalreporter.write_line(f"{sum(tried):,} inputs tried on {len(tried)} properties")
    if steps := terminalreporter.config.stash.get(_STEPS, None):
        told = ", ".join(f"{count:,} {what}" for what, count in steps.items())
        terminalreporter.write_line(f"in their stories: {told}")
