import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.archive import open_archive
from include.parsers import Export, ParseOptions
from include.parsers.discord import exporter
from include.parsers.discord.message import SYSTEM_KINDS
from include.records import Entries, Message, Rejected, Skipped, one_by_one
from tests.support.builders import write_folder
from tests.support.read_exports import read

FIXTURES = Path(__file__).parents[3] / "fixtures" / "discord" / "exporter"

FIRST = 1_456_000_000_000_000_000
FIRST_MS = 1_767_207_851_171
"""When FIRST was made, by Discord's documented formula."""

ANN = {"id": "11", "name": "ann", "nickname": "Ann", "isBot": False, "roles": []}
HOOK = {"id": "99", "name": "CI", "nickname": "CI", "isBot": True}


def message(number=0, content="hello", **fields):
    """Return a message as DiscordChatExporter writes it; a field that is ``...`` is left out."""
    entry = {"id": str(FIRST + number), "type": "Default", "timestamp": None, "content": content, "author": ANN}
    return {key: value for key, value in {**entry, **fields}.items() if value is not ...}


def export(*messages, channel=None, guild=..., **fields):
    """Return a file of DiscordChatExporter."""
    return {
        "guild": {"id": "1", "name": "Srv"} if guild is ... else guild,
        "channel": {"id": "2", "type": "GuildTextChat", "category": "Text", "name": "general", "topic": None}
        | (channel or {}),
        **fields,
        "messages": list(messages),
    }


@pytest.fixture
def reading(tmp_path):
    """Write exports and read them."""

    def _reading(*exports, **options):
        return read(write_folder(tmp_path, {f"{n}.json": value for n, value in enumerate(exports)}), **options)

    return _reading


def test_parts_of_a_channel_are_one_conversation():
    result = read(FIXTURES)
    assert list(result.conversations) == ["discord_general"]
    assert {"part 2", "part 10", "yes"} <= set(result.texts)


def test_the_complete_part_of_an_interrupted_export_is_read_and_the_cut_is_one_rejected_entry(tmp_path):
    (tmp_path / "cut.json").write_bytes((FIXTURES / "dce_truncated.json").read_bytes())
    result = read(tmp_path)
    assert (len(result.messages), result.reasons.total(), len(result.rejected)) == (7, 2, 1)
    assert result.entries == {"discord_general": 10}
    assert result.rejected[0].origin == "cut.json[9]"
    assert "ends in the middle" in result.rejected[0].reason


@pytest.mark.parametrize(
    "text",
    ['{"guild": {"id": "1"}, "channel": {"id": "2"}, "dateRange": {"aft', '{"guild": {"id": "1"}, "channel": {"i'],
)
def test_an_export_cut_before_its_messages_is_reported(text, tmp_path):
    (tmp_path / "cut.json").write_text(text, "utf-8")
    (tmp_path / "whole.json").write_text(json.dumps(export(message())), "utf-8")
    result = read(tmp_path)
    assert result.texts == ["hello"]
    assert len([*result.unknown, *result.rejected]) == 1
    assert result.outcomes() == +result.entries


@pytest.mark.parametrize("broken", [{"channel": None}, {"channel": []}, {"messages": None}, {"messages": {}}])
def test_a_file_without_channel_or_messages_does_not_cost_the_others(broken, reading):
    result = reading(export(message(1)) | broken, export(message(2), channel={"id": "3", "name": "help"}))
    assert [m.conversation_id for m in result.messages] == ["discord_help"]
    assert len(result.rejected) == ("channel" in broken)
    assert result.outcomes() == +result.entries


def test_a_channel_without_an_id_is_read(reading):
    assert reading(export(message(), channel={"id": None})).texts == ["hello"]


def test_parts_are_read_in_the_order_of_their_numbers_and_dates(tmp_path):
    files = {f"x [part {n}].json": export(message(n, f"part {n}")) for n in (10, 2)}
    later = export(message(99, "later"), dateRange={"after": "2026-02-01T00:00:00+00:00", "before": None})
    result = read(write_folder(tmp_path, {"a.json": later, "x.json": export(message(1, "part 1"))} | files))
    assert result.texts == ["part 1", "part 2", "part 10", "later"]


def test_an_empty_channel_is_a_conversation_without_entries(reading):
    result = reading(export(channel={"topic": "nothing yet"}))
    assert result.conversations["discord_general"].description == "nothing yet"
    assert result.entries == {"discord_general": 0}


def test_a_channel_that_is_named_after_its_messages_is_read_all_the_same(reading):
    value = export(message())
    result = reading({key: value[key] for key in ("messages", "guild", "channel")})
    assert (result.texts, list(result.conversations)) == (["hello"], ["discord_general"])


def test_the_newest_file_names_a_channel_that_was_renamed(reading):
    old = export(message(1), channel={"name": "old"}, exportedAt="2026-01-01T00:00:00+00:00")
    new = export(message(2), channel={"name": "new"}, exportedAt="2026-02-01T00:00:00+00:00")
    assert list(reading(new, old).conversations) == list(reading(old, new).conversations) == ["discord_new"]


@pytest.mark.parametrize("message_id", [str(FIRST), "100000000000000001", FIRST, "99999999999999999999", "copy-7", 7])
def test_the_timestamp_decides_whatever_the_id_is(message_id, reading):
    (record,) = reading(export(message(id=message_id, timestamp="2024-03-01T09:00:00.5+00:00"))).messages
    assert (record.message_id, record.sent_at_us) == (str(message_id), 1_709_283_600_500_000)


@pytest.mark.parametrize("timestamp", [..., None, "", 7, "Invalid date", "0001-01-01T00:00:00+00:00"])
def test_the_snowflake_tells_the_time_where_no_timestamp_does(timestamp, reading):
    (record,) = reading(export(message(timestamp=timestamp))).messages
    assert (record.sent_at_us, record.timestamp_ms) == (FIRST_MS * 1000, FIRST_MS)


def test_a_snowflake_of_the_future_tells_no_time(reading):
    result = reading(export(message(id="9999999999999999999")))
    assert [rejected.reason for rejected in result.rejected] == [
        "expected an ISO 8601 timestamp or a snowflake as id, found neither"
    ]


def test_a_snowflake_of_the_same_second_adds_its_milliseconds_to_a_timestamp_of_whole_seconds(reading):
    result = reading(export(*(message(timestamp=f"2025-12-31T19:04:{second}Z") for second in ("11", "12"))))
    assert [record.sent_at_us for record in result.messages] == [FIRST_MS * 1000, 1_767_207_852_000_000]


def test_a_timestamp_of_the_same_millisecond_adds_its_microseconds(reading):
    (record,) = reading(export(message(timestamp="2026-01-01T04:04:11.171234+09:00"))).messages
    assert record.sent_at_us == FIRST_MS * 1000 + 234


@pytest.mark.parametrize(
    ("timestamp", "us"),
    [
        ("2026-01-01T12:00:00+00:00", 1_767_268_800_000_000),
        ("2026-01-01T19:00:00.18+07:00", 1_767_268_800_180_000),
        ("2026-01-01T12:00:00.5322821Z", 1_767_268_800_532_282),
        ("2026-01-01T12:00:00", 1_767_268_800_000_000),
    ],
)
def test_an_id_that_is_no_snowflake_leaves_the_time_to_the_timestamp(timestamp, us, reading):
    (record,) = reading(export(message(id="msg1", timestamp=timestamp))).messages
    assert (record.message_id, record.sent_at_us) == ("msg1", us)


def test_the_time_of_an_edit_is_kept(reading):
    (record,) = reading(export(message(timestampEdited="2026-01-01T12:00:00+00:00"))).messages
    assert record.edited_at_us == 1_767_268_800_000_000


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "expected an object, found null"),
        ("text", "expected an object, found a string"),
        ([], "expected an object, found an array"),
        (message(id=...), "expected an id"),
        (message(id={"a": 1}), "expected an id"),
        (message(author=...), "expected an author"),
        (message(author={"id": None, "name": ""}), "expected an author"),
        (message(id="x", timestamp="yesterday"), "expected an ISO 8601 timestamp or a snowflake"),
    ],
)
def test_one_bad_entry_does_not_cost_its_neighbours(broken, reason, reading):
    result = reading(export(message(1, "before"), broken, message(2, "after")))
    assert result.texts == ["before", "after"]
    (rejected,) = result.rejected
    assert rejected.reason.startswith(reason)
    assert rejected.origin == "0.json[1]"


@pytest.mark.parametrize(
    "kind", ["Default", "Reply", "0", 0, "19", 19, "20", 20, "23", "46", None, ..., {}, "NewKind", 77]
)
def test_what_people_and_bots_say_is_read_whatever_its_kind_is_called(kind, reading):
    assert reading(export(message(type=kind))).texts == ["hello"]


@pytest.mark.parametrize(("number", "name"), SYSTEM_KINDS.items())
def test_system_notices_are_skipped_under_one_name_however_they_are_written(number, name, reading):
    result = reading(export(*(message(n, "filler", type=kind) for n, kind in enumerate((number, int(number), name)))))
    assert result.reasons == {name: 3}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("MessageType.new_member", "GuildMemberJoin"),
        ("PINS_ADD", "ChannelPinnedMessage"),
        ("USER_PREMIUM_GUILD_SUBSCRIPTION_TIER_2", "GuildBoostTier2"),
        ("CHANNEL_PINNED_MESSAGE", "ChannelPinnedMessage"),
        ("thread_created", "ThreadCreated"),
    ],
)
def test_names_that_libraries_give_to_kinds_are_known(written, name, reading):
    kinds = [written, "DEFAULT", "MessageType.reply", "chat_input_command"]
    result = reading(export(*(message(n, type=kind) for n, kind in enumerate(kinds))))
    assert (result.reasons, len(result.texts), result.notes) == ({name: 1}, 3, {})


@pytest.mark.parametrize(
    ("description", "quoted"),
    [
        ("**[Reply to:](https://discord.com/channels/1/2/33)** <@11>, shall we sell?", "@Ann, shall we sell?"),
        ("[Reply to:](<https://discord.com/channels/1/2/33>) yes", "yes"),
        ("**Reply to:** **no**", "no"),
    ],
)
def test_a_webhook_that_replies_by_an_embed_names_the_answered_message(description, quoted, reading):
    author = {"name": "bo \u21a9\ufe0f", "url": "https://discord.com/channels/1/2/33"}
    card = {"title": "", "description": description, "author": author, "fields": []}
    spoken = message(1, "never", author=HOOK, embeds=[card], mentions=[ANN])
    (record,) = reading(export(spoken)).messages
    assert (record.text, record.thread_id) == (f'[in reply to bo: "{quoted}"]\nnever', "33")
    plain = {**card, "author": {"name": "bo"}, "url": "https://discord.com/channels/1/2/33"}
    assert reading(export(message(1, "never", author=HOOK, embeds=[plain]))).messages[0].thread_id == "33"
    news = {**plain, "description": "Ann commented"}
    (other,) = reading(export(message(1, "never", author=HOOK, embeds=[news]))).messages
    assert (other.thread_id, other.text.split("\n")[:2]) == (None, ["never", "bo"])


def test_a_webhook_that_replies_to_a_file_names_the_thread_alone(reading):
    link = "https://discord.com/channels/1/2/33"
    card = {"description": f"*[(click to see attachment)]({link})*", "author": {"name": "bo \u21a9"}}
    (record,) = reading(export(message(1, "nice", author=HOOK, embeds=[card]))).messages
    assert (record.text, record.thread_id) == ("nice", "33")


def test_an_unknown_kind_that_says_nothing_is_skipped_under_its_own_name(reading):
    assert reading(export(message(content="", type="NewKind"))).reasons == {"NewKind": 1}


def test_a_message_that_says_nothing_is_skipped_as_empty(reading):
    assert reading(export(message(content=""), message(1, content=None))).reasons == {"empty": 2}


def test_an_export_in_which_most_messages_are_empty_is_noted(reading):
    """A bot without the message content intent gets every message without its content."""
    silence = [message(n, "") for n in range(3)]
    assert reading(export(*silence, message(3), message(4))).notes == {("mostly_empty", ""): 3}
    assert reading(export(*silence, *(message(n) for n in range(3, 6)))).notes == {}
    assert reading(export(message(0, "", type="GuildMemberJoin"))).notes == {}


def test_a_reply_names_the_message_it_answers_if_that_is_of_the_same_channel(reading):
    references = [
        {"messageId": "7", "channelId": "2", "guildId": "1"},
        {"messageId": "7", "channelId": "3", "guildId": "1"},  # a post of an announcement channel
        {"messageId": "7", "channelId": "2", "type": "Forward"},
        {"messageId": None},
        "7",
    ]
    found = reading(export(*(message(n, reference=reference) for n, reference in enumerate(references))))
    assert [m.thread_id for m in found.messages] == ["7", None, None, None, None]


def test_messages_of_an_unknown_kind_are_noted_if_they_are_imported(reading):
    result = reading(export(message(0, type="77"), message(1, type="77"), message(2, "", type="78")))
    assert (len(result.messages), result.notes) == (2, {("unknown_kind", "77"): 2})


def test_the_shell_that_starts_a_thread_is_skipped(reading):
    assert reading(export(message(content="", type="21"))).reasons == {"ThreadStarterMessage": 1}


def test_a_webhook_is_a_sender_per_name_whatever_the_order_and_is_noted(reading):
    authors = [HOOK, {"id": "99", "name": "Captain Hook", "isBot": True, "discriminator": "0000", "roles": []}, ANN]
    found = reading(export(*(message(n, author=author) for n, author in enumerate([*authors, HOOK]))))
    assert [(m.sender_id, m.sender_name, m.role) for m in found.messages] == [
        ("99+3ACI", "CI", "assistant"),
        ("99+3ACaptain+20Hook", "Captain Hook", "assistant"),
        ("11", "Ann", "user"),
        ("99+3ACI", "CI", "assistant"),
    ]
    assert found.notes == {("webhook", ""): 3}
    turned = reading(export(*(message(n, author=author) for n, author in enumerate(reversed(authors)))))
    assert {m.sender_id for m in turned.messages} == {m.sender_id for m in found.messages}


@pytest.mark.parametrize(
    "sign",
    [
        {"author": HOOK | {"discriminator": "4876"}},
        {"author": HOOK | {"discriminator": "0000", "roles": [{"id": "5", "name": "Bots"}]}},
        {"author": HOOK | {"discriminator": "0000"}, "type": "20"},
    ],
)
def test_a_bot_that_is_no_webhook_is_one_sender_under_any_name(sign, reading):
    renamed = {**sign, "author": sign["author"] | {"nickname": "Other"}}
    result = reading(export(message(1, **sign), message(2, **renamed)))
    assert [(m.sender_id, m.sender_name) for m in result.messages] == [("99", "CI"), ("99", "Other")]
    assert result.notes == {}


def test_bots_are_skipped_on_request(reading):
    result = reading(export(message(1, author=HOOK), message(2)), bots="skip")
    assert (result.texts, result.reasons) == (["hello"], {"bot": 1})


def test_people_who_share_a_name_are_told_apart_by_account_or_id(reading):
    anns = [ANN, {"id": "12", "name": "ann_1", "nickname": "Ann"}, {"id": "13", "name": "Ann"}]
    result = reading(export(*(message(n, author=author) for n, author in enumerate([*anns, *anns]))))
    assert [(m.sender_id, m.sender_name) for m in result.messages] == [
        ("11", "Ann"),
        ("12", "Ann (ann_1)"),
        ("13", "Ann (13)"),
    ] * 2


def test_a_webhook_that_bears_the_name_of_a_person_is_told_apart_in_every_channel(reading):
    hooks = [{"id": number, "name": "Ann", "isBot": True} for number in ("98", "99")]
    result = reading(export(message(1), *(message(n, author=author) for n, author in enumerate(hooks, 2))))
    assert [m.sender_name for m in result.messages] == ["Ann", "Ann (webhook)", "Ann (webhook)"]


def test_mentions_of_people_who_share_a_name_are_told_apart_too(reading):
    other = {"id": "12", "name": "ann_1", "nickname": "Ann"}
    texts = ["<@12> <@11>", "@Ann, come with @Anna", "@Ann and @Ann"]
    mentions = [[other, ANN], [other], [other, ANN]]
    entries = [message(n, text, mentions=users) for n, (text, users) in enumerate(zip(texts, mentions, strict=True))]
    assert reading(export(*entries)).texts == ["@Ann (ann_1) @Ann", "@Ann (ann_1), come with @Anna", "@Ann and @Ann"]


def test_a_person_is_mentioned_under_the_name_they_speak_under(reading):
    plain = {"id": "12", "name": "bob"}
    speaking = plain | {"nickname": "Captain"}
    result = reading(export(message(1, "a", author=speaking), message(2, "<@12>", mentions=[plain])))
    assert result.texts[1] == "@Captain"


def test_mentions_are_named_from_the_message_the_authors_seen_their_roles_and_the_channels_exported(reading):
    crew = {"id": "12", "name": "bob", "roles": [{"id": "5", "name": "Crew"}]}
    text = "<@12> <@13> <@&5> <#3> <@14>"
    result = reading(
        export(message(1, author=crew), message(2, text, mentions=[{"id": "13", "name": "cy", "nickname": "Cyd"}])),
        export(channel={"id": "3", "name": "help"}),
    )
    assert result.texts[1] == "@bob @Cyd @Crew #help @user-14"


def test_a_thread_is_a_conversation_of_its_own_that_names_its_parent(reading):
    thread = {"id": "200", "type": "GuildPublicThread", "category": "general", "name": "Bug", "topic": "old one"}
    conversation = reading(export(message(), channel=thread)).conversations["discord_Bug-200"]
    assert conversation.description == "Thread in #general. old one"
    assert not conversation.private


def test_threads_with_one_name_stay_apart(reading):
    files = (export(message(n), channel={"id": str(n), "type": "11", "name": "question"}) for n in (300, 301))
    assert list(reading(*files).conversations) == ["discord_question-300", "discord_question-301"]


PRIVATE = {
    "no guild": {"guild": None},
    "guild 0": {"guild": {"id": "0", "name": "Direct Messages"}, "channel": {"type": "DirectTextChat"}},
    "direct": {"channel": {"type": "DirectGroupTextChat"}},
    **{
        f"kind {kind}": {"channel": {"type": kind}} for kind in (1, 3, 12, "12", "DM", "GROUP_DM", "GuildPrivateThread")
    },
}


@pytest.mark.parametrize("shape", PRIVATE.values(), ids=PRIVATE)
def test_private_conversations_are_counted_and_left_out_unless_asked_for(shape, reading):
    result = reading(export(message(1), None, **shape))
    assert (result.texts, result.reasons) == ([], {"private": 2})
    assert result.outcomes() == result.entries
    assert all(conversation.private for conversation in result.conversations.values())
    assert reading(export(message(1), **shape), include_private=True).texts == ["hello"]


def test_conversations_are_chosen_by_name_or_id(reading):
    files = [export(message(1, "a")), export(message(2, "b"), channel={"id": "3", "name": "help"})]
    assert reading(*files, include=("help",)).texts == ["b"]
    assert reading(*files, exclude=("discord_h*",)).texts == ["a"]
    assert reading(*files, exclude=("help",)).reasons == {"excluded": 1}


def test_the_template_names_conversations(reading):
    result = reading(export(message()), id_template="{source}_{workspace}_{channel_id}")
    assert list(result.conversations) == ["discord_Srv_2"]


def test_files_are_known_by_content_and_media_beside_them_are_no_exports(tmp_path):
    write_folder(
        tmp_path,
        {
            "any name.json": export(message()),
            "any name.json_Files/lottie.json": {"v": "5.5", "layers": []},
            "notes.json": {"guild": "of thieves"},
        },
    )
    result = read(tmp_path)
    assert (result.formats, result.texts) == (["discord"], ["hello"])
    assert [record.origin for record in result.unknown] == [f"{tmp_path.name}/notes.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["id", "type", "timestamp", "timestampEdited", "content", "author", "mentions", "attachments", "webhook_id"]
FIELDS += ["embeds", "stickers", "referenced_message", "member", "channel_id", "author"]
USERS = st.dictionaries(st.sampled_from(["id", "name", "nickname", "username", "roles", "isBot"]), JSON)
ENTRIES = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON | USERS | st.lists(USERS, max_size=2))
NEAR = st.builds(lambda changes: {**message(), **changes}, st.dictionaries(st.sampled_from(FIELDS), JSON | USERS))


@given(st.lists(ENTRIES | NEAR, max_size=5), st.dictionaries(st.sampled_from(["guild", "exportedAt"]), JSON))
def test_parsing_any_array_never_raises_and_accounts_for_every_entry(tmp_path_factory, messages, changes):
    path = tmp_path_factory.mktemp("any") / "export.json"
    path.write_text(json.dumps({**export(*messages), **changes}), "utf-8")
    with open_archive(path) as archive:
        found = list(
            one_by_one(exporter.parse(archive, Export(key="k", format="discord", path="", label=""), ParseOptions()))
        )
    outcomes = [record for record in found if isinstance(record, Message | Skipped | Rejected)]
    counted = sum(record.count for record in found if isinstance(record, Entries))
    assert len(outcomes) == counted == len(messages)
