"""Rules of finding exports: by content, in any mixture, and nothing is passed over in silence."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from include.archive import Limits
from include.errors import ConfigurationError, ExportError, LimitExceeded
from include.parsers import MAX_REPORTED, Export, ParseOptions, discover, open_export, parse
from include.parsers.json.head import Head, head_of
from tests.support.builders import Files, slack_export, slack_message, write_folder, write_zip

SLACK = slack_export(slack_message())
DISCORD_CHANNEL: dict[str, Any] = {
    "guild": {"id": "1", "name": "Guild"},
    "channel": {"id": "2", "type": "GuildTextChat", "name": "general"},
    "messages": [],
}


def found(path: Path) -> dict[tuple[str, str], Export]:
    return {(export.format, export.root): export for export in discover(path)[0]}


def formats(path: Path) -> list[str]:
    return [export.format for export in discover(path)[0]]


def below(folder: str, files: Files) -> dict[str, Any]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def test_a_slack_export_is_found_as_zip_and_as_folder(tmp_path: Path) -> None:
    assert formats(write_zip(tmp_path / "export.zip", SLACK)) == ["slack"]
    assert formats(write_folder(tmp_path / "export", SLACK)) == ["slack"]


def test_a_folder_with_a_mixture_gives_each_its_own_export(tmp_path: Path) -> None:
    write_zip(tmp_path / "first.zip", SLACK)
    write_zip(tmp_path / "second.zip", SLACK)
    write_folder(tmp_path / "unpacked" / "slack", SLACK)
    write_folder(tmp_path, {"a.json": DISCORD_CHANNEL, "b.json": DISCORD_CHANNEL, "array.json": [slack_message()]})
    exports, rejected = discover(tmp_path)
    assert sorted((export.format, export.label) for export in exports) == [
        ("discord", tmp_path.name),
        ("slack", "first.zip"),
        ("slack", "second.zip"),
        ("slack", f"{tmp_path.name}/unpacked/slack"),
        ("slack_dump", "array.json"),
    ]
    assert not rejected


def test_files_of_a_mixture_are_shown_to_their_own_parser_only(tmp_path: Path) -> None:
    write_folder(tmp_path, {**below("acme", SLACK), "a.json": DISCORD_CHANNEL, "c.json": [slack_message()]})
    shown = {}
    for export in discover(tmp_path)[0]:
        with open_export(export) as archive:
            shown[export.format] = list(archive.names())
    assert shown == {
        "slack": ["channels.json", "general/2026-01-01.json", "users.json"],
        "slack_dump": ["c.json"],
        "discord": ["a.json"],
    }


def test_a_file_is_known_by_its_content_under_any_name(tmp_path: Path) -> None:
    """Discord messages in files named like Slack's days are Discord's."""
    write_folder(tmp_path, {"general/2026-01-01.json": DISCORD_CHANNEL, "notes.txt.json": [slack_message()]})
    assert sorted(formats(tmp_path)) == ["discord", "slack_dump"]


def test_an_export_without_any_index_is_found_by_its_days(tmp_path: Path) -> None:
    days = {"general/2026-01-01.json": [slack_message()], "random/2026-01-01.json": [slack_message()]}
    assert found(write_folder(tmp_path / "a", days)).keys() == {("slack", "")}
    assert found(write_zip(tmp_path / "b.zip", below("wrapper", days))).keys() == {("slack", "")}


def test_a_single_channels_folder_is_an_export(tmp_path: Path) -> None:
    assert formats(write_folder(tmp_path / "general", {"2026-01-01.json": [slack_message()]})) == ["slack"]


def test_two_exports_side_by_side_in_a_zip_are_two(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "both.zip", {**below("one", SLACK), **below("two", SLACK)})
    assert found(path).keys() == {("slack", "one/"), ("slack", "two/")}


def test_an_export_below_one_without_index_is_still_its_own(tmp_path: Path) -> None:
    files = {"general/2026-01-01.json": [slack_message()], **below("old/acme", SLACK)}
    assert found(write_folder(tmp_path, files)).keys() == {("slack", ""), ("slack", "old/acme/")}


def test_workspaces_of_a_grid_belong_to_their_organisation(tmp_path: Path) -> None:
    files = {"org_users.json": [], "channels.json": [{"id": "C9"}], **below("teams/acme", SLACK)}
    assert found(write_zip(tmp_path / "grid.zip", files)).keys() == {("slack", "")}


def test_files_that_people_attached_are_no_exports_of_their_own(tmp_path: Path) -> None:
    attached = json.dumps([slack_message()]).encode()
    files = {
        **SLACK,
        "general/attachments/F1-2026-01-01.json": attached,
        "general/attachments/2026-01-01.json": attached,
        "__uploads/F2/messages.json": attached,
        "general/canvas_in_the_conversation.json": attached,
    }
    assert found(write_zip(tmp_path / "export.zip", files)).keys() == {("slack", "")}
    assert not discover(tmp_path / "export.zip")[1]


def test_an_unknown_file_is_reported_in_a_few_words(tmp_path: Path) -> None:
    write_folder(
        tmp_path, {**below("acme", SLACK), "odd.json": {"a": 1}, "broken.json": b"{", "picture.png": b"\x89PNG"}
    )
    _, rejected = discover(tmp_path)
    assert {record.origin for record in rejected} == {f"{tmp_path.name}/{name}" for name in ("odd.json", "broken.json")}
    assert {record.reason for record in rejected} == {"not an export of a known format"}


def test_media_that_discord_chat_exporter_downloaded_are_not_reported(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.json": DISCORD_CHANNEL, "a.json_Files/sticker-1.json": {"v": "5.5.2", "layers": []}})
    assert discover(tmp_path)[1] == []


def test_a_source_that_is_one_unknown_file_is_reported_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "history.bin"
    path.write_bytes(b"\x00\x01")
    exports, rejected = discover(path)
    assert (len(exports), len(rejected)) == (0, 1)


def test_files_that_cannot_be_exports_are_reported_once(tmp_path: Path) -> None:
    exports, rejected = discover(write_folder(tmp_path, {f"{number}.png": b"" for number in range(5)}))
    assert (len(exports), len(rejected)) == (0, 1)


def test_an_empty_folder_holds_nothing_and_is_no_mistake(tmp_path: Path) -> None:
    assert discover(tmp_path) == ([], [])


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"nowhere: cannot be opened"):
        discover(tmp_path / "nowhere")


def test_thousands_of_unknown_files_are_counted_not_listed(tmp_path: Path) -> None:
    """What is found goes through Airflow's XCom, which is small."""
    _, rejected = discover(write_folder(tmp_path, {f"{number}.json": {} for number in range(MAX_REPORTED + 50)}))
    assert len(rejected) == MAX_REPORTED + 1
    assert rejected[-1].reason == "and 50 more files like these"


def test_a_damaged_zip_does_not_affect_the_other_files(tmp_path: Path) -> None:
    write_zip(tmp_path / "good.zip", SLACK)
    (tmp_path / "bad.zip").write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    exports, rejected = discover(tmp_path)
    assert [export.label for export in exports] == ["good.zip"]
    assert [record.origin for record in rejected] == ["bad.zip"]


def test_a_zip_of_which_the_end_is_missing_is_called_that(tmp_path: Path) -> None:
    """A download that broke off, say."""
    whole = write_zip(tmp_path / "good.zip", SLACK).read_bytes()
    (tmp_path / "part.zip").write_bytes(whole[:-30])
    exports, rejected = discover(tmp_path)
    assert [export.label for export in exports] == ["good.zip"]
    assert [(record.origin, "end is missing" in record.reason) for record in rejected] == [("part.zip", True)]
    with pytest.raises(ExportError, match=r"part\.zip: .*end is missing.*fetch the file again"):
        discover(tmp_path / "part.zip")


def test_files_that_may_be_exports_are_reported_and_media_are_not(tmp_path: Path) -> None:
    named = ("chat.html", "chat.csv", "slack.tar.gz", "slack.7z")
    write_folder(tmp_path, dict.fromkeys((*named, "picture.png", "chat.html_Files/page.html", "README.md"), b"x"))
    write_zip(tmp_path / "good.zip", SLACK)
    exports, rejected = discover(tmp_path)
    assert [export.format for export in exports] == ["slack"]
    assert {Path(record.origin).name for record in rejected} == set(named)


def test_entries_that_must_not_be_read_are_reported() -> None:
    exports, rejected = discover(Path(__file__).parents[2] / "fixtures" / "slack" / "evil_slip_symlink.zip")
    assert [export.format for export in exports] == ["slack"]
    assert "evil_slip_symlink.zip/../evil.json" in {record.origin for record in rejected}


def test_limits_hold_while_looking(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded):
        discover(write_folder(tmp_path, SLACK), Limits(entries=2))


def test_slacks_txt_export_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "me.zip", {"channels/general.txt": b"[2026-01-01] ann: hi", "dms/bob.txt": b"", "x": b""}
    )
    exports, rejected = discover(path)
    assert not exports
    assert [record.origin for record in rejected] == ["me.zip"]
    assert "ask an owner of the workspace for its JSON export" in rejected[0].reason


def test_keys_are_unique_and_safe_as_folder_names(tmp_path: Path) -> None:
    for name in ("ä ö", "a:b", "x" * 150, "a b"):
        write_folder(tmp_path / name, SLACK)
    exports, _ = discover(tmp_path)
    keys = [export.key for export in exports]
    assert len(set(keys)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,100}", key) for key in keys)


def test_an_export_survives_the_way_through_json(tmp_path: Path) -> None:
    export = discover(write_folder(tmp_path, SLACK))[0][0]
    assert msgspec.json.decode(msgspec.json.encode(export), type=Export) == export


def test_the_same_source_is_found_in_the_same_order(tmp_path: Path) -> None:
    write_folder(tmp_path, {f"{folder}/{name}": content for folder in "zyxabc" for name, content in SLACK.items()})
    assert [export.root for export in discover(tmp_path)[0]] == [f"{folder}/" for folder in "abcxyz"]


def test_an_export_that_is_gone_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    export = discover(write_folder(tmp_path / "e", SLACK))[0][0]
    shutil.rmtree(tmp_path / "e" / "general")
    (tmp_path / "e" / "channels.json").unlink()
    with pytest.raises(ExportError, match="found before is gone"):
        open_export(export)


def test_a_template_that_names_no_channel_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    export = discover(write_folder(tmp_path, SLACK))[0][0]
    with pytest.raises(ConfigurationError):
        next(parse(export, ParseOptions(id_template="{source}")))


@pytest.mark.parametrize(
    ("include", "exclude", "selected"),
    [
        ((), (), True),
        (("general",), (), True),
        (("#general",), (), True),
        (("slack_gen*",), (), True),
        (("random",), (), False),
        (("general",), ("slack_*",), False),
        ((), ("General",), True),
    ],
)
def test_conversations_are_selected_by_id_or_name(
    include: tuple[str, ...], exclude: tuple[str, ...], selected: bool
) -> None:
    assert ParseOptions(include=include, exclude=exclude).selects("slack_general", "general") is selected


def test_the_head_of_a_file_has_the_places_of_keys() -> None:
    head = head_of(b'{"a": [{"b": {"c": 1}}, 2], "d": {"a": "cut o')
    assert head == Head(
        "{", {"": frozenset("ad"), "a.item": frozenset("b"), "a.item.b": frozenset("c"), "d": frozenset("a")}
    )


@pytest.mark.parametrize("data", [b"", b"   ", b"\x89PNG", b"ID,Timestamp", b'"text"', b"12"])
def test_the_head_of_a_file_that_is_no_json_is_empty(data: bytes) -> None:
    assert head_of(data) == Head("", {})


def test_a_look_at_a_mountain_of_brackets_ends_at_once() -> None:
    assert head_of(b"[" * 65_536).start == "["
    assert head_of(b'{"a":' * 13_000).start == "{"


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("acme.z01", "join the parts"), ("acme.zip.001", "join the parts"), ("slackdump.sqlite", "slackdump convert")],
)
def test_a_form_that_is_not_read_is_named_with_the_way_out(tmp_path: Path, name: str, way_out: str) -> None:
    found, rejected = discover(write_folder(tmp_path, {name: b"x" * 300}))
    assert found == []
    assert [way_out in one.reason for one in rejected] == [True]
