"""
Extracts the text of a Slack message: its ``text``, and that of blocks, attachments and files.

For users, Slack makes ``text`` of the rich text in the blocks, so a user's text replaces it; tables and other blocks
are added. Apps write ``text`` as a short notification and put the content elsewhere, often with the same words: each
is given once (:mod:`include.parsers.slack.repeats`).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from include.parsers.json.values import as_dict, as_str, as_strs, visible
from include.parsers.slack.blocks import (
    attachments_text,
    blocks_text,
    forwards_text,
    previews_text,
    say_more_than_text,
)
from include.parsers.slack.entries import Entry, decoded
from include.parsers.slack.files import files_text
from include.parsers.slack.repeats import is_for_other_clients, joined, repeats
from include.parsers.slack.text import Names, to_plain_text, with_labels, without_secrets

_REWRITTEN = frozenset({"me_message", "file_comment", "file_share", "file_mention", "huddle_thread", "sh_room_created"})
_LINKS = re.compile(r"\s*(?:<[^@#!<>][^<>]*>\s*)+")
"""All the text of an app that posts pages (news, tweets): the content is in the previews."""

_FILE_SENTENCE = re.compile(
    r"(?:<@[^<>]*>|[^\n<>]{1,80}) (uploaded|created|added|shared|mentioned) an? [\w -]{1,30}: ?<[^<>]+>"
    r".*?(?: and commented: (.*))?",
    re.DOTALL,
)
"""Slack's own sentence about a file before 2018: the user, the action, and maybe the user's comment."""


def text_of(entry: Entry, names: Names, *, author: str, bot: bool) -> str:
    """
    Return the plain text of a message, empty if there is none.

    Text, then blocks, attachments, forwarded messages, files.

    :param author: Display name, for sentences that Slack writes about the author.
    :param bot: Whether a bot wrote it; a user can also post through an app.
    """
    text = _rewritten(entry, names, author) if entry.subtype in _REWRITTEN else to_plain_text(entry.text or "", names)
    text = visible(text.strip())
    app = bot or bool(entry.bot_id) or bool(entry.username and not entry.username.startswith("<@"))
    blocks = bool(entry.blocks) and (app or not text or say_more_than_text(entry.blocks))
    if blocks or entry.attachments or bot:
        text = _with_parts(entry, with_labels(names, entry.text or ""), text, app=app, blocks=blocks)
    if entry.files or (entry.file and entry.subtype != "file_comment"):
        files = decoded(entry.files) or [decoded(entry.file)]  # "file" is what exports before 2018 have
        text = f"{text}\n{files_text(files)}".strip()
    if not text and entry.attachments and entry.subtype != "reply_broadcast":
        text = previews_text(decoded(entry.attachments), names)
    return visible(without_secrets(text))


def _with_parts(entry: Entry, names: Names, text: str, *, app: bool, blocks: bool) -> str:
    """Add blocks and attachments to a text; a text for clients that cannot show them is dropped."""
    typed = text
    if is_for_other_clients(text):
        text = ""
    if blocks or (entry.blocks and not text):
        text = joined(text, blocks_text(decoded(entry.blocks), names, beside_text=not app and text != ""))
    # An old broadcast of a reply holds the reply again, which is in its thread.
    if entry.attachments and entry.subtype != "reply_broadcast":
        attachments = decoded(entry.attachments)
        cards = attachments_text(attachments, names, by_app=app, said=text)
        text = cards if text and cards and repeats(cards, text) else "\n".join(filter(None, (text, cards)))
        if app and not cards and _LINKS.fullmatch(entry.text or ""):
            text = "\n".join(filter(None, (text, previews_text(attachments, names, said=text))))
        text = "\n".join(filter(None, (text, forwards_text(attachments, names))))
    return text.strip() or ("" if app else typed)


def _rewritten(entry: Entry, names: Names, author: str) -> str:
    """Rewrite Slack's system wording."""
    text = to_plain_text(entry.text or "", names)
    if entry.subtype == "me_message":
        return f"{author} {text}" if text else ""
    if entry.subtype == "file_comment":
        return to_plain_text(as_str(as_dict(decoded(entry.comment)).get("comment")), names) or text
    if entry.subtype in ("file_share", "file_mention"):
        return _said_of_file(entry, text, names)
    room = as_dict(decoded(entry.room))
    if entry.subtype == "sh_room_created":
        return joined("Started a call", as_str(room.get("name")))
    return ", ".join(["Huddle", *_minutes(room), *_people(room, names)])


def _said_of_file(entry: Entry, text: str, names: Names) -> str:
    raw = entry.text or ""
    sentence = _FILE_SENTENCE.fullmatch(raw) if entry.file or (entry.files and raw.startswith("<@")) else None
    said = to_plain_text(sentence[2] or "", names) if sentence else text
    if sentence and sentence[1] in ("shared", "mentioned"):  # the first comment is its uploader's
        return said
    comment = as_str(as_dict(as_dict(decoded(entry.file)).get("initial_comment")).get("comment"))
    return to_plain_text(comment, names) or said


def _minutes(room: Mapping[str, Any]) -> list[str]:
    start, end = room.get("date_start"), room.get("date_end")
    if isinstance(start, int) and isinstance(end, int) and 0 < start <= end:
        return [f"{math.ceil((end - start) / 60)} min"]
    return []


def _people(room: Mapping[str, Any], names: Names) -> list[str]:
    users = as_strs(room.get("participant_history")) or as_strs(room.get("participants"))
    people = [names.users.get(user, user) for user in users]
    return [f"with {', '.join(people)}"] if people else []
