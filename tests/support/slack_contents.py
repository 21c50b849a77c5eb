"""
Every kind of content that a Slack message can have, and every shape in which an export can come.

:data:`CONTENTS` says of each kind how it looks and what must come out of it. :data:`COMBINATIONS` are the ways to
write one channel with all of them, beside conversations that nobody may see without asking.
"""

import copy
import io
import json
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.builders import (
    UnflaggedName,
    content_of,
    rich_text,
    slack_channel,
    slack_message,
    slack_user,
    write_folder,
)

# --- contents -----------------------------------------------------------------------------------------------------

type Entry = dict[str, Any]

APP = {"user": "UAPP", "bot_id": "B7", "app_id": "A7", "bot_profile": {"id": "B7", "name": "Helper"}}
HOOK = {"user": ..., "subtype": "bot_message", "bot_id": "B9"}
ROOT = "root"
"""Stands for the ``ts`` of the row named ``root of a thread``."""


class Content(NamedTuple):
    """One kind of content."""

    name: str
    entry: Entry
    """Without ``ts``; ``user`` is U1 where it gives none."""

    comes_out: str | tuple[str, ...] | None
    """The exact text; or pieces that come one after the other, each once; or nothing: no message."""

    author: str = "Ann Lee"
    never: tuple[str, ...] = ()
    """Pieces that must not come out."""

    times: Mapping[str, int] = {}
    """Pieces that were written more than once, and how often."""


def _text(text: str) -> Entry:
    return {"type": "text", "text": text}


def _section(*elements: Entry, kind: str = "rich_text_section") -> Entry:
    return {"type": kind, "elements": list(elements)}


def _list(style: str, *items: str, indent: int = 0, **fields: Any) -> Entry:
    sections = [_section(_text(item)) for item in items]
    return {"type": "rich_text_list", "style": style, "indent": indent, "border": 0, "elements": sections, **fields}


def _rich(*elements: Entry) -> list[Entry]:
    return [{"type": "rich_text", "block_id": "b1", "elements": list(elements)}]


def _cell(text: str) -> Entry:
    return {"type": "raw_text", "text": text}


def _table(kind: str = "table", **fields: Any) -> Entry:
    typed = {"type": "rich_text", "elements": [_section(_text("Berth"), _text(" two"))]}
    numbers = [{"type": "raw_number", "value": 48}, {"type": "raw_number", "value": 12.5}]
    people = [{"type": "user", "user_id": "U2"}, {"type": "date", "timestamp": 1767312000, "format": "{date_num}"}]
    rows = [[_cell("Ferry"), typed], [_cell("Tern"), numbers[0]], [_cell("Plover"), numbers[1]], people]
    return {"type": kind, "rows": rows, **fields}


TABLE = ("Ferry", "Berth two", "Tern", "48", "Plover", "12.5", "Bob Ray", "2026-01-02")


def _mrkdwn(text: str) -> Entry:
    return {"type": "mrkdwn", "text": text}


def _plain(text: str) -> Entry:
    return {"type": "plain_text", "text": text, "emoji": True}


def _button(label: str) -> Entry:
    return {"type": "button", "action_id": "go", "text": _plain(label), "value": "v1"}


def _share(text: str, **fields: Any) -> Entry:
    return {
        "is_share": True,
        "is_msg_unfurl": True,
        "from_url": "https://x.slack.example/archives/C9/p1",
        "author_id": "U2",
        "author_name": "Bob Ray",
        "channel_id": "C9",
        "channel_name": "ops",
        "text": text,
        "fallback": f"[Jan 1st, 2026 9:00 AM] bob: {text}",
        "ts": "1767311950.000100",
        "footer": "Posted in #ops",
        **fields,
    }


def _file(**fields: Any) -> Entry:
    return {"id": "F1", "name": "rota.pdf", "title": "Rota January", "mode": "hosted", "filetype": "pdf", **fields}


_PREVIEW = {
    "from_url": "https://news.example/1",
    "original_url": "https://news.example/1",
    "service_name": "News",
    "title": "Headline of a page",
    "text": "words of a page",
    "fallback": "News: Headline of a page",
}

CONTENTS: tuple[Content, ...] = (
    # People's words.
    Content("text", {"text": "plain words"}, "plain words"),
    Content("text and blocks", {"text": "typed words", "blocks": rich_text("typed words")}, "typed words"),
    Content("blocks alone", {"text": "", "blocks": rich_text("only in blocks")}, "only in blocks"),
    Content("no text at all", {"text": None, "blocks": rich_text("text is null")}, "text is null"),
    Content(
        "mentions",
        {"text": "<@U2> and <!here> in <#C77|crew> or <!subteam^S1|@deckhands>"},
        "@Bob Ray and @here in #crew or @deckhands",
    ),
    Content(
        "links and signs",
        {"text": "<https://x.example/a|the plan> &amp; <mailto:a@b.example|a@b.example> &lt;now&gt;"},
        "the plan (https://x.example/a) & a@b.example <now>",
    ),
    Content(
        "quote, code, preformatted",
        {
            "text": "",
            "blocks": _rich(
                _section(_text("said before"), kind="rich_text_quote"),
                _section(_text("and "), {"type": "text", "text": "code", "style": {"code": True}}),
                _section(_text("x = 1"), kind="rich_text_preformatted"),
            ),
        },
        ("said before", "and code", "x = 1"),
    ),
    Content(
        "list that goes on",
        {
            "text": "",
            "blocks": _rich(
                _list("ordered", "Stop the pump", "Close the valve"),
                _list("bullet", "red handle", indent=1),
                _list("ordered", "Call the office", offset=2),
            ),
        },
        ("1. Stop the pump", "2. Close the valve", "red handle", "3. Call the office"),
    ),
    Content(
        "date, colour, emoji",
        {
            "text": "",
            "blocks": _rich(
                _section(
                    {"type": "date", "timestamp": 1767312000, "format": "{date}", "fallback": "Jan 2, 2026"},
                    _text(" paint it "),
                    {"type": "color", "value": "#FF0000"},
                    {"type": "emoji", "name": "boat", "unicode": "26f5"},
                )
            ),
        },
        ("Jan 2, 2026", "paint it", "#FF0000", ":boat:"),
    ),
    Content("old action", {"text": "waves", "subtype": "me_message"}, "Ann Lee waves"),
    Content("edited", {"text": "as edited", "edited": {"user": "U1", "ts": "1767399999.000000"}}, "as edited"),
    Content("kind that is new", {"text": "words of a new kind", "subtype": "ai_recap"}, "words of a new kind"),
    Content("other letters", {"text": "größer façade 会議 مرحبا"}, "größer façade 会議 مرحبا"),
    Content("root of a thread", {"text": "who takes the late shift?", "thread_ts": ROOT}, "who takes the late shift?"),
    Content("reply", {"user": "U2", "text": "I do", "thread_ts": ROOT, "parent_user_id": "U1"}, "I do", "Bob Ray"),
    Content(
        "reply sent to the channel too",
        {"text": "and I as well", "subtype": "thread_broadcast", "thread_ts": ROOT, "root": {"text": "who takes"}},
        "and I as well",
    ),
    Content(
        "old kind of a reply sent to the channel too",
        {
            "user": "U2",
            "text": "",
            "subtype": "reply_broadcast",
            "broadcast_thread_ts": ROOT,
            "attachments": [_share("I do", fallback="[Jan 2] bob: I do", footer="2 replies")],
        },
        None,
    ),
    Content("the same words again", {"user": "U2", "text": "plain words"}, "plain words", "Bob Ray"),
    # Tables.
    Content(
        "table in blocks",
        {"text": "my table", "blocks": [*rich_text("my table"), _table()]},
        ("my table", *TABLE),
    ),
    Content(
        "table in an attachment",
        {
            "text": "pasted table",
            "blocks": rich_text("pasted table"),
            "attachments": [{"id": 1, "blocks": [_table()], "fallback": "[no preview available]"}],
        },
        ("pasted table", *TABLE),
        never=("no preview",),
    ),
    Content(
        "table alone",
        {"text": "", "attachments": [{"id": 1, "blocks": [_table()], "fallback": "[no preview available]"}]},
        TABLE,
        never=("no preview",),
    ),
    Content(
        "table of an app", {**APP, "text": "", "blocks": [_table("data_table", caption="Ferries")]}, TABLE, "Helper"
    ),
    # Messages from elsewhere.
    Content(
        "forward with a comment",
        {"text": "tell the crew", "attachments": [_share("out of service until Monday")]},
        ("tell the crew", "Bob Ray", "out of service until Monday"),
        never=("Jan 1st", "Posted in"),
    ),
    Content(
        "forward alone",
        {"text": "", "attachments": [_share("engine check is due")]},
        ("Bob Ray", "engine check is due"),
        never=("Jan 1st", "Posted in"),
    ),
    Content(
        "forward in blocks",
        {
            "text": "see",
            "attachments": [
                _share(
                    "",
                    fallback="[no preview available]",
                    message_blocks=[
                        {
                            "team": "T1",
                            "channel": "C9",
                            "ts": "1.1",
                            "message": {"blocks": rich_text("words in blocks")},
                        }
                    ],
                )
            ],
        },
        ("see", "Bob Ray", "words in blocks"),
        never=("no preview",),
    ),
    Content(
        "forward in text and blocks",
        {
            "text": "both ways",
            "attachments": [
                _share("said in both", message_blocks=[{"message": {"blocks": rich_text("said in both")}}]),
            ],
        },
        ("both ways", "Bob Ray", "said in both"),
    ),
    Content(
        "forward of a file",
        {"text": "", "attachments": [_share("", fallback="[Jan 1st] bob: ", files=[_file()])]},
        ("Bob Ray", "Rota January"),
        never=("Jan 1st",),
    ),
    Content(
        "forward of a table",
        {"text": "numbers", "attachments": [_share("the seats", blocks=[*rich_text("the seats"), _table()])]},
        ("numbers", "the seats", *(piece for piece in TABLE if piece != "Bob Ray")),
    ),
    Content(
        "two forwards",
        {"text": "both", "attachments": [_share("first forward"), _share("second forward")]},
        ("both", "first forward", "second forward"),
    ),
    Content(
        "preview of a link",
        {"text": "look <https://news.example/1>", "attachments": [_PREVIEW]},
        "look https://news.example/1",
        never=("Headline", "words of a page"),
    ),
    Content(
        "forward beside a preview",
        {"text": "look and read", "attachments": [_PREVIEW, _share("the forwarded part")]},
        ("look and read", "the forwarded part"),
        never=("Headline",),
    ),
    Content(
        "attachment of a person's app",
        {"text": "my words", "attachments": [{"id": 1, "text": "a note attached", "fallback": "a note attached"}]},
        ("my words", "a note attached"),
    ),
    # What looks like a repetition and is none.
    Content(
        "forward of the words of the comment",
        {"text": "yes", "attachments": [_share("yes")]},
        ("Bob Ray",),
        times={"yes": 2},
    ),
    Content(
        "forward that the comment quotes",
        {"text": "Rota is final, he says", "attachments": [_share("Rota is final")]},
        ("he says", "Bob Ray"),
        times={"Rota is final": 2},
    ),
    Content(
        "equal cells",
        {
            "text": "Yes",
            "attachments": [{"blocks": [{"type": "table", "rows": [[_cell("Yes")] * 2, [_cell("Yes")] * 2]}]}],
        },
        (),
        times={"Yes": 5},
    ),
    Content(
        "equal items",
        {"text": "", "blocks": _rich(_list("bullet", "again", "again"), _section(_text("again")))},
        (),
        times={"again": 3},
    ),
    Content(
        "card with equal values",
        {
            **APP,
            "text": "Ticket moved",
            "attachments": [{"fields": [{"title": "From", "value": "Open"}, {"title": "To", "value": "Open"}]}],
        },
        ("Ticket moved", "From", "To"),
        "Helper",
        times={"Open": 2},
    ),
    Content(
        "app's blocks with a word of the text",
        {
            **APP,
            "text": "Deploy of api failed",
            "blocks": [
                {"type": "section", "text": _mrkdwn("api"), "fields": [_mrkdwn("failed"), _mrkdwn("step 3 of 5")]},
            ],
        },
        ("Deploy of", "step 3 of 5"),
        "Helper",
    ),
    # Files.
    Content("file", {"text": "here", "files": [_file()]}, ("here", "Rota January")),
    Content("file alone", {"text": "", "files": [_file(title="", name="plan.pdf")]}, ("plan.pdf",)),
    Content("two files", {"text": "", "files": [_file(), _file(title="Photo")]}, ("Rota January", "Photo")),
    Content("file that is gone", {"text": "", "files": [{"id": "F2", "mode": "tombstone"}]}, None),
    Content(
        "voice clip",
        {
            "text": "",
            "files": [
                _file(
                    name="audio_message.m4a",
                    title="audio_message.m4a",
                    subtype="slack_audio",
                    transcription={"status": "complete", "preview": {"content": "the pump leaks", "has_more": False}},
                )
            ],
        },
        ("the pump leaks",),
    ),
    Content(
        "snippet",
        {
            "text": "",
            "files": [
                _file(
                    name="valves.txt",
                    title="Valves",
                    mode="snippet",
                    preview="valve A closed\nvalve B open",
                    preview_highlight="<pre>valve A closed</pre>",
                )
            ],
        },
        ("Valves", "valve A closed", "valve B open"),
        never=("<pre>",),
    ),
    Content(
        "mail",
        {
            "text": "",
            "files": [
                _file(
                    name=None,
                    title=None,
                    mode="email",
                    subject="Delivery on Friday",
                    plain_text="The parts arrive at noon.",
                    preview="<p>The parts arrive at noon.</p>",
                    preview_plain_text="The parts arrive at noon.",
                )
            ],
        },
        ("Delivery on Friday", "The parts arrive at noon."),
    ),
    Content(
        "old upload with a comment",
        {
            "subtype": "file_share",
            "upload": True,
            "text": "<@U1|ann> uploaded a file: <https://x.example/F1|Rota> and commented: for January",
            "file": _file(initial_comment={"user": "U1", "comment": "for January"}),
        },
        ("for January", "Rota January"),
        never=("uploaded a file",),
    ),
    Content(
        "old comment on a file",
        {
            "user": ...,
            "subtype": "file_comment",
            "text": "<@U2|bob> commented on <@U1|ann>'s file: looks right",
            "file": _file(),
            "comment": {"user": "U2", "comment": "looks right"},
        },
        ("looks right",),
        "Bob Ray",
        never=("commented on",),
    ),
    Content(
        "old mention of a file",
        {
            "user": "U2",
            "subtype": "file_mention",
            "text": "<@U2|bob> mentioned a file: <https://x.example/F1|Rota>",
            "file": _file(),
        },
        ("Rota January",),
        "Bob Ray",
        never=("mentioned a file",),
    ),
    # Apps.
    Content("app's text", {**APP, "text": "build done"}, "build done", "Helper"),
    Content(
        "app's text in blocks",
        {**APP, "text": "all is well", "blocks": rich_text("all is well")},
        "all is well",
        "Helper",
    ),
    Content(
        "app's list twice",
        {
            **APP,
            "text": "Plan:\n• buy rope\n• paint the deck",
            "blocks": _rich(_section(_text("Plan:\n")), _list("bullet", "buy rope", "paint the deck")),
        },
        ("Plan:", "buy rope", "paint the deck"),
        "Helper",
    ),
    Content(
        "app's emoji and mention twice",
        {
            **APP,
            "text": "hello :wave::skin-tone-3: <@U2>",
            "blocks": _rich(
                _section(
                    _text("hello "),
                    {"type": "emoji", "name": "wave", "skin_tone": 3},
                    _text(" "),
                    {"type": "user", "user_id": "U2"},
                )
            ),
        },
        ("hello", "@Bob Ray"),
        "Helper",
    ),
    Content(
        "app's summary of its blocks",
        {
            **APP,
            "text": "Report is ready",
            "blocks": [
                {"type": "header", "text": _plain("Report is ready :boat:")},
                {"type": "section", "text": _mrkdwn("12 trips, *3 late*"), "fields": [_mrkdwn("*Port* Hull")]},
                {"type": "divider"},
                {"type": "context", "elements": [_mrkdwn("by the harbour office")]},
                {"type": "image", "image_url": "https://x.example/a.png", "alt_text": "map of trips"},
            ],
        },
        ("Report is ready", "12 trips, *3 late*", "*Port* Hull", "by the harbour office", "map of trips"),
        "Helper",
    ),
    Content(
        "app's controls",
        {
            **APP,
            "text": "approve the trip?",
            "blocks": [
                {"type": "section", "text": _mrkdwn("approve the trip?"), "accessory": _button("Maybe later")},
                {"type": "actions", "elements": [_button("Yes please"), {"type": "static_select", "action_id": "s"}]},
            ],
        },
        "approve the trip?",
        "Helper",
        never=("Maybe later", "Yes please"),
    ),
    Content(
        "app's blocks for clients that can show them",
        {**APP, "text": "This content can't be displayed.", "blocks": [{"type": "markdown", "text": "shown **here**"}]},
        ("shown **here**",),
        "Helper",
        never=("can't be displayed",),
    ),
    Content(
        "card",
        {
            **APP,
            "text": "New alert",
            "attachments": [
                {
                    "fallback": "Pump 3: no pressure",
                    "pretext": "from the engine room",
                    "author_name": "Watcher",
                    "title": "Pump 3: no pressure",
                    "title_link": "https://x.example/3",
                    "text": "42 times in the last hour",
                    "fields": [{"title": "Site", "value": "Harbor", "short": True}],
                    "footer": "ci | main",
                    "actions": [{"type": "button", "text": "Silence it", "name": "a"}],
                    "color": "danger",
                }
            ],
        },
        (
            "New alert",
            "from the engine room",
            "Watcher",
            "Pump 3: no pressure",
            "42 times in the last hour",
            "Site",
            "Harbor",
            "ci | main",
        ),
        "Helper",
        never=("Silence it", "danger"),
    ),
    Content(
        "card alone",
        {
            **APP,
            "text": "",
            "attachments": [{"title": "FE-1 Ramp lights", "text": "Assigned to Ann", "from_url": "https://x"}],
        },
        ("FE-1 Ramp lights", "Assigned to Ann"),
        "Helper",
    ),
    Content(
        "card of fields",
        {**APP, "text": "", "attachments": [{"fields": [{"title": "Owner", "value": "<@U2>"}]}]},
        ("Owner", "@Bob Ray"),
        "Helper",
    ),
    Content("fallback alone", {**APP, "text": "", "attachments": [{"fallback": "Backup ran"}]}, "Backup ran", "Helper"),
    Content(
        "card in blocks",
        {
            **APP,
            "text": "",
            "attachments": [
                {
                    "fallback": "[no preview available]",
                    "blocks": [{"type": "section", "text": _mrkdwn("inside a card")}],
                }
            ],
        },
        "inside a card",
        "Helper",
        never=("no preview",),
    ),
    Content("webhook", {**HOOK, "username": "cluster-east", "text": "deploy done"}, "deploy done", "cluster-east"),
    Content(
        "webhook of an integration",
        {**HOOK, "username": "cluster-west", "bot_profile": {"id": "B9", "name": "incoming-webhook"}, "text": "failed"},
        "failed",
        "cluster-west",
    ),
    Content(
        "guest",
        {"user": "U900", "user_profile": {"real_name": "Eve Extern"}, "text": "from outside"},
        "from outside",
        "Eve Extern",
    ),
    # Slack's own.
    Content("somebody joins", {"subtype": "channel_join", "text": "<@U1> has joined the channel"}, None),
    Content("topic", {"subtype": "channel_topic", "topic": "x", "text": "<@U1> set the topic: x"}, None),
    Content("deleted", {"user": "USLACKBOT", "subtype": "tombstone", "hidden": True, "text": "was deleted"}, None),
    Content("event", {"user": ..., "subtype": "message_changed", "hidden": True, "text": ""}, None),
    Content("nothing", {"text": " "}, None),
)

FIRST_S = 1_767_312_000
"""2 January 2026, 0:00 UTC; the second half of the messages is a day later."""

PUBLIC, GROUP, MULTI, STRAY = "ガイド", "人事会議", "mpdm-ann--bob--cy-1", "無題"
WORDS = {
    "C4": "private group words",
    "D1": "direct words",
    "C3": "group direct words",
    "C9": "words of a folder that no index lists",
}
"""What is said in each conversation that is not public, by its id."""


def ts_of(position: int) -> str:
    """Return the ``ts`` of a row of :data:`CONTENTS`."""
    day = 0 if position < len(CONTENTS) // 2 else 86_400
    return f"{FIRST_S + day + position * 60}.000100"


def entries() -> list[Entry]:
    """Return one entry per row, in the order of time."""
    root = ts_of(next(n for n, row in enumerate(CONTENTS) if row.name == "root of a thread"))
    made = [slack_message(ts_of(n), **{"text": "", **copy.deepcopy(row.entry)}) for n, row in enumerate(CONTENTS)]
    return [entry | ({"thread_ts": root} if entry.get("thread_ts") == ROOT else {}) for entry in made]


def _secret(key: str) -> Entry:
    return slack_message(f"{FIRST_S + 7}.{list(WORDS).index(key):06d}", WORDS[key], "U2")


# --- index files ----------------------------------------------------------------------------------------------------

type Files = dict[str, Any]

USERS = [
    slack_user("U1", "Ann Lee", handle="ann"),
    slack_user("U2", "Bob Ray", handle="bob"),
    slack_user("UAPP", "Helper", is_bot=True, profile={"bot_id": "B7"}),
]
FLAGGED = [
    slack_channel("C1", PUBLIC, is_channel=True, is_private=False, is_im=False, is_mpim=False),
    slack_channel("C4", GROUP, is_group=True, is_private=True),
    slack_channel("C3", MULTI, is_mpim=True, is_group=True, is_private=True),
    {"id": "D1", "is_im": True, "user": "U2", "created": 1},
]
NAMES = {"C1": PUBLIC, "C4": GROUP, "C3": MULTI, "D1": "D1", "C9": STRAY}
IDS = {key: key for key in NAMES}


class Index(NamedTuple):
    """Index files, and the folder of each conversation by its id."""

    files: Files
    folders: Mapping[str, str] = NAMES


def _official() -> Files:
    return {
        "channels.json": [slack_channel("C1", PUBLIC)],
        "groups.json": [slack_channel("C4", GROUP)],
        "mpims.json": [slack_channel("C3", MULTI)],
        "dms.json": [{"id": "D1", "created": 1, "members": ["U1", "U2"]}],
        "users.json": USERS,
    }


def _without(*names: str) -> Files:
    return {name: items for name, items in _official().items() if name not in names}


def _other_form() -> Files:
    files = _official()
    for name in ("channels.json", "groups.json"):
        files[name] = [item | {"name": unicodedata.normalize("NFD", item["name"])} for item in files[name]]
    return files


def _ids_only() -> Files:
    return {
        "channels.json": [{"id": "C1"}],
        "groups.json": [{"id": "C4"}],
        "mpims.json": [{"id": "C3"}],
        "dms.json": [{"id": "D1"}],
        "users.json": USERS,
    }


INDEXES: Mapping[str, Index] = {
    "official": Index(_official()),
    "flags": Index({"channels.json": FLAGGED, "users.json": USERS}),
    "ids": Index(_ids_only(), IDS),
    "broken groups": Index(_official() | {"groups.json": b'[{"id": "C4", "na'}),
    "no groups": Index(_without("groups.json")),
    "only channels": Index(_without("groups.json", "mpims.json", "dms.json")),
    "other Unicode form": Index(_other_form()),
    "answers of the API": Index(
        {
            "channels.json": {"ok": True, "channels": FLAGGED, "response_metadata": {"next_cursor": ""}},
            "users.json": {"ok": True, "members": USERS, "cache_ts": 1},
        }
    ),
}

# --- where messages stand -------------------------------------------------------------------------------------------


def _days(found: list[Entry]) -> dict[str, list[Entry]]:
    days: dict[str, list[Entry]] = {"2026-01-02": [], "2026-01-03": []}
    for entry in found:
        days["2026-01-02" if float(entry["ts"]) < FIRST_S + 86_400 else "2026-01-03"].append(entry)
    return {day: listed for day, listed in days.items() if listed}


def day_folders(index: Index, answer: bool = False, above: Mapping[str, str] | None = None, prefix: str = "") -> Files:
    """
    Return an export of folders with day files.

    :param answer: Whether a day file is what the API answered: an object, the newest message first.
    :param above: The folder above each conversation's, by id.
    """
    files = {f"{prefix}{name}": content for name, content in index.files.items()}
    listed = {"C1": entries()} | {key: [_secret(key)] for key in WORDS}
    for key, found in listed.items():
        for day, of_day in _days(found).items():
            name = f"{prefix}{(above or {}).get(key, '')}{index.folders[key]}/{day}.json"
            files[name] = {"ok": True, "messages": of_day[::-1], "has_more": False} if answer else of_day
    return files


def _grid() -> Files:
    files = day_folders(Index(_without("users.json")), prefix="teams/acme/")
    return {"org_users.json": USERS, "channels.json": [], "groups.json": [], "mpims.json": [], "dms.json": []} | files


def _kind_folders() -> Files:
    above = {"C1": "channels/", "C4": "groups/", "C3": "mpims/", "D1": "dms/", "C9": "private_channels/"}
    return day_folders(INDEXES["official"], above=above)


def _nested(member: str) -> list[Entry]:
    """Return the entries with replies below their root, the newest root first."""
    roots: list[Entry] = []
    for entry in entries():
        thread = next((root for root in roots if root["ts"] == entry.get("thread_ts")), None)
        if thread is None:
            roots.append(entry)
        else:
            thread.setdefault(member, []).append(entry)
    return roots[::-1]


def _slack_archive(as_map: bool) -> Files:
    channels = {item["id"]: item for item in FLAGGED} if as_map else FLAGGED
    files: Files = {
        "data/channels.json": channels,
        "data/users.json": {user["id"]: user for user in USERS},
        "data/emojis.json": {"boat": "https://e.example/boat.png"},
        "data/slack-archive.json": {"channels": {"C1": {"messages": len(CONTENTS)}}, "auth": {"ok": True}},
        "data/C1.json": _nested("replies"),
    }
    return files | {f"data/{key}.json": [_secret(key)] for key in WORDS}


def _dump() -> Files:
    def dumped(key: str, messages: list[Entry]) -> Entry:
        return {"channel_id": key, "name": NAMES[key] if key != "D1" else "", "messages": messages}

    files: Files = {"users.json": USERS, "channels.json": FLAGGED}
    files["C1.json"] = dumped("C1", _nested("slackdump_thread_replies"))
    return files | {f"{key}.json": dumped(key, [_secret(key)]) for key in WORDS}


def _lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


def _chunks() -> Files:
    root = next(entry for entry in entries() if entry.get("thread_ts") == entry["ts"])
    replies = [entry for entry in entries() if entry.get("thread_ts") == root["ts"] and entry["ts"] != root["ts"]]
    others = [entry for entry in entries() if entry not in replies]
    info = {item["id"]: item for item in FLAGGED}
    files: Files = {
        "users.json": _lines({"t": 3, "ts": 3, "id": "lusr", "u": USERS}),
        "channels.json": _lines({"t": 4, "ts": 4, "id": "lch", "ch": FLAGGED}),
        "C1.json": _lines(
            {"t": 0, "ts": 1, "id": "C1", "n": len(others), "m": others},
            {"t": 1, "ts": 2, "id": "C1", "r": root["ts"], "p": root, "n": len(replies), "m": replies},
            {"t": 5, "ts": 3, "id": "icC1", "ci": info["C1"]},
        ),
    }
    for key in WORDS:
        lines: list[Entry] = [{"t": 0, "ts": 1, "id": key, "n": 1, "m": [_secret(key)]}]
        if key in info:
            lines.append({"t": 5, "ts": 3, "id": f"ic{key}", "ci": info[key]})
        files[f"{key}.json"] = _lines(*lines)
    return files


def _json_lines() -> Files:
    files: Files = {"channels.json": FLAGGED, "users.json": USERS}
    files[f"{PUBLIC}.jsonl"] = _lines(*entries())
    return files | {f"{NAMES[key]}.jsonl": _lines(_secret(key)) for key in WORDS}


BODIES: Mapping[str, Callable[[], Files]] = {
    "grid": _grid,
    "kind folders": _kind_folders,
    "slack-archive": lambda: _slack_archive(as_map=False),
    "slack-archive with maps": lambda: _slack_archive(as_map=True),
    "dump": _dump,
    "chunks": _chunks,
    "day files as answers": lambda: day_folders(INDEXES["official"], answer=True),
    "JSON lines": _json_lines,
}

# --- containers -----------------------------------------------------------------------------------------------------


class NameInCp932(zipfile.ZipInfo):
    """A zip entry named as Windows in Japanese names it: in its own encoding, without a flag."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode("cp932"), self.flag_bits & ~0x800


def _zipped(files: Files, name: type[zipfile.ZipInfo] = UnflaggedName) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(name(path, (2026, 1, 1, 0, 0, 0)), content_of(content), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _wrapped(files: Files) -> Files:
    return {f"acme export/{name}": content for name, content in files.items()}


def _two_parts(folder: Path, files: Files) -> Path:
    """Put index files and the first day into one part, the rest into another."""
    first = {name: content for name, content in files.items() if "/" not in name or name.endswith("2026-01-02.json")}
    later = {name: content for name, content in files.items() if name not in first}
    for key in ("C4", "C9"):  # so that a part without index holds what the index of the other tells private
        for name in [name for name in first if name.startswith((f"{NAMES[key]}/", f"{key}/"))]:
            later[name] = first.pop(name)
    folder.mkdir(parents=True, exist_ok=True)
    _written(folder / "acme export part 1.zip", _zipped(first))
    _written(folder / "acme export part 2.zip", _zipped(later))
    return folder


def _tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content_of(content)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _backslashes(files: Files) -> Files:
    return {name.replace("/", "\\"): content for name, content in files.items()}


CONTAINERS: Mapping[str, Callable[[Path, Files], Path]] = {
    "folder": lambda path, files: write_folder(path / "acme", files),
    "zip": lambda path, files: _written(path / "acme.zip", _zipped(files)),
    "wrapped zip": lambda path, files: _written(path / "acme.zip", _zipped(_wrapped(files))),
    "tar.gz": lambda path, files: _tar(path / "acme.tar.gz", files),
    "zip in a zip": lambda path, files: _written(path / "outer.zip", _zipped({"exports/acme.zip": _zipped(files)})),
    "zip with backslashes": lambda path, files: _written(path / "acme.zip", _zipped(_backslashes(files))),
    "zip with names in cp932": lambda path, files: _written(path / "acme.zip", _zipped(files, NameInCp932)),
    "two parts": lambda path, files: _two_parts(path / "drop", files),
}
ANY = ("folder", "zip", "wrapped zip", "tar.gz", "zip in a zip")
"""Containers that say nothing about what is in them."""


class Combination(NamedTuple):
    """One way to write an export."""

    container: str
    shape: str

    def write(self, folder: Path) -> Path:
        files = BODIES[self.shape]() if self.shape in BODIES else day_folders(INDEXES[self.shape])
        return CONTAINERS[self.container](folder, files)


COMBINATIONS = [
    *(Combination(container, index) for container in CONTAINERS for index in INDEXES),
    *(Combination(container, body) for container in ANY[:4] for body in BODIES),
]
