"""Rules of the first cause: the earliest failure of a run's tasks that has not been mended since."""

from pathlib import Path

import pytest

from include.errors import ChatImportError, ConfigurationError, NotSent, QuotaExhausted
from include.ledger import CallState, Database, Ledger, ledger_url
from include.ledger.schema import FAILED_TASKS, VERSION
from include.memory_api import Settings
from include.report.failure import (
    Failure,
    failure_of,
    failures,
    first_failure,
    first_failures,
    forget_failure,
    state_of,
    write_failure,
)
from tests.support.ledgers import a_call, numbered, write

TARGET = Settings(base_url="http://127.0.0.1:9", api_key="test").target


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(ledger_url(tmp_path), TARGET)


def noted(database: Database, task_id: str, error: BaseException | None, map_index: int = -1) -> Failure:
    state = state_of(database, "run 1")
    failure = failure_of(error, state, run_id="run 1", task_id=task_id, map_index=map_index)
    write_failure(database, failure)
    return failure


def test_the_earliest_failure_is_the_cause_of_the_others(ledger: Ledger) -> None:
    noted(ledger.database, "load", ConfigurationError("the key is refused"), 1)
    noted(ledger.database, "report", ConfigurationError("something is pending"))
    assert [each.task_id for each in failures(ledger.database, "run 1")] == ["load", "report"]
    first = first_failure(ledger.database, "run 1")
    assert first is not None
    assert (first.task_id, first.map_index, first.cause) == ("load", 1, "the key is refused")
    assert first_failures(ledger.database, ["run 1", "run 2"]) == {"run 1": first}
    assert first_failure(ledger.database, "run 2") is None


def test_a_task_that_fails_again_has_only_its_last_failure_and_none_after_its_success(ledger: Ledger) -> None:
    noted(ledger.database, "load", NotSent("away"), 0)
    noted(ledger.database, "load", NotSent("still away"), 0)
    noted(ledger.database, "load", NotSent("away"), 1)
    assert [each.cause for each in failures(ledger.database, "run 1")] == ["still away", "away"]
    forget_failure(ledger.database, "run 1", "load", 0)
    assert [each.map_index for each in failures(ledger.database, "run 1")] == [1]


def test_the_state_says_how_much_has_landed_and_how_much_is_open(ledger: Ledger) -> None:
    assert noted(ledger.database, "plan", NotSent("x")).state == "This run has sent nothing."
    write(
        ledger,
        a_call("c1", *numbered("c1", 1200)),
        a_call("c2", *numbered("c2", 50), state=CallState.INTENT),
        a_call("c3", *numbered("c3", 7), run_id="another"),
    )
    assert noted(ledger.database, "load", NotSent("x")).state == (
        "1,200 messages have landed, and a rerun does not send them again. "
        "The outcome of 50 is open: a rerun asks EverOS for it first."
    )


def test_a_cause_that_says_that_nothing_was_sent_does_not_say_it_twice(ledger: Ledger) -> None:
    failure = noted(ledger.database, "discover", ConfigurationError("no key: nothing was sent", remedy="Set one."))
    assert failure.lines == ["no key: nothing was sent.", "Set one."]
    assert failure.sentence == "discover failed: no key: nothing was sent. Set one."


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (ConfigurationError("no such key", remedy="Make one."), "no such key", "Make one."),
        (ConfigurationError("no such key"), "no such key", ""),
        (NotSent("away"), "away", "Run the import again, or clear the failed task"),
        (QuotaExhausted("used up"), "used up", "when the account has quota"),
        (KeyError("a"), "KeyError", "report it"),
        (None, "its process was killed", "memory"),
    ],
)
def test_every_kind_of_error_has_a_cause_and_what_to_do(error: ChatImportError | None, cause: str, remedy: str) -> None:
    failure = failure_of(error, "", run_id="run 1", task_id="load")
    assert failure.cause.startswith(cause)
    assert remedy in failure.remedy
    assert (failure.remedy == "") == (remedy == "")


def test_of_a_defect_the_class_and_the_place_are_noted_but_no_text_that_it_may_quote() -> None:
    with pytest.raises(ValueError) as raised:
        int("do not tell anybody")
    failure = failure_of(raised.value, "", run_id="run 1", task_id="extract")
    assert failure.cause.startswith("ValueError in test_failure.py, line ")
    assert "tell" not in failure.sentence


def test_a_ledger_of_the_version_before_gets_the_table(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        FAILED_TASKS.drop(connection)
        connection.execute(VERSION.update().values(version=1))
    again = Database(ledger.database.url)
    assert noted(again, "load", NotSent("x")) == first_failure(again, "run 1")
