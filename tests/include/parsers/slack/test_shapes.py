"""Slack's messages and lists are found whatever tools and people called the files and wherever they put them."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from include.parsers.slack.shapes import list_name
from tests.support.builders import slack_channel, slack_message, slack_user, to_json, write_folder, write_zip
from tests.support.read_exports import Reading, read

GENERAL, BOARD = slack_channel("C1", "general"), slack_channel("C2", "board", is_private=True)
OPEN = slack_channel("C1", "general", is_private=False)
USERS = [slack_user("U1", "Ann Lee"), slack_user("U2", "Bob Ray")]
PUBLIC, SECRET = [slack_message(text="public")], [slack_message(text="secret")]
FOLDERS = {"general/2026-01-01.json": PUBLIC, "board/2026-01-01.json": SECRET}


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def message(number: int, text: str, **fields: Any) -> dict[str, Any]:
    return slack_message(f"{1767312000 + number}.000100", text, **fields)


def assert_only_general(result: Reading) -> None:
    """One public message by Ann in #general; everything else is counted as private."""
    assert [(one.conversation_id, one.sender_name, one.text) for one in result.messages] == [
        ("slack_general", "Ann Lee", "public")
    ]
    assert set(result.reasons) == {"private"}
    assert result.rejected == []
    assert result.outcomes() == result.entries


@pytest.mark.parametrize(
    ("name", "list_"),
    [
        ("Channels.json", "channels.json"),
        ("a/b/channels (1).json", "channels.json"),
        ("channels copy 2.json", "channels.json"),
        ("channels - Kopie.json", "channels.json"),
        ("channels.json.txt", "channels.json"),
        ("users.jsonl", "users.json"),
        ("users-T024BE7LD.json", "users.json"),
        ("private_channels.json", "groups.json"),
        ("ims.json", "dms.json"),
        ("channel-list.json", "conversations.json"),
        ("users-feedback.json", ""),
        ("groups-planning.json", ""),
        ("2026-01-01.json", ""),
        ("channels.csv", ""),
    ],
)
def test_a_list_is_known_by_its_name_in_many_spellings(name: str, list_: str) -> None:
    assert list_name(name) == list_


LISTS: Mapping[str, dict[str, Any]] = {
    "other case": {"Channels.json": [GENERAL], "Users.json": USERS},
    "marks of a browser": {"channels (1).json": [GENERAL], "users (2).json": USERS},
    "one object per line": {"channels.jsonl": lines(OPEN, BOARD), "users.jsonl": lines(*USERS)},
    "names of a script": {"our rooms.json": [OPEN, BOARD], "staff.json": USERS},
    "compressed": {
        "channels.json.gz": gzip.compress(to_json([GENERAL])),
        "users.json.gz": gzip.compress(lines(*USERS)),
    },
    "a folder of lists": {"_lists/channels.json": [GENERAL], "_lists/users.json": USERS},
    "both kinds in one file": {"workspace data.json": {"channels": [OPEN, BOARD], "users": USERS}},
    "a map by name": {
        "channels.json": {"general": {"id": "C1", "is_private": False}},
        "users.json": {"ann": {"id": "U1", "real_name": "Ann Lee"}},
    },
    "an empty list as null": {"channels.json": [GENERAL], "groups.json": None, "users.json": USERS},
}


@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS.keys())
def test_lists_hold_whatever_they_are_called(tmp_path: Path, lists: dict[str, Any]) -> None:
    assert_only_general(read(write_folder(tmp_path / "folders", lists | FOLDERS)))
    assert_only_general(read(write_folder(tmp_path / "files", lists | {"C1.json": PUBLIC, "C2.json": SECRET})))


@pytest.mark.parametrize(
    "messages",
    [
        {"dump/C1.json": PUBLIC, "dump/C2.json": {"channel_id": "C2", "name": "x", "messages": SECRET}},
        {"dump/general/2026-01-01.json": PUBLIC, "dump/board/2026-01-01.json": SECRET},
        {"rooms.json": {"C1": PUBLIC, "C2": SECRET}},
    ],
)
def test_lists_hold_for_the_other_parts_of_a_source(tmp_path: Path, messages: dict[str, Any]) -> None:
    lists = {"channels.json": [GENERAL, BOARD], "users.json": USERS}
    write_folder(tmp_path / "zip", messages)
    write_zip(tmp_path / "zip" / "lists.zip", lists)
    assert_only_general(read(tmp_path / "zip"))
    write_folder(tmp_path / "folder", messages | {f"lists/{name}": content for name, content in lists.items()})
    assert_only_general(read(tmp_path / "folder"))


def test_parts_of_one_export_complete_one_another(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_zip(tmp_path / "in" / "acme 1.zip", {"channels.json": [GENERAL], "general/2026-01-01.json": PUBLIC})
    second = {"users.json": USERS, "groups.json": [slack_channel("C2", "board")], "board/2026-01-02.json": SECRET}
    second["general/2026-01-02.json"] = [message(9, "for <@U2>")]
    write_zip(tmp_path / "in" / "acme 2.zip", second)
    result = read(tmp_path / "in")
    assert [(one.conversation_id, one.sender_name, one.text) for one in result.messages] == [
        ("slack_general", "Ann Lee", "public"),
        ("slack_general", "Ann Lee", "for @Bob Ray"),
    ]
    assert result.conversations["slack_board"].private_reason == "listed in groups.json"


def test_lists_of_private_channels_are_not_completed_by_a_stranger(tmp_path: Path) -> None:
    own = {"groups.json": [slack_channel("G1", "board")], "users.json": USERS, "sales/2026-01-01.json": SECRET}
    (tmp_path / "in").mkdir()
    write_zip(tmp_path / "in" / "acme.zip", own)
    write_zip(tmp_path / "in" / "globex.zip", {"channels.json": [slack_channel("C7", "sales")], "users.json": USERS})
    assert read(tmp_path / "in").texts == []


EVENT = {"type": "event_callback", "team_id": "T1"}
MATCHES = [
    message(0, "public", channel={"id": "C1", "name": "general", "is_private": False}),
    message(1, "secret", channel={"id": "D2", "name": "U2", "is_im": True}),
]
SEVERAL: Mapping[str, tuple[str, Any]] = {
    "a log in which each message names its channel": (
        "log.json",
        [message(0, "public", channel="C1"), message(1, "secret", channel="D2")],
    ),
    "results of a search": ("search.json", {"ok": True, "messages": {"total": 2, "matches": MATCHES}}),
    "matches of a search": ("matches.json", MATCHES),
    "events of the Events API": (
        "events.jsonl",
        lines(
            EVENT | {"event": message(0, "public", channel="C1", channel_type="channel")},
            EVENT | {"event": message(1, "secret", channel="D2", channel_type="im")},
            EVENT | {"event": {"type": "reaction_added", "user": "U1", "item": {"ts": "1767312000.000100"}}},
        ),
    ),
    "events over a socket": (
        "events.json",
        [{"payload": EVENT | {"event": one}, "envelope_id": "x"} for one in MATCHES],
    ),
    "dumps in an array": (
        "all.json",
        [{"channel_id": "C1", "messages": PUBLIC}, {"channel_id": "D2", "messages": SECRET}],
    ),
    "a dump per line": (
        "all.jsonl",
        lines({"channel_id": "C1", "messages": PUBLIC}, {"channel_id": "D2", "messages": SECRET}),
    ),
    "a map by name": ("all.json", {"general": PUBLIC, "board": SECRET}),
    "a map by name and day": (
        "all.json",
        {"general": {"2026-01-01": PUBLIC}, "board": {"2026-01-01": SECRET}},
    ),
    "a map by id": ("all.json", {"C1": PUBLIC, "D2": SECRET}),
    "conversations with messages": (
        "all.json",
        {"channels": [OPEN | {"messages": PUBLIC}, BOARD | {"messages": SECRET}], "users": USERS},
    ),
    "kinds of conversations": ("all.json", {"channels": {"general": PUBLIC}, "dms": {"Bob Ray": SECRET}}),
}


@pytest.mark.parametrize(("file", "content"), SEVERAL.values(), ids=SEVERAL.keys())
def test_conversations_in_one_file_are_kept_apart(tmp_path: Path, file: str, content: Any) -> None:
    files = {file: content, "channels.json": [GENERAL, BOARD], "users.json": USERS}
    assert_only_general(read(write_folder(tmp_path, files)))
    both = read(tmp_path, include_private=True)
    assert sorted(both.texts) == ["public", "secret"]
    assert len({one.conversation_id for one in both.messages}) == 2


def test_messages_may_be_a_map_by_time(tmp_path: Path) -> None:
    times = {f"{1767312000 + number}.000100": message(number, str(number)) for number in range(2)}
    files = {"C1.json": {"channel_id": "C1", "messages": times}, "C2.json": times}
    assert sorted(read(write_folder(tmp_path, files)).texts) == ["0", "0", "1", "1"]


def test_a_message_in_a_log_is_found_at_its_place(tmp_path: Path) -> None:
    entries = [message(number, str(number), channel=f"C{number % 2}") for number in range(4)]
    result = read(write_folder(tmp_path, {"log.json": entries}))
    assert {one.text: one.origin for one in result.messages} == {str(n): f"log.json[{n}]" for n in range(4)}


def test_a_reply_without_a_channel_follows_its_root(tmp_path: Path) -> None:
    root = message(0, "root", channel="C1", thread_ts="1767312000.000100", replies=[message(1, "reply")])
    result = read(write_folder(tmp_path, {"log.json": [root, message(2, "other", channel="D2")]}))
    assert [(one.conversation_id, one.text) for one in result.messages] == [("slack_C1", "root"), ("slack_C1", "reply")]


NAMED = ("general (C1)", "C1-general", "C1", "#general", "general/2026", "general/2026/01", "general/2026-01")


@pytest.mark.parametrize("folder", NAMED)
def test_a_folder_is_its_conversation_however_it_is_written(tmp_path: Path, folder: str) -> None:
    files = {"channels.json": [GENERAL], "users.json": USERS, "board/2026-01-01.json": SECRET}
    assert_only_general(read(write_folder(tmp_path, files | {f"{folder}/2026-01-01.json": PUBLIC})))


def test_a_folder_whose_name_and_id_disagree_is_private(tmp_path: Path) -> None:
    files = {"channels.json": [GENERAL], "users.json": USERS, "board (C1)/2026-01-01.json": SECRET}
    assert read(write_folder(tmp_path, files)).texts == []


def test_a_channel_may_be_called_like_a_year(tmp_path: Path) -> None:
    files = {"channels.json": [slack_channel("C1", "2026")], "2026/2026-01-01.json": PUBLIC}
    assert [one.conversation_id for one in read(write_folder(tmp_path, files)).messages] == ["slack_2026"]


DAYS = (
    *("2026-01-01.JSON", "2026-01-01 (1).json", "2026-01-01.jsonl", "20260101.json", "2026_01_01.json"),
    *("2026-01-01_2.json", "2026-01.json", "2026-01-01.json.gz"),
)


@pytest.mark.parametrize("day", DAYS)
def test_a_day_file_may_be_called_otherwise(tmp_path: Path, day: str) -> None:
    content = gzip.compress(lines(*PUBLIC)) if day.endswith("gz") else lines(*PUBLIC)
    files = {
        "channels.json": [GENERAL],
        "users.json": USERS,
        "board/2026-01-01.json": SECRET,
        f"general/{day}": content,
    }
    assert_only_general(read(write_folder(tmp_path / "alone", files)))
    beside = read(write_folder(tmp_path / "beside", files | {"general/2026-01-09.json": [message(9, "more")]}))
    assert sorted(beside.texts) == ["more", "public"]


def test_a_file_that_is_called_like_a_day_and_holds_no_messages_was_shared(tmp_path: Path) -> None:
    files = {"channels.json": [GENERAL], "general/2026-01-01.json": PUBLIC, "general/20260101.json": [{"total": 7}]}
    result = read(write_folder(tmp_path, files))
    assert (result.texts, result.rejected, result.unknown) == (["public"], [], [])


@pytest.mark.parametrize(
    "file",
    ["C1-1767312000.000100.json", "C1_replies.json", "general-thread.json", "general/threads/1767312000.000100.json"],
)
def test_a_file_of_replies_belongs_to_its_conversation(tmp_path: Path, file: str) -> None:
    files = {"channels.json": [GENERAL], "users.json": USERS, file: PUBLIC, "board.json": SECRET}
    files["D024BE7LH-1767312000.000100.json"] = SECRET
    assert_only_general(read(write_folder(tmp_path, files)))


def test_a_file_whose_name_has_the_id_of_a_direct_message_is_private(tmp_path: Path) -> None:
    files = {"D024BE7LH bob.json": SECRET, "bob (D024BE7LH)/2026-01-01.json": SECRET, "D1_history.json": SECRET}
    assert read(write_folder(tmp_path, files)).texts == []


PRIVATE_KINDS = (
    "Direktnachrichten",
    "messages directs",
    "canaux privés",
    "mensagens diretas",
    "ダイレクトメッセージ",
    "私信",
)


@pytest.mark.parametrize("kind", PRIVATE_KINDS)
def test_folders_of_private_kinds_are_known_in_other_languages(tmp_path: Path, kind: str) -> None:
    for public in ("Kanäle", "canaux", "チャンネル"):
        files = {
            f"{public}/general/2026-01-01.json": PUBLIC,
            f"{kind}/bob/2026-01-01.json": SECRET,
            "users.json": USERS,
        }
        assert_only_general(read(write_folder(tmp_path / public, files)))


@pytest.mark.parametrize("file", ["messages.json", "page_1.json", "2026-01.json", "general.json", "C1.json"])
def test_a_file_in_the_folder_of_a_conversation_is_its_own(tmp_path: Path, file: str) -> None:
    files = {"channels.json": [GENERAL, BOARD], "users.json": USERS}
    files |= {f"general/{file}": PUBLIC, f"board/{file.replace('C1', 'C2')}": SECRET}
    files["D1/messages.json"] = SECRET
    if file == "general.json":
        files["board/board.json"] = files.pop("board/general.json")
    assert_only_general(read(write_folder(tmp_path, files)))


@pytest.mark.parametrize(
    "stem", ["direct-bob", "dm_bob", "im-bob", "private_channel-board", "mpim bob ann", "ann-bob-im"]
)
def test_a_file_named_after_a_private_kind_is_private_unless_it_is_listed(tmp_path: Path, stem: str) -> None:
    assert read(write_folder(tmp_path / "a", {f"{stem}.json": SECRET})).texts == []
    listed = {f"{stem}.json": PUBLIC, "channels.json": [slack_channel("C1", stem)]}
    assert read(write_folder(tmp_path / "b", listed)).texts == ["public"]


def test_a_file_that_says_that_it_is_public_is(tmp_path: Path) -> None:
    files = {"x.json": {"channel_info": OPEN, "messages": PUBLIC}, "channels.json": [slack_channel("C5", "other")]}
    result = read(write_folder(tmp_path, files))
    assert (result.texts, result.notes["maybe_private", ""]) == (["public"], 0)


@pytest.mark.parametrize("container", ["folder", "zip"])
def test_an_archive_of_slackdump_is_read_with_its_lists(tmp_path: Path, container: str) -> None:
    reply = message(1, "reply", thread_ts="1767312000.000100")
    chunks = {
        "channels": [{"t": 4, "id": "lch", "ch": [OPEN, BOARD]}],
        "users": [{"t": 2, "id": "iu", "u": USERS}],
        "workspace": [{"t": 6, "id": "iw", "w": {"team": "acme"}}],
        "C1": [{"t": 5, "id": "C1", "ci": OPEN}, {"t": 0, "id": "C1", "m": PUBLIC}],
        "C1-1767312000.000100": [{"t": 1, "id": "C1", "m": [reply]}],
        "C2": [{"t": 0, "id": "C2", "m": SECRET}],
        "D1": [{"t": 0, "id": "D1", "m": SECRET}],
    }
    files = {f"slackdump_1/{name}.json.gz": gzip.compress(lines(*found)) for name, found in chunks.items()}
    path = write_zip(tmp_path / "a.zip", files) if container == "zip" else write_folder(tmp_path / "a", files)
    result = read(path)
    assert {(one.conversation_id, one.sender_name, one.text) for one in result.messages} == {
        ("slack_general", "Ann Lee", "public"),
        ("slack_general", "Ann Lee", "reply"),
    }
    assert result.reasons == {"private": 2}
    assert (result.rejected, result.unknown) == ([], [])


BROKEN: Mapping[str, tuple[str, bytes, list[str]]] = {
    "an array that breaks off": (
        "all.json",
        to_json([{"channel_id": "C1", "messages": PUBLIC}, {"channel_id": "C2", "messages": SECRET}])[:-40],
        ["public", "beside"],
    ),
    "a line that is no JSON": (
        "all.jsonl",
        lines({"channel_id": "C1", "messages": PUBLIC}, {"channel_id": "C2", "messages": SECRET})[:-40],
        ["public", "beside"],
    ),
    "a map that breaks off": ("all.json", lines({"C1": PUBLIC, "C2": SECRET})[:-20], ["beside"]),
}


@pytest.mark.parametrize(("file", "content", "texts"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_in_a_file_of_several_conversations_costs_itself(
    tmp_path: Path, file: str, content: bytes, texts: list[str]
) -> None:
    files = {
        file: content,
        "channels.json": [GENERAL, BOARD],
        "users.json": USERS,
        "general.json": [message(9, "beside")],
    }
    result = read(write_folder(tmp_path, files))
    assert result.texts == texts
    assert len(result.rejected) + result.reasons["private"] == 1
    assert result.outcomes() == result.entries


@pytest.mark.parametrize(("file", "content"), SEVERAL.values(), ids=SEVERAL.keys())
def test_a_large_file_of_several_conversations_keeps_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: Any
) -> None:
    path = write_folder(tmp_path, {file: content, "channels.json": [GENERAL, BOARD], "users.json": USERS})
    for module in ("dump", "entries"):
        monkeypatch.setattr(f"include.parsers.slack.{module}.WHOLE_FILE_BYTES", 10)
    result = read(path, include_private=True)
    rooms = {one.text: one.conversation_id for one in result.messages}
    assert rooms["public"] != rooms["secret"]
    assert len(read(path).messages) == 1


@pytest.mark.parametrize("files", [{"dms/bob.json": SECRET}, {"dms/bob/2026-01-01.json": SECRET}])
def test_a_kind_around_everything_counts_where_nothing_is_listed(tmp_path: Path, files: dict[str, Any]) -> None:
    assert read(write_folder(tmp_path / "folder", files)).texts == []
    inner = {name.removeprefix("dms/"): content for name, content in files.items()}
    assert read(write_zip(tmp_path / "private_channels.zip", inner | {"x/y.txt": b""})).texts == []
    listed = {"channels.json": [slack_channel("C1", "bob")]}
    assert read(write_zip(tmp_path / "private.zip", inner | listed)).texts == ["secret"]


def test_a_list_that_somebody_shared_shows_nothing(tmp_path: Path) -> None:
    files = {"channels.json": [GENERAL], "users.json": USERS} | FOLDERS
    files["__uploads/F1/channels.json"] = files["attachments/channels.json"] = [slack_channel("C2", "board")]
    assert_only_general(read(write_folder(tmp_path, files)))
    unlisted = {name: content for name, content in files.items() if name != "channels.json"}
    assert read(write_folder(tmp_path / "b", unlisted)).notes["maybe_private", ""] > 0
