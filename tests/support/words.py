"""
Lists the words that people and apps wrote in an export's entries, without the parsers.

A plain walk over every string of the raw JSON, with a short list of what is left out and why. :func:`differences`
compares the words of an entry with the text of the message that came of it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.entry_strategies import NESTED, entries_of

type Entry = dict[str, Any]

GAP = "\u2026"
"""Stands for something between words that comes out in other words: a mention, an address, a picture."""

# --- what is left out ---------------------------------------------------------------------------------------------

NO_WORDS = re.compile(
    "|".join(
        [
            r"id|ID|ids|.*_id|.*_ids|.*Id|user|users|team|.*_team|channel|channels|members|n",  # ids
            r"latest_reply|reply_users|inviter|participants|participant_history|created_by|pinned_to|shares",
            r"ts|.*_ts|timestamp.*|Timestamp|callEnded.*|.*_at|create_time|created|updated|date_.*|duration.*",  # times
            r"type|subtype|mode|style|filetype|pretty_type|mimetype|color|format|status|locale|language|lang|media_type",
            r"content_type|external_type|file_access|flags|access|visibility|purpose|waveform|hash|discriminator",
            r"title_type|column_settings|charset|encoding|placeholder_type|embed_type|ssb_name|source|service_type",
            r".*url|.*url_.*|.*Url|.*_link|permalink.*|uri|.*icon.*|image_.*|thumb.*|avatar.*|vtt|edit_link|href",
            r"thumbnail|video|images|image|inlineEmojis|Attachments",  # pictures and addresses
            r"emoji|emojis|reactions|name_normalized",  # signs, no words
            r"label|placeholder|options|option_groups|confirm|actions|hint|initial_option|custom_.*",  # controls
            r"edited|metadata|event_payload|pinned_info|room|queue|display_as_bot|headers",  # machine data
            r"author_subname|author_id|service_name|provider|channel_name|channel_type|is_.*",  # of a website
            r"preview_highlight|preview_html|simplified_html|from|to|cc|bcc",  # again as HTML; addresses
        ]
    )
)
"""Members of any object that hold no words of a person or app."""

NOT_OF_THE_MESSAGE = frozenset(
    {
        "author", "member", "username", "user_profile", "bot_profile", "icons", "mentions", "mention_channels",
        "mention_roles", "role", "sender", "sender_name", "root", "parent", "broadcast_thread_ts", "nonce", "origin",
        "reference", "message_reference", "referenced_message", "refer_list",  # the message that is answered
        "interaction", "interaction_metadata", "thread", "application", "activity", "comment_count", "topic",
        "old_name", "call", "roleSubscriptionData", "resolved", "position", "guild", "permissions",
        *NESTED,
    }
)  # fmt: skip
"""Members of an entry itself: authors, counted by themselves; other messages, which are entries of their own."""

CONTROLS = re.compile(
    r"button|.*_select|overflow|.*picker|checkboxes|radio_buttons|.*_input|input|actions|workflow_button|divider"
    r"|feedback_buttons|icon_button|context_actions"
)
"""Types of Slack's parts that a reader can only press or fill in."""

NOTICES = re.compile(
    r"\[no preview( available)?\]"
    r"|This (message|content) (contains interactive elements|can't be displayed|was deleted)\.?"
    r"|\[(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[^\]]*\] \S+: ?|Untitled"
    r"|(audio|video|voice)[_-]message.*|audio\.\w+",
    re.DOTALL,
)
"""Sentences that Slack writes itself."""

SYSTEM = re.compile(
    r"(channel|group)_.*|(un)?pinned_item|bot_(add|remove|enable|disable)|reminder_add|slackbot_response|tombstone"
    r"|joiner_notification.*|message_(changed|deleted|replied)|.*_canvas_updated|ekm_access_denied|sh_room_.*"
    r"|huddle_thread"
)
"""Subtypes of entries in which Slack itself speaks."""

WRITTEN_ANEW = frozenset({"file_share", "file_mention", "file_comment", "reply_broadcast"})
"""Old subtypes whose text Slack wrote; the person's words are in ``file`` or ``comment``, or in another entry."""


class Written(NamedTuple):
    """The words of one entry."""

    file: str
    key: str
    """The platform's id of the message; empty if it has none."""

    pieces: tuple[str, ...]
    """Sequences of words, each written in one place, :data:`GAP` for what has other words in the text."""

    views: tuple[str, ...]
    """The same put together by the part of the message that holds them; parts may repeat one another."""

    forwards: tuple[str, ...]
    """Likewise of messages from elsewhere, which repeat nothing: somebody else said it."""

    noise: tuple[str, ...]
    """
    Sequences of words that nobody wrote here: notices, previews of links, labels of controls.

    None where the entry says nothing else: a preview is all there is to a message of Discord then.
    """

    author: str
    """The id of who wrote it where the entry says so plainly, else empty."""


def written(source: Path) -> Iterator[Written]:
    """Yield the words of every entry of a source."""
    for file, entry in entries_of(source):
        if isinstance(entry, dict):
            yield words_of(file, entry)


def words_of(file: str, entry: Entry) -> Written:
    """Return the words of one entry."""
    noise: list[str] = []
    pieces: list[str] = []
    views: list[str] = []
    forwards: list[str] = []
    for part in _parts(entry, noise):
        found = list(_part(part, noise))
        pieces += [words for piece in found if (words := normal(piece)).strip(f" {GAP}")]
        if (view := normal("\n".join(found))).strip(f" {GAP}"):
            (forwards if isinstance(part, dict) and _is_share(part) else views).append(view)
    key = next((str(entry[name]) for name in ("ts", "id", "ID", "message_id") if entry.get(name)), "")
    unsaid = [words for piece in noise if len((words := normal(piece)).split()) > 1 and pieces]
    unsaid = [words for words in unsaid if not any(times(words, view) for view in (*views, *forwards))]
    return Written(
        file, key, tuple(dict.fromkeys(pieces)), tuple(views), tuple(forwards), tuple(unsaid), _author(entry)
    )


def _author(entry: Entry) -> str:
    if entry.get("bot_id") or entry.get("subtype") or entry.get("webhook_id"):
        return ""
    author = entry.get("author")
    if isinstance(author, dict):
        return "" if author.get("isBot") or author.get("bot") else str(author.get("id", ""))
    given = entry.get("user") or entry.get("sender_id") or entry.get("sender")
    return given if isinstance(given, str) else ""


def _parts(entry: Entry, noise: list[str]) -> Iterator[Any]:
    """Yield the parts of a message that can hold words: its members, and each of its attachments by itself."""
    subtype = entry.get("subtype") or ""
    if SYSTEM.fullmatch(subtype) or entry.get("hidden") or entry.get("type") == "system":
        return
    app = _by_app(entry)
    for name, value in entry.items():
        if name in NOT_OF_THE_MESSAGE or NO_WORDS.fullmatch(name) or (name == "comment" and subtype != "file_comment"):
            continue
        if name == "file" and subtype == "file_comment":  # an entry of its own
            continue
        if (name == "text" and subtype in WRITTEN_ANEW) or (name == "attachments" and subtype == "reply_broadcast"):
            continue
        if name in ("attachments", "embeds") and isinstance(value, list):
            for part in value:
                if isinstance(part, dict) and not app and _is_preview(part, name):
                    noise += _part(part, noise)
                else:
                    yield part
        elif not (name == "content" and _is_file(entry)):
            yield value


def _by_app(entry: Entry) -> bool:
    author = entry.get("author")
    bot = isinstance(author, dict) and (author.get("isBot") or author.get("bot"))
    return bool(bot or entry.get("bot_id") or entry.get("webhook_id") or entry.get("subtype") == "bot_message")


def _is_preview(part: Entry, name: str) -> bool:
    """Tell what a client adds below a person's message for a link in it: words of the page, not of the person."""
    if name == "embeds":
        return True
    return not _is_share(part) and any(
        part.get(key) for key in ("from_url", "original_url", "service_name", "is_app_unfurl")
    )


def _is_share(part: Entry) -> bool:
    return bool(part.get("is_share") or part.get("is_msg_unfurl"))


def _is_file(entry: Entry) -> bool:
    return entry.get("type") in ("file", "image", "audio", "video") and "://" in str(entry.get("content", ""))


# --- the walk -----------------------------------------------------------------------------------------------------


def _part(value: Any, noise: list[str]) -> Iterator[str]:
    if isinstance(value, str):
        if NOTICES.fullmatch(value.strip()):
            noise.append(value)
        else:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _part(item, noise)
    elif isinstance(value, dict):
        yield from _members(value, noise)


def _members(value: Entry, noise: list[str]) -> Iterator[str]:
    kind = str(value.get("type", ""))
    if CONTROLS.fullmatch(kind) or "custom_id" in value:
        noise += (text for part in value.values() for text in _part(part, noise))
        return
    if value.get("mode") in ("tombstone", "hidden_by_limit") or value.get("file_access") in (
        "access_denied",
        "file_not_found",
    ):
        return
    if kind in ("rich_text_section", "rich_text_quote", "rich_text_preformatted"):
        yield "".join(_inline(item) for item in value.get("elements") or ())
        return
    if kind == "raw_number":
        yield str(value.get("value"))
        return
    left = [key for key in value if not NO_WORDS.fullmatch(key) and key not in _said_better(value)]
    found = [words for key in left for words in _part(value[key], noise)]
    if not found and "fallback" in value:
        found = list(_part(value["fallback"], noise))
    yield from found


def _said_better(value: Entry) -> frozenset[str]:
    """Return the members that another member says as well, or better."""
    hidden = {"fallback"}
    if value.get("title"):
        hidden |= {"name", "alt_text", "title_blocks"} | ({"fileName", "filename"} - value.keys())
    if _is_share(value):
        hidden |= {"author_name", "footer", "title"}  # who said it, and where: not words of the message
    if value.get("fileName") or value.get("filename"):
        hidden.add("title")
    if value.get("plain_text"):
        hidden |= {"preview", "preview_plain_text", "title", "name"}
    if value.get("subtype") in ("slack_audio", "slack_video"):
        hidden |= {"title", "name"}
    if value.get("mode") in ("quip", "canvas"):
        hidden.add("preview")
    return frozenset(hidden)


def _inline(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    if item.get("type") == "text":
        return str(item.get("text") or "")
    if item.get("type") == "link":
        text = str(item.get("text") or "")
        return f"{text} {GAP} " if text and text not in str(item.get("url")) else f" {GAP} "
    return f" {GAP} "


# --- comparing ----------------------------------------------------------------------------------------------------

_MARKUP = [
    (re.compile(r"<([a-z]+://([^<>|\s]+?)/?)\|(?:\1|\2)/?>"), f" {GAP} "),  # a link whose label repeats it
    (re.compile(r"<(?:mailto|tel):[^<>|]*\|([^<>]*)>"), r"\1"),
    (re.compile(r"<[a-z]+:[^<>|\s]*\|([^<>]*)>"), rf"\1 {GAP} "),  # a link and its label
    (re.compile(r"<(?:[@#!][^<>]*|a?:\w+:\d+|t:-?\d+[^<>]*|/[^<>]*:\d+|id:\w+)>"), f" {GAP} "),  # a mention
    (re.compile(r"<(?:https?|ftp|mailto|tel|slack):[^<>]*>"), f" {GAP} "),
    (re.compile(r"\(?\b(?:https?|ftp|slack)://[^\s<>|)]*\)?|\b[\w.+-]+@[\w-]+\.[\w.]+"), f" {GAP} "),
    (re.compile(r":[\w+-]+:(?::skin-tone-\d:)?"), " "),  # emoji
    (re.compile(r"(?m)^[\s>]*(?:\d{1,3}|[a-z]{1,2}|[ivx]+)[.)]\s"), " "),  # the number of a list's item
    (re.compile(r"&(?:lt|gt|amp);"), " "),
]
_WORD = re.compile(rf"[^\W_]+|{GAP}")


def normal(text: str) -> str:
    """Return words between single spaces, without markup, addresses, emoji and the numbers of lists."""
    for pattern, better in _MARKUP:
        text = pattern.sub(better, text)
    return f" {' '.join(_WORD.findall(text))} "


def times(piece: str, text: str) -> int:
    """Return how often a sequence of words is in another; a gap stands for up to twelve words, or none."""
    segments = [segment.strip() for segment in piece.split(GAP) if segment.strip()]
    pattern = r"(?: \S+){0,12}? ".join(segments)
    return len(re.findall(rf"(?<= ){pattern}(?= )", text)) if segments else 0


class Differences(NamedTuple):
    """What is wrong with the text of a message."""

    lost: list[str]
    repeated: list[str]
    noise: list[str]


def differences(entry: Written, text: str) -> Differences:
    """
    Return the words that are not in a text, those that are in it more often than they were written, and noise.

    Parts of a message repeat one another on purpose (blocks repeat the text): a part whose words are all in another
    does not count. Single words come up again by chance and are not counted at all.
    """
    said = normal(text)
    counted: list[str] = []
    for view in sorted(entry.views, key=len, reverse=True):
        if not any(times(view, other.replace(f" {GAP}", "")) for other in counted):
            counted.append(view)
    counted += entry.forwards
    return Differences(
        [piece for piece in entry.pieces if not times(piece, said)],
        [
            piece
            for piece in entry.pieces
            if len(piece.split()) > 1 and times(piece, said) > max(1, sum(times(piece, view) for view in counted))
        ],
        [piece for piece in entry.noise if times(piece, said)],
    )
