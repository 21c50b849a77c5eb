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


@pytest.mark.parametrize("inside", ["", "2026/03"])
def test_an_empty_folder_is_an_error_but_for_nightly_runs(tmp_path: Path, inside: str) -> None:
    drop = tmp_path / "drop"
    (drop / inside).mkdir(parents=True)
    run = RunFolder.of("run")
    with pytest.raises(ExportError, match="drop is empty, so nothing was imported"):
        steps.discover(drop, run)
    assert steps.discover(drop, run, may_be_empty=True) == []
    figures = report(run, steps.open_ledger(TARGET), dry_run=False)
    assert (figures["conserved"], figures["complete"], figures["extracted"]) == (True, True, 0)
    assert "there was nothing to import" in run.report_html.read_text(encoding="utf-8")


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere does not exist"):
        steps.discover(tmp_path / "nowhere", RunFolder.of("run"))


@pytest.mark.parametrize("may_be_empty", [False, True])
def test_a_folder_without_any_export_is_an_error_that_names_its_files(tmp_path: Path, may_be_empty: bool) -> None:
    (tmp_path / "notes.json").write_text('{"shopping": ["milk"]}', encoding="utf-8")
    with pytest.raises(ExportError, match=r"has no export .*notes\.json \(not an export of a known format\)") as caught:
        steps.discover(tmp_path, RunFolder.of("run"), may_be_empty=may_be_empty)
    assert len(str(caught.value)) < 200 + 2 * len(str(tmp_path))


def test_a_source_that_is_no_export_gets_one_short_sentence(tmp_path: Path) -> None:
    (tmp_path / "chat.html").write_text("<html>", encoding="utf-8")
    with pytest.raises(ExportError) as caught:
        steps.discover(tmp_path / "chat.html", RunFolder.of("run"))
    assert caught.value.cause == f"{tmp_path}/chat.html: not an export of a known format. Nothing was imported."


UNREADABLE: dict[str, Any] = {
    "notes.json": {"shopping": ["milk"]},
    "backup.zip": b"PK\x03\x04 cut off",
    "old.7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "acme/general/2026-01-02.json": b'[{"type": "message", "ts": "1767312000.0002", "text": "cut',
    "acme/users.json": b"[{",
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_file_that_cannot_be_read_makes_the_run_incomplete_and_the_rest_is_read(
    tmp_path: Path, name: str, dry_run: bool
) -> None:
    write_folder(tmp_path / "all" / "acme", slack_export(slack_message()))
    run, ledger = planned(write_folder(tmp_path / "all", {name: UNREADABLE[name]}))
    figures = report(run, ledger, dry_run=dry_run)
    assert (figures["conserved"], figures["complete"], figures["pending"]) == (True, False, 1)
    assert name.rpartition("/")[2] in figures["problems"][0]
    assert len(figures["problems"][0]) < 400
    page = run.report_html.read_text(encoding="utf-8")
    assert "Every entry is accounted for" not in page
    assert f"<br><b>{figures['remedies'][0]}</b>" in page


def test_an_unreadable_file_of_a_conversation_that_is_left_out_does_not_matter(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "acme", slack_export(slack_message(), channels=[GENERAL, LEADS]))
    write_folder(source, {"leads/2026-01-02.json": b"[{"})
    assert report(*planned(source, exclude=("leads",)))["complete"]


def test_a_broken_entry_is_counted_and_does_not_make_the_run_incomplete(tmp_path: Path) -> None:
    figures = report(*planned(write_folder(tmp_path / "acme", slack_export(slack_message(), slack_message(ts=...)))))
    assert (figures["complete"], sum(figures["rejected"].values())) == (True, 1)


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


def test_a_cleared_transform_of_channels_with_one_name_gives_the_same_again(tmp_path: Path) -> None:
    for folder, key in (("a", "C1"), ("b", "C2")):
        channels = [slack_channel(key, "general")]
        write_folder(tmp_path / "all" / folder, slack_export(slack_message(), channels=channels))
    run, ledger = planned(tmp_path / "all")
    before = pq.read_table(run.conversations)
    assert run.restated.exists()
    steps.transform(run, Window(), ledger)
    assert pq.read_table(run.conversations).equals(before)
