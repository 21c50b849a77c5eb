"""Rules of loose Slack JSON: slackdump's objects and bare arrays of messages."""

from pathlib import Path
from typing import Any

import pytest

from include.parsers import ParseOptions, discover, parse
from include.records import Conversation, Entries, Message, Note, Parsed, Rejected, Skipped
from tests.support.builders import slack_message, slack_user, to_json, write_folder, write_zip


def parsed(path: Path, **options: Any) -> list[Parsed]:
    return [record for export in discover(path)[0] for record in parse(export, ParseOptions(**options))]


def found(records: list[Parsed]) -> list[tuple[str, str, str]]:
    return [(item.conversation_id, item.text, item.origin) for item in records if isinstance(item, Message)]


def accounted(records: list[Parsed]) -> tuple[int, int]:
    entries = sum(record.count for record in records if isinstance(record, Entries))
    return entries, sum(isinstance(record, Message | Skipped | Rejected) for record in records)


def dump(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"channel_id": "C1", "name": "general", "messages": list(messages), **fields}


def test_a_bare_array_is_a_conversation_named_after_its_file(tmp_path: Path) -> None:
    records = parsed(write_folder(tmp_path, {"team-chat.json": [slack_message(), None]}))
    assert found(records) == [("slack_team-chat", "hello", "team-chat.json[0]")]
    assert accounted(records) == (2, 2)


def test_a_single_file_can_be_the_source(tmp_path: Path) -> None:
    write_folder(tmp_path, {"general.json": b"\xef\xbb\xbf" + to_json([slack_message()])})
    assert found(parsed(tmp_path / "general.json")) == [("slack_general", "hello", "general.json[0]")]


def test_a_dump_names_its_channel_itself(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "dump.zip", {"C1.json": dump(slack_message()), "C2.json": dump(name="", channel_id="C2")}
    )
    names = {item.channel_id: item.name for item in parsed(path) if isinstance(item, Conversation)}
    assert names == {"C1": "general", "C2": "C2"}


def test_an_early_dump_that_ends_with_its_id_is_known_by_its_messages(tmp_path: Path) -> None:
    early = {"messages": [slack_message()], "channel_id": "C1"}
    assert found(parsed(write_folder(tmp_path, {"x.json": early}))) == [("slack_C1", "hello", "x.json[0]")]


def test_nested_replies_follow_their_root_and_are_counted(tmp_path: Path) -> None:
    replies = [
        slack_message("1767312001.000100", "one", thread_ts="1767312000.000100"),
        slack_message("1767312002.000100", "two", thread_ts="1767312000.000100"),
        None,
    ]
    root = slack_message(thread_ts="1767312000.000100", slackdump_thread_replies=replies)
    later = slack_message("1767312009.000100", "later")
    records = parsed(write_folder(tmp_path, {"C1.json": dump(root, later)}))
    assert [text for _, text, _ in found(records)] == ["hello", "one", "two", "later"]
    assert {item.thread_id for item in records if isinstance(item, Message)} == {"1767312000.000100", None}
    assert accounted(records) == (5, 5)


def test_lists_of_users_beside_the_dumps_give_names(tmp_path: Path) -> None:
    files = {
        "C1.json": dump(slack_message(text="hi <@U2>")),
        "users-T1.json": [slack_user("U1", "Ann"), slack_user("U2", "Bob")],
    }
    records = parsed(write_folder(tmp_path, files))
    assert [(item.sender_name, item.text) for item in records if isinstance(item, Message)] == [("Ann", "hi @Bob")]


@pytest.mark.parametrize(("channel_id", "name"), [("D1", ""), ("G1", "plans"), ("C1", "mpdm-ann--bob-1")])
def test_dumps_of_private_conversations_are_left_out_unless_asked_for(
    tmp_path: Path, channel_id: str, name: str
) -> None:
    path = write_folder(tmp_path, {"x.json": dump(slack_message(text="secret"), channel_id=channel_id, name=name)})
    records = parsed(path)
    assert not found(records)
    assert "secret" not in repr(records)
    assert accounted(records) == (1, 1)
    assert len(found(parsed(path, include_private=True))) == 1


def test_a_cut_dump_gives_what_is_complete(tmp_path: Path) -> None:
    whole = to_json(dump(slack_message(), slack_message("1767312001.000100", "second")))
    records = parsed(write_folder(tmp_path, {"C1.json": whole[: len(whole) - 30]}))
    assert found(records) == [("slack_general", "hello", "C1.json[0]")]
    assert [item.origin for item in records if isinstance(item, Rejected)] == ["C1.json[1]"]
    assert accounted(records) == (2, 2)


def test_a_dump_too_large_for_memory_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [slack_message("1767312001.000100", "one", thread_ts="1767312000.000100")]
    messages = [slack_message(slackdump_thread_replies=replies), None, slack_message("1767312009.000100")]
    path = write_folder(tmp_path, {"C1.json": dump(*messages)})
    at_once = parsed(path)
    monkeypatch.setattr("include.parsers.slack.dump.WHOLE_FILE_BYTES", 10)
    assert parsed(path) == at_once


@pytest.mark.parametrize("content", [b'{"channel_id": "C1", "messages": 7}', b'{"channel_id": "C1", "messages": [}'])
def test_a_dump_without_messages_is_one_rejected_entry(tmp_path: Path, content: bytes) -> None:
    records = parsed(write_folder(tmp_path, {"x.json": content, "y.json": [slack_message()]}))
    assert len(found(records)) == 1
    assert [item.origin.partition("[")[0] for item in records if isinstance(item, Rejected)] == ["x.json"]


def test_a_dump_that_cannot_say_whether_it_is_private_is_noted(tmp_path: Path) -> None:
    files = {name: dump(slack_message()) for name in ("C1.json", "C1-1767312000.000100.json")}
    files["b.json"] = dump(slack_message(), channel_id="D1")
    records = parsed(write_folder(tmp_path, files))
    assert [(note.code, note.count) for note in records if isinstance(note, Note) and note.count] == [
        ("maybe_private", 1)
    ]
