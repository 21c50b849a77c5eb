"""
The path of somebody who sees the project for the first time: what the commands print is the text in ``golden/``.

The commands use the Airflow that runs already instead of starting one. Lines of progress that only a slow machine
prints are left out. After a change of the wording, write the texts again with ``GOLDEN=write``.
"""

import json
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.ledger import Database, ledger_url
from include.local import commands
from include.local.airflow import ABANDONED, DAG_ID
from include.report.failure import first_failure
from include.run_folder import RunFolder
from include.standin import Fault, StandIn
from include.standin.journal import judge
from tests.e2e.conftest import KEY, LocalAirflow
from tests.e2e.test_import import adds, group, verdict, write
from tests.support.builders import slack_channel, slack_export, slack_message, write_zip
from tests.support.golden import assert_golden

GOLDEN = Path(__file__).parent / "golden"
WAITING = "Waiting for EverOS"

TEXTS = ("Good morning! Lunch is at one.", "The printer on floor 2 is out of toner.", "Fixed it.", "Thank you, Bob!")
IDS = [f"{1767312000 + 60 * n}.000100" for n in range(len(TEXTS))]


class Screen:
    """Runs ``make import`` in the running Airflow, and keeps what it prints."""

    def __init__(self, airflow: LocalAirflow, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._airflow, self._capsys, self._folder = airflow, capsys, folder

    def shows(self, name: str, source: object, conf: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Import, compare the output with its text, and return the exit status and the id of the run."""
        status = commands.import_source(str(source), json.dumps(conf or {}))
        return status, self.compared(name)

    def compared(self, name: str) -> str:
        """Compare what was printed with its text, and return the id of the run."""
        output = self._capsys.readouterr().out
        names = {self._airflow.state_folder.root: "HOME", self._folder: "FOLDER"}
        assert_golden(GOLDEN / f"{name}.txt", "\n".join(in_order(without_reminders(output.splitlines()))) + "\n", names)
        found = re.search(r"^Run (\S+)$", output, re.MULTILINE)
        return found[1] if found else ""


def without_reminders(lines: Sequence[str]) -> Iterator[str]:
    """Leave out what is only printed about a step that takes long, and repetitions of why a load waits."""
    shown = set[str]()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_news = line.startswith(" " * 13) and WAITING not in line
        is_step = re.match(r"  [a-z]+ +.*(running|waiting|waiting to start)\b", line)
        if is_news or (is_step and WAITING not in following):
            continue
        if re.sub(r"\d+ s\b", "", line) not in shown or not (is_step or WAITING in line):
            yield line
        shown.add(re.sub(r"\d+ s\b", "", line))


def in_order(lines: Iterable[str]) -> Iterator[str]:
    """Sort the steps that are skipped together: Airflow skips them in any order."""
    for skipped, some in groupby(lines, lambda line: line.endswith(" skipped")):
        steps = list(some)
        yield from sorted(steps, reverse=True) if skipped else steps


@pytest.fixture
def screen(
    airflow: LocalAirflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Screen:
    monkeypatch.setattr(commands, "lock_state_folder", lambda *_: nullcontext(airflow.state_folder))
    monkeypatch.setattr(commands, "child_processes", lambda _: nullcontext(airflow.processes))
    monkeypatch.setattr(commands, "start_airflow", lambda *_, **__: airflow.api)
    monkeypatch.setenv("EVEROS_IMPORT_HOME", str(airflow.state_folder.root))
    monkeypatch.setenv("COLUMNS", "1000")
    airflow.wait_until(lambda: airflow.runs("scheduled"), "last night's run is made up for")
    airflow.wait_until(lambda: not airflow.api.unfinished_runs(DAG_ID), "last night's run is over")
    capsys.readouterr()
    return Screen(airflow, capsys, tmp_path)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the check of the target before the start, a process that another text of these has the lines of."""
    monkeypatch.setattr(commands, "check_run", lambda *_: None)


@contextmanager
def ctrl_c_after(text: str) -> Iterator[None]:
    """Interrupt this process, as Ctrl-C does, when a line with this text is printed."""

    said = commands.say

    def say(line: str) -> None:
        said(line)
        if text in line:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commands, "say", say)
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def acme(folder: Path) -> Path:
    """An export with a public channel, in which one entry is damaged, and a private one."""
    entries = [
        slack_message(ts, text, user=f"U{n % 2 + 1}") for n, (ts, text) in enumerate(zip(IDS, TEXTS, strict=True))
    ]
    files = slack_export(*entries, slack_message(..., "When was that?"), groups=[slack_channel("C9", "board")])
    files["board/2026-01-01.json"] = [slack_message("1767312000.000200", "Not for everyone.")]
    return write_zip(folder / "acme.zip", files)


def test_an_export_of_ones_own_from_the_preview_to_the_correction_of_rejected_messages(
    screen: Screen, airflow: LocalAirflow, faultless: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = acme(tmp_path)
    assert commands.preview_source(str(source), "", "3") == 0
    screen.compared("preview")

    connection = {"conn_type": "everos", "host": faultless.base_url, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", json.dumps(connection))
    conf = {"conversation_id": "acme_{channel}"}
    calls = len(faultless.journal())
    assert screen.shows("dry_run", source, {**conf, "dry_run": True})[0] == 0
    assert len(faultless.journal()) == calls

    faultless.set_faults(Fault(kind="add", does="refuse", conversation="acme_general", message_ids=(IDS[2],)))
    status, run_id = screen.shows("import", source, conf)
    assert status == 0
    rest = [*IDS[:2], *IDS[3:]]
    assert judge(faultless.journal(), {"acme_general": rest})["acme_general"].clean
    logs = [airflow.log(run_id, task) for task in airflow.tasks(run_id)]
    assert [line for line in chain(*logs) if line.get("error_detail") or "deprecat" in str(line).lower()] == []

    faultless.set_faults()
    monkeypatch.setattr(commands, "check_run", lambda *_: None)
    assert screen.shows("import_again", source, conf)[0] == 0
    assert judge(faultless.journal(), {"acme_general": rest})["acme_general"].clean

    corrections = RunFolder.of(run_id, airflow.state_folder.root).corrections
    text = corrections.read_text(encoding="utf-8").replace('"timestamp": null', '"timestamp": 1767312300000')
    corrections.write_text(text.replace(TEXTS[2], f"{TEXTS[2]} AKIAIOSFODNN7EXAMPLE"), encoding="utf-8")
    status, corrected_id = screen.shows("import_corrections", f"rejects:{run_id}", {**conf, "redact": True})
    assert status == 0
    report = json.loads(RunFolder.of(corrected_id, airflow.state_folder.root).report_json.read_text(encoding="utf-8"))
    assert report["redacted"] == {"aws key": 1}
    assert IDS[2] in adds(faultless, ["acme_general"])[-1].message_ids


@pytest.mark.usefixtures("unchecked")
def test_a_key_withdrawn_in_the_middle_is_named_and_the_run_goes_on_when_its_tasks_are_cleared(
    screen: Screen, airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    document = group("withdrawn", 40)
    faultless.set_faults(Fault(kind="add", does="status", status=401, code="UNAUTHORIZED", after=2))
    status, run_id = screen.shows("key_withdrawn", write(tmp_path / "in", document), {"batch_size": 10})
    assert status == 1
    [load] = airflow.tasks(run_id, "load")
    log = airflow.log(run_id, load)
    database = Database(ledger_url(airflow.state_folder.root))
    failure = first_failure(database, run_id)
    assert failure is not None
    assert [line["event"] for line in log if line.get("level") == "error"][-1] == failure.sentence
    assert [line for line in log if line.get("error_detail")] == [], "a traceback"
    assert load.try_number == 1

    faultless.set_faults()
    airflow.clear_failed(run_id)
    run = airflow.wait(run_id)
    assert (run.state, run.report["loaded"]) == ("success", 40), run.report.get("problems")
    assert first_failure(database, run_id) is None, "what was mended is forgotten"
    judged = verdict(faultless, document)
    assert judged.clean, judged
    assert judged.flushes == 1


@pytest.mark.usefixtures("unchecked")
def test_while_the_target_is_away_the_load_says_so_and_after_ctrl_c_the_same_command_goes_on(
    screen: Screen, airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    document = group("away", 40)
    source = write(tmp_path / "in", document)
    faultless.set_faults(Fault(kind="task", does="reset_before", message_ids=("away-00010",)))
    with ctrl_c_after(WAITING), pytest.raises(KeyboardInterrupt):
        screen.shows("target_away", source, {"batch_size": 10})
    run_id = screen.compared("target_away")

    loads = airflow.task_processes(run_id, "load")
    airflow.api.fail_run(DAG_ID, run_id, ABANDONED)  # as the next command does
    assert psutil.wait_procs(loads, timeout=60)[1] == []
    faultless.set_faults()
    assert screen.shows("target_back", source, {"batch_size": 10})[0] == 0
    judged = verdict(faultless, document)
    assert judged.clean, judged


@pytest.mark.usefixtures("unchecked")
def test_a_file_that_is_removed_after_the_check_fails_the_run_in_one_sentence_and_somebody_is_told(
    screen: Screen, airflow: LocalAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = acme(tmp_path)
    monkeypatch.setattr(commands, "start_airflow", lambda *_, **__: source.unlink() or airflow.api)
    status, run_id = screen.shows("file_removed", source)
    assert status == 1
    [discover] = airflow.tasks(run_id, "discover")
    log = airflow.log(run_id, discover)
    failure = first_failure(Database(ledger_url(airflow.state_folder.root)), run_id)
    assert failure is not None
    assert discover.try_number == 1
    assert [line["event"] for line in log if line.get("level") == "error"][-1] == failure.sentence
    assert [line for line in log if line.get("error_detail")] == [], "a traceback"
    airflow.wait_until(lambda: run_id in {told["run_id"] for told in airflow.notices()}, "somebody is told")
