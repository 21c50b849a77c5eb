"""Rules of the pages of imports: what they show, and that nothing in them runs or is fetched but their own."""

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import steps
from include.ledger import CallState
from include.memory_api.contract import Target
from include.parsers import ParseOptions
from include.report.charts import MOST_BARS, days_chart, speed_chart, strip
from include.report.page import CSS, FILE, SCRIPT, Place, imports_page, report_page
from include.run_folder import HOME_VARIABLE, PROJECT, RunFolder
from include.window import Window
from tests.support.builders import slack_channel, slack_export, slack_message, write_folder
from tests.support.ledgers import a_call, write

TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
HOSTILE = "=cmd|<img src=x onerror=alert(1)>"
SECRET_TEXT = "xylophone-4711"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A dry run of three good and two broken entries, in a file that somebody has given an evil name."""
    good = [
        {"sender_id": "u1", "role": "user", "timestamp": 1_767_312_000_000 + n, "content": f"{SECRET_TEXT} {n}"}
        for n in range(3)
    ]
    broken = [None, {"sender_id": "u1", "role": "user", "timestamp": "soon", "content": SECRET_TEXT}]
    group = {"group_id": "general", "messages": [*good, *broken]}
    return dry_run(write_folder(tmp_path / "acme", {f"{HOSTILE}.json": group}))


def dry_run(source: Path) -> RunFolder:
    folder, ledger = RunFolder.of("run"), steps.open_ledger(TARGET)
    for export in steps.discover(source, folder):
        steps.extract(export, ParseOptions(), folder)
    steps.transform(folder, Window(), ledger)
    steps.plan(folder, batch_size=None)
    started = datetime.now(UTC)
    steps.report(folder, ledger, run_id="run", target=TARGET, started_at=started, dry_run=True, problems=[])
    return folder


def document(run: RunFolder) -> dict[str, Any]:
    return dict(json.loads(run.report_json.read_text(encoding="utf-8")))


def test_the_file_needs_nothing_but_itself(run: RunFolder) -> None:
    page = run.report_html.read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", page) == []
    assert "default-src &#39;none&#39;" in page
    assert "connect-src" not in page
    assert re.findall(r' (?:on[a-z]+|style)="', page) == []
    assert [page.count(asset) for asset in (CSS, SCRIPT)] == [1, 1]


def test_each_private_conversation_is_named_with_the_reason(tmp_path: Path) -> None:
    files = slack_export(slack_message(), groups=[slack_channel("G1", "board")])
    files |= {f"{folder}/2026-01-01.json": [slack_message()] for folder in ("board", "D1", "nowhere")}
    folder = dry_run(write_folder(tmp_path / "acme", files))
    reasons = {row["conversation_id"]: row["private_reason"] for row in document(folder)["conversations"]}
    assert reasons == {
        "slack_general": "",
        "slack_board": "listed in groups.json",
        "slack_D1": "a direct message by its name",
        "slack_nowhere": "not listed in channels.json, groups.json",
    }
    page = folder.report_html.read_text(encoding="utf-8")
    table = page.partition('<table class="narrow" id="private">')[2].partition("</table>")[0]
    assert all(f"<td>{name}</td><td>{why}</td>" in table for name, why in reasons.items() if why)
    assert "slack_general" not in table


def test_rejected_entries_are_handed_out_with_reason_and_origin_and_add_up(run: RunFolder) -> None:
    rejected = sum(document(run)["rejected"].values())
    lines = [json.loads(line) for line in run.rejects("jsonl").read_text(encoding="utf-8").splitlines()]
    with run.rejects("csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(lines) == len(rows) == rejected == 2
    assert all(line["reason"] and HOSTILE in line["origin"] for line in lines)
    page = run.report_html.read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "onerror=alert(1)&gt;" in page


def test_a_spreadsheet_finds_no_formula(run: RunFolder, tmp_path: Path) -> None:
    files = slack_export(slack_message(), channels=[slack_channel("C1", "=1+1")])
    files["=1+1/2026-01-01.json"] = [None]
    folder = dry_run(write_folder(tmp_path / "other", files))
    cells = [cell for row in csv.reader(folder.rejects("csv").open(encoding="utf-8")) for cell in row]
    assert cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_no_message_text_is_in_anything_that_a_report_shows_or_hands_out(run: RunFolder) -> None:
    for path in (run.report_json, run.report_html, run.rejects("csv"), run.rejects("jsonl"), run.estimate):
        assert SECRET_TEXT not in path.read_text(encoding="utf-8"), path.name


def test_what_the_target_refused_is_among_the_rejected_with_its_origin(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "acme", slack_export(slack_message(), slack_message("1767312001.000100")))
    folder = dry_run(source)
    ledger = steps.open_ledger(TARGET)
    call = a_call("1", "1767312000.000100", conversation_id="slack_general", state=CallState.REJECTED, reason="too odd")
    write(ledger, call)
    started = datetime.now(UTC)
    report = steps.report(folder, ledger, run_id="run", target=TARGET, started_at=started, dry_run=False, problems=[])
    assert report["rejected"] == {"too odd": 1}
    [line] = [json.loads(line) for line in folder.rejects("jsonl").read_text(encoding="utf-8").splitlines()]
    assert (line["message_id"], line["reason"]) == ("1767312000.000100", "too odd")
    assert line["origin"].endswith("general/2026-01-01.json[0]")


def test_a_dry_run_shows_what_each_conversation_would_take(run: RunFolder) -> None:
    report = document(run)
    [row] = report["conversations"]
    assert row["estimate"]["messages"] == report["estimate"]["messages"] == 3
    page = run.report_html.read_text(encoding="utf-8")
    assert "Estimate of a load" in page
    for title in ("Tokens", "LLM calls", "Time"):
        assert f'<button type="button">{title}</button>' in page


def test_a_report_of_an_older_version_still_has_a_page(run: RunFolder) -> None:
    report = document(run)
    for name in ("estimate", "loading", "messages_by_day", "notes", "open_batches"):
        report.pop(name, None)
    for row in report["conversations"]:
        row.pop("estimate")
    assert "general" in report_page(report, [], FILE)


def test_columns_that_others_add_are_shown_when_they_hold_something(run: RunFolder) -> None:
    report = document(run) | {"dry_run": False}
    assert ">Episodes<" not in report_page(report, [], FILE)
    report["conversations"][0]["episodes"] = 7
    assert ">Episodes<" in report_page(report, [], FILE)


def test_figures_are_shown_with_the_sum_that_they_make(run: RunFolder) -> None:
    text = re.sub(r"<[^>]+>|\s+", " ", run.report_html.read_text(encoding="utf-8"))
    sum_ = re.sub(" +", " ", text)
    assert "5 extracted = 0 Loaded + 0 Already loaded + 0 Out of range + 0 Skipped + 2 Rejected + 3 Pending" in sum_


def test_days_are_put_together_so_that_any_history_fits() -> None:
    years = [[f"{year}-01-01", 10, 4] for year in range(2013, 2027)]
    chart = days_chart(years, dry_run=False)
    assert chart is not None
    assert (chart.first, chart.last) == ("2013-01-01", "2026-01-01")
    shown = [int(number) for number in re.findall(r" (\d+)</title>", chart.svg)]
    assert sum(shown) == 14 * 10
    assert len(shown) <= 2 * MOST_BARS


def test_a_few_bars_stand_where_the_words_below_them_say() -> None:
    chart = speed_chart([[0, 5], [10, 1], [30, 2]], 10)
    assert chart is not None
    assert (chart.first, chart.last) == ("00:00:00", "00:01:50")
    assert 'viewBox="0 0 12 100"' in chart.svg
    assert [int(float(x)) for x in re.findall(r' x="([\d.]+)"', chart.svg)] == [0, 1, 3]
    days = days_chart([["2026-01-01", 3, 3], ["2026-01-02", 3, 3]], dry_run=False)
    assert days is not None
    assert (days.first, days.last) == ("2026-01-01", "2026-01-12")


def test_a_load_that_was_over_at_once_has_no_curve() -> None:
    assert speed_chart([[1_700_000_000, 5]], 1) is None
    assert days_chart([], dry_run=False) is None
    assert strip({"loaded": 0}).count("<rect") == 0


def test_the_list_of_imports_says_so_when_there_is_none() -> None:
    assert "No import has run yet" in imports_page([], Place())


def test_every_key_of_the_report_is_described_in_the_documentation(run: RunFolder) -> None:
    report = document(run)
    text = (PROJECT / "docs" / "report.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`(\w+)`", text))
    keys = {*report, *report["target"], *report["estimate"], *report["conversations"][0]}
    assert keys - described == set()
