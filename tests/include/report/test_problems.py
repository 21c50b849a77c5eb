"""Rules of the problems of failed tasks: each cause once, with its remedy, the first ones first."""

from pathlib import Path

import pytest

from include.errors import ChatImportError, ConfigurationError, ExportError, ImportIncomplete
from include.report.columns import TOTALS
from include.report.failure import Failure, failure_of
from include.report.problems import Problem, problems_in, problems_of, problems_of_tasks
from include.run_folder import RunFolder


def failed(task_id: str, error: ChatImportError, label: str = "") -> Failure:
    return failure_of(error, "", run_id="run", task_id=task_id, label=label)


REFUSED = ConfigurationError("the key is refused.", remedy="Check the key.")


def test_a_cause_is_named_once_and_its_consequences_not_at_all() -> None:
    tasks = [
        failed("load", REFUSED, "slack_a"),
        failed("load", REFUSED, "slack_b"),
        failed("load", ConfigurationError("no room.", remedy="Make room."), "slack_c"),
        failed("flush", ImportIncomplete("3 conversations were not flushed.")),
        failed("report", ImportIncomplete("59 messages are pending.")),
    ]
    assert problems_of_tasks(tasks, []) == [
        Problem("load (slack_a) failed: the key is refused.", "Check the key."),
        Problem("load (slack_c) failed: no room.", "Make room."),
    ]


def test_an_export_that_could_not_be_read_is_named_with_the_cause() -> None:
    tasks = [failed("extract", ExportError("a.zip: damaged.", remedy="Fetch it again."), "a.zip")]
    assert problems_of_tasks(tasks, ["a.zip", "b.zip"]) == [
        Problem("a.zip could not be read. a.zip: damaged. Everything else was read.", "Fetch it again."),
        Problem("b.zip could not be read. Everything else was read.", "The log of its extract task says why."),
    ]


@pytest.mark.parametrize(("count", "told"), [(1, "1 message is"), (1_200, "1,200 messages are")])
def test_what_is_pending_is_told_in_the_number_of_the_messages(count: int, told: str, tmp_path: Path) -> None:
    row = {column.key: 0 for column in TOTALS} | {"conversation_id": "team", "flushed": None, "pending": count}
    row["extracted"] = count
    [problem] = problems_of(RunFolder(tmp_path), row, [row], dry_run=False, estimate=None, checked={})
    assert problem.cause == f"{told} pending in team."


def test_a_report_gives_back_its_problems_also_one_of_an_older_version() -> None:
    problem = Problem("59 messages are pending.", "Run the import again.")
    report = {"problems": [str(problem)], "remedies": [problem.remedy]}
    assert problems_in(report) == [problem]
    assert problems_in({"problems": report["problems"]}) == [Problem(str(problem), "")]
