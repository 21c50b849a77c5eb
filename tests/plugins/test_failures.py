"""Rules of a task that fails: one sentence in its log and in the ledger's database, and no traceback."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from everos_provider.failures import callbacks, without_traceback

from include.errors import ConfigurationError, LedgerError, Refused, StoreUnavailable
from include.ledger import Database, ledger_url
from include.report.failure import Failure, first_failure
from include.run_folder import HOME_VARIABLE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path


def a_context(error: BaseException | None = None, map_index: int = -1, label: str | None = None) -> Any:
    task = SimpleNamespace(task_id="load", map_index=map_index, rendered_map_index=label)
    return {"run_id": "run 1", "ti": task, "exception": error}


def noted(home: Path) -> Failure | None:
    return first_failure(Database(ledger_url(home)), "run 1")


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("no key; nothing was sent.", remedy="Set one."),
        Refused("refused", status=422, reason="too long"),
        LedgerError("damaged"),
    ],
)
def test_an_error_with_a_remedy_ends_the_task_without_a_traceback(error: Exception) -> None:
    """Airflow logs the code of a SystemExit, and the traceback of any other exception."""

    @without_traceback
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert isinstance(caught.value, SystemExit)
    assert caught.value.code == str(caught.value) == str(error)
    assert caught.value.__dict__.items() >= error.__dict__.items()
    assert caught.value.__cause__ is None


def test_a_defect_keeps_its_traceback() -> None:
    @without_traceback
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        fail()
    assert not isinstance(caught.value, SystemExit)


def test_the_log_ends_with_the_cause_and_the_database_has_it(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    error = ConfigurationError("the key is refused; nothing was stored.", remedy="Check the key.")
    callbacks()["on_failure_callback"](a_context(error, 2, "slack_general"))
    failure = noted(home)
    assert failure is not None
    assert (failure.where, failure.kind, failure.tries_again) == ("load (slack_general)", "ConfigurationError", False)
    last = caplog.records[-1]
    assert last.levelname == "ERROR"
    assert last.getMessage() == failure.sentence
    assert failure.sentence == "load (slack_general) failed: the key is refused; nothing was stored. Check the key."


def test_a_task_that_is_repeated_says_so_and_its_success_removes_the_failure(home: Path) -> None:
    callbacks()["on_retry_callback"](a_context(StoreUnavailable("away")))
    failure = noted(home)
    assert failure is not None
    assert failure.lines == ["away.", "This run has sent nothing.", "Airflow repeats it by itself."]
    callbacks()["on_success_callback"](a_context())
    assert noted(home) is None


def test_a_success_makes_no_ledger(home: Path) -> None:
    callbacks()["on_success_callback"](a_context())
    assert list(home.iterdir()) == []


def test_a_ledger_that_cannot_be_used_does_not_hide_the_cause(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "ledger.db").write_text("no database, but long enough to be read as one" * 100)
    callbacks()["on_failure_callback"](a_context(LedgerError("damaged")))
    assert caplog.records[-1].getMessage() == "load failed: damaged."
