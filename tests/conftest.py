"""Settings for all tests."""

import os
import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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
    "everos": ("contract/", "include/standin_model/"),
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
