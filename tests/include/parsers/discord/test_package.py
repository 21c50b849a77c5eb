import csv
import io
import json
from pathlib import Path

import pytest

from tests.support.builders import write_folder, write_zip
from tests.support.read_exports import read

FIXTURES = Path(__file__).parents[3] / "fixtures" / "discord" / "package"
GENERATIONS = sorted(path.name for path in FIXTURES.iterdir())
GUILD = {"id": "444", "type": "GUILD_TEXT", "name": "general", "guild": {"id": "1", "name": "Srv"}}


def row(number=0, contents="hello", **fields):
    """Return a message as packages since 2024 hold it."""
    entry = {"ID": 1_456_000_000_000_000_000 + number, "Timestamp": "2025-12-31 19:04:11", "Contents": contents}
    return {**entry, "Attachments": "", **fields}


def package(*rows, channel=None, **files):
    """Return the files of a package with one channel; further ones by path, with ``__`` for ``/`` and no ``.json``."""
    return {
        "Account/user.json": {"id": 11, "username": "ann", "global_name": "Ann", "email": "ann@example.com"},
        "Messages/index.json": {"444": "general in Srv"},
        "Messages/c444/channel.json": GUILD if channel is None else channel,
        "Messages/c444/messages.json": list(rows),
        **{f"{name.replace('__', '/')}.json": value for name, value in files.items()},
    }


def raw_entries(path):
    """Count the messages of a package without the parser."""
    counted = sum(len(json.loads(file.read_bytes())) for file in path.glob("*/*/messages.json"))
    for file in path.glob("*/*/messages.csv"):
        counted += len(list(csv.DictReader(io.StringIO(file.read_text("utf-8"), newline=""))))
    return counted


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_is_found_by_its_structure_and_read_whole(generation):
    path = FIXTURES / generation
    result = read(path, include_private=True)
    assert (result.formats, result.unknown) == (["discord_package"], [])
    assert result.outcomes().total() == result.entries.total() == raw_entries(path) > 0
    assert len(result.messages) == raw_entries(path)


def test_it_is_the_personal_history_of_its_owner(tmp_path):
    result = read(write_folder(tmp_path, package(row())))
    conversation = result.conversations["discord_444-11"]
    assert (conversation.kind, conversation.user_id, conversation.session_id) == ("personal", "11", "discord_444-11")
    assert (conversation.name, conversation.workspace) == ("general", "Srv")
    assert "nobody else" in conversation.description
    assert [(m.sender_id, m.sender_name, m.role) for m in result.messages] == [("11", "Ann", "user")]


def test_mentions_of_the_owner_and_of_channels_are_named(tmp_path):
    assert read(write_folder(tmp_path, package(row(0, "<@11> in <#444>, not <@12>")))).texts == [
        "@Ann in #general, not @user-12"
    ]


def test_that_nobody_else_speaks_in_it_is_noted(tmp_path):
    files = package(row()) | {"messages/c555/channel.json": {"id": "555", "type": "DM"}}
    assert read(write_folder(tmp_path, files)).notes == {("only_own", ""): 1, ("no_entries", ""): 1}


def test_ids_beyond_a_double_are_exact_and_times_come_from_them(tmp_path):
    (record,) = read(write_folder(tmp_path, package(row(1)))).messages
    assert (record.message_id, record.sent_at_us) == ("1456000000000000001", 1_767_207_851_171_000)


def test_rows_with_line_breaks_quotes_and_files_are_read():
    result = read(FIXTURES / "2021", include_private=True)
    assert result.texts == ['two\nlines, and "quotes"', "[file: a.png]\n[file: b.png]"]


@pytest.mark.parametrize("kind", [1, 3, 12, "DM", "GROUP_DM", "PRIVATE_THREAD"])
def test_direct_messages_and_private_threads_are_left_out_unless_asked_for(kind, tmp_path):
    files = package(row(), None, channel={"id": "444", "type": kind, "recipients": ["11", "12"]})
    result = read(write_folder(tmp_path, files))
    assert (result.texts, result.reasons) == ([], {"private": 2})
    assert read(tmp_path, include_private=True).texts == ["hello"]


@pytest.mark.parametrize("channel", [{}, b"{", {"type": {}}, []])
def test_a_channel_of_which_nothing_is_known_counts_as_private(channel, tmp_path):
    result = read(write_folder(tmp_path, package(row(), channel=channel)))
    assert result.reasons == {"private": 1}
    assert result.outcomes() == result.entries
    assert [r.origin for r in result.rejected] == ([] if channel == {} else ["Messages/c444/channel.json"])


def test_a_thread_on_a_server_the_owner_left_is_read(tmp_path):
    files = package(row(), channel={"id": "444", "type": "PUBLIC_THREAD"})
    assert read(write_folder(tmp_path, files)).texts == ["hello"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "expected an object"),
        (row(ID=None), "expected an ID"),
        (row(ID="x", Timestamp="y"), "expected a time as Timestamp"),
    ],
)
def test_one_bad_entry_does_not_cost_its_neighbours(broken, reason, tmp_path):
    result = read(write_folder(tmp_path, package(row(1, "a"), broken, row(2, "b"))))
    assert result.texts == ["a", "b"]
    assert result.rejected[0].reason.startswith(reason)
    assert result.rejected[0].origin == "Messages/c444/messages.json[1]"


def test_one_bad_row_does_not_cost_its_neighbours(tmp_path):
    header, good = "ID,Timestamp,Contents,Attachments", "145600000000000000%d,2025-12-31 19:04:11+00:00,%s,"
    rows = [header, good % (1, "a"), "1,2", '3,"x"y,z,', good % (2, "b"), '4,2025-12-31,"never closed,']
    files = package() | {"Messages/c555/channel.json": GUILD, "Messages/c555/messages.csv": "\r\n".join(rows).encode()}
    result = read(write_folder(tmp_path, files))
    assert result.texts == ["a", "b"]
    assert [r.reason for r in result.rejected] == [
        "expected 4 columns, found 2",
        "the row is not CSV",
        "the row is not CSV",
    ]
    assert result.entries["discord_555-11"] == 5


def test_a_cut_file_is_read_as_far_as_it_goes(tmp_path):
    cut = json.dumps([row(1, "a"), row(2, "b")]).encode()[:-30]
    result = read(write_folder(tmp_path, package() | {"Messages/c444/messages.json": cut}))
    assert (result.texts, len(result.rejected)) == (["a"], 1)
    assert result.outcomes() == result.entries


def test_a_message_without_words_or_files_is_skipped(tmp_path):
    assert read(write_folder(tmp_path, package(row(contents="")))).reasons == {"empty": 1}


def test_the_owner_of_a_package_without_account_stands_in_every_direct_message(tmp_path):
    files = package(
        row(),
        Messages__c1__channel={"id": "1", "type": "DM", "recipients": ["11", "12"]},
        Messages__c2__channel={"id": "2", "type": 1, "recipients": ["13", "11"]},
        Messages__c3__channel={"id": "3", "type": "GROUP_DM", "recipients": ["12", "13"]},
    )
    del files["Account/user.json"]
    (record,) = read(write_folder(tmp_path, files)).messages
    assert record.sender_id == "11"


@pytest.mark.parametrize("accounts", [{}, {"Konto__user": {"id": "12"}, "Account__user": {"id": "11"}}])
def test_a_package_of_nobody_or_of_two_people_is_one_rejected_entry_with_the_remedy(accounts, tmp_path):
    files = package(row(), **accounts)
    if not accounts:
        del files["Account/user.json"]
    whole = {f"whole/{name}": value for name, value in package(row(1, "read")).items()}
    result = read(write_folder(tmp_path, {f"broken/{name}": value for name, value in files.items()} | whole))
    assert result.texts == ["read"]
    (rejected,) = result.rejected
    assert rejected.origin == "broken/"
    assert "could be the owner" in rejected.reason
    assert "user.json" in rejected.reason


@pytest.mark.parametrize("template", ["{source}_{channel}", "{source}_{channel_id}"])
def test_packages_of_two_owners_of_one_channel_are_two_personal_histories(template, tmp_path):
    bo = package(row(2, "of bo"), Account__user={"id": "12", "username": "bo"})
    both = {f"ann/{name}": value for name, value in package(row(1, "of ann")).items()}
    both |= {f"bo/{name}": value for name, value in bo.items()}
    result = read(write_folder(tmp_path, both), id_template=template)
    assert [(m.conversation_id, m.sender_id, m.text) for m in result.messages] == [
        ("discord_444-11", "11", "of ann"),
        ("discord_444-12", "12", "of bo"),
    ]
    assert [(c.user_id, c.session_id) for c in result.conversations.values()] == [
        ("11", "discord_444-11"),
        ("12", "discord_444-12"),
    ]


def direct(number, *people):
    return {"id": str(number), "type": "DM", "recipients": list(people)}


def test_people_are_named_after_labels_in_any_language_and_the_friends_of_the_owner(tmp_path):
    friend = {"id": "15", "type": 1, "nickname": None, "user": {"id": "15", "username": "fay", "global_name": "Fay"}}
    files = package(
        row(0, "<@12> <@13> <@14> <@15> <@16> <@11>"),
        Messages__index={"1": "Direktnachricht mit bo#0", "2": "Direktnachricht mit big joe#1234", "3": None},
        Messages__c1__channel=direct(1, "11", "12"),
        Messages__c2__channel=direct(2, "13", "11"),
        Messages__c3__channel=direct(3, "14", "11"),
        Account__user={"id": "11", "username": "ann", "relationships": [friend, 7, {"id": "16", "username": "gus"}]},
    )
    assert read(write_folder(tmp_path, files)).texts == ["@bo @big joe @user-14 @Fay @gus @ann"]


def test_a_single_label_names_a_person_with_its_last_word(tmp_path):
    index = {"1": "Direct Message with bo#0"}
    files = package(row(0, "<@12>"), Messages__c1__channel=direct(1, "11", "12"), Messages__index=index)
    assert read(write_folder(tmp_path, files)).texts == ["@bo"]


@pytest.mark.parametrize("listed", [False, True])
def test_names_of_files_are_decoded_and_a_voice_message_is_told_as_one(listed, tmp_path):
    urls = ["https://cdn.example/1/2/a%20b.png?ex=1&is=2", "https://cdn.example/1/3/voice-message.ogg"]
    files = package(row(contents="", Attachments=urls if listed else " ".join(urls)))
    assert read(write_folder(tmp_path, files)).texts == ["[file: a b.png]\n[voice message]"]


@pytest.mark.parametrize(
    ("timestamp", "us"),
    [
        ("2025-12-31 19:04:11", 1_767_207_851_171_000),
        ("2025-12-31 19:04:12", 1_767_207_852_000_000),
        ("", 1_767_207_851_171_000),
    ],
)
def test_the_id_adds_milliseconds_to_the_second_of_the_timestamp(timestamp, us, tmp_path):
    (record,) = read(write_folder(tmp_path, package(row(Timestamp=timestamp)))).messages
    assert record.sent_at_us == us


def test_nothing_but_id_and_names_of_the_owner_is_read(tmp_path):
    result = read(write_folder(tmp_path, package(row())))
    assert "ann@example.com" not in repr((result.messages, result.conversations))


def test_its_other_files_are_known_and_other_exports_beside_it_are_not_taken_for_its_own(tmp_path):
    others = {
        "Servers/index.json": {"1": "Srv"},
        "Servers/1/guild.json": {"id": "1", "name": "Srv"},
        "Activity/analytics/events-2026-00000-of-00001.json": b'{"event_type": "x"}\n{"event_type": "y"}',
        "api/dump.json": [{"id": "1", "timestamp": "", "author": {"id": "1", "username": "a"}}],
        "dce/export.json": {"guild": {"id": "1"}, "channel": {"id": "9", "name": "g"}, "messages": []},
    }
    result = read(write_folder(tmp_path, package(row()) | others))
    assert (result.formats, result.unknown) == (["discord_package", "discord_api", "discord"], [])


PLAIN_FOLDERS = {
    "Support_Tickets/tickets.json": {"tickets": []},
    "Activities/user_data/apps/6/storage.json": {"k": 1},
    "Servers/8/guild.json": {"id": "8", "name": "Srv"},
    "Servers/8/audit-log.json": [],
    "Programme/quests.json": [],
    "Anzeigen/traits.json": [{"trait": "x"}],
    "Account/applications/5/application.json": {"id": "5", "name": "TideBot"},
    "Activities/index.json": [],
}


def test_folders_of_the_account_are_passed_over_whatever_they_are_called(tmp_path):
    result = read(write_folder(tmp_path, package(row()) | PLAIN_FOLDERS))
    assert (result.formats, result.unknown) == (["discord_package"], [])
    assert result.texts == ["hello"]


def test_folders_beside_messages_alone_are_not_taken_for_a_package_s_own(tmp_path):
    files = {name: value for name, value in package(row()).items() if name.startswith("Messages")}
    files["Messages/c1/channel.json"] = direct(1, "11", "11")
    result = read(write_folder(tmp_path, files | {"Anzeigen/traits.json": [{"trait": "x"}]}))
    assert [record.origin for record in result.unknown] == [f"{tmp_path.name}/Anzeigen/traits.json"]
    assert result.texts == ["hello"]


def test_a_zip_with_a_wrapper_folder_is_read_like_a_folder(tmp_path):
    files = {f"package/{name}": value for name, value in package(row()).items()}
    assert read(write_zip(tmp_path / "package.zip", files)).texts == ["hello"]
