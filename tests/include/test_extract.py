"""Rules of extracting: what a parser yields stands in the files, complete or not at all, in bounded memory."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include import extract as extracting
from include.errors import ExportError, NotConserved
from include.extract import ExtractResult, extract, write_rejected
from include.parsers import Export, ParseOptions, discover
from include.records import (
    BROKEN_SCHEMA,
    CONVERSATION_SCHEMA,
    MESSAGE_SCHEMA,
    NOTE_SCHEMA,
    REDACTED_SCHEMA,
    REJECTED_SCHEMA,
    SKIPPED_SCHEMA,
    Conversation,
    Entries,
    Message,
    Note,
    Parsed,
    Rejected,
)
from include.run_folder import RunFolder
from include.transform import transform
from tests.support.builders import slack_channel, slack_export, slack_message, write_folder, write_zip
from tests.support.make_tables import a_message
from tests.support.slack_generator import generate

OPTIONS = ParseOptions()


def one_export(path: Path) -> Export:
    exports, _ = discover(path)
    assert len(exports) == 1
    return exports[0]


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob(f"{name}*.parquet")) for row in pq.read_table(file).to_pylist()]


def message(number: int, **fields: Any) -> Message:
    return Message(
        source="slack",
        conversation_id=fields.get("conversation_id", "slack_x"),
        message_id=f"1767312{number:03d}.000100",
        sent_at_us=1,
        timestamp_ms=1,
        sender_id="U1",
        sender_name="Ann",
        role="user",
        text=fields.get("text", "hello"),
        origin=f"x[{number}]",
    )


def conversation(channel_id: str = "C1") -> Conversation:
    return Conversation(conversation_id="slack_x", source="slack", kind="group", channel_id=channel_id, name="x")


def parser_yielding(monkeypatch: pytest.MonkeyPatch, *records: Parsed | Exception) -> Export:
    def parse(export: Export, options: ParseOptions) -> Iterator[Parsed]:
        for record in records:
            if isinstance(record, Exception):
                raise record
            yield record

    monkeypatch.setattr(extracting, "parse_many", parse)
    return Export(key="001-x", format="slack", path="x", label="x")


def test_everything_stands_in_the_files_with_the_declared_schemas(tmp_path: Path) -> None:
    source = generate_small(tmp_path / "export")
    out = tmp_path / "out"
    result = extract(one_export(source), OPTIONS, out)
    schemas = {
        "messages-000": MESSAGE_SCHEMA,
        "conversations": CONVERSATION_SCHEMA,
        "skipped": SKIPPED_SCHEMA,
        "rejected": REJECTED_SCHEMA,
        "notes": NOTE_SCHEMA,
        "broken": BROKEN_SCHEMA,
        "redacted": REDACTED_SCHEMA,
    }
    assert sorted(path.stem for path in out.iterdir()) == sorted(schemas)
    for name, schema in schemas.items():
        assert pq.read_schema(out / f"{name}.parquet").equals(schema)
    assert result == ExtractResult(
        key=result.key,
        conversations=len(rows(out, "conversations")),
        entries=sum(row["entries"] for row in rows(out, "conversations")),
        messages=len(rows(out, "messages")),
        skipped=result.skipped,
        rejected=len(rows(out, "rejected")),
    )
    assert sum(result.skipped.values()) == len(rows(out, "skipped"))


def generate_small(path: Path) -> Path:
    generate(path, messages=500, channels=3, days=3)
    return path


def test_the_figures_are_those_of_the_export(tmp_path: Path) -> None:
    truth = generate(tmp_path / "export.zip", messages=2_000, channels=5, days=4, seed=7)
    result = extract(one_export(tmp_path / "export.zip"), OPTIONS, tmp_path / "out")
    assert (result.entries, result.messages, result.rejected) == (truth.entries.total(), truth.messages, truth.rejected)
    assert result.skipped == dict(sorted(truth.skipped.items()))
    entries = {row["conversation_id"]: row["entries"] for row in rows(tmp_path / "out", "conversations")}
    assert entries == dict(truth.entries)


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    export = one_export(generate_small(tmp_path / "export"))
    for name in ("one", "two"):
        extract(export, OPTIONS, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_note_stands_once_per_detail_and_nothing_is_noted_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = [Note(code="unknown_kind", detail=detail, count=count) for detail, count in (("a", 1), ("b", 0), ("a", 2))]
    extract(parser_yielding(monkeypatch, *notes), OPTIONS, tmp_path / "out")
    assert rows(tmp_path / "out", "notes") == [{"export": "x", "code": "unknown_kind", "detail": "a", "count": 3}]


def test_text_of_private_conversations_is_never_written(tmp_path: Path) -> None:
    files = slack_export(slack_message(), groups=[slack_channel("G1", "plans")])
    files["plans/2026-01-01.json"] = [slack_message(text="UNIQUESECRET")]
    extract(one_export(write_folder(tmp_path / "e", files)), OPTIONS, tmp_path / "out")
    assert [row["reason"] for row in rows(tmp_path / "out", "skipped")] == ["private"]
    assert all("UNIQUESECRET" not in str(rows(tmp_path / "out", name)) for name in ("messages", "skipped", "rejected"))


def test_a_parser_that_loses_an_entry_is_found_out_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [conversation(), Entries(conversation_id="slack_x", count=3), message(1), message(2)]
    export = parser_yielding(monkeypatch, *records)
    with pytest.raises(NotConserved, match="slack_x: 3 entries decoded, 2 accounted for"):
        extract(export, OPTIONS, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_parser_that_fails_leaves_what_was_there_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_rejected([], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    export = parser_yielding(monkeypatch, conversation(), ExportError("gone"))
    with pytest.raises(ExportError):
        extract(export, OPTIONS, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_second_try_replaces_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (2, 1):
        records = [conversation(), Entries(conversation_id="slack_x", count=count), *map(message, range(count))]
        extract(parser_yielding(monkeypatch, *records), OPTIONS, tmp_path / "out")
    assert len(rows(tmp_path / "out", "messages")) == 1


def test_two_channels_with_one_id_stay_two_rows_for_transform_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [conversation("C1"), conversation("C2"), conversation("C1"), Entries(conversation_id="slack_x", count=1)]
    extract(parser_yielding(monkeypatch, *records, message(1)), OPTIONS, tmp_path / "out")
    found = [(row["channel_id"], row["entries"]) for row in rows(tmp_path / "out", "conversations")]
    assert found == [("C1", 1), ("C2", 0)]


def test_messages_are_counted_for_the_channel_they_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that only two channels from which something is imported are a collision."""
    records = [conversation("C1"), message(1), conversation("C2"), conversation("C1"), message(2)]
    export = parser_yielding(monkeypatch, *records, Entries(conversation_id="slack_x", count=2))
    extract(export, OPTIONS, tmp_path / "out")
    found = [(row["channel_id"], row["imported"]) for row in rows(tmp_path / "out", "conversations")]
    assert found == [("C1", 2), ("C2", 0)]


def grid(*teams: tuple[str, str]) -> dict[str, Any]:
    """An organisation whose workspaces have a channel ``plans``, in the index named with each."""
    files: dict[str, Any] = {"org_users.json": [], "channels.json": []}
    for number, (team, index) in enumerate(teams):
        files[f"teams/{team}/{index}"] = [slack_channel(f"C{number}", "plans")]
        files[f"teams/{team}/plans/2026-01-01.json"] = [slack_message(f"176731200{number}.000100")]
    return files


@pytest.mark.parametrize("options", [{}, {"exclude": ("*",)}])
def test_a_private_channel_that_is_left_out_may_be_called_like_a_public_one(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source = write_folder(tmp_path / "e", grid(("acme", "channels.json"), ("globex", "groups.json")))
    result = extract(one_export(source), ParseOptions(**options), tmp_path / "out")
    transform([tmp_path / "out"], RunFolder(tmp_path / "run"))
    assert (result.entries, result.messages) == (2, 0 if options else 1)


@pytest.mark.parametrize("index", ["groups.json", "usergroups.json"])
def test_two_channels_of_one_name_in_one_export_are_two_conversations(tmp_path: Path, index: str) -> None:
    """Also where no index lists them and the name of the folder is all there is."""
    source = write_folder(tmp_path / "e", grid(("acme", index), ("globex", index)))
    run = RunFolder(tmp_path / "run")
    extract(one_export(source), ParseOptions(include_private=True), run.extracted("e"))
    transform(run.all_extracted(), run, options=ParseOptions(include_private=True))
    assert sorted(pq.read_table(run.conversations)["conversation_id"].to_pylist()) == [
        "slack_acme_plans",
        "slack_globex_plans",
    ]
    for name in ("messages-000", "conversations", "skipped", "rejected"):
        for folder in run.all_extracted():
            found = set(pq.read_table(folder / f"{name}.parquet")["conversation_id"].to_pylist())
            assert found <= {"slack_acme_plans", "slack_globex_plans"}


def test_entries_without_a_conversation_are_counted_under_no_name(tmp_path: Path) -> None:
    broken = Rejected(source="", conversation_id="", reason="unknown", origin="x.json")
    write_rejected([broken, broken], tmp_path / "out")
    assert [(row["conversation_id"], row["entries"]) for row in rows(tmp_path / "out", "conversations")] == [("", 2)]
    assert len(rows(tmp_path / "out", "rejected")) == 2
    assert not rows(tmp_path / "out", "messages")


@pytest.mark.parametrize(("limit", "value"), [("GROUP_ROWS", 10), ("GROUP_CHARACTERS", 50)])
def test_a_row_group_is_written_as_soon_as_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """So memory follows the size of a row group and not that of the export."""
    monkeypatch.setattr(extracting, limit, value)
    records = [conversation(), Entries(conversation_id="slack_x", count=25), *map(message, range(25))]
    extract(parser_yielding(monkeypatch, *records), OPTIONS, tmp_path / "out")
    groups = pq.ParquetFile(tmp_path / "out" / "messages-000.parquet").metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [10, 10, 5]


def test_a_zip_and_the_folder_it_was_made_of_give_the_same_messages(tmp_path: Path) -> None:
    files = slack_export(slack_message(), slack_message("1767312001.000100", "second"))
    write_zip(tmp_path / "e.zip", files)
    write_folder(tmp_path / "e", files)
    for name in ("e.zip", "e"):
        extract(one_export(tmp_path / name), OPTIONS, tmp_path / f"out-{name}")
    assert rows(tmp_path / "out-e.zip", "messages") == rows(tmp_path / "out-e", "messages")


def test_credentials_reach_no_file_and_are_counted_by_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = "AKIAIOSFODNN7EXAMPLE", "s3cr3t-t0ken"
    text = f"use {key} at https://a.example/x?token={token}"
    export = parser_yielding(
        monkeypatch,
        conversation(),
        a_message("1", conversation_id="slack_x", text=text),
        Rejected(source="slack", conversation_id="slack_x", reason="no", origin="x[1]", entry={"content": text}),
        Entries(conversation_id="slack_x", count=2),
    )
    extract(export, OPTIONS, tmp_path / "out", redact=True)
    for path in (tmp_path / "out").iterdir():
        assert not {key, token} & set(re.findall(r"AKIA\w+|s3cr3t-t0ken", repr(pq.read_table(path).to_pylist())))
    assert pq.read_table(tmp_path / "out" / "redacted.parquet").to_pylist() == [
        {"conversation_id": "slack_x", "kind": kind, "count": 2} for kind in ("aws key", "url token")
    ]
    extract(export, OPTIONS, tmp_path / "plain")
    [row] = pq.read_table(tmp_path / "plain" / "messages-000.parquet").to_pylist()
    assert row["text"] == f"use {key} at https://a.example/x?token=[redacted url token]"
