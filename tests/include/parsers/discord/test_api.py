import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.archive import open_archive
from include.parsers import Export, ParseOptions
from include.parsers.discord import api
from include.records import Entries, Message, Rejected, Skipped, one_by_one
from tests.support.builders import write_folder
from tests.support.read_exports import read

FIXTURE = Path(__file__).parents[3] / "fixtures" / "discord" / "rest_dump.json"
FIRST = 1_456_000_000_000_000_000


def message(number=0, content="hello", **fields):
    """Return a message as the API returns it."""
    author = {"id": "11", "username": "ann", "global_name": "Ann", "discriminator": "0"}
    entry = {"id": str(FIRST + number), "type": 0, "content": content, "channel_id": "2", "author": author}
    return {**entry, "timestamp": "2025-12-31T19:04:11.171000+00:00", **fields}


def lines(*values):
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values).encode()


def test_every_entry_of_the_fixture_is_a_message_skipped_or_rejected():
    result = read(FIXTURE)
    assert result.formats == ["discord_api"]
    assert result.outcomes() == result.entries == {"discord_2": len(json.loads(FIXTURE.read_bytes()))}
    assert (result.texts, result.reasons) == (["hey @bob", "deploy done"], {"GuildMemberJoin": 1})
    assert [(m.sender_name, m.role) for m in result.messages] == [("Ann", "user"), ("CI", "assistant")]


def test_an_array_and_lines_hold_the_same_messages(tmp_path):
    messages = [message(n, f"no {n}") for n in range(3)]
    array = read(write_folder(tmp_path / "a", {"dump.json": messages}))
    written = read(write_folder(tmp_path / "b", {"dump.jsonl": lines(*messages)}))
    assert array.messages[0].text == "no 0"
    assert [m.message_id for m in array.messages] == [m.message_id for m in written.messages]


def test_one_bad_line_does_not_cost_its_neighbours(tmp_path):
    data = lines("\ufeff" + json.dumps(message(1, "a")), '{"id": ', "", "[1]", message(2, "b"))
    result = read(write_folder(tmp_path, {"dump.jsonl": data}))
    assert result.texts == ["a", "b"]
    assert [(r.origin, r.reason) for r in result.rejected] == [
        ("dump.jsonl[1]", "the line ends in the middle; what comes before it was read"),
        ("dump.jsonl[2]", "expected an object, found a number"),
    ]
    assert result.outcomes() == result.entries == {"discord_2": 4}


def test_messages_of_several_channels_in_one_file_are_several_conversations(tmp_path):
    mixed = [message(n, channel_id=channel) for n, channel in enumerate(["2", "3", "2", 4])]
    result = read(write_folder(tmp_path, {"dump.json": mixed}))
    assert result.entries == {"discord_2": 2, "discord_3": 1, "discord_4": 1}
    assert [m.origin for m in result.messages] == [f"dump.json[{n}]" for n in range(4)]


def test_messages_that_name_no_channel_belong_to_their_file(tmp_path):
    trimmed = message()
    del trimmed["channel_id"]
    assert list(read(write_folder(tmp_path, {"general.json": [trimmed]})).conversations) == ["discord_general"]


def test_a_reply_names_the_message_it_answers(tmp_path):
    answer = message(0, type=19, message_reference={"message_id": "7", "channel_id": "2"})
    forward = message(1, message_reference={"type": 1, "message_id": "7", "channel_id": "2"})
    result = read(write_folder(tmp_path, {"dump.json": [answer, forward]}))
    assert [m.thread_id for m in result.messages] == ["7", None]


def test_what_a_dump_does_not_say_and_what_is_empty_in_it_is_noted(tmp_path):
    result = read(write_folder(tmp_path, {"dump.json": [message(0, ""), message(1, channel_id="3"), message(2, "")]}))
    assert result.notes == {("maybe_private", ""): 2, ("mostly_empty", ""): 2}


def test_a_cut_dump_is_read_as_far_as_it_goes(tmp_path):
    data = json.dumps([message(1, "a"), message(2, "b")]).encode()[:-40]
    result = read(write_folder(tmp_path, {"dump.json": data}))
    assert (result.texts, [r.origin for r in result.rejected]) == (["a"], ["dump.json[1]"])
    assert result.entries == {"discord_2": 2}


def test_the_name_people_see_is_the_nickname_then_the_display_name_then_the_account(tmp_path):
    author = {"id": "11", "username": "ann", "global_name": "Ann"}
    messages = [
        message(1, member={"nick": "Captain"}),
        message(2, author=author),
        message(3, author=author | {"global_name": None}),
    ]
    result = read(write_folder(tmp_path, {"dump.json": messages}))
    assert [m.sender_name for m in result.messages] == ["Captain", "Ann", "ann"]


def test_a_webhook_speaks_as_an_assistant_and_is_a_sender_per_name(tmp_path):
    names = [message(n, webhook_id="99", author={"id": "99", "username": name}) for n, name in enumerate("ab")]
    answer = message(3, webhook_id="98", interaction_metadata={"id": "1"}, author={"id": "98", "username": "bot"})
    own = message(4, webhook_id="98", application_id="98", author={"id": "98", "username": "bot"})
    result = read(write_folder(tmp_path, {"dump.json": [*names, answer, own]}))
    assert [(m.sender_id, m.role) for m in result.messages] == [
        ("99+3Aa", "assistant"),
        ("99+3Ab", "assistant"),
        ("98", "assistant"),
        ("98", "assistant"),
    ]
    assert result.notes["webhook", ""] == 2


ONE, TWO = message(1, "one"), message(2, "two")
WRAPPED = {
    "in an object of the channel": {"channel_id": "2", "messages": [ONE, TWO]},
    "hits of a search": {"total_results": 2, "messages": [[ONE | {"hit": True}], [TWO]]},
    "an answer that says ok": {"ok": True, "messages": [ONE, TWO], "has_more": False},
    "data": {"data": {"messages": [ONE, TWO]}},
    "data as a list": {"data": [ONE, TWO]},
    "pages": [[ONE], [], [TWO]],
    "pages in objects": [{"channel_id": "2", "messages": [ONE]}, {"channel_id": "2", "messages": [TWO]}],
    "pages per line": lines([ONE], [TWO]),
    "objects per line": lines({"channel_id": "2", "messages": [ONE]}, {"channel_id": "2", "messages": [TWO]}),
}


@pytest.mark.parametrize("value", WRAPPED.values(), ids=WRAPPED)
def test_messages_are_found_in_the_lists_and_objects_around_them(value, tmp_path):
    result = read(write_folder(tmp_path, {"dump.json": value}))
    assert (result.formats, result.texts, result.unknown) == (["discord_api"], ["one", "two"], [])
    assert result.entries == {"discord_2": 2}


def test_one_message_may_be_a_file_of_its_own(tmp_path):
    files = {"1.json": ONE, "2.json": json.dumps(TWO, indent=1).encode() + b"\n", "3.json": json.dumps(ONE).encode()}
    assert read(write_folder(tmp_path, files)).texts == ["one", "two", "one"]


@pytest.mark.parametrize("bad", [None, 7, "x", {}, [None], {"id": "5"}])
def test_one_bad_element_of_a_wrapped_list_does_not_cost_its_neighbours(bad, tmp_path):
    result = read(write_folder(tmp_path, {"dump.json": {"channel_id": "2", "messages": [ONE, bad, TWO]}}))
    assert (result.texts, len(result.rejected)) == (["one", "two"], 1)


def without_channel(**fields):
    return {key: value for key, value in message(**fields).items() if key != "channel_id"}


def test_the_object_around_messages_names_their_channel(tmp_path):
    files = {
        "a.json": {"channel": {"id": "7", "name": "help", "type": 0}, "messages": [without_channel()]},
        "b.json": {"messages": [without_channel()], "channel_id": 8},
        "c.json": {"channel": "9", "messages": [without_channel()]},
    }
    result = read(write_folder(tmp_path, files))
    assert [(c.channel_id, c.name) for c in result.conversations.values()] == [("7", "help"), ("8", "8"), ("9", "9")]
    assert result.notes == {("maybe_private", ""): 2}


@pytest.mark.parametrize("kind", [1, 3, 12, "DM", "PRIVATE_THREAD"])
def test_private_kinds_of_channels_are_left_out_unless_asked_for(kind, tmp_path):
    files = {
        "a.json": {"channel": {"id": "2", "type": kind}, "messages": [message()]},
        "b.json": {"messages": [message(channel_id="3")], "channel": {"id": "3", "type": kind}},
        "c.json": [message(channel_id="4", channel_type=kind)],
        "d.json": [message(channel_id="5", channel={"id": "5", "type": kind})],
    }
    result = read(write_folder(tmp_path, files))
    assert (result.texts, result.reasons, result.notes) == ([], {"private": 4}, {("maybe_private", ""): 0})
    assert len(read(tmp_path, include_private=True).texts) == 4


def test_a_channel_is_private_in_all_files_if_one_of_them_says_so(tmp_path):
    wrapped = {"channel": {"id": "2", "type": 1}, "messages": [message(2)]}
    result = read(write_folder(tmp_path, {"a.json": [message(1)], "b.json": wrapped}))
    assert (result.texts, result.reasons) == ([], {"private": 2})


def test_a_nested_list_that_is_cut_is_read_as_far_as_it_goes(tmp_path):
    data = json.dumps({"channel_id": "2", "messages": [ONE, TWO]}).encode()[:-60]
    result = read(write_folder(tmp_path, {"dump.json": data}))
    assert (result.texts, len(result.rejected)) == (["one"], 1)
    assert result.outcomes() == result.entries


def reply(number, answered, **fields):
    reference = {"message_id": answered["id"], "channel_id": "2"}
    return message(number, "yes", type=19, message_reference=reference, referenced_message=answered, **fields)


def test_a_reply_quotes_the_message_that_the_api_includes_unless_that_is_close(tmp_path):
    root = message(0, "Shall we?")
    near = [reply(5, root), message(4), message(3), root]
    assert read(write_folder(tmp_path / "near", {"dump.json": near})).texts[0] == "yes"
    assert read(write_folder(tmp_path / "near2", {"dump.json": near[::-1]})).texts[-1] == "yes"
    quoted = '[in reply to Ann: "Shall we?"]\nyes'
    filler = [message(n, str(n)) for n in range(40, 20, -1)]
    assert read(write_folder(tmp_path / "far", {"dump.json": [reply(50, root), *filler, root]})).texts[0] == quoted
    assert read(write_folder(tmp_path / "none", {"dump.json": [reply(5, root)]})).texts == [quoted]


@pytest.mark.parametrize("changes", [{"type": 7}, {"content": ""}, {"author": None}])
def test_a_reply_to_a_notice_or_to_nothing_quotes_nothing(changes, tmp_path):
    assert read(write_folder(tmp_path, {"dump.json": [reply(5, message() | changes)]})).texts == ["yes"]


def test_a_mention_in_a_forward_is_named_from_the_forward(tmp_path):
    inner = {"content": "ask <@12>", "mentions": [{"id": "12", "username": "bo", "global_name": "Bo"}]}
    forward = message(0, "", message_reference={"type": 1}, message_snapshots=[{"message": inner}])
    assert read(write_folder(tmp_path, {"dump.json": [forward]})).texts == ["[forwarded] ask @Bo"]


def test_an_answer_of_a_bot_that_is_left_out_is_not_quoted(tmp_path):
    answered = message(author={"id": "9", "username": "bot", "bot": True})
    result = read(write_folder(tmp_path, {"dump.json": [reply(5, answered)]}), bots="skip")
    assert result.texts == ["yes"]


@pytest.mark.parametrize("member", ["interaction", "interaction_metadata"])
def test_the_answer_to_a_command_names_the_person_and_the_command(member, tmp_path):
    asked = {"id": "1", "type": 2, "name": "status", "user": {"id": "11", "username": "ann", "global_name": "Ann"}}
    bot = {"id": "9", "username": "statusbot", "bot": True}
    (record,) = read(
        write_folder(tmp_path, {"dump.json": [message(0, "all well", type=20, author=bot, **{member: asked})]})
    ).messages
    assert record.text == '[in reply to Ann: "/status"]\nall well'


def test_the_message_a_thread_grew_from_is_told_where_the_api_includes_it(tmp_path):
    shell = message(5, "", type=21, referenced_message=message(1, "root"))
    (record,) = read(write_folder(tmp_path, {"dump.json": [shell]})).messages
    assert (record.text, record.message_id) == ("root", str(FIRST + 1))


def test_dumps_are_chosen_by_channel(tmp_path):
    result = read(write_folder(tmp_path, {"dump.json": [message()]}), exclude=("2",))
    assert (result.texts, result.reasons) == ([], {"excluded": 1})


def test_half_a_surrogate_pair_does_not_cost_the_message(tmp_path):
    data = lines(message(1, "\ud83d x"))
    (record,) = read(write_folder(tmp_path, {"dump.jsonl": data})).messages
    assert record.text.encode().endswith(b" x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NEAR = st.builds(lambda changes: {**message(), **changes}, st.dictionaries(st.sampled_from([*message()]), JSON))


@pytest.mark.parametrize("form", ["array", "lines"])
@given(values=st.lists(JSON | NEAR, max_size=5))
def test_parsing_any_array_never_raises_and_accounts_for_every_entry(form, values, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "dump.json"
    first = {"probe": 1}  # decides how the file is read
    path.write_bytes(
        json.dumps([first, *values]).encode() if form == "array" else lines(first, *map(json.dumps, values))
    )
    with open_archive(path) as archive:
        found = list(one_by_one(api.parse(archive, Export(key="k", format="", path="", label=""), ParseOptions())))
    outcomes = [record for record in found if isinstance(record, Message | Skipped | Rejected)]
    counted = sum(record.count for record in found if isinstance(record, Entries))
    assert len(outcomes) == counted > len([value for value in values if not isinstance(value, list)])
