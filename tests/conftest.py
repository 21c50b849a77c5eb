"""Settings for all tests."""

import os
import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
    "everos": ("contract/", "include/test_selfhosted_model.py"),
    "airflow": ("e2e/test_import.py", "e2e/test_nightly.py", "e2e/test_browser.py", "e2e/test_faults_of_airflow.py"),
}
"""Tests that share something that takes long to start."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Keep together, where tests are spread over processes (``-n``), those that share something; or else a file.

    The longest group goes first, so that at the end no process is left alone with it.
    """

    def group(item: pytest.Item) -> str:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((name for name, files in TOGETHER.items() if file.startswith(files)), file)

    items.sort(key=lambda item: group(item) != "airflow")
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))


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
