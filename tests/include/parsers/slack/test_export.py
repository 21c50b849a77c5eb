"""Rules of reading Slack exports: every container, what is private, and nothing lost on the way."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.archive import Limits
from include.parsers import ParseOptions, discover, parse
from include.parsers.slack.entries import decode_entries
from include.parsers.slack.export import outcomes
from include.parsers.slack.index import index_of_users
from include.parsers.slack.messages import Classifier
from include.records import Conversation, Entries, Message, Note, Parsed, Rejected, Skipped, one_by_one
from tests.support.builders import (
    rich_text,
    slack_channel,
    slack_export,
    slack_message,
    slack_user,
    to_json,
    write_folder,
    write_zip,
)
from tests.support.slack_generator import Expected, generate

FIXTURES = Path(__file__).parents[3] / "fixtures" / "slack"
EVERYTHING = ParseOptions(include_private=True)


def parsed(path: Path, options: ParseOptions | None = None) -> list[Parsed]:
    return [record for export in discover(path)[0] for record in parse(export, options or ParseOptions())]


def messages(records: Iterable[Parsed]) -> list[Message]:
    return [record for record in records if isinstance(record, Message)]


def rejected(records: Iterable[Parsed]) -> list[Rejected]:
    return [record for record in records if isinstance(record, Rejected)]


def skipped(records: Iterable[Parsed]) -> Counter[str]:
    return Counter(record.reason for record in records if isinstance(record, Skipped))


def conversations(records: Iterable[Parsed]) -> dict[str, Conversation]:
    return {record.conversation_id: record for record in records if isinstance(record, Conversation)}


def test_an_export_with_every_oddity_comes_out_as_expected() -> None:
    records = parsed(FIXTURES / "slack_awkward.zip", EVERYTHING)
    per_conversation = Counter(message.conversation_id for message in messages(records))
    assert per_conversation == {
        "slack_general": 22,
        "slack_チャネル": 1,
        "slack_unlisted-dir": 1,
        "slack_D1": 1,
        "slack_FC:F1:notes": 1,
        "slack_mpdm-ann--bob--old-1": 1,
        "slack_private-ops": 1,
    }
    assert skipped(records) == {"channel_join": 1, "deleted": 1, "event": 1}
    assert {record.origin: record.reason for record in rejected(records)} == {
        "general/2026-01-01.json[16]": "ts is no Unix time between 2001 and 9999",
        "general/2026-01-01.json[17]": "ts is missing",
        "general/2026-01-01.json[18]": "expected an object, found null",
        "general/2026-01-01.json[19]": "expected an object, found a string",
        "general/2026-01-03.json[0]": "the file ends in the middle; what comes before it was read",
    }


@pytest.mark.parametrize("seed", range(3))
def test_what_a_generated_export_holds_comes_out_complete_and_in_order(tmp_path: Path, seed: int) -> None:
    """The truth was written down while the export was made; merging and sorting are done here by hand."""
    path = tmp_path / ("export.zip" if seed else "export")
    truth = generate(path, messages=3_000, channels=4, days=6, seed=seed)
    records = parsed(path)
    newest: dict[str, dict[str, Message]] = defaultdict(dict)
    for message in messages(records):
        known = newest[message.conversation_id].get(message.message_id)
        if not known or (message.edited_at_us or 0) >= (known.edited_at_us or 0):
            newest[message.conversation_id][message.message_id] = message
    delivered = {
        conversation_id: [as_expected(found[key]) for key in sorted(found, key=lambda key: found[key].sent_at_us)]
        for conversation_id, found in newest.items()
    }
    assert delivered == {key: value for key, value in truth.delivered.items() if value}
    assert len(messages(records)) == truth.messages
    assert skipped(records) == truth.skipped
    assert len(rejected(records)) == truth.rejected
    entries: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Entries):
            entries[record.conversation_id] += record.count
    assert entries == truth.entries


def as_expected(message: Message) -> Expected:
    return Expected(
        message.message_id,
        message.sender_id,
        message.sender_name,
        message.role,
        message.text,
        message.thread_id,
    )


def test_a_conversation_comes_before_anything_of_it() -> None:
    seen = {""}
    for record in parsed(FIXTURES / "slack_awkward.zip"):
        if isinstance(record, Conversation):
            seen.add(record.conversation_id)
        assert isinstance(record, Note) or record.conversation_id in seen


def test_only_files_named_by_a_day_hold_messages(tmp_path: Path) -> None:
    files = slack_export(slack_message())
    for name in (
        "canvas_in_the_conversation.json",
        "attachments/F1-x.json",
        "attachments/2026-01-01.json",
        "2026.json",
    ):
        files[f"general/{name}"] = [slack_message(text="not a message of the channel")]
    assert [message.text for message in messages(parsed(write_zip(tmp_path / "e.zip", files)))] == ["hello"]


def test_private_conversations_are_counted_and_their_text_stays_in_the_file(tmp_path: Path) -> None:
    files = slack_export(
        slack_message(),
        groups=[slack_channel("G1", "plans")],
        mpims=[slack_channel("G2", "mpdm-ann--bob-1")],
        dms=[{"id": "D1", "members": ["U1", "U2"]}],
        file_conversations=[slack_channel("C9", "FC:F1:notes")],
    )
    for folder in ("plans", "mpdm-ann--bob-1", "D1", "FC:F1:notes"):
        files[f"{folder}/2026-01-01.json"] = [slack_message(text="a secret"), None]
    path = write_zip(tmp_path / "e.zip", files)
    records = parsed(path)
    assert skipped(records) == {"private": 4}
    assert len(rejected(records)) == 4
    assert "secret" not in repr(records)
    assert {message.text for message in messages(parsed(path, EVERYTHING))} == {"hello", "a secret"}
    assert {key for key, found in conversations(records).items() if found.private} == {
        "slack_plans",
        "slack_mpdm-ann--bob-1",
        "slack_D1",
        "slack_FC:F1:notes",
    }


def test_a_channel_that_says_it_is_private_is(tmp_path: Path) -> None:
    files = slack_export(slack_message(), channels=[slack_channel("C1", "general", is_private=True)])
    assert skipped(parsed(write_folder(tmp_path, files))) == {"private": 1}


def test_without_any_index_direct_messages_are_told_by_their_folders(tmp_path: Path) -> None:
    folders = {"general": False, "D024BE7LH": True, "mpdm-ann--bob-1": True, "dev": False}
    files = {f"{folder}/2026-01-01.json": [slack_message()] for folder in folders}
    found = conversations(parsed(write_folder(tmp_path, files)))
    assert {conversation.name: conversation.private for conversation in found.values()} == folders


@pytest.mark.parametrize("content", [b"[{", b"{}", b"\x00"])
def test_if_the_list_of_private_channels_is_unreadable_a_folder_in_no_list_is_private(
    tmp_path: Path, content: bytes
) -> None:
    """Otherwise a damaged ``groups.json`` would publish every private channel."""
    files = slack_export(slack_message(text="public"), groups=content)
    files["plans/2026-01-01.json"] = [slack_message(text="a secret")]
    records = parsed(write_folder(tmp_path, files))
    assert [message.text for message in messages(records)] == ["public"]
    assert [record.origin for record in rejected(records)] == ["groups.json"]


def test_the_same_holds_for_a_workspace_of_a_grid(tmp_path: Path) -> None:
    nested = slack_export(slack_message(text="public"), groups=b"[{") | {"plans/2026-01-01.json": [slack_message()]}
    files = {f"teams/{team}/{name}": content for team in ("acme", "beta") for name, content in nested.items()}
    records = parsed(
        write_zip(tmp_path / "grid.zip", files | {"channels.json": [{"id": "C1"}], "org_users.json": b"["})
    )
    assert [message.text for message in messages(records)] == ["public", "public"]
    assert sorted(record.origin for record in rejected(records)) == [
        "org_users.json",
        "teams/acme/groups.json",
        "teams/beta/groups.json",
    ]


def test_a_broken_user_list_costs_names_not_messages(tmp_path: Path) -> None:
    records = parsed(write_folder(tmp_path, slack_export(slack_message(), users=b"[{")))
    assert [message.sender_name for message in messages(records)] == ["U1"]
    assert [record.origin for record in rejected(records)] == ["users.json"]


def test_index_entries_of_any_shape_do_no_harm(tmp_path: Path) -> None:
    junk = [None, 7, "x", {}, {"id": None}, {"id": 3}, {"id": "C7", "name": None, "members": [None, 1], "topic": []}]
    files = slack_export(slack_message(), **dict.fromkeys(("users", "dms", "groups", "usergroups"), junk))
    assert len(messages(parsed(write_folder(tmp_path, files)))) == 1


def test_included_and_excluded_conversations_are_told_apart_by_reason(tmp_path: Path) -> None:
    files = slack_export(slack_message()) | {"random/2026-01-01.json": [slack_message(), slack_message()]}
    path = write_folder(tmp_path, files)
    records = parsed(path, ParseOptions(include=("general",)))
    assert (len(messages(records)), skipped(records)) == (1, {"excluded": 2})
    assert not messages(parsed(path, ParseOptions(exclude=("slack_*",))))


def test_a_conversation_says_what_the_index_knows(tmp_path: Path) -> None:
    channel = slack_channel("C1", "general", topic={"value": "Q3 &amp; <@U2>"}, purpose={"value": "all of us"})
    found = conversations(parsed(write_folder(tmp_path, slack_export(slack_message(), channels=[channel]))))
    assert found["slack_general"] == Conversation(
        conversation_id="slack_general",
        source="slack",
        kind="group",
        workspace="T1",
        channel_id="C1",
        name="general",
        description="Q3 & @Bob Ray\nall of us",
        channel="general",
    )


def test_a_direct_message_is_named_by_its_members(tmp_path: Path) -> None:
    dms = [{"id": "D1", "members": ["U1", "U2"]}, {"id": "D2", "members": ["U1", "U1"]}, {"id": "D3", "members": None}]
    files = slack_export(slack_message(), dms=dms)
    files |= {f"{dm['id']}/2026-01-01.json": [slack_message()] for dm in dms}
    found = conversations(parsed(write_folder(tmp_path, files), EVERYTHING))
    names = {key: conversation.name for key, conversation in found.items() if conversation.private}
    assert names == {"slack_D1": "Ann Lee, Bob Ray", "slack_D2": "Ann Lee", "slack_D3": "D3"}


def test_a_folder_whose_name_windows_changed_is_still_its_channel(tmp_path: Path) -> None:
    files = slack_export(slack_message(), file_conversations=[slack_channel("C9", "FC:F1:notes")])
    files["FC_F1_notes/2026-01-01.json"] = [slack_message()]
    found = conversations(parsed(write_folder(tmp_path, files)))
    assert {conversation.channel_id for conversation in found.values()} == {"C1", "C9"}


def test_workspaces_of_a_grid_are_named_and_know_the_people_of_the_organisation(tmp_path: Path) -> None:
    nested = slack_export(slack_message(user="W9"))
    files = {"org_users.json": [slack_user("W9", "Grid Guy")], "channels.json": [slack_channel("C8", "all")]}
    files |= {"all/2026-01-01.json": [slack_message(user="W9")]}
    files |= {f"teams/{team}/{name}": content for team in ("acme", "beta") for name, content in nested.items()}
    records = parsed(write_zip(tmp_path / "grid.zip", files), ParseOptions(id_template="{workspace}-{channel}"))
    assert {key: found.workspace for key, found in conversations(records).items()} == {
        "all": "",
        "acme-general": "acme",
        "beta-general": "beta",
    }
    assert {message.sender_name for message in messages(records)} == {"Grid Guy"}
    assert "teams/acme/general/2026-01-01.json[0]" in {message.origin for message in messages(records)}


def test_a_workspace_is_known_by_the_team_of_most_of_its_people(tmp_path: Path) -> None:
    people = [slack_user(f"U{number}", "Ann", team_id="T7" if number else "TGUEST") for number in range(3)]
    records = parsed(
        write_folder(tmp_path, slack_export(slack_message(), users=people)),
        ParseOptions(id_template="{source}_{workspace}_{channel}"),
    )
    assert [found.workspace for found in conversations(records).values()] == ["T7"]
    assert [message.conversation_id for message in messages(records)] == ["slack_T7_general"]


def test_one_channels_folder_alone_is_named_after_the_folder(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "general", {"2026-01-01.json": [slack_message()]})
    assert list(conversations(parsed(path))) == ["slack_general"]
    path = write_zip(tmp_path / "z.zip", {"random/2026-01-01.json": [slack_message()]})
    assert list(conversations(parsed(path))) == ["slack_random"]


def notes(records: Iterable[Parsed]) -> dict[tuple[str, str], int]:
    return {
        (record.code, record.detail): record.count for record in records if isinstance(record, Note) and record.count
    }


def test_what_is_peculiar_about_an_export_is_noted(tmp_path: Path) -> None:
    files = slack_export(
        slack_message(subtype="ai_recap"),
        slack_message("1767312001.000100", user=...),
        slack_message("1767312002.000100"),
        channels=[slack_channel("C1", "general"), slack_channel("C2", "quiet"), slack_channel("C3", "deserted")],
        groups=[slack_channel("G1", "plans")],
        canvases=[{"id": "F1"}],
        huddle_transcripts=[{"id": "F2"}],
        lists=b"[",
    )
    for folder in ("unlisted", "D024BE7LH", "Plans"):
        files[f"{folder}/2026-01-01.json"] = [slack_message(subtype="ai_recap")]
    assert notes(parsed(write_folder(tmp_path, files))) == {
        ("unknown_kind", "ai_recap"): 1,
        ("unknown_author", ""): 1,
        ("no_entries", ""): 2,
        ("no_messages", ""): 2,
    }


def test_without_any_list_of_conversations_the_report_says_that_they_may_be_private(tmp_path: Path) -> None:
    files = {f"{folder}/2026-01-01.json": [slack_message()] for folder in ("general", "D024BE7LH", "mpdm-ann--bob-1")}
    records = parsed(write_folder(tmp_path, files))
    assert [record.conversation_id for record in messages(records)] == ["slack_general"]
    assert notes(records) == {("maybe_private", ""): 1}


def test_a_channel_of_a_whole_organisation_is_silent_only_if_no_workspace_has_it(tmp_path: Path) -> None:
    shared = [slack_channel("C1", "general"), slack_channel("C9", "quiet")]
    files = {"org_users.json": [], "channels.json": shared, "general/2026-01-01.json": [slack_message()]}
    for number, team in enumerate(("acme", "beta")):
        files[f"teams/{team}/channels.json"] = [slack_channel(f"C{number}0", "dev"), slack_channel("C1", "general")]
        files[f"teams/{team}/dev/2026-01-01.json"] = [slack_message()]
    assert notes(parsed(write_folder(tmp_path, files))) == {("no_entries", ""): 1}


def test_an_export_without_any_day_file_still_says_what_it_lists(tmp_path: Path) -> None:
    files = {"channels.json": [slack_channel("C1", "general")], "groups.json": b"[{"}
    records = parsed(write_folder(tmp_path, files))
    assert notes(records) == {("no_entries", ""): 1}
    assert [record.origin for record in rejected(records)] == ["groups.json"]


def test_a_folder_named_by_the_id_of_a_private_channel_is_private(tmp_path: Path) -> None:
    files = slack_export(slack_message(), groups=[slack_channel("G1", "plans")])
    files["G1/2026-01-01.json"] = [slack_message(text="a secret")]
    records = parsed(write_folder(tmp_path, files))
    assert skipped(records) == {"private": 1}
    assert conversations(records)["slack_plans"].name == "plans"


def test_a_cut_file_gives_what_is_complete_and_says_where_it_was_cut(tmp_path: Path) -> None:
    whole = to_json([slack_message(f"176731200{number}.000100") for number in range(5)])
    files = slack_export(slack_message()) | {"general/2026-01-02.json": whole[: len(whole) - 40]}
    records = parsed(write_folder(tmp_path, files))
    assert len(messages(records)) == 1 + 4
    assert [record.origin for record in rejected(records)] == ["general/2026-01-02.json[4]"]


def test_a_file_over_its_limit_costs_only_itself(tmp_path: Path) -> None:
    large = to_json([slack_message(text="x" * 9_000)])
    files = slack_export(slack_message()) | {"general/2026-01-02.json": large}
    records = parsed(write_folder(tmp_path, files), ParseOptions(limits=Limits(entry_bytes=5_000)))
    assert len(messages(records)) == 1
    assert [record.reason for record in rejected(records)] == [
        f"general/2026-01-02.json: {len(large)} bytes or more, limit entry_bytes is 5000 (EVEROS_IMPORT_LIMITS)"
    ]


def test_a_day_file_too_large_for_memory_is_read_entry_by_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [slack_message(f"1767312{number:03d}.000100", blocks=rich_text("hello")) for number in range(200)]
    path = write_folder(tmp_path, slack_export(*entries, None, {"ts": 1767312999}))
    at_once = parsed(path)
    monkeypatch.setattr("include.parsers.slack.entries.WHOLE_FILE_BYTES", 100)
    monkeypatch.setattr("include.parsers.slack.entries._SLICE", 7)
    by_and_by = parsed(path)
    assert messages(by_and_by) == messages(at_once)
    assert rejected(by_and_by) == rejected(at_once)
    assert skipped(by_and_by) == skipped(at_once)


@pytest.mark.parametrize(
    "entry",
    [
        slack_message(hidden="yes"),
        slack_message(edited=7),
        slack_message(thread_ts=1767312000),
        slack_message(bot_id=None, blocks=None, files=None, user_profile=None, attachments=None),
        slack_message(subtype=None, reactions=[None], replies=None, topic=3),
    ],
)
def test_a_field_of_a_wrong_type_does_not_cost_the_message(tmp_path: Path, entry: dict[str, Any]) -> None:
    records = parsed(write_folder(tmp_path, slack_export(slack_message("1767312001.000100"), entry)))
    assert [message.text for message in messages(records)] == ["hello", "hello"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"caf\u00e9 \ud83d end", "café ? end"),
        (b"broken \xff byte", "broken \ufffd byte"),
        (rb"face \ud83d\ude00 ok", "face \U0001f600 ok"),
    ],
)
def test_characters_that_stand_for_nothing_cost_themselves_only(tmp_path: Path, raw: bytes, text: str) -> None:
    day = b'\xef\xbb\xbf[{"user": "U1", "ts": "1767312000.000100", "text": "' + raw + b'"}]'
    files = slack_export() | {"general/2026-01-01.json": day}
    assert [message.text for message in messages(parsed(write_folder(tmp_path, files)))] == [text]


@pytest.mark.parametrize("day", [b"", b"[", b"{}", b"null", b"[" * 100_000, b"\x89PNG", b"[1e999]"])
def test_a_file_that_is_no_list_of_messages_is_one_rejected_entry(tmp_path: Path, day: bytes) -> None:
    files = slack_export(channels=[slack_channel("C1", "general"), slack_channel("C2", "random")])
    files |= {"general/2026-01-01.json": day, "random/2026-01-01.json": [slack_message()]}
    records = parsed(write_folder(tmp_path, files))
    assert len(messages(records)) == 1
    assert [record.origin.partition("[")[0] for record in rejected(records)] == ["general/2026-01-01.json"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "ts user text subtype thread_ts bot_id username hidden edited user_profile bot_profile blocks attachments files "
    "file comment room elements type title fields initial_comment created_by"
)
keys = st.sampled_from(KEYS.split())
subtypes = st.sampled_from(
    ["bot_message", "file_share", "file_comment", "huddle_thread", "me_message", "sh_room_created"]
)
entries = st.dictionaries(keys, json_values | st.just("1767312000.000100") | subtypes, max_size=12)


@given(st.lists(entries | json_values, max_size=6))
def test_any_array_is_parsed_without_an_error_and_accounted_for(items: list[Any]) -> None:
    """Whatever stands in a day file, each entry has one outcome, and a message always has text and an author."""
    found = outcomes_of(json.dumps(items).encode())
    assert len(found) == len(items)
    assert all(record.text.strip() and record.sender_id for record in found if isinstance(record, Message))


cut_messages = st.text(max_size=99).map(
    lambda text: f'[{{"ts": "1767312000.0001", "text": "{text}'.encode("utf-8", "replace")
)


@given(st.binary(max_size=200) | cut_messages)
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    outcomes_of(data)


def outcomes_of(data: bytes) -> list[Parsed]:
    classifier = Classifier(index_of_users([]), ParseOptions())
    records = one_by_one(outcomes([decode_entries(data)], "slack_x", "x", classifier))
    return [record for record in records if not isinstance(record, Entries)]
