"""Rules of the steps as a whole, on the sample exports and without Airflow."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include import steps
from include.errors import ConfigurationError, ExportError, LedgerError
from include.ledger import Ledger
from include.memory_api.contract import Target
from include.parsers import ParseOptions
from include.records import NOTES
from include.report.columns import is_conserved
from include.report.page import write_page
from include.run_folder import HOME_VARIABLE, RunFolder
from include.window import Window
from tests.support.builders import slack_channel, slack_export, slack_message, write_folder

SAMPLES = Path(__file__).parents[2] / "include" / "samples"
TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


def planned(source: Path, **options: Any) -> tuple[RunFolder, Ledger]:
    """Go as far as the plan."""
    run, ledger = RunFolder.of("run"), steps.open_ledger(TARGET)
    for export in steps.discover(source, run):
        steps.extract(export, ParseOptions(**options), run)
    steps.transform(run, Window(), ledger, ParseOptions(**options))
    steps.plan(run, batch_size=None)
    return run, ledger


def report(run: RunFolder, ledger: Ledger, *, dry_run: bool = True) -> dict[str, Any]:
    document = steps.report(
        run,
        ledger,
        run_id="run",
        target=TARGET,
        started_at=datetime.now(UTC),
        dry_run=dry_run,
        problems=[],
    )
    assert json.loads(run.report_json.read_text(encoding="utf-8")) == document
    return dict(document)


def test_every_entry_of_the_samples_is_accounted_for_before_anything_is_sent() -> None:
    figures = report(*planned(SAMPLES))
    assert figures["conserved"]
    assert figures["pending"] == sum(row["pending"] for row in figures["conversations"]) > 50
    assert figures["skipped"]["private"] > 0
    assert figures["problems"] == []


def test_private_channels_come_when_asked_for() -> None:
    private = {row["conversation_id"] for row in report(*planned(SAMPLES, include_private=True))["conversations"]}
    assert "slack_leads" in private
    figures = report(*planned(SAMPLES, include_private=True))
    assert "private" not in figures["skipped"]


def test_a_message_that_a_step_drops_without_a_word_is_found_out() -> None:
    run, ledger = planned(SAMPLES)
    part = next(run.root.glob("extracted/*slack*/skipped.parquet"))
    pq.write_table(pq.read_table(part)[1:], part)
    figures = report(run, ledger)
    assert not figures["conserved"]
    assert not figures["complete"]
    assert [row for row in figures["conversations"] if not is_conserved(row)]
    assert "do not add up" in figures["problems"][0]


def test_what_is_pending_after_a_real_run_is_a_problem_that_says_what_to_do() -> None:
    figures = report(*planned(SAMPLES), dry_run=False)
    assert "are pending in" in figures["problems"][0]
    assert "run the import again" in figures["problems"][0]


def test_the_page_shows_names_and_reasons_as_text_whatever_they_are(tmp_path: Path) -> None:
    run, ledger = planned(SAMPLES)
    hostile = "<script>alert(1)</script>"
    document = report(run, ledger)
    document["problems"] = [f"{hostile} is pending"]
    document["rejected"] = {hostile: 1}
    document["conversations"][0]["name"] = hostile
    write_page(document, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert hostile not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3


def test_what_is_peculiar_about_an_export_stands_in_the_report_and_on_its_page(tmp_path: Path) -> None:
    odd = slack_message(text="recap", subtype="ai_<recap>"), slack_message("1767312001.000100", subtype="ai_recap")
    write_folder(tmp_path / "acme", slack_export(*odd, slack_message("1767312002.000100", user=...)))
    run, ledger = planned(tmp_path / "acme")
    figures = report(run, ledger)
    assert figures["problems"] == []
    assert [tuple(note.values()) for note in figures["notes"]] == [
        ("acme", "unknown_kind", "ai_recap", 1, NOTES["unknown_kind"]),
        ("acme", "unknown_kind", "unreadable subtype", 1, NOTES["unknown_kind"]),
        ("acme", "unknown_author", "", 1, NOTES["unknown_author"]),
    ]
    page = run.report_html.read_text(encoding="utf-8")
    assert all(f"acme: 1 {note['meaning']}" in page for note in figures["notes"])
    assert "(ai_recap)" in page


def test_what_a_killed_extract_has_left_behind_is_not_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "acme", slack_export(slack_message(text="hello")))
    run, ledger = RunFolder.of("run"), steps.open_ledger(TARGET)
    [export] = steps.discover(tmp_path / "acme", run)
    steps.extract(export, ParseOptions(), run)
    half_written = run.extracted(".other.partial")
    half_written.mkdir()
    (half_written / "messages-000.parquet").write_bytes(b"PAR1")
    assert steps.transform(run, Window(), ledger)["messages"] == 1
    steps.plan(run, batch_size=None)
    assert report(run, ledger)["conserved"]


def test_an_empty_folder_is_nothing_to_import_and_no_error(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    run = RunFolder.of("run")
    assert steps.discover(drop, run) == []
    figures = report(run, steps.open_ledger(TARGET), dry_run=False)
    assert (figures["conserved"], figures["complete"], figures["extracted"]) == (True, True, 0)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere does not exist"):
        steps.discover(tmp_path / "nowhere", RunFolder.of("run"))


def test_a_folder_without_any_export_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text('{"shopping": ["milk"]}', encoding="utf-8")
    with pytest.raises(ExportError, match=r"nothing to import: .*notes\.json: .*looked for"):
        steps.discover(tmp_path, RunFolder.of("run"))


def test_a_ledger_that_knows_less_than_airflow_does_is_not_taken_for_empty() -> None:
    with pytest.raises(LedgerError, match="knows of 0 landed messages, Airflow's asset state of 5"):
        steps.open_ledger(TARGET, at_least=5)


LEADS, GENERAL = slack_channel("C2", "leads"), slack_channel("C1", "general")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"exclude": ("leeds",)}, "exclude has 'leeds', which matches no conversation (did you mean 'leads'"),
        ({"include": ("genral",)}, "include has 'genral', which matches no conversation (did you mean 'general'"),
        ({"include": ("General",)}, "(did you mean 'general'"),
        ({"include": ("general", "xyzzy")}, "include has 'xyzzy', which matches no conversation. Nothing was sent"),
        ({"exclude": ("lead-*",)}, "exclude has 'lead-*'"),
    ],
    ids=str,
)
def test_a_name_that_matches_no_conversation_stops_the_run_before_its_plan(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    source = write_folder(tmp_path / "acme", slack_export(slack_message(), channels=[GENERAL, LEADS]))
    write_folder(source, {"leads/2026-01-01.json": [slack_message(text="secret")]})
    with pytest.raises(ConfigurationError) as caught:
        planned(source, **options)
    assert sentence in str(caught.value)
    assert not RunFolder.of("run").conversations.exists()


def test_a_name_may_match_in_one_export_or_a_listed_conversation_without_messages(tmp_path: Path) -> None:
    write_folder(tmp_path / "all" / "a", slack_export(slack_message(), channels=[GENERAL, LEADS]))
    other = slack_export(slack_message(), channels=[slack_channel("C9", "plans")])
    write_folder(tmp_path / "all" / "b", {name.replace("general/", "plans/"): each for name, each in other.items()})
    figures = report(*planned(tmp_path / "all", include=("#general", "slack_pl*"), exclude=("leads",)))
    assert {row["conversation_id"]: row["pending"] for row in figures["conversations"]} == {
        "slack_general": 1,
        "slack_leads": 0,
        "slack_plans": 1,
    }


def test_a_name_of_a_conversation_that_an_earlier_run_loaded_is_not_misspelt(tmp_path: Path) -> None:
    planned(write_folder(tmp_path / "all", slack_export(slack_message())))
    other = write_folder(tmp_path / "new", slack_export(slack_message(), channels=[LEADS]))
    (other / "general").rename(other / "leads")
    assert planned(other, exclude=("slack_general",))
    with pytest.raises(ConfigurationError, match="'slack_genral'"):
        planned(other, exclude=("slack_genral",))
