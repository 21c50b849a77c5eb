"""Rules of a Slack message's words: all of them, once, and each with its author."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers import ParseOptions
from include.parsers.slack.blocks import blocks_text
from include.parsers.slack.entries import Entry, decode_entries
from include.parsers.slack.index import Index, index_of_users
from include.parsers.slack.messages import Classifier
from include.parsers.slack.repeats import is_for_other_clients, joined, repeats, unsaid
from include.parsers.slack.text import Names
from include.records import Message, Rejected, Skipped
from tests.support.builders import rich_text, slack_export, slack_message, slack_user, to_json, write_folder
from tests.support.read_exports import read

USERS = [slack_user("U1", "Ann Lee"), slack_user("U2", "Bob Ray", handle="bob")]
NAMES = Names({"U1": "Ann Lee", "U2": "Bob Ray"}, {"C1": "general"}, {"S1": "ops"})
APP: dict[str, Any] = {"user": ..., "subtype": "bot_message", "bot_id": "B1"}


def outcomes(*entries: Any, index: Index | None = None, files: Any = None) -> list[Message | Skipped | Rejected]:
    classifier = Classifier(index or index_of_users(USERS), ParseOptions(), files)
    decoded = decode_entries(msgspec.json.encode(entries))
    return [classifier.outcome(entry, "c", "x") for entry in decoded if isinstance(entry, Entry)]


def said(**fields: Any) -> str:
    """Return the text of one message, ``""`` if it is empty."""
    outcome = outcomes(slack_message(**fields))[0]
    return outcome.text if isinstance(outcome, Message) else ""


def messages(*entries: Any, **options: Any) -> list[Message]:
    return [outcome for outcome in outcomes(*entries, **options) if isinstance(outcome, Message)]


def raw(*texts: str) -> list[dict[str, str]]:
    return [{"type": "raw_text", "text": text} for text in texts]


def rich(*elements: Any, kind: str = "rich_text_section", **fields: Any) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements), **fields}]}


def word(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


# --- forwarded messages


FORWARD = {
    "is_share": True,
    "is_msg_unfurl": True,
    "from_url": "https://x.slack.com/archives/C9/p1",
    "author_id": "U2",
    "author_name": "bob",
    "text": "The Tern is out of service",
    "fallback": "[Jan 1st, 2026 9:00 AM] bob: The Tern is out of service",
    "footer": "Posted in #ops",
}


def test_a_forwarded_message_comes_after_the_comment_with_its_author_and_without_slacks_footer() -> None:
    quoted = "[shared] Bob Ray: The Tern is out of service"
    assert said(text="tell the crew", attachments=[FORWARD]) == f"tell the crew\n{quoted}"
    assert said(text="", attachments=[FORWARD]) == quoted


def test_a_forwarded_message_is_given_by_its_blocks_files_and_fields_and_not_by_a_heading() -> None:
    bare = FORWARD | {"text": "", "fallback": "[Jan 1st] bob: "}
    blocks = rich_text("Engine check is due")
    assert said(text="", attachments=[bare | {"message_blocks": [{"message": {"blocks": blocks}}]}]) == (
        "[shared] Bob Ray: Engine check is due"
    )
    assert said(text="", attachments=[bare | {"blocks": blocks}]) == "[shared] Bob Ray: Engine check is due"
    files = [{"name": "rota.pdf", "title": "Rota"}]
    assert said(text="see", attachments=[bare | {"files": files}]) == "see\n[shared] Bob Ray: [file: Rota]"
    assert said(text="", attachments=[bare | {"fields": [{"title": "Site", "value": "Dock"}]}]) == (
        "[shared] Bob Ray: Site: Dock"
    )
    nested = [{"title": "Pump 3", "text": "no pressure"}]
    assert said(text="", attachments=[bare | {"attachments": nested}]) == "[shared] Bob Ray: Pump 3\nno pressure"
    assert said(text="", attachments=[bare]) == ""


def test_a_forwarded_message_that_has_only_a_fallback_is_given_without_its_heading() -> None:
    old = {"is_share": True, "fallback": "[Jan 1st, 2026 9:00 AM] bob: the rest at nine"}
    assert said(text="", attachments=[old]) == "[shared] bob: the rest at nine"


def test_an_old_broadcast_of_a_reply_is_not_said_again() -> None:
    reply = FORWARD | {"text": "the answer is 42"}
    found = outcomes(slack_message(text="", user="U2", subtype="reply_broadcast", attachments=[reply]))[0]
    assert isinstance(found, Skipped)
    assert found.reason == "reply_broadcast"
    assert said(text="see my answer", subtype="reply_broadcast", attachments=[reply]) == "see my answer"


def test_a_file_that_was_mentioned_is_named_without_slacks_sentence() -> None:
    told = "<@U2|bob> mentioned a file: <https://x.slack.com/files/F1|plan.txt>"
    file = {"id": "F1", "user": "U1", "title": "plan.txt"}
    found = messages(slack_message(text=told, user="U2", subtype="file_mention", file=file))[0]
    assert (found.sender_id, found.text) == ("U2", "[file: plan.txt]")


def test_subtypes_of_old_exports_are_not_counted_as_new() -> None:
    classifier = Classifier(index_of_users(USERS), ParseOptions())
    for subtype in ("file_mention", "reply_broadcast", "thread_broadcast"):
        entry = decode_entries(msgspec.json.encode([slack_message(subtype=subtype)]))[0]
        assert isinstance(entry, Entry)
        classifier.outcome(entry, "c", "x")
    assert not classifier.unknown_subtypes


# --- tables


TABLE = {"type": "table", "rows": [[rich(word("Ferry")), rich(word("Seats"))], raw("Tern", "48")]}


@pytest.mark.parametrize("where", ["blocks", "attachments"])
def test_a_table_is_given_beside_the_text_of_a_person(where: str) -> None:
    parts: dict[str, Any] = {
        "blocks": [*rich_text("Please check"), TABLE] if where == "blocks" else rich_text("Please check"),
        "attachments": [{"blocks": [TABLE], "fallback": "[no preview available]"}] if where == "attachments" else [],
    }
    assert said(text="Please check", **parts) == "Please check\nFerry | Seats\nTern | 48"


def test_every_type_of_cell_is_written_and_an_empty_one_keeps_its_column() -> None:
    cells = [
        *raw("Tern"),
        {"type": "raw_number", "value": 48},
        {"type": "raw_number", "value": 42.5, "text": "42.50"},
        {"type": "raw_number", "value": 7.0},
        {"type": "raw_boolean", "value": True},
        {"type": "raw_boolean", "value": False},
        {"type": "date", "timestamp": 1767312000, "format": "{date_num}"},
        {"type": "date", "timestamp": 1767312000, "fallback": "Jan 2"},
        {"type": "user", "user_id": "U2"},
        None,
        {"type": "channel", "channel_id": "C1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "emoji", "name": "boat"},
        {"type": "link", "url": "https://x.example/a", "text": "doc"},
        {"type": "mrkdwn", "text": "<@U1> &amp; co"},
        {"type": "new_cell", "elements": [word("nested")]},
        {"type": "new_cell", "text": {"type": "plain_text", "text": "object"}},
        {"type": "button", "text": {"type": "plain_text", "text": "Open"}},
        {"type": "raw_text", "text": "two\nlines"},
    ]
    assert blocks_text([{"type": "table", "rows": [cells]}], NAMES) == (
        "Tern | 48 | 42.50 | 7 | true | false | 2026-01-02T00:00:00+00:00 | Jan 2 | @Bob Ray |  | #general | @ops | "
        ":boat: | doc (https://x.example/a) | @Ann Lee & co | nested | object |  | two lines"
    )


def test_a_data_table_has_a_caption_and_equal_rows_stay() -> None:
    table = {"type": "data_table", "caption": "Ferries", "rows": [raw("Tern", "1"), raw("Tern", "1"), [None, None]]}
    assert said(text="", **APP, blocks=[table]) == "Ferries\nTern | 1\nTern | 1"


# --- blocks of any type


def test_an_unknown_block_gives_the_text_objects_in_it_and_no_ids_addresses_or_controls() -> None:
    block = {
        "type": "card_of_2030",
        "block_id": "b7",
        "color": "#ff0000",
        "hero": {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "a boat"},
        "title": {"type": "mrkdwn", "text": "Tern"},
        "panels": [
            {"body": {"type": "plain_text", "text": "back on Monday"}},
            {"content": rich(word("with a new pump"))},
            {"label": "Seats", "value": 48},
        ],
        "actions": [{"type": "button", "text": {"type": "plain_text", "text": "Book"}, "action_id": "a1"}],
        "menu": {"type": "static_select", "options": [{"text": {"type": "plain_text", "text": "one"}}]},
    }
    assert blocks_text([block], NAMES) == "Tern\n[image: a boat]\nback on Monday\nwith a new pump\nSeats: 48"


def test_controls_are_no_words() -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Yes"}}
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "approve?"}, "accessory": button},
        {"type": "actions", "elements": [button]},
        {"type": "context_actions", "elements": [{"type": "feedback_buttons"}]},
    ]
    assert said(text="approve?", **APP, blocks=blocks) == "approve?"


def test_ordered_lists_go_on_where_they_were_interrupted_and_nested_ones_are_indented() -> None:
    def listed(*items: str, **fields: Any) -> dict[str, Any]:
        sections = [{"type": "rich_text_section", "elements": [word(item)]} for item in items]
        return {"type": "rich_text_list", "elements": sections, **fields}

    first = listed("Stop the pump", "Close the valve", style="ordered", indent=0)
    inner = listed("red handle", style="bullet", indent=1)
    rest = listed("Call the office", style="ordered", indent=0, offset=2)
    assert blocks_text([{"type": "rich_text", "elements": [first, inner, rest]}], NAMES) == (
        "1. Stop the pump\n2. Close the valve\n  - red handle\n3. Call the office"
    )


# --- files


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            {"subtype": "slack_audio", "title": "a.m4a", "transcription": {"preview": {"content": "The pump leaks"}}},
            "[voice message] The pump leaks",
        ),
        (
            {"subtype": "slack_video", "transcription": {"preview": {"content": "Look", "has_more": True}}},
            "[video message] Look [cut in the export]",
        ),
        (
            {"mimetype": "audio/mp3", "title": "Talk", "transcription": {"preview": {"content": "Hi"}}},
            "[audio: Talk] Hi",
        ),
        ({"subtype": "slack_audio", "title": "a.m4a"}, "[voice message: a.m4a]"),
        (
            {"mode": "snippet", "title": "Untitled", "name": "notes.txt", "preview": "valve A\nvalve B"},
            "[snippet: notes.txt]\nvalve A\nvalve B",
        ),
        (
            {"mode": "snippet", "title": "Log", "preview": "line 1", "preview_is_truncated": True},
            "[snippet: Log]\nline 1\n[cut in the export]",
        ),
        (
            {"mode": "hosted", "title": "a.csv", "preview": "x,y", "lines_more": 7},
            "[file: a.csv]\nx,y\n[cut in the export]",
        ),
        (
            {
                "mode": "email",
                "subject": "Parts",
                "from": [{"name": "Parts Ltd"}],
                "plain_text": "At noon.",
                "preview": "At",
                "attachments": [{"filename": "bill.pdf"}],
            },
            "[email: Parts, from Parts Ltd]\nAt noon.\n[file: bill.pdf]",
        ),
        ({"mode": "space", "title": "Rota", "preview": "<p>Ann &amp; Bob</p>"}, "[post: Rota]\nAnn & Bob"),
        ({"filetype": "quip", "title": "Plan"}, "[canvas: Plan]"),
        (
            {"mode": "email", "title": "Parts", "preview_plain_text": "Dear", "has_more": True},
            "[email: Parts]\nDear\n[cut in the export]",
        ),
        (
            {
                "mode": "email",
                "title": "Parts",
                "preview": "<p>Dear</p>",
                "simplified_html": "<p>Dear<br>Ann <b>Lee</b></p>",
            },
            "[email: Parts]\nDear\nAnn Lee",
        ),
        ({"title": "boat.png", "alt_txt": "a red boat"}, "[file: boat.png] a red boat"),
        ({"mode": "list", "title": "Jobs", "list_metadata": {"description": "all of May"}}, "[list: Jobs] all of May"),
    ],
)
@pytest.mark.parametrize("era", ["files", "file"])
def test_a_file_is_named_as_what_it_is_with_the_text_that_the_export_has_of_it(
    era: str, file: dict[str, Any], text: str
) -> None:
    parts: dict[str, Any] = {"files": [file]} if era == "files" else {"file": file}
    assert said(text="", **parts) == text
    assert said(text="words", **parts) == f"words\n{text}"


def test_a_forward_in_a_forward_names_its_author_and_a_preview_in_it_is_left_out() -> None:
    inner = {"is_share": True, "author_id": "U1", "text": "we are late", "fallback": "[Jan 1st] ann: we are late"}
    preview = {"from_url": "https://n.example", "original_url": "https://n.example", "title": "Headline"}
    outer = {"is_share": True, "author_id": "U2", "text": "we are late", "attachments": [inner, preview]}
    expected = "[shared] Bob Ray: we are late\n[shared] Ann Lee: we are late"
    assert said(text="", attachments=[outer]) == expected
    whole = {**outer, "text": "", "attachments": [], "message_blocks": [{"message": {**outer, "is_share": False}}]}
    assert said(text="", attachments=[whole]) == expected


# --- cards of apps


@pytest.mark.parametrize(
    ("card", "text"),
    [
        (
            {"fields": [{"title": "Status", "value": "Open"}, {"title": "Owner", "value": "<@U2>"}]},
            "Status: Open\nOwner: @Bob Ray",
        ),
        (
            {
                "author_name": "bob-ray",
                "title": "Fix it",
                "title_link": "https://g.example/7",
                "fallback": "[no preview available]",
            },
            "bob-ray\nFix it (https://g.example/7)",
        ),
        (
            {"fallback": "Build 7 failed", "text": "Build <https://ci.example/7|#7> failed", "footer": "ci | main"},
            "Build #7 (https://ci.example/7) failed\nci | main",
        ),
        ({"image_url": "https://g.example/boat.gif?x=1"}, "[image: boat.gif]"),
        (
            {
                "from_url": "https://s.example/1",
                "fallback": "KeyError in pump",
                "title": "KeyError in pump",
                "text": "line 7",
            },
            "KeyError in pump\nline 7",
        ),
        (
            {
                "fallback": "FE-1 Lights",
                "from_url": "https://t.example",
                "is_app_unfurl": True,
                "title": "FE-1 Lights",
                "text": "for Ann",
            },
            "FE-1 Lights\nfor Ann",
        ),
        (
            {"fallback": "New ticket: Login broken", "title": "Login broken", "text": "since Monday noon"},
            "New ticket: Login broken\nsince Monday noon",
        ),
        ({"fallback": "480x270px image", "image_url": "https://x.example/a.png"}, "[image: a.png]"),
        (
            {"title": "Vote", "fallback": "You cannot press these", "callback_id": "v", "actions": [{"text": "Yes"}]},
            "Vote",
        ),
        ({"new_part": {"type": "mrkdwn", "text": "in a new part"}, "color": "#fff", "id": 1}, "in a new part"),
    ],
)
def test_a_card_gives_all_its_words_once(card: dict[str, Any], text: str) -> None:
    assert said(text="", **APP, attachments=[card]) == text
    assert said(text="New issue here", **APP, attachments=[card]) == f"New issue here\n{text}"


def test_an_address_that_the_text_has_is_not_repeated_by_a_title() -> None:
    card = {"title": "FE-2 Horn too quiet", "title_link": "https://t.example/FE-2", "text": "Reported by Bob"}
    assert said(text="created <https://t.example/FE-2|FE-2>", **APP, attachments=[card]) == (
        "created FE-2 (https://t.example/FE-2)\nFE-2 Horn too quiet\nReported by Bob"
    )


def test_what_an_app_attached_to_a_persons_message_is_said() -> None:
    note = {"text": "a note of her app", "fallback": "a note of her app"}
    assert said(text="words of a person", attachments=[note]) == "words of a person\na note of her app"


def test_what_an_app_made_of_a_persons_link_is_a_preview() -> None:
    card = {"app_unfurl_url": "https://t.example/FE-1", "is_app_unfurl": True, "title": "FE-1 Ramp"}
    assert said(text="see <https://t.example/FE-1>", attachments=[card]) == "see https://t.example/FE-1"


def test_a_bot_that_posts_nothing_but_links_brings_what_stands_in_their_previews() -> None:
    post = {"from_url": "https://b.example/1", "service_name": "Blog", "title": "New boat", "text": "It is red"}
    link = "<https://b.example/1>"
    told = "https://b.example/1\n[link preview] New boat\nIt is red"
    assert said(text=link, **APP, attachments=[post]) == told
    assert said(text=f"look {link}", **APP, attachments=[post]) == "look https://b.example/1"
    assert said(text=link, attachments=[post]) == "https://b.example/1"


def test_two_cards_may_say_the_same_of_two_things() -> None:
    cards = [{"title": title, "fields": [{"title": "Status", "value": "Open"}]} for title in ("FE-1", "FE-2", "FE-2")]
    assert said(text="", **APP, attachments=cards) == "FE-1\nStatus: Open\nFE-2\nStatus: Open"


# --- nothing twice


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("Plan:\n• buy rope\n• paint the deck", "Plan:\n- buy rope\n- paint the deck"),
        ("Plan: buy rope, paint the deck", "Plan:\n1. buy rope\n2. paint the deck"),
        ("Plan:\n1. outer thing\n    a. inner thing", "Plan:\n1. outer thing\n  1. inner thing"),
        ("hello :wave::skin-tone-3: crew", "hello :wave: crew"),
        ("hello 👋🏽 dear crew", "hello :wave: dear crew"),
        ("> said before\nand `code` here:\n```x = 1```", "> said before\nand code here:\nx = 1"),
        ("see the doc (https://x.example/a) there", "see the doc there"),
        ("see the doc there", "see [the doc](https://x.example/a) there"),
        ("see https://x.example/a/ there", "see https://x.example/a there"),
        ("Ann & Bob <3 it", "Ann &amp; Bob &lt;3 it"),
        ("*Deploy*  _done_ by @Ann Lee", "Deploy done by Ann Lee."),
        ("The disk of the database is full", "The disk of the data…"),
        ("The disk of the database is full", "The disk of the..."),
    ],
)
def test_a_repetition_in_another_form_is_left_out(text: str, more: str) -> None:
    assert joined(text, more) == text
    assert repeats(text, more)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("build 12 failed", "1"),
        ("build 12 failed", "12"),
        ("all seats are taken", "Seats"),
        ("the deck is red now", "the deck is green now"),
        ("it is 1 < 2 here", "it is 1 > 2 here"),
        ("it is -5 degrees now", "it is 5 degrees now"),
        ("version 1.5 is out now", "version 15 is out now"),
        ("approved by Ann :x:", "approved by Ann :white_check_mark:"),
        ("see version 1b of it", "see version 1"),
        ("12. May", "13. May"),
        ("Ready to go now", "ready TO go now"),
        ("明日は九時に始めます", "明日は八時に始めます"),
    ],
)
def test_different_words_are_never_dropped(text: str, more: str) -> None:
    assert joined(text, more) == f"{text}\n{more}"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("see https://x.example/a for details", "see the whole plan (https://x.example/a) for details"),
        ("New: https://x.example/a/", "New: *The plan* (https://x.example/a/)\nby Ann"),
        ("https://x.example/a", "the plan (https://x.example/a)"),
    ],
)
def test_an_address_gives_way_to_the_same_with_a_label(text: str, more: str) -> None:
    assert joined(text, more) == more


@pytest.mark.parametrize("text", ["ask Ann about https://x.example/a", "see https://x.example/b"])
def test_an_address_that_is_another_or_stands_beside_other_words_stays(text: str) -> None:
    more = "see the plan (https://x.example/a)"
    assert joined(text, more) == f"{text}\n{more}"


def test_a_text_that_is_cut_gives_way_to_the_text_it_was_cut_from() -> None:
    whole = "Incident 33\nThe disk is almost full and writes will stop"
    assert joined("Incident 33 The disk is almost fu…", whole) == whole
    assert joined("now on call: Ann\nThe disk is almost...", whole) == (
        "now on call: Ann\nThe disk is almost full and writes will stop\nIncident 33"
    )
    assert joined("The disk is almost empty…", whole) == f"The disk is almost empty…\n{whole}"


def test_only_the_parts_that_are_new_are_added_and_a_longer_line_takes_the_place_of_a_shorter() -> None:
    assert joined("Report is ready\nask Ann about it", "Report is ready :boat:\n12 trips, 3 late") == (
        "Report is ready :boat:\nask Ann about it\n12 trips, 3 late"
    )
    assert unsaid("Plan: buy rope, paint the deck", "Plan\nbuy rope\npaint the deck\nby Ann") == "by Ann"


def test_names_that_only_the_text_has_are_known_to_the_blocks_that_repeat_it() -> None:
    elements = [
        word("ask "),
        {"type": "usergroup", "usergroup_id": "S9"},
        word(" in "),
        {"type": "channel", "channel_id": "C9"},
        word(" or "),
        {"type": "user", "user_id": "U9"},
    ]
    text = "ask <!subteam^S9|@deckhands> in <#C9|ops> or <@U9|eve>"
    assert said(text=text, **APP, blocks=[rich(*elements)]) == "ask @deckhands in #ops or @eve"


@pytest.mark.parametrize(
    "sentence",
    [
        "This content can't be displayed.",
        "This content can’t be displayed.",  # noqa: RUF001
        "This message contains interactive elements.",
        "[no preview available]",
        "You have a new message",
    ],
)
def test_sentences_for_clients_that_cannot_show_a_message_are_left_out(sentence: str) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "Pump 3 stands still"}}
    assert said(text=sentence, **APP, blocks=[section]) == "Pump 3 stands still"
    assert said(text=sentence, blocks=[TABLE]) == "Ferry | Seats\nTern | 48"
    assert said(text=sentence, **APP) == ""


def test_a_fallback_that_asks_for_another_client_is_left_out() -> None:
    card = {"fallback": "Upgrade your Slack client to use messages like these.", "title": "Vote now"}
    assert said(text="", **APP, attachments=[card]) == "Vote now"
    del card["title"]
    assert said(text="", **APP, attachments=[card]) == ""
    assert said(text="Upgrade your client before Friday", blocks=[TABLE]).startswith("Upgrade your client")


@pytest.mark.parametrize("text", ["\u200b\u2060", "\u3164", " \u00a0"])
def test_letters_that_cannot_be_seen_are_no_words(text: str) -> None:
    assert said(text=text) == ""
    assert said(text="", **APP, attachments=[{"text": text}]) == ""


def test_a_person_may_write_such_a_sentence() -> None:
    assert said(text="You have a new message", blocks=rich_text("You have a new message")) == "You have a new message"
    assert not is_for_other_clients("You have a new message from Ann")


def test_blocks_of_a_person_that_are_no_rich_text_are_added_where_they_say_more() -> None:
    fields = [{"type": "mrkdwn", "text": "*Site:*"}, {"type": "mrkdwn", "text": "the north dock"}]
    blocks = [*rich_text("New ticket"), {"type": "section", "fields": fields}]
    assert said(text="New ticket", blocks=blocks) == "New ticket\n*Site:*\nthe north dock"
    assert said(text="Site: the north dock", blocks=blocks) == "Site: the north dock"


# --- authors


def authors(*entries: Any, index: Index | None = None) -> list[tuple[str, str, str]]:
    return [(found.sender_id, found.sender_name, found.role) for found in messages(*entries, index=index)]


def test_names_of_one_webhook_are_senders_of_their_own_in_any_order() -> None:
    profile = {"id": "B1", "name": "incoming-webhook"}
    entries = [slack_message(**APP, username=name, bot_profile=profile) for name in ("east", "incoming-webhook")]
    expected = [("B1+3Aeast", "east", "assistant"), ("B1", "incoming-webhook", "assistant")]
    assert authors(*entries) == expected
    assert authors(*reversed(entries)) == expected[::-1]


def test_a_bot_of_the_roster_under_its_own_name_keeps_its_id() -> None:
    index = index_of_users([slack_user("U4", "Build Bot", handle="ci", is_bot=True, profile={"bot_id": "B1"})])
    names = ("Build Bot", "build bot", "ci", "nightly")
    assert [
        found[0] for found in authors(*(slack_message(**APP | {"user": "U4"}, username=n) for n in names), index=index)
    ] == [
        "U4",
        "U4",
        "U4",
        "B1+3Anightly",
    ]


def test_a_mention_of_a_bot_is_its_integration_never_the_last_name_seen() -> None:
    profile = {"id": "B1", "name": "incoming-webhook"}
    entries = [slack_message(**APP, username="east", bot_profile=profile), slack_message(**APP, username="west")]
    added = slack_message(subtype="bot_add", text="added <https://x.slack.com/services/B2|bridge>")
    named = slack_message(**APP | {"bot_id": "B2"}, username="olga (irc)")
    assert messages(*entries, added, named, slack_message(text="<@B1> <@B2>"))[-1].text == "@incoming-webhook @bridge"


def test_a_person_who_posts_through_an_app_is_a_person_whatever_the_subtype() -> None:
    for fields in ({"username": "watcher"}, {"subtype": "bot_message", "bot_id": "B7", "username": "watcher"}):
        assert authors(slack_message(**fields)) == [("U1", "Ann Lee", "user")]


ODD_USERS = [
    slack_user("U10", "Deactivated User", handle="deactivateduser10", deleted=True),
    slack_user("U11", "Deactivated User", handle="deactivateduser11", deleted=True),
    slack_user("U12", "Deactivated User", handle=""),
    {"id": "U13", "name": "", "real_name": "  ", "profile": {"real_name": "", "email": "x@example.org"}},
    {"id": "U14", "name": "x@example.org", "profile": {"real_name": "x@example.org"}},
    {"id": "W1", "name": "w", "profile": {"real_name_normalized": "Wanda Grid", "display_name_normalized": "wanda"}},
]


def test_a_mention_of_the_user_of_a_bot_that_the_roster_lacks_is_its_integration() -> None:
    bot = slack_message("1767312001.000100", user="UX", bot_id="BX", bot_profile={"id": "BX", "name": "Pager"})
    asked = slack_message("1767312002.000100", text="ask <@UX>")
    assert [found.text for found in messages(bot, asked)] == ["hello", "ask @Pager"]
    assert [found.text for found in messages(asked, bot, files=lambda: [[decode_entries(to_json([asked, bot]))]])] == [
        "ask @Pager",
        "hello",
    ]


def test_a_username_without_letters_names_nobody() -> None:
    assert authors(slack_message(**APP, username="  ")) == [("B1", "B1", "assistant")]
    assert authors(slack_message(user=..., username=" ")) == [("unknown", "unknown", "user")]


def test_a_username_that_is_a_mention_is_that_person() -> None:
    assert authors(slack_message(user=..., username="<@U2|bob>")) == [("U2", "Bob Ray", "user")]


def test_people_of_one_name_are_told_apart_everywhere() -> None:
    index = index_of_users(ODD_USERS)
    forward = {"is_share": True, "author_id": "U11", "author_name": "Deactivated User", "text": "hi"}
    room = {"created_by": "U10", "participants": ["U10", "U12"]}
    found = messages(
        slack_message(user="U10", text="to <@U11>", attachments=[forward]),
        slack_message(subtype="huddle_thread", room=room),
        index=index,
    )
    ten, eleven = "Deactivated User (deactivateduser10)", "Deactivated User (deactivateduser11)"
    assert (found[0].sender_name, found[0].text) == (ten, f"to @{eleven}\n[shared] {eleven}: hi")
    assert found[1].text == f"Huddle, with {ten}, Deactivated User (U12)"


def test_a_name_is_never_an_e_mail_address_and_may_stand_in_a_normalized_form() -> None:
    entries = [slack_message(user=user) for user in ("U13", "U14", "W1", "U00")]
    assert [found[1] for found in authors(*entries, index=index_of_users(ODD_USERS))] == [
        "U13",
        "U14",
        "Wanda Grid",
        "U00",
    ]


def export_with_a_guest(mention: str) -> dict[str, Any]:
    guest = slack_message("1767312001.000100", "hi", "U77", user_profile={"real_name": "Eve Ext", "name": "eve"})
    return slack_export(slack_message(text=mention)) | {"general/2026-01-02.json": [guest]}


def test_a_guest_is_named_before_the_first_message_of_theirs(tmp_path: Path) -> None:
    files = export_with_a_guest("ask <@U77> and <@U78>") | {"general/2026-01-03.json": b"[{"}
    assert read(write_folder(tmp_path, files)).texts == ["ask @Eve Ext and @U78", "hi"]


def test_a_guest_is_named_in_a_dump_too(tmp_path: Path) -> None:
    files = export_with_a_guest("ask <@U77>")
    dump = {
        "channel_id": "C1",
        "name": "general",
        "messages": [*files["general/2026-01-01.json"], *files["general/2026-01-02.json"]],
    }
    assert read(write_folder(tmp_path, {"C1.json": dump})).texts == ["ask @Eve Ext", "hi"]


def test_messages_are_read_once_more_only_for_a_name_that_is_missing() -> None:
    calls: list[int] = []

    def files() -> list[Any]:
        calls.append(1)
        return []

    outcomes(slack_message(text="<@U1> <@USLACKBOT> #general"), slack_message(text="hi"), files=files)
    assert not calls
    outcomes(slack_message(text="<@U98> <@U99>"), slack_message(text="<@U98>"), files=files)
    assert len(calls) == 1


def test_a_guest_with_the_name_of_a_member_is_told_apart() -> None:
    profile = {"real_name": "Ann Lee", "name": "ann.ext"}
    assert authors(slack_message(user="U77", user_profile=profile))[0][1] == "Ann Lee (ann.ext)"


# --- properties


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
keys = st.sampled_from(
    [
        "type",
        "text",
        "elements",
        "fields",
        "rows",
        "title",
        "value",
        "files",
        "blocks",
        "attachments",
        "message_blocks",
        "message",
        "fallback",
        "from",
        "is_share",
        "transcription",
        "preview",
        "subject",
        "author_name",
        "title_link",
        "footer",
        "image_url",
        "caption",
        "cells",
        "mode",
        "offset",
        "indent",
    ]
)
kinds = st.sampled_from(
    [
        "rich_text",
        "rich_text_section",
        "rich_text_list",
        "section",
        "table",
        "data_table",
        "raw_number",
        "context",
        "image",
        "snippet",
        "email",
    ]
)
parts = st.recursive(
    json_values, lambda inner: st.dictionaries(keys, kinds | st.lists(inner, max_size=3) | inner, max_size=5)
)


@given(
    blocks=parts | st.lists(parts, max_size=3),
    attachments=st.lists(parts, max_size=3),
    files=st.lists(parts, max_size=2),
)
def test_no_message_raises_whatever_its_parts_are(blocks: Any, attachments: Any, files: Any) -> None:
    for fields in ({}, APP):
        entry = slack_message(blocks=blocks, attachments=attachments, files=files, **fields)
        assert outcomes(json.loads(to_json(entry)))


lines = st.lists(st.text(st.sampled_from("ab1 .-*>:&<é😀"), max_size=12), max_size=6).map("\n".join).map(str.strip)


@given(lines, lines)
def test_what_is_joined_says_both_texts_and_saying_them_again_adds_nothing(one: str, other: str) -> None:
    both = joined(one, other)
    assert joined(both, other) == both
    assert joined(both, both) == both


vocabulary = st.sampled_from(["pump", "valve", "tern", "12", "seats", "deck", "7.5", "harbour"])


@given(st.lists(st.lists(vocabulary, min_size=1, max_size=5), min_size=1, max_size=4), st.integers(0, 5))
def test_no_word_of_a_text_object_is_lost_however_deep_it_stands(texts: list[list[str]], depth: int) -> None:
    block: Any = [{"type": "mrkdwn", "text": " ".join(words)} for words in texts]
    for level in range(depth):
        block = {"type": f"unknown_{level}", f"member_{level}": [block] if level % 2 else block}
    found = said(text="notice", **APP, blocks=[{"type": "new", "parts": block}]).split("\n")
    assert [line for words in texts if (line := " ".join(words)) not in found] == []
