"""The printed lines of a run: progress, failures, the summary."""

from collections.abc import Sequence
from typing import Any

import pytest

from include.local import follow
from include.local.api import NO_LINE, TaskInstance, last_error, newest_line
from include.local.follow import Progress
from include.local.importing import why_failed
from include.local.screen import wrapped
from include.local.summary import problems, summary
from include.report.failure import Failure


def task(task_id: str, state: str | None, map_index: int = -1, started_at: str = "") -> TaskInstance:
    return TaskInstance(
        task_id=task_id, map_index=map_index, state=state, try_number=1, label="", pid=None, started_at=started_at
    )


class Screen:
    def __init__(self, messages: str = "", news: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self.news = news
        self.progress = Progress(self.lines.append, lambda: messages, lambda _: self.news)

    def show(self, *tasks: TaskInstance) -> list[str]:
        """Return the new lines, words only."""
        self.lines.clear()
        self.progress.show(tasks)
        return [" ".join(line.split()) for line in self.lines]


def test_a_step_is_mentioned_when_it_has_ended_and_only_once() -> None:
    screen = Screen()
    assert screen.show(task("discover", "running")) == []
    assert screen.show(task("discover", "success")) == ["discover done"]
    assert screen.show(task("discover", "success")) == []


def test_mapped_tasks_are_counted() -> None:
    screen = Screen()
    assert screen.show(task("extract", "success", 0), task("extract", "running", 1)) == [
        "extract 1 of 2 done, 1 running"
    ]
    assert screen.show(task("extract", "success", 0), task("extract", "success", 1)) == ["extract 2 of 2 done"]


def test_loads_also_say_how_many_messages_have_landed() -> None:
    screen = Screen(messages="50 of 93 messages")
    assert screen.show(task("load", "success", 0)) == ["load 1 of 1 done 50 of 93 messages"]


def test_a_try_that_failed_is_mentioned_at_once() -> None:
    assert Screen().show(task("load", "up_for_retry", 0)) == ["load 0 of 1 done, 1 failed, will be retried"]


@pytest.mark.parametrize("map_index", [-1, 0])
@pytest.mark.parametrize(
    "state", [None, "scheduled", "queued", "restarting", "deferred", "up_for_reschedule", "a state of a later Airflow"]
)
def test_a_task_may_be_in_any_state_after_any_other(state: str | None, map_index: int) -> None:
    """Airflow schedules and queues a task again before it repeats it."""
    screen = Screen()
    assert screen.show(task("extract", "up_for_retry", map_index)) != []
    assert screen.show(task("extract", state, map_index)) == []
    assert screen.show(task("extract", "running", map_index)) == []
    assert screen.show(task("extract", "up_for_retry", map_index)) != [], "the next try has failed, too"


def test_a_step_that_waits_for_long_is_named_whatever_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_REMIND_S", -1)
    assert Screen().show(task("discover", "up_for_reschedule")) == ["discover waiting"]
    assert Screen().show(task("load", "running", 0), task("load", "queued", 1)) == ["load 0 of 2 done, 1 running"]


def test_a_step_that_runs_for_long_or_is_repeated_is_followed_by_its_news_once(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(news=["EverOS does not answer"])
    assert screen.show(task("load", "running", 0)) == []
    assert screen.show(task("load", "up_for_retry", 0))[1:] == ["EverOS does not answer"]
    monkeypatch.setattr(follow, "_REMIND_S", -1)
    assert screen.show(task("load", "running", 0))[1:] == []
    screen.news = ["10 messages read"]
    assert screen.show(task("load", "running", 0))[1:] == ["10 messages read"]


def test_the_first_cause_the_state_and_the_remedy_stand_on_lines_of_their_own() -> None:
    cause = Failure(run_id="r", task_id="load", label="slack_a", cause="no key", state="Nothing.", remedy="Set it.")
    later = Failure(run_id="r", task_id="report", cause="something is pending")
    ended = [("load (slack_a)", "ConfigurationError: no key"), ("flush", "x"), ("report", "y")]
    assert list(why_failed([cause, later], ended)) == [
        "FAILED in load (slack_a): no key.",
        "  Nothing.",
        "  Set it.",
        "  Failed after it: flush, report",
    ]


def test_a_failure_that_is_not_noted_is_told_from_the_log() -> None:
    assert list(why_failed([], [("load", "LedgerError: damaged")])) == ["FAILED in load: LedgerError: damaged"]


def test_long_sentences_are_wrapped_and_addresses_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    address = f"https://everos.example/{'a' * 50}"
    lines = wrapped(f"EverOS at {address} does not answer, and nothing was sent by this run", "  ").splitlines()
    assert f"  {address}" in lines
    assert all(line.startswith("  ") for line in lines)
    assert all(len(line) <= 40 for line in lines if address not in line)


def test_the_newest_line_is_that_of_the_projects_own_modules() -> None:
    log = [
        {"event": "first", "logger": "include.steps", "timestamp": "1"},
        {"event": "second", "logger": "everos_provider.turns", "timestamp": "2"},
        {"event": "::endgroup::", "logger": "task", "timestamp": "3"},
        {"event": "no logger"},
    ]
    assert newest_line(log) == ("2", "second", False)
    assert newest_line(log[2:]) == NO_LINE


def test_steps_stand_in_the_order_in_which_they_started() -> None:
    shown = Screen().show(task("extract", "success", started_at="2"), task("zebra", "success", started_at="1"))
    assert shown == ["zebra done", "extract done"]


def test_the_last_error_of_a_log_is_its_last_exception_in_one_line() -> None:
    log = [
        {"event": "early", "level": "error"},
        {"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "Refused", "exc_value": "no"}]},
        {"event": "bye", "level": "info"},
    ]
    assert last_error(log) == "Refused: no"
    assert last_error(log[:1]) == "early"
    assert last_error([]) == ""


def conversation(name: str, **counts: Any) -> dict[str, Any]:
    zero = dict.fromkeys(("extracted", "loaded", "already_loaded", "out_of_range", "pending", "unknown"), 0)
    return {"conversation_id": name, "skipped": {}, "rejected": {}, "flushed": None, "batches": 0, **zero, **counts}


def report(*rows: dict[str, Any], conserved: bool = True, **totals: Any) -> dict[str, Any]:
    return {
        **conversation("all"),
        "conversations": rows,
        "conserved": conserved,
        "dry_run": False,
        "problems": [],
        "notes": [],
        **totals,
    }


def test_the_summary_has_a_line_for_each_conversation_and_the_reasons() -> None:
    one = conversation("slack_a", extracted=1200, loaded=1198, skipped={"bot": 2}, flushed="extracted")
    lines = list(summary(report(one, extracted=1200, loaded=1198, skipped={"bot": 2})))
    assert lines[1].split() == ["slack_a", "1,200", "1,198", "0", "2", "0", "extracted"]
    assert "  skipped 2: bot" in lines
    assert any("accounted for" in line for line in lines)


def test_the_summary_tells_what_is_peculiar_about_the_exports() -> None:
    note = {
        "export": "acme.zip",
        "code": "unknown_kind",
        "meaning": "messages of a new kind",
        "detail": "x",
        "count": 2,
    }
    assert "  note on acme.zip: 2 messages of a new kind (x)" in list(summary(report(notes=[note])))


def test_a_problem_that_is_the_cause_of_the_failure_is_not_told_twice_and_remedies_have_lines_of_their_own() -> None:
    both = report(
        problems=["load failed: no key. Set it.", "2 are pending. Run again."], remedies=["Set it.", "Run again."]
    )
    assert list(problems(both, "no key")) == ["  2 are pending.", "    Run again."]
    assert list(problems(both))[:2] == ["  load failed: no key.", "    Set it."]
    assert list(problems(both, "load failed: no key. 2 are pending.")) == []


def test_columns_that_are_empty_everywhere_are_left_out_when_that_is_the_normal_case() -> None:
    assert "pending" not in next(summary(report(conversation("a"))))
    assert "pending" in next(summary(report(conversation("a", pending=3), pending=3)))


def test_a_run_that_does_not_add_up_says_so_in_capitals() -> None:
    assert any(line.startswith("NOT EVERY ENTRY") for line in summary(report(conserved=False)))


def test_a_dry_run_says_what_a_real_one_would_send() -> None:
    one = conversation("slack_a", extracted=120, pending=120, batches=3)
    lines = list(summary(report(one, extracted=120, pending=120, dry_run=True)))
    assert "Dry run: nothing was sent. Without it 120 messages would go in 3 calls." in lines


def test_a_thousand_conversations_do_not_fill_the_screen() -> None:
    lines = list(summary(report(*(conversation(f"slack_{number}") for number in range(1000)))))
    assert len(lines) < 60
    assert any("960 more conversations" in line for line in lines)
