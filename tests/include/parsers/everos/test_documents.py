import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.archive import open_archive
from include.parsers import Export, ParseOptions
from include.parsers.everos import documents as everos_documents
from include.records import Entries, Message, Rejected, Skipped, one_by_one
from tests.support.builders import write_folder
from tests.support.read_exports import read

AT_MS = 1_772_445_600_000


def message(content="hello", **fields):
    """Return a message of a group in the form of the API; a field that is ``...`` is left out."""
    entry = {"role": "user", "sender_id": "user_101", "timestamp": AT_MS, "content": content, **fields}
    return {key: value for key, value in entry.items() if value is not ...}


def group(*messages, group_id="conversation_001", **fields):
    return {"group_id": group_id, **fields, "messages": list(messages)}


def personal(*messages, user_id="user_alice", **fields):
    return {"user_id": user_id, **fields, "messages": list(messages)}


def said(content="hello", **fields):
    """Return a message of a personal history, which need not name its sender."""
    return message(content, sender_id=..., **fields)


def classic(*entries, **meta):
    """Return a conversation in the earlier open-source server's ``GroupChatFormat``."""
    people = {"user_101": {"full_name": "Alice", "role": "Product Manager"}, "bot_1": {"role": "assistant"}}
    described = {"group_id": "group_7", "name": "Sales", "description": "The pilot", "user_details": people, **meta}
    return {"version": "1.0.0", "conversation_meta": described, "conversation_list": list(entries)}


def entry(content="hello", **fields):
    base = {"message_id": "msg_001", "create_time": "2026-03-02T10:00:00Z", "sender": "user_101", "type": "text"}
    return {**base, "content": content, **fields}


@pytest.fixture
def read_exports(tmp_path):
    """Write documents, one per file, and read them."""

    def _read_exports(*values, **options):
        return read(write_folder(tmp_path, {f"{n}.json": value for n, value in enumerate(values)}), **options)

    return _read_exports


def test_a_group_keeps_its_id_and_its_description(read_exports):
    meta = {"name": "Launch", "description": "Harbor 2.0", "tags": ["a"], "weight": 0.5}
    result = read_exports(group(message(sender_name="Ann"), group_meta=meta), id_template="{source}_{channel_id}")
    conversation = result.conversations["conversation_001"]
    assert (conversation.kind, conversation.name, conversation.description) == ("group", "Launch", "Harbor 2.0")
    assert json.loads(conversation.group_meta) == meta
    (record,) = result.messages
    assert (record.sender_id, record.sender_name, record.role) == ("user_101", "Ann", "user")
    assert (record.timestamp_ms, record.sent_at_us, record.origin) == (AT_MS, AT_MS * 1000, "0.json[0]")


def test_a_personal_history_belongs_to_its_user(read_exports):
    result = read_exports(personal(said("hi"), said("hello Alice", role="assistant")))
    conversation = result.conversations["user_alice"]
    assert (conversation.kind, conversation.user_id, conversation.session_id) == ("personal", "user_alice", None)
    assert [(m.sender_id, m.role) for m in result.messages] == [("user_alice", "user"), ("assistant", "assistant")]


def test_a_session_is_a_conversation_of_its_own(read_exports):
    result = read_exports(personal(said(), session_id="s1"), personal(said(), session_id="s2"), personal(said()))
    assert {key: value.session_id for key, value in result.conversations.items()} == {
        "user_alice_s1": "s1",
        "user_alice_s2": "s2",
        "user_alice": None,
    }


def test_a_session_and_a_user_who_would_share_an_id_are_two_channels(tmp_path):
    values = [personal(said(), session_id="b"), personal(said(), user_id="user_alice_b")]
    path = write_folder(tmp_path, {"all.json": values})
    with open_archive(path) as archive:
        records = everos_documents.parse(archive, Export(key="k", format="", path="", label=""), ParseOptions())
        found = list(one_by_one(records))
    channels = {record.channel_id for record in found if hasattr(record, "channel_id")}
    assert len(channels) == 2


def test_the_earlier_format_of_the_server_is_read(read_exports):
    result = read_exports(
        classic(entry(), entry("from me", sender="bot_1", message_id="msg_002", sender_name="Helper"))
    )
    assert result.conversations["group_7"].name == "Sales"
    assert result.conversations["group_7"].description == "The pilot"
    assert [(m.message_id, m.sender_name, m.role, m.text) for m in result.messages] == [
        ("msg_001", "Alice", "user", "hello"),
        ("msg_002", "Helper", "assistant", "from me"),
    ]


def test_times_of_the_earlier_format_are_in_its_default_zone(read_exports):
    times = ["2026-03-02T10:00:00", "2026-03-02T10:00:00+00:00"]
    result = read_exports(
        classic(*(entry(create_time=time) for time in times), default_timezone="Asia/Shanghai"),
        classic(entry(create_time=times[0]), default_timezone="../nowhere", group_id="g"),
    )
    assert [m.timestamp_ms - AT_MS for m in result.messages] == [-8 * 3_600_000, 0, 0]


@pytest.mark.parametrize(
    ("role", "expected"),
    [("User", "user"), (" USER ", "user"), ("human", "user")]
    + [(name, "assistant") for name in ("Assistant", "ai", "AI", "bot", "model", "agent", "gpt", "chatbot")],
)
def test_roles_have_other_names_and_any_case(role, expected, read_exports):
    assert [m.role for m in read_exports(group(message(role=role))).messages] == [expected]


@pytest.mark.parametrize("role", ["system", "Developer", "tool", "function"])
def test_a_message_of_a_machine_is_rejected_with_its_role(role, read_exports):
    (rejected,) = read_exports(group(message(role=role))).rejected
    assert rejected.reason.endswith(f"found {role.lower()}")


def test_what_is_no_text_in_the_earlier_format_is_named_or_skipped(read_exports):
    address = "https://files.example/a/plan.pdf?token=secret"
    result = read_exports(classic(entry(address, type="file"), entry("Bob joined", type="system")))
    assert (result.texts, result.reasons) == (["[file: plan.pdf]"], {"system": 1})


CAPTIONS = {
    "plan for Q1/Q2, who takes what? Ann takes billing": "[image] plan for Q1/Q2, who takes what? Ann takes billing",
    "start w/o me #sorry": "[image] start w/o me #sorry",
    "Q1/Q2": "[image] Q1/Q2",
    "and/or look at v2.0": "[image] and/or look at v2.0",
    "two\nlines/a.png": "[image] two\nlines/a.png",
    "今天的计划/预算": "[image] 今天的计划/预算",
    "https://files.example/a/my%20plan.pdf?token=secret#x": "[image: my plan.pdf]",
    "https://ann:secret@files.example/": "[image: files.example]",
    "files.example/a/plan.pdf?token=secret": "[image: plan.pdf]",
    "s3://bucket/x.png": "[image: x.png]",
    "media/x.png?sig=secret": "[image: x.png]",
    "/home/ann/My Files/x y.png": "[image: x y.png]",
    "C:\\My Files\\x y.png": "[image: x y.png]",
    "x y.png": "[image: x y.png]",
    "data:image/png;base64,c2VjcmV0": "[image]",
}


@pytest.mark.parametrize(("content", "text"), CAPTIONS.items())
def test_an_address_or_path_becomes_its_file_name_and_a_caption_stays_whole(content, text, read_exports):
    assert read_exports(classic(entry(content, type="Image"))).texts == [text]


@pytest.mark.parametrize(
    ("content", "extra", "text"),
    [
        ("https://files.example/1234?x=1", {"file_name": "UI_draft.pdf"}, "[file: UI_draft.pdf]"),
        ("the draft", {"name": "UI_draft.pdf"}, "[file: UI_draft.pdf] the draft"),
        ("the draft", {"url": "https://files.example/a.pdf?token=secret"}, "[file: a.pdf] the draft"),
        ("", {"file_name": "UI_draft.pdf"}, "[file: UI_draft.pdf]"),
        ("the draft", ["none"], "[file] the draft"),
    ],
)
def test_text_beside_a_file_names_it(content, extra, text, read_exports):
    assert read_exports(classic(entry(content, type="file", extra=extra))).texts == [text]


def test_a_link_keeps_its_address_and_loses_what_may_be_secret_in_it(read_exports):
    result = read_exports(classic(entry("https://ann:secret@x.example/a/doc?token=secret", type="link")))
    assert result.texts == ["[link: https://x.example/a/doc]"]


def test_a_quoted_message_is_on_a_line_that_cannot_be_the_speakers_words(read_exports):
    quotes = [
        {"message_id": "m0", "sender_name": "Bo", "content": "Let us drop it"},
        {"message_id": "m1", "sender": "user_101", "content": 'a"]\nb ' + "c" * 200},
        {"message_id": "m2", "sender_name": "Bo", "type": "file", "content": "https://x.example/a.pdf?token=secret"},
        {"message_id": "m3"},
        "m4",
    ]
    (text,) = read_exports(classic(entry("I agree", refer_list=quotes))).texts
    assert text.split("\n") == [
        '[in reply to Bo: "Let us drop it"]',
        f"""[in reply to Alice: "a'] b {"c" * 113}…"]""",
        '[in reply to Bo: "[file: a.pdf]"]',
        "I agree",
    ]


@pytest.mark.parametrize("refers", [["m0"], [], None, "m0", {"content": "x"}])
def test_a_list_of_ids_quotes_nothing(refers, read_exports):
    assert read_exports(classic(entry("I agree", refer_list=refers))).texts == ["I agree"]


ZONES = {
    "+08:00": 8, "+0800": 8, "+8": 8, "UTC+8": 8, "utc +08:00": 8, "GMT-3": -3, "UTC\u221203:30": -3.5, "Z": 0,
    "UTC": 0, "asia/shanghai": 8, 8: 8, -3.5: -3.5, "": 0, None: 0,
}  # fmt: skip


@pytest.mark.parametrize(("zone", "hours"), ZONES.items())
def test_a_zone_may_be_a_name_or_an_offset(zone, hours, read_exports):
    result = read_exports(classic(entry(create_time="2026-03-02T10:00:00"), default_timezone=zone))
    assert [m.timestamp_ms - AT_MS for m in result.messages] == [-hours * 3_600_000]
    assert not result.notes


@pytest.mark.parametrize(
    "zone", ["CST", "IST", "China Standard Time", "../etc", "+25:00", 800, ["UTC"], "x" * 99 + "\n"]
)
def test_a_zone_that_is_not_known_is_noted_once_per_conversation(zone, read_exports):
    times = ["2026-03-02T10:00:00", "2026-03-02T10:00:01"]
    result = read_exports(classic(*(entry(create_time=time) for time in times), default_timezone=zone))
    assert [m.timestamp_ms - AT_MS for m in result.messages] == [0, 1000]
    ((code, detail),) = result.notes
    assert (code, result.notes[code, detail], detail.isprintable()) == ("unknown_zone", 1, True)
    assert detail in ("list", str(zone)[:40])


def test_a_zone_that_no_time_needs_is_not_noted(read_exports):
    assert not read_exports(classic(entry(create_time=AT_MS), entry(), default_timezone="CST")).notes


def solo(*entries, people=None, **meta):
    """Return a conversation of one person with an assistant in the open-source server's current format."""
    people = people or {"u1": {"full_name": "Ann", "role": "user"}, "robot": {"full_name": "AI", "role": "assistant"}}
    described = {"scene": "solo", "group_id": "chat_u1", "name": "Travel", "user_details": people, **meta}
    return {"version": "1.0.0", "session_meta": described, "conversation_list": list(entries)}


def test_a_scene_of_one_person_is_a_personal_history(read_exports):
    result = read_exports(solo(entry("I travel", sender="u1"), entry("Where to?", sender="robot")))
    (conversation,) = result.conversations.values()
    assert (conversation.kind, conversation.user_id, conversation.session_id) == ("personal", "u1", "chat_u1")
    assert conversation.name == "Travel"
    assert [(m.sender_id, m.sender_name, m.role) for m in result.messages] == [
        ("u1", "Ann", "user"),
        ("robot", "AI", "assistant"),
    ]


@pytest.mark.parametrize(
    ("document", "kind", "owner"),
    [
        (solo(entry(sender="u1"), scene="Assistant"), "personal", "u1"),
        (solo(entry(sender="u1"), scene="work"), "group", None),
        (solo(entry(sender="u1"), scene=None), "group", None),
        (solo(entry(sender="u1"), people={"u1": {"role": "Engineer"}, "r": {"role": "assistant"}}), "personal", "u1"),
        (solo(entry(sender="u1"), people={"u1": {"role": "user"}, "u2": {"role": "user"}}), "group", None),
        (solo(entry(sender="u1"), people={"u1": {}, "u2": {}}, user_id="u1"), "personal", "u1"),
        (solo(entry(sender="u1"), people=["u1"]) | {"user_id": "u1"}, "personal", "u1"),
    ],
)
def test_a_personal_history_needs_an_owner_who_is_known(document, kind, owner, read_exports):
    result = read_exports(document)
    (conversation,) = result.conversations.values()
    assert (conversation.kind, conversation.user_id, len(result.messages)) == (kind, owner, 1)


@pytest.mark.parametrize("collision", [{"id": "abc", "title": "Hiking"}, "plans", [1], None, {"conversation_id": "x"}])
@pytest.mark.parametrize("member", ["conversation", "group_meta", "conversation_meta", "session_meta", "format"])
def test_members_with_other_meanings_are_ignored(member, collision, read_exports):
    result = read_exports(personal(said(), **{member: collision}), group(message(), **{member: collision}))
    assert (result.texts, list(result.conversations)) == (["hello", "hello"], ["user_alice", "conversation_001"])


CORRECTED = {"conversation_id": "slack_general", "source": "slack", "kind": "group", "channel_id": "C1", "name": "x"}


def test_a_file_of_corrections_is_known_by_its_format_and_an_old_one_by_its_members(read_exports):
    new = {"format": everos_documents.CORRECTIONS, "conversation": CORRECTED, "messages": [message()]}
    old = {"conversation": CORRECTED | {"conversation_id": "slack_old"}, "messages": [message()]}
    result = read_exports(new, old)
    assert list(result.conversations) == ["slack_general", "slack_old"]
    assert len(result.messages) == 2


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC+8", 8])
def test_a_corrected_time_without_offset_is_in_the_zone_of_its_export(read_exports, zone):
    exported = read_exports(classic(entry(create_time="2026-03-02T10:00:00"), default_timezone=zone))
    conversation = msgspec.to_builtins(exported.conversations["group_7"])
    corrected = message(timestamp="2026-03-02T10:00:00")
    document = {"format": everos_documents.CORRECTIONS, "conversation": conversation, "messages": [corrected]}
    [first], [second] = exported.messages, read_exports(document).messages
    assert first.sent_at_us == second.sent_at_us == 1_772_416_800_000_000


def test_corrections_whose_conversation_was_damaged_are_rejected(read_exports):
    document = {"format": everos_documents.CORRECTIONS, "conversation": {"name": "x"}, "messages": [message()]}
    (rejected,) = read_exports(document).rejected
    assert "corrections.json" in rejected.reason


@pytest.mark.parametrize("group_meta", ["no JSON", "", "[1]", '"x"', "{", '{"a": NaN}', "[" * 300])
def test_corrections_whose_group_meta_is_no_json_object_are_rejected(group_meta, read_exports):
    told = CORRECTED | {"group_meta": group_meta}
    result = read_exports({"format": everos_documents.CORRECTIONS, "conversation": told, "messages": [message()]})
    assert (len(result.messages), len(result.rejected)) == (0, 1)


@pytest.mark.parametrize("value", ["1" * 400, "1" * 30, '"\\ud800"', "[" * 200 + "]" * 200, "NaN"], ids=range(5))
def test_a_group_meta_that_cannot_be_sent_is_a_rejection_and_stops_nothing(value, read_exports):
    odd = json.dumps(group(message(), group_meta={"size": "here"})).replace('"here"', value).encode()
    result = read_exports(odd, group(message(), group_id="other"))
    assert "other" in result.conversations
    assert len(result.messages) + len(result.rejected) + len(result.unknown) == 2
    for conversation in result.conversations.values():
        assert isinstance(json.loads(conversation.group_meta or "{}"), dict)


@pytest.mark.parametrize("content", [[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], ["a", "b"]])
def test_items_of_text_are_joined(content, read_exports):
    assert read_exports(group(message(content))).texts == ["a\nb"]


def test_items_that_are_files_are_named_without_their_address(read_exports):
    items = [{"type": "image", "uri": "s3://bucket/x.png?sig=1"}, {"type": "pdf", "name": "plan.pdf", "base64": "AA"}]
    assert read_exports(group(message(items))).texts == ["[image: x.png]\n[pdf: plan.pdf]"]


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([{"type": "text", "content": "a"}, {"type": "output_text", "text": "b"}], "a\nb"),
        ({"content_type": "text", "parts": ["a", "b"]}, "a\nb"),
        ([["a"], {"type": "text", "text": {"value": "b", "annotations": []}}], "a\nb"),
        (
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.y/b.png?key=1"}}],
            "a\n[image: b.png]",
        ),
        ([{"type": "image", "source": {"type": "base64", "data": "AAAA"}}], "[image]"),
        ([{"type": "image", "uri": "data:image/png;base64,AAAA"}], "[image]"),
        ([{"type": "image", "name": "b.png", "text": "the harbour"}], "[image: b.png] the harbour"),
        ([{"type": "link", "uri": "https://x.y/b?key=1"}], "[link: https://x.y/b]"),
        ([{"type": "file", "filename": "b.pdf"}], "[file: b.pdf]"),
        (
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "tool_use", "name": "f"}],
            "a",
        ),
    ],
)
def test_items_of_other_apis_give_all_words_and_files_and_nothing_of_tools(items, text, read_exports):
    assert read_exports(group(message(items))).texts == [text]


@pytest.mark.parametrize(
    "fields",
    [
        {"content": None, "tool_calls": [{"function": {"name": "f"}}]},
        {"content": "", "function_call": {"name": "f"}},
        {"content": [{"type": "tool_result", "content": [{"type": "text", "text": "found"}]}]},
    ],
)
def test_a_call_of_a_tool_is_no_message(fields, read_exports):
    result = read_exports(group(message(**fields, role="assistant")))
    assert (result.texts, result.reasons, result.rejected) == ([], {"empty": 1}, [])


@pytest.mark.parametrize(
    "timestamp",
    [
        *(AT_MS, AT_MS // 1000, float(AT_MS), AT_MS / 1000, AT_MS * 1_000, AT_MS * 1_000_000, AT_MS * 1e6),
        *(
            str(AT_MS),
            str(AT_MS // 1000),
            f"{AT_MS // 1000}.0",
            str(AT_MS * 1_000),
            {"$date": {"$numberLong": str(AT_MS)}},
        ),
        *("2026-03-02T11:00:00+01:00", "2026-03-02T18:00:00+08:00[Asia/Shanghai]", "2026-03-02 18:00:00 Asia/Shanghai"),
        *(
            "2026-03-02 10:00:00 UTC",
            "2026/3/2 10:00",
            "2026.03.02 10:00:00,000",
            "2026年3月2日 10:00",
            "20260302100000",
        ),
        "2026-03-02 10:00 AM",
        *("Mon, 02 Mar 2026 10:00:00 GMT", "Mon Mar 2 10:00:00 2026", "2 March 2026 18:00:00 +0800"),
        "Mon Mar 02 2026 18:00:00 GMT+0800 (China Standard Time)",
    ],
)
def test_a_time_in_any_unit_or_form_is_the_same_time(timestamp, read_exports):
    (record,) = read_exports(group(message(timestamp=timestamp))).messages
    assert record.timestamp_ms == AT_MS


@pytest.mark.parametrize(("text", "second"), [("2026-03-01T24:00:00Z", 0), ("2026-03-01T23:59:60Z", -1)])
def test_midnight_and_a_leap_second_have_two_names(text, second, read_exports):
    midnight_us = (AT_MS - 10 * 3_600_000) * 1_000
    assert read_exports(group(message(timestamp=text))).messages[0].sent_at_us == midnight_us + second * 1_000_000


def test_a_text_without_a_zone_is_in_the_zone_of_the_conversation_in_any_form(read_exports):
    forms = ["2026-03-02T10:00:00", "2026/3/2 10:00", "Mon Mar 2 10:00:00 2026", "20260302100000"]
    result = read_exports(classic(*(entry(create_time=form) for form in forms), default_timezone="Asia/Shanghai"))
    assert {message.timestamp_ms for message in result.messages} == {AT_MS - 8 * 3_600_000}


@pytest.mark.parametrize(
    "timestamp",
    [
        "03/02/2026 10:00",
        "2026-03-02 10:00:00 CST",
        "Mon, 02 Mar 2026 10:00:00 IST",
        "March 2, 2026 10:00 AM",
        "9" * 30,
    ],
)
def test_a_time_that_may_mean_several_is_rejected(timestamp, read_exports):
    result = read_exports(group(message(timestamp=timestamp)))
    assert (result.texts, [record.reason.partition(",")[0] for record in result.rejected]) == (
        [],
        ["expected a timestamp in milliseconds or as ISO 8601 text"],
    )


REFUSED = {
    "no timestamp": message(timestamp=...),
    "timestamp null": message(timestamp=None),
    "timestamp 0": message(timestamp=0),
    "timestamp negative": message(timestamp=-AT_MS),
    "timestamp of no unit": message(timestamp=AT_MS * 10**9),
    "timestamp no number": message(timestamp="soon"),
    "timestamp a boolean": message(timestamp=True),
    "timestamp an object": message(timestamp={"ms": AT_MS}),
    "timestamp enormous": message(timestamp=1e300),
    "no content": message(content=...),
    "empty content": message(""),
    "blank content": message(" \n"),
    "content without text": message([{"type": "text", "text": ""}]),
    "content a number": message(7),
    "no role": message(role=...),
    "unknown role": message(role="system"),
    "role no text": message(role=["user"]),
    "no sender": message(sender_id=...),
    "sender reserved": message(sender_id="gen_1"),
    "message id reserved": message(message_id="gen_1"),
    "no object": ["hello"],
    "null": None,
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_what_the_api_would_refuse_is_rejected_and_does_not_affect_the_others(bad, read_exports):
    result = read_exports(group(message("before"), bad, message("after")))
    assert result.texts == ["before", "after"]
    assert [r.origin for r in result.rejected] == ["0.json[1]"]
    assert result.rejected[0].reason.startswith(("expected", "message_id", "the sender"))
    assert result.outcomes() == result.entries == {"conversation_001": 3}


@pytest.mark.parametrize(
    "bad", [said(role="assistant") | {"sender_id": "user_alice"}, said() | {"sender_id": "user_bob"}]
)
def test_words_of_another_sender_are_rejected_in_a_personal_history(bad, read_exports):
    result = read_exports(personal(said("before"), bad))
    assert (result.texts, len(result.rejected)) == (["before"], 1)


@pytest.mark.parametrize(
    "document",
    [
        group(message(), message(), group_id="gen_1"),
        personal(said(), said(), user_id="gen_1"),
        personal(said(), said(), session_id="-1"),
        personal(said(), said(), session_id=-1),
        {"messages": [message(), message()]},
        {"group_id": "", "messages": [message(), message()]},
        classic(entry(), entry(), group_id=None),
    ],
)
def test_entries_of_a_document_that_cannot_be_loaded_are_rejected_one_by_one(document, read_exports):
    result = read_exports(document, group(message("fine")))
    assert result.texts == ["fine"]
    assert [r.origin for r in result.rejected] == ["0.json[0]", "0.json[1]"]
    assert result.entries == {"": 2, "conversation_001": 1}


def test_a_rejected_entry_of_either_format_has_the_fields_that_a_user_can_correct(read_exports):
    bad = message([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], role="boss", message_id=7)
    old = entry("hello", create_time="some day")
    assert [rejected.entry for rejected in read_exports(group(bad), classic(old)).rejected] == [
        {"message_id": "7", "sender_id": "user_101", "role": "boss", "timestamp": AT_MS, "content": "one\ntwo"},
        {"message_id": "msg_001", "sender_id": "user_101", "timestamp": "some day", "content": "hello"},
    ]


def test_reasons_quote_nothing_of_what_was_written(read_exports):
    result = read_exports(
        group(message(role="secret plan"), message(timestamp="secret plan"), message(["secret"], role=1))
    )
    assert len(result.rejected) == 3
    assert "secret" not in repr([(record.reason, record.origin) for record in result.rejected])


def test_entries_may_come_before_the_members_that_describe_them(read_exports):
    reordered = {"messages": [message()], "group_meta": {"name": "Late"}, "group_id": "g"}
    result = read_exports(reordered)
    assert (result.conversations["g"].name, result.texts) == ("Late", ["hello"])


def test_an_array_may_mix_the_three_shapes(read_exports):
    result = read_exports(
        [group(message("a"), message("b")), classic(entry("c")), personal(said("d")), group(message("e"))]
    )
    assert result.formats == ["everos_json"]
    assert sorted(result.texts) == ["a", "b", "c", "d", "e"]
    assert {m.text: m.origin for m in result.messages}["e"] == "0.json[3].messages[0]"
    assert result.entries == {"conversation_001": 3, "group_7": 1, "user_alice": 1}


@pytest.fixture
def reading_bytes(tmp_path):
    """Write files as they are given, and read them."""

    def _read_exports(*files):
        return read(write_folder(tmp_path, {f"{n}.json": data for n, data in enumerate(files)}))

    return _read_exports


ROOMS = [group(message(f"in room {n}"), message("bye"), group_id=f"room_{n}") for n in range(4)]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\n\n", ""])
@pytest.mark.parametrize("indent", [None, 2])
def test_conversations_one_after_the_other_are_all_read(separator, indent, reading_bytes):
    result = reading_bytes(separator.join(json.dumps(room, indent=indent) for room in ROOMS).encode())
    assert list(result.conversations) == ["room_0", "room_1", "room_2", "room_3"]
    assert [m.origin for m in result.messages] == [
        *("0.json[0]", "0.json[1]"),
        *(f"0.json#{number}[{position}]" for number in (2, 3, 4) for position in (0, 1)),
    ]
    assert result.outcomes() == result.entries


@pytest.mark.parametrize("broken", range(4))
@pytest.mark.parametrize("cut", [1, 15, 22, 60, 100, 120, -1, -2])
def test_a_broken_line_is_rejected_and_the_others_are_read(broken, cut, reading_bytes):
    lines = [json.dumps(room).encode() for room in ROOMS]
    lines[broken] = lines[broken][:cut]
    result = reading_bytes(b"\n".join(lines))
    whole = [m for m in result.messages if m.conversation_id != f"room_{broken}"]
    assert [m.conversation_id for m in whole] == [f"room_{n}" for n in range(4) if n != broken for _ in "ab"]
    assert len(result.rejected) == 1
    assert result.outcomes() == result.entries


@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_message_may_name_its_conversation_itself(form, reading_bytes):
    entries = [
        {"group_id": "g", **message("a")},
        {"group_id": "h", **message("b", message_id="m-1")},
        {"group_id": "h", **message("c", timestamp=None)},
        {"user_id": "ann", "session_id": "s", **said("d")},
    ]
    text = json.dumps(entries) if form == "array" else "\n".join(map(json.dumps, entries))
    result = reading_bytes(text.encode())
    assert [(m.conversation_id, m.text, m.origin) for m in result.messages] == [
        ("g", "a", "0.json[0]"),
        ("h", "b", "0.json[1]"),
        ("ann_s", "d", "0.json[3]"),
    ]
    assert [r.origin for r in result.rejected] == ["0.json[2]"]
    assert result.outcomes() == result.entries


NEARLY_RIGHT = {
    "NaN": '{"score": NaN, ',
    "infinity": '{"score": -Infinity, ',
    "a control character": '{"note": "a\x01\tb\nc", ',
    "half a pair": r'{"note": "\ud83d", ',
}


@pytest.mark.parametrize("beginning", NEARLY_RIGHT.values(), ids=NEARLY_RIGHT)
def test_a_message_that_is_nearly_json_is_read_with_its_neighbours(beginning, reading_bytes):
    near = beginning + json.dumps(message("near"))[1:]
    text = f'{{"messages": [{near}, {json.dumps(message("after"))}], "group_id": "g"}}'
    assert reading_bytes(text.encode()).texts == ["near", "after"]


@pytest.mark.parametrize("broken", [r'{"note": "\x41"}', "{oops}", "oops", "9" * 5_000, '{"a": [}}'])
def test_a_message_that_is_no_json_is_rejected_alone(broken, reading_bytes):
    text = (
        f'{{"messages": [{json.dumps(message("before"))}, {broken}, {json.dumps(message("after"))}], "group_id": "g"}}'
    )
    result = reading_bytes(text.encode())
    assert result.texts == ["before", "after"]
    assert [r.origin for r in result.rejected] == ["0.json[1]"]
    assert result.outcomes() == result.entries


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_with_a_mark_is_read(encoding, indent, reading_bytes):
    text = "\n".join(json.dumps(room, indent=indent) for room in ROOMS)
    assert len(reading_bytes(text.encode(encoding)).messages) == 8


@pytest.mark.parametrize("nothing", [b"", b"  \n", b"[]", b"{}", b"[]\n", "".encode("utf-16"), b"null", b"\0" * 9])
def test_a_file_with_nothing_in_it_stops_no_other_file(nothing, reading_bytes):
    result = reading_bytes(nothing, json.dumps(ROOMS[0]).encode())
    assert result.texts == ["in room 0", "bye"]
    assert len(result.unknown) + len(result.rejected) == 1


def test_a_group_whose_messages_are_null_is_a_conversation_without_entries(read_exports):
    result = read_exports({"group_id": "g", "messages": None}, {"group_id": "h", "messages": None} | classic(entry()))
    assert result.entries == {"g": 0, "h": 1}
    assert not result.rejected


def test_items_of_an_array_that_are_no_conversation_are_rejected_where_they_stand(read_exports):
    result = read_exports([group(message("a")), None, [message()], {"group_id": "g"}, group(message("b"))])
    assert result.texts == ["a", "b"]
    assert [r.origin for r in result.rejected] == ["0.json[1]", "0.json[2]", "0.json[3]"]
    assert result.outcomes() == result.entries


def test_a_folder_of_files_is_one_export_and_a_group_may_go_on_in_another_file(read_exports):
    result = read_exports(group(message("a")), group(message("b")), personal(said("c")))
    assert (result.formats, result.texts) == (["everos_json"], ["a", "b", "c"])


def test_a_group_without_messages_is_a_conversation_without_entries(read_exports):
    assert read_exports(group(), group(message(), group_id="g")).entries == {"conversation_001": 0, "g": 1}


def test_conversations_are_chosen_by_name_or_id(read_exports):
    values = [group(message("a")), group(message("b"), group_id="g", group_meta={"name": "Launch"})]
    assert read_exports(*values, include=("launch", "Launch")).texts == ["b"]
    assert read_exports(*values, exclude=("conversation_*",)).reasons == {"excluded": 1}


@pytest.mark.parametrize("removed", [1, 30, 90, 150])
def test_a_cut_file_is_read_as_far_as_it_goes_and_says_where_it_ends(removed, tmp_path):
    data = json.dumps([group(message("a")), group(message("b"), message("c"), group_id="g")]).encode()[:-removed]
    result = read(write_folder(tmp_path, {"cut.json": data}))
    whole = sum(data.count(json.dumps(message(text)).encode()) for text in "abc")
    assert len(result.messages) == whole
    assert [r.origin for r in result.rejected] == [
        "cut.json[2]" if removed == 1 else f"cut.json[1].messages[{whole - 1}]"
    ]
    assert "ends in the middle" in result.rejected[0].reason
    assert result.outcomes() == result.entries


def test_ids_are_made_the_same_way_in_every_run_and_file_and_tell_identical_messages_apart(read_exports):
    twice = [message("ok"), message("ok"), message("ok", timestamp=AT_MS + 1)]
    first = read_exports(group(*twice))
    ids = [m.message_id for m in first.messages]
    assert len(set(ids)) == 3
    again = read_exports(group(message("new"), *twice), group(*twice))
    assert [m.message_id for m in again.messages][1:] == [*ids, *ids]


def test_ids_that_start_again_in_each_file_are_given_as_they_are_with_all_messages(read_exports):
    first, second = message("a", message_id="msg_001"), message("b", message_id="msg_001")
    result = read_exports(group(first, second), group(second))
    assert [(m.message_id, m.text) for m in result.messages] == [("msg_001", "a"), ("msg_001", "b"), ("msg_001", "b")]


def test_a_message_without_id_has_the_same_id_in_two_files_and_another_when_it_comes_twice_in_one(read_exports):
    result = read_exports(group(message("ok")), group(message("ok"), message("ok")))
    first, again, twice = (m.message_id for m in result.messages)
    assert first == again != twice


def test_messages_of_one_time_keep_the_order_of_the_file(read_exports):
    contents = ["Q1", "A1", "Q2", "A2"]
    assert read_exports(group(*map(message, contents))).texts == contents


def test_an_id_depends_on_conversation_time_sender_and_words(read_exports):
    base = message()
    others = [base | {"content": "x"}, base | {"sender_id": "x"}, base | {"timestamp": AT_MS + 1}]
    result = read_exports(group(base, *others), group(base, group_id="g"))
    assert len({m.message_id for m in result.messages}) == 5


def test_a_given_message_id_is_kept(read_exports):
    result = read_exports(group(message(message_id="m-1"), message(message_id=7), message(message_id="")))
    assert [m.message_id for m in result.messages][:2] == ["m-1", "7"]
    assert result.messages[2].message_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e18, 1e18) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["role", "sender_id", "sender_name", "timestamp", "content", "message_id", "create_time", "sender", "type"]
ROLES = st.sampled_from(["user", "assistant"])
NEAR = st.builds(lambda changes: message(**changes), st.dictionaries(st.sampled_from(FIELDS), JSON | ROLES))
LISTS = st.lists(JSON | NEAR, max_size=4) | JSON
HEADS = ["group_id", "user_id", "session_id", "group_meta", "conversation_meta"]
DOCUMENTS = st.dictionaries(st.sampled_from(HEADS), JSON | st.just("x")).flatmap(
    lambda head: st.fixed_dictionaries(
        {key: st.just(value) for key, value in head.items()}, optional={"messages": LISTS, "conversation_list": LISTS}
    )
)


def raw_entries(document):
    """Count the entries of a document without the parser; one that has no list is one. ``null`` is an empty list."""
    if not isinstance(document, dict):
        return 1
    lists = [document.get(key, 0) for key in ("messages", "conversation_list")]
    lists = [value or [] for value in lists if value is None or isinstance(value, list)]
    return sum(map(len, lists)) if lists else 1


@given(st.lists(DOCUMENTS | JSON, max_size=4))
def test_parsing_any_array_never_raises_and_accounts_for_every_entry(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("any") / "any.json"
    path.write_text(json.dumps(documents), "utf-8")
    with open_archive(path) as archive:
        records = everos_documents.parse(archive, Export(key="k", format="", path="", label=""), ParseOptions())
        found = list(one_by_one(records))
    outcomes = [record for record in found if isinstance(record, Message | Skipped | Rejected)]
    counted = sum(record.count for record in found if isinstance(record, Entries))
    assert len(outcomes) == counted == sum(map(raw_entries, documents))
