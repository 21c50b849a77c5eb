"""Rules of judging Slack entries: who wrote it, what it says, what is left out and under which name."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers import ParseOptions
from include.parsers.slack.entries import Defect, Entry, decode_entries
from include.parsers.slack.index import index_of_users
from include.parsers.slack.messages import NOISE, Classifier, time_us, times_us
from include.records import Message, Rejected, Skipped
from tests.support.builders import rich_text, slack_message, slack_user

TS = "1767312000.000100"
USERS = [
    slack_user("U1", "Ann Lee", profile={"display_name": "ann"}),
    slack_user("U2", "", profile={"display_name": "bobby"}),
    slack_user("U3", "", handle="old", deleted=True),
    slack_user("U4", "Build Bot", is_bot=True, profile={"bot_id": "B1"}),
]


def judged(*entries: Any, bots: Any = "assistant") -> list[Message | Skipped | Rejected]:
    classifier = Classifier(index_of_users(USERS), ParseOptions(bots=bots))
    decoded = decode_entries(msgspec.json.encode(entries))
    assert not any(isinstance(entry, Defect) for entry in decoded)
    return [classifier.outcome(entry, "slack_x", "x") for entry in decoded if not isinstance(entry, Defect)]


def message(**fields: Any) -> Message:
    outcome = judged(slack_message(**fields))[-1]
    assert isinstance(outcome, Message)
    return outcome


def reason(**fields: Any) -> str:
    outcome = judged(slack_message(**fields))[-1]
    assert isinstance(outcome, Skipped)
    return outcome.reason


def author(**fields: Any) -> tuple[str, str, str]:
    found = message(**fields)
    return found.sender_id, found.sender_name, found.role


# --- times and identity


def test_a_message_keeps_ts_as_its_id_digit_for_digit() -> None:
    """``float("1714556401.000200")`` prints as ``1714556401.0002``: a different id."""
    found = message(ts="1714556401.000200")
    assert found.message_id == "1714556401.000200"
    assert found.sent_at_us == 1_714_556_401_000_200
    assert found.timestamp_ms == 1_714_556_401_000


def test_a_number_without_end_costs_its_entry_and_is_not_quoted() -> None:
    number = b"9" * 5000
    entries = decode_entries(b'[{"ts": %b}, {"ts": "1767312000.000100", "reply_count": %b}]' % (number, number))
    assert entries[0] == Defect("a whole number of thousands of digits")
    assert isinstance(entries[1], Entry)


def test_a_ts_without_fraction_is_a_time_too() -> None:
    assert message(ts="1767312150").sent_at_us == 1_767_312_150_000_000


@pytest.mark.parametrize(
    ("ts", "microseconds"),
    [
        ("1452837318.000002", 1_452_837_318_000_002),
        ("1452837318.5", 1_452_837_318_500_000),
        ("1452837318.1234567", None),
        ("1452837318,000002", None),
        ("١٤٥٢٨٣٧٣١٨.000002", None),
        ("1452837318.00000²", None),
        ("-452837318.000002", None),
        ("1_52837318.000002", None),
        (" 452837318.000002", None),
        ("999999999.000000", None),
        ("253402300800.0", None),
        ("1" * 5000, None),
        (".5", None),
        ("", None),
        (None, None),
    ],
)
def test_a_ts_is_a_time_or_nothing(ts: str | None, microseconds: int | None) -> None:
    assert time_us(ts) == microseconds


@pytest.mark.parametrize(
    ("ts", "problem"),
    [(..., "ts is missing"), (None, "ts is missing"), ("soon", "ts is no Unix time between 2001 and 9999")],
)
def test_an_entry_without_a_time_is_rejected_not_dated_1970(ts: Any, problem: str) -> None:
    outcome = judged(slack_message(ts=ts))[0]
    assert isinstance(outcome, Rejected)
    assert outcome.reason == problem


def test_a_ts_written_as_a_number_keeps_its_digits() -> None:
    raw = b'[{"user": "U1", "text": "hi", "ts": 1714556401.000200}, {"user": "U1", "text": "hi", "ts": 1714556401}]'
    classifier = Classifier(index_of_users(USERS), ParseOptions())
    outcomes = [classifier.outcome(entry, "c", "x") for entry in decode_entries(raw) if not isinstance(entry, Defect)]
    assert [found.message_id for found in outcomes if isinstance(found, Message)] == ["1714556401.000200", "1714556401"]


def test_a_thread_is_named_by_its_root_whether_the_root_is_there_or_not() -> None:
    assert message(thread_ts="1700000000.000100").thread_id == "1700000000.000100"
    assert message(thread_ts=TS).thread_id == TS
    assert message(thread_ts="x" * 5000).thread_id is None
    assert message().thread_id is None


def test_an_edit_is_dated_so_that_the_newest_copy_can_win() -> None:
    assert message(edited={"user": "U1", "ts": "1767312005.000000"}).edited_at_us == 1_767_312_005_000_000
    assert message(edited={"user": "U1"}).edited_at_us is None


# --- authors


@pytest.mark.parametrize(
    ("user", "name"), [("U1", "Ann Lee"), ("U2", "bobby"), ("U3", "old"), ("U404", "U404"), ("W9", "W9")]
)
def test_a_person_goes_by_the_first_name_that_is_not_empty(user: str, name: str) -> None:
    """Full name, display name, handle; whoever was deleted from the roster keeps an id of their own."""
    assert author(user=user) == (user, name, "user")


def test_a_guest_from_another_workspace_brings_a_profile_and_is_known_from_then_on() -> None:
    profile = {"real_name": "Eve Ext", "display_name": "", "name": "eve", "team": "T9"}
    later = slack_message("1767312001.000100", "hi <@U77>", "U77")
    outcomes = judged(slack_message(user="U77", user_profile=profile), later)
    assert [(found.sender_id, found.sender_name) for found in outcomes if isinstance(found, Message)] == [
        ("U77", "Eve Ext"),
        ("U77", "Eve Ext"),
    ]
    assert [found.text for found in outcomes if isinstance(found, Message)] == ["hello", "hi @Eve Ext"]


def test_slackbot_is_a_bot_that_no_roster_lists() -> None:
    assert author(user="USLACKBOT") == ("USLACKBOT", "Slackbot", "assistant")
    assert author(user=..., bot_id="B01") == ("USLACKBOT", "Slackbot", "assistant")


def test_slackbot_is_no_person_even_where_a_roster_says_so() -> None:
    classifier = Classifier(
        index_of_users([slack_user("USLACKBOT", "Slackbot", is_bot=False)]), ParseOptions(bots="skip")
    )
    entry = decode_entries(msgspec.json.encode([slack_message(user="USLACKBOT")]))[0]
    assert isinstance(entry, Entry)
    assert classifier.outcome(entry, "c", "x") == Skipped(source="slack", conversation_id="c", reason="bot", origin="x")


def test_bots_are_named_by_the_message_then_roster_then_profile_then_installation_then_id() -> None:
    bot = {"user": ..., "subtype": "bot_message"}
    assert author(**bot, bot_id="B1") == ("B1", "Build Bot", "assistant")
    assert author(**bot, bot_id="B1", username="ci") == ("B1+3Aci", "ci", "assistant")
    assert author(**bot, bot_id="B2", bot_profile={"name": "Deploy"}) == ("B2", "Deploy", "assistant")
    assert author(**bot, bot_id="B2", username="hook") == ("B2+3Ahook", "hook", "assistant")
    assert author(**bot, bot_id="B2") == ("B2", "B2", "assistant")
    added = slack_message(text="added <https://x.slack.com/services/B2|github>", subtype="bot_add")
    assert [getattr(found, "sender_name", "") for found in judged(added, slack_message(**bot, bot_id="B2"))] == [
        "",
        "github",
    ]


def test_bots_without_an_id_stay_apart_by_their_names() -> None:
    ids = {message(user=..., subtype="bot_message", username=name).sender_id for name in ("ci", "news")}
    assert ids == {"name+3Aci", "name+3Anews"}


def test_a_bots_own_user_is_a_bot() -> None:
    assert author(user="U4", bot_id="B1") == ("U4", "Build Bot", "assistant")
    assert author(user="U404", bot_id="B9", bot_profile={"name": "Gone"}) == ("U404", "Gone", "assistant")


def test_a_person_who_posts_through_an_app_stays_a_person() -> None:
    assert author(user="U1", bot_id="B8") == ("U1", "Ann Lee", "user")


def test_bots_are_mentioned_by_the_name_of_their_integration_not_of_a_message() -> None:
    said = judged(
        slack_message(user=..., bot_id="B9", username="Zap"), slack_message(text="<@B1> <@B9> <@USLACKBOT> <@B0>")
    )
    assert isinstance(said[1], Message)
    assert said[1].text == "@Build Bot @B9 @Slackbot @B0"


def test_an_entry_that_names_nobody_is_kept_and_counted() -> None:
    classifier = Classifier(index_of_users(USERS), ParseOptions())
    entry = decode_entries(msgspec.json.encode([slack_message(user=...)]))[0]
    assert isinstance(entry, Entry)
    outcome = classifier.outcome(entry, "c", "x")
    assert isinstance(outcome, Message)
    assert (outcome.sender_id, classifier.unknown_authors) == ("unknown", 1)


def test_bots_can_be_left_out() -> None:
    bot = slack_message(user=..., subtype="bot_message", bot_id="B1")
    outcomes = judged(bot, slack_message(user="U4"), slack_message(user="U1"), bots="skip")
    assert [getattr(outcome, "reason", "kept") for outcome in outcomes] == ["bot", "bot", "kept"]


# --- subtypes


@pytest.mark.parametrize("subtype", [*sorted(NOISE), "joiner_notification_x", "group_canvas_updated"])
def test_what_slack_itself_reports_is_skipped_under_its_own_name(subtype: str) -> None:
    assert reason(subtype=subtype) == subtype


@pytest.mark.parametrize("subtype", ["message_changed", "message_deleted", "message_replied"])
def test_records_about_other_messages_are_skipped(subtype: str) -> None:
    assert reason(subtype=subtype, hidden=True) == "event"
    assert reason(hidden=True) == "event"


def test_a_deleted_message_is_nobodys_words() -> None:
    fields = {"user": "USLACKBOT", "text": "This message was deleted.", "subtype": "tombstone"}
    assert reason(**fields, hidden=True, reply_count=1) == "deleted"
    assert reason(**fields) == "deleted"


def test_an_unknown_subtype_is_imported_if_it_says_something() -> None:
    """Slack adds subtypes; a closed list loses data."""
    assert message(subtype="ai_recap").text == "hello"
    assert reason(subtype="ai_recap", text="") == "ai_recap"
    assert reason(subtype="Dear Bob, the password is", text="") == "unreadable subtype"


def test_a_reply_that_was_also_sent_to_the_channel_is_an_ordinary_message() -> None:
    found = message(subtype="thread_broadcast", thread_ts="1700000000.000100", root={"text": "x"})
    assert (found.text, found.thread_id) == ("hello", "1700000000.000100")


def test_an_action_is_told_about_its_author() -> None:
    assert message(subtype="me_message", text="waves").text == "Ann Lee waves"


def test_a_huddle_is_told_with_length_and_people_by_who_started_it() -> None:
    room = {"created_by": "U1", "date_start": 100, "date_end": 390, "participant_history": ["U1", "U2", "U404"]}
    found = message(subtype="huddle_thread", user="USLACKBOT", text="A huddle started", room=room)
    assert (found.sender_id, found.role) == ("U1", "user")
    assert found.text == "Huddle, 5 min, with Ann Lee, bobby, U404"
    assert message(subtype="huddle_thread", room={"created_by": "U1"}).text == "Huddle"


@pytest.mark.parametrize("room", [None, [], 7, {"date_start": "x", "date_end": [], "participants": [None]}])
def test_a_huddle_without_details_is_still_a_huddle(room: Any) -> None:
    assert message(subtype="huddle_thread", user="U1", room=room).text == "Huddle"


def test_a_call_is_told_by_who_started_it() -> None:
    found = message(subtype="sh_room_created", user="USLACKBOT", text="", room={"created_by": "U1", "name": "Standup"})
    assert (found.sender_id, found.text) == ("U1", "Started a call\nStandup")


def test_a_comment_on_a_file_is_its_authors() -> None:
    comment = {"user": "U2", "comment": "nice &lt;file&gt;"}
    found = message(
        subtype="file_comment", user=..., text="<@U2> commented on <@U1>'s file", comment=comment, file={"id": "F"}
    )
    assert (found.sender_id, found.text) == ("U2", "nice <file>")


def test_an_old_upload_is_the_comment_and_the_file_not_slacks_sentence() -> None:
    fields: dict[str, Any] = {
        "subtype": "file_share",
        "text": "<@U1> uploaded a file: <https://x.slack.com/f/F1/a.jpg|a.jpg> and commented: This is Sammy.",
        "file": {"id": "F1", "title": "a.jpg", "user": "U1"},
    }
    assert message(**fields).text == "This is Sammy.\n[file: a.jpg]"
    fields["file"]["initial_comment"] = {"user": "U1", "comment": "This is &amp; Sammy."}
    assert message(**fields).text == "This is & Sammy.\n[file: a.jpg]"
    fields["text"] = "<@U1> uploaded a file: <https://x.slack.com/f/F1/a.jpg|a.jpg>"
    del fields["file"]["initial_comment"]
    assert message(**fields).text == "[file: a.jpg]"


@pytest.mark.parametrize("told", ["<@U1|ann> uploaded an image", "<@U1> created a post", "ci-bot uploaded a file"])
def test_an_upload_of_any_kind_is_told_without_slacks_sentence(told: str) -> None:
    fields: dict[str, Any] = {"subtype": "file_share", "file": {"title": "Plan", "user": "U1"}}
    assert message(text=f"{told}: <https://x.slack.com/f/F1|Plan>", **fields).text == "[file: Plan]"
    commented = f"{told}: <https://x.slack.com/f/F1|Plan> and commented: read <https://a.example|this>"
    assert message(text=commented, **fields).text == "read this (https://a.example)\n[file: Plan]"


def test_a_person_may_write_of_an_upload() -> None:
    text = "I uploaded a file: <https://a.example/1> and commented: nothing"
    found = message(subtype="file_share", text=text, files=[{"title": "Plan"}])
    assert found.text == "I uploaded a file: https://a.example/1 and commented: nothing\n[file: Plan]"


def test_a_file_of_somebody_else_is_shared_in_the_words_of_who_shares_it() -> None:
    told = "<@U2|bob> shared a file: <https://x.slack.com/f/F1|Plan> and commented: have a look"
    file = {"title": "Plan", "user": "U1", "initial_comment": {"user": "U1", "comment": "words of the uploader"}}
    found = message(subtype="file_share", text=told, user="U2", file=file)
    assert (found.sender_id, found.text) == ("U2", "have a look\n[file: Plan]")
    assert author(subtype="file_share", text="", user=..., file=file)[0] == "U1"


def test_a_comment_on_a_file_that_is_gone_is_told_in_slacks_words() -> None:
    told = "<@U1> commented on <@U2>’s file <https://x.slack.com/f/F1|Plan>: not this one"  # noqa: RUF001
    assert message(subtype="file_comment", text=told, comment=None).text.endswith(
        "(https://x.slack.com/f/F1): not this one"
    )


def test_a_new_upload_is_what_was_written_and_the_file() -> None:
    found = message(subtype="file_share", text="see this", files=[{"title": "Plan"}], upload=True)
    assert found.text == "see this\n[file: Plan]"


# --- text


def test_a_persons_text_counts_and_the_blocks_that_repeat_it_do_not() -> None:
    assert message(text="hi *there*", blocks=rich_text("hi there")).text == "hi *there*"


def test_without_text_the_blocks_speak_then_the_attachments_then_the_files() -> None:
    parts: dict[str, Any] = {"attachments": [{"fallback": "attached"}], "files": [{"title": "Plan"}]}
    assert message(text="", blocks=rich_text("in blocks"), **parts).text == "in blocks\nattached\n[file: Plan]"
    assert message(text=" \n", **parts).text == "attached\n[file: Plan]"
    assert message(text=..., files=parts["files"]).text == "[file: Plan]"


def test_a_bot_says_everything_it_put_into_text_blocks_and_attachments_once() -> None:
    bot: dict[str, Any] = {"user": "U4", "bot_id": "B1"}
    assert (
        message(**bot, text="done", blocks=rich_text("build 7"), attachments=[{"text": "red"}]).text
        == "done\nbuild 7\nred"
    )
    assert message(**bot, text="*build* 7 is", blocks=rich_text("build 7 is red")).text == "build 7 is red"
    assert message(**bot, text="build 7 is  red", blocks=rich_text("build 7 is")).text == "build 7 is  red"
    twice = {"fallback": "build 7 failed", "title": "build 7", "text": "failed"}
    assert message(**bot, text="", attachments=[twice]).text == "build 7\nfailed"


def test_an_old_bot_that_has_only_attachments_is_not_empty() -> None:
    """In a real export of 2016, 94 of 158 messages were such; most importers lose them."""
    fields = {"user": ..., "subtype": "bot_message", "bot_id": "B9", "text": "", "username": "github"}
    attachment = {"fallback": "[repo] 1 commit", "text": "<https://x.example/c|`abc`> fix", "color": "fff"}
    assert message(**fields, attachments=[attachment]).text == "[repo] 1 commit\n`abc` (https://x.example/c) fix"


def test_a_preview_of_a_link_is_not_the_persons_words_and_told_only_where_nothing_else_is() -> None:
    preview = {"from_url": "https://x.example", "service_name": "X", "text": "words of a page", "fallback": "page"}
    assert message(text="look", attachments=[preview]).text == "look"
    assert message(text="", attachments=[preview]).text == "[link preview] words of a page"


def test_a_shared_message_is_quoted_with_a_comment_and_without() -> None:
    shared = {"is_share": True, "author_name": "Bob", "text": "see this", "from_url": "https://x.slack.com/p1"}
    assert message(text="", attachments=[shared]).text == "[shared] Bob: see this"
    assert message(text="mine", attachments=[shared]).text == "mine\n[shared] Bob: see this"


def test_files_the_export_lost_do_not_cost_the_text() -> None:
    files = [{"mode": "tombstone"}, {"mode": "hidden_by_limit"}, {"file_access": "access_denied"}, None]
    assert message(text="kept", files=files).text == "kept"
    assert reason(text="", files=files) == "empty"


@pytest.mark.parametrize("fields", [{"text": ""}, {"text": None}, {"text": "  \n"}, {"text": ..., "blocks": []}])
def test_an_entry_that_says_nothing_is_empty(fields: dict[str, Any]) -> None:
    assert reason(**fields) == "empty"


def test_tokens_in_file_addresses_never_reach_a_message() -> None:
    files = [{"title": "https://files.slack.com/a?t=xoxe-1-2", "url_private": "https://files.slack.com/a?t=xoxe-3-4"}]
    blocks = rich_text("https://files.slack.com/b?token=xoxe-5-6")
    for found in (message(text="x", files=files), message(text="", blocks=blocks), message(user="U4", blocks=blocks)):
        assert "xox" not in found.text


regular = st.integers(10**15, 10**16 - 1).map(lambda us: f"{us // 10**6}.{us % 10**6:06}")
irregular = st.from_regex(r"[0-9]{9,11}([.][0-9]{0,7})?", fullmatch=True) | st.text(max_size=3) | st.none()
two_in_one = st.just(f"{TS},{TS}")


@given(st.lists(regular | two_in_one) | st.lists(regular | irregular))
def test_times_that_are_read_together_are_those_that_are_read_one_by_one(given_times: list[str | None]) -> None:
    entries = [Entry(ts=ts) for ts in given_times]
    assert times_us(entries) == [time_us(ts) for ts in given_times]
