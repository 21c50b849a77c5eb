"""Rules of log lines and error messages: an id can be anything, and adds no line to a log."""

import logging
import re
from pathlib import Path

import pytest

from include import run_folder
from include.errors import ChatImportError, Throttled
from include.local.summary import shortened
from include.logs import PeriodicLine, get_logger, printable
from include.plan.chunks import label_of
from tests.support.delivery_runs import QUICK, PromptMemory, World, a_run

FORGED = "slack_x\n2026-11-22 ERROR all is lost\r\x1b[2K\u2028\u202e\x85end"


@pytest.mark.parametrize("text", ["general", "général", "雑談 🎉", "a b", "C:\\dir"])
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_is_not_printable_is_escaped_once() -> None:
    shown = printable(FORGED)
    assert shown == r"slack_x\n2026-11-22 ERROR all is lost\r\x1b[2K\u2028\u202e\x85end"
    assert printable(shown) == shown


def test_the_message_of_an_error_is_one_line() -> None:
    error = Throttled(f"{FORGED}: wait", retry_after_s=1)
    error.add_note(FORGED)
    assert str(error).isprintable()
    assert [note.isprintable() for note in error.__notes__] == [True]
    assert isinstance(error, ChatImportError)


def test_ids_add_no_line_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("include.of_this_test")
    with caplog.at_level(logging.INFO):
        log.info("%s: %d messages, %.1f s, %s", FORGED, 3, 0.5, ValueError(FORGED))
    [record] = caplog.records
    assert record.getMessage().isprintable()
    assert "3 messages, 0.5 s" in record.getMessage()


def test_every_module_takes_its_logger_from_the_one_place() -> None:
    direct = [
        path.name
        for folder in ("include", "plugins")
        for path in (run_folder.PROJECT / folder).rglob("*.py")
        if re.search(r"getLogger\(__name__\)", path.read_text(encoding="utf-8"))
    ]
    assert direct == []


def test_a_load_whose_ids_hold_newlines_logs_as_many_lines_as_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lines_of(name: str, home: Path) -> int:
        caplog.clear()
        run, chunks = a_run(home, {name: 12}, run_id=f"run {name}")
        world = World(home, PromptMemory())
        with caplog.at_level(logging.INFO):
            for chunk in chunks:
                world.load(run, chunk, run_id=f"run {name}", settings=QUICK)
            world.flush(run, run_id=f"run {name}")
        return sum(len(record.getMessage().splitlines()) for record in caplog.records)

    assert lines_of(FORGED, tmp_path / "forged") == lines_of("plain", tmp_path / "plain") > 0


def test_an_id_adds_no_line_to_a_label_or_to_the_summary() -> None:
    assert label_of({FORGED: 3}).isprintable()
    assert shortened(FORGED).isprintable()


def test_a_long_step_logs_its_count_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log = get_logger("include.test")
    PeriodicLine(log, "%s: %s so far", "often", every_s=0).reached(7000)
    PeriodicLine(log, "%s: %s so far", "rarely", every_s=3600).reached(7)
    assert [record.getMessage() for record in caplog.records] == ["often: 7,000 so far"]
