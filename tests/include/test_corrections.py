"""Rules of corrections: a corrected message is loaded once, into its conversation."""

import asyncio
import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import corrections, steps
from include.delivery.flush import flush_conversations
from include.delivery.loader import load_chunk
from include.errors import ConfigurationError, OutcomesUnknown
from include.memory_api import Settings, connect
from include.parsers import ParseOptions
from include.parsers.everos.documents import CORRECTIONS
from include.run_folder import HOME_VARIABLE, RunFolder
from include.standin import Fault, StandIn
from include.standin.journal import judge, stored_ids
from include.window import Window
from tests.support.builders import slack_export, slack_message, write_folder
from tests.support.delivery_runs import QUICK, Blindfold, Notes

START_MS = 1_767_312_000_000


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "server") as server:
        yield server


def group(name: str, count: int, **fields: Any) -> dict[str, Any]:
    messages = [
        {
            "message_id": f"{name}-{n}",
            "sender_id": "ann",
            "role": "user",
            "timestamp": START_MS + n * 60_000,
            "content": f"{name} says {n}",
        }
        for n in range(count)
    ]
    return {"group_id": name, "messages": messages} | fields


def write(folder: Path, *documents: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    for document in documents:
        (folder / f"{document['group_id']}.json").write_text(json.dumps(document), encoding="utf-8")
    return str(folder)


def run_import(
    server: StandIn, source: str, run_id: str, *, existing: Any = "ask", through: Any = lambda api: api, **options: Any
) -> dict[str, Any]:
    """Do what the tasks of the DAG do, one after the other; return the report."""
    run = RunFolder.of(run_id)
    api_settings = Settings(base_url=server.base_url, api_key="test", read_timeout_s=2)
    target = api_settings.target
    ledger = steps.open_ledger(target, rejections_of=run_id if corrections.is_corrections(source) else None)
    for export in steps.discover(corrections.path_of(source), run):
        steps.extract(export, ParseOptions(**options), run)
    steps.transform(run, Window(), ledger)
    chunks = steps.plan(run, batch_size=4)

    async def load() -> None:
        api = through(connect(api_settings))
        settings = type(QUICK)(**{**vars(QUICK), "existing": existing})
        try:
            loads = (load_chunk(chunk, run, api, ledger, Notes(), settings, run_id) for chunk in chunks)
            for outcome in await asyncio.gather(*loads, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            await flush_conversations(run, api, ledger, settings, run_id)
        finally:
            await api.aclose()

    try:
        asyncio.run(load())
    finally:
        report = steps.report(
            run, ledger, run_id=run_id, target=target, started_at=datetime.now(UTC), dry_run=False, problems=[]
        )
    return dict(report)


def corrections_of(run_id: str) -> Any:
    return json.loads(RunFolder.of(run_id).corrections.read_text(encoding="utf-8"))


def correct(run_id: str, **changes: Any) -> None:
    """Do what a person does in an editor, to every message in the file."""
    documents = corrections_of(run_id)
    for document in documents:
        for message in document["messages"]:
            message.update(changes)
    RunFolder.of(run_id).corrections.write_text(json.dumps(documents), encoding="utf-8")


def figures(report: dict[str, Any]) -> tuple[int, int, int]:
    assert report["conserved"]
    return report["loaded"], report["already_loaded"], sum(report["rejected"].values())


def test_a_message_the_target_refused_is_loaded_once_it_is_corrected_and_never_twice(
    server: StandIn, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", group("team", 10))
    server.set_faults(Fault(kind="add", does="refuse", message_ids=("team-7",)))
    assert figures(run_import(server, source, "first")) == (9, 0, 1)
    [document] = corrections_of("first")
    assert document["format"] == CORRECTIONS
    [message] = document["messages"]
    assert (message["message_id"], message["content"]) == ("team-7", "team says 7")

    assert figures(run_import(server, "rejects:first", "still refused")) == (0, 0, 1)
    server.set_faults()
    correct("first", content="mended")
    assert figures(run_import(server, "rejects:first", "corrected")) == (1, 0, 0)
    assert figures(run_import(server, "rejects:first", "corrected again")) == (0, 1, 0)
    assert figures(run_import(server, source, "all again")) == (0, 10, 0)
    judged = judge(server.journal(), {"team": [f"team-{n}" for n in (*range(7), 8, 9, 7)]})["team"]
    assert judged.clean, judged


def test_a_rejected_message_is_sent_again_only_by_a_run_of_corrections(server: StandIn, tmp_path: Path) -> None:
    source = write(tmp_path / "in", group("team", 3))
    server.set_faults(Fault(kind="add", does="refuse", message_ids=("team-1",)))
    run_import(server, source, "first")
    server.set_faults()
    assert figures(run_import(server, source, "second")) == (0, 2, 1)
    assert corrections_of("second")[0]["messages"] == corrections_of("first")[0]["messages"]


def test_what_a_parser_rejected_can_be_mended_field_by_field(server: StandIn, tmp_path: Path) -> None:
    document = group("team", 4)
    document["messages"][1]["timestamp"] = "yesterday"
    del document["messages"][2]["message_id"], document["messages"][2]["role"]
    document["messages"][3] = None
    source = write(tmp_path / "in", document)
    assert figures(run_import(server, source, "first")) == (1, 0, 3)
    [corrected] = corrections_of("first")
    first, second = corrected["messages"]
    assert "timestamp" in first["reason"]
    assert first["origin"] == "team.json[1]"
    assert (first["timestamp"], first["content"], "message_id" in second) == ("yesterday", "team says 1", False)

    correct("first", timestamp=START_MS + 90_000, role="user")
    assert figures(run_import(server, "rejects:first", "corrected")) == (2, 0, 0)
    assert figures(run_import(server, "rejects:first", "again")) == (0, 2, 0)


def test_a_message_without_id_is_known_when_the_export_is_corrected_as_well(server: StandIn, tmp_path: Path) -> None:
    document = group("team", 1)
    del document["messages"][0]["message_id"], document["messages"][0]["role"]
    run_import(server, write(tmp_path / "in", document), "first")
    correct("first", role="user")
    assert figures(run_import(server, "rejects:first", "corrected")) == (1, 0, 0)
    document["messages"][0]["role"] = "user"
    assert figures(run_import(server, write(tmp_path / "in", document), "mended export")) == (0, 1, 0)


def test_a_slack_message_goes_back_into_its_channel(server: StandIn, tmp_path: Path) -> None:
    export = slack_export(slack_message(), slack_message(ts=..., text="no time", user="U2"))
    source = str(write_folder(tmp_path / "export", export))
    assert figures(run_import(server, source, "first")) == (1, 0, 1)
    [document] = corrections_of("first")
    assert document["conversation"]["conversation_id"] == "slack_general"
    assert document["messages"][0]["content"] == "no time"
    correct("first", timestamp=START_MS + 5_000)
    report = run_import(server, "rejects:first", "corrected")
    assert [(row["conversation_id"], row["loaded"], row["source"]) for row in report["conversations"]] == [
        ("slack_general", 1, "slack")
    ]
    assert len(set(stored_ids(server.journal()))) == 2


def test_a_run_without_rejected_messages_has_no_corrections_and_using_them_is_an_error(
    server: StandIn, tmp_path: Path
) -> None:
    report = run_import(server, write(tmp_path / "in", group("team", 2)), "first")
    assert report["files"] == ["loaded.csv", "owners.json"]
    with pytest.raises(ConfigurationError, match=r"rejects:first: .*corrections\.json does not exist"):
        corrections.path_of("rejects:first")


def test_starting_a_run_anew_keeps_what_a_person_has_corrected(server: StandIn, tmp_path: Path) -> None:
    document = group("team", 2)
    document["messages"][0]["role"] = "boss"
    source = write(tmp_path / "in", document)
    run_import(server, source, "first")
    correct("first", role="user")
    edited = RunFolder.of("first").corrections.read_bytes()
    run_import(server, source, "first")
    assert (RunFolder.of("first").root / "corrections.previous.json").read_bytes() == edited
    assert corrections_of("first")[0]["messages"][0]["role"] == "boss"


def test_a_decision_about_unknown_batches_holds_for_the_chosen_conversations_alone(
    server: StandIn, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", group("left", 3), group("right", 3))
    server.set_faults(Fault(kind="add", does="reset_before"))
    with pytest.raises(OutcomesUnknown):
        run_import(server, source, "first", through=Blindfold)
    server.set_faults()
    before = len(server.journal())
    report = run_import(server, source, "resend", existing="resend", include=("left",), through=Blindfold)
    assert figures(report)[:2] == (3, 0)
    assert {entry.conversation for entry in server.journal()[before:] if entry.kind == "add"} == {"left"}
    with pytest.raises(OutcomesUnknown):
        run_import(server, source, "others", through=Blindfold)


def loaded_by(run_id: str) -> list[dict[str, str]]:
    with RunFolder.of(run_id).loaded.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_lists_what_it_put_into_everos_call_by_call(server: StandIn, tmp_path: Path) -> None:
    folder = Path(write(tmp_path / "in", group("team", 6)))
    personal = {"user_id": "ann", "session_id": "s1", "messages": group("x", 2)["messages"]}
    (folder / "ann.json").write_text(json.dumps(personal), encoding="utf-8")
    run_import(server, str(folder), "first")
    rows = loaded_by("first")
    assert [(row["kind"], row["group_id"], row["user_id"], row["session_id"], row["messages"]) for row in rows] == [
        ("personal", "", "ann", "s1", "2"),
        ("group", "team", "", "", "4"),
        ("group", "team", "", "", "2"),
    ]
    tasks = {entry.task_id for entry in server.journal() if entry.kind == "add"}
    assert {row["task_id"] for row in rows} == tasks
    assert rows[1]["first_ms"] == str(START_MS)


FORM = {"conversation_id": "{channel}", "include_private": False, "segments": None, "memory_of": None, "redact": False}


def test_the_parameters_that_decide_where_a_message_lands_are_those_of_the_first_run_and_the_others_are_not() -> None:
    first = RunFolder.of("first")
    kept = {"conversation_id": "{channel_id}", "segments": "conversation", "memory_of": "person", "redact": True}
    corrections.keep_parameters(first, FORM | kept | {"batch_size": 7})
    given = FORM | {"include_private": True, "segments": "thread-day", "batch_size": 9}
    assert corrections.parameters_for("rejects:first", given, first) == FORM | kept | {"batch_size": 9}


def test_corrections_of_a_run_of_an_older_version_are_loaded_with_the_parameters_of_their_run() -> None:
    assert corrections.parameters_for("rejects:old", FORM, RunFolder.of("old")) == FORM
