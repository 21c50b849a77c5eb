"""
Says what a Slack message says: its text, or what stands in blocks, attachments and files instead.

``text`` is only a fallback for clients that cannot show the rest, but for what people type it is all there is to say:
the blocks repeat it. Apps put a short notification into it and what they have to say elsewhere.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from include.parsers.slack_blocks import attachments_text, blocks_text, files_text, joined, shared_text
from include.parsers.slack_entries import Entry, decoded
from include.parsers.slack_text import Names, to_plain_text, without_secrets
from include.parsers.values import mapping, string, strings

_REWRITTEN = frozenset({"me_message", "file_comment", "file_share", "huddle_thread", "sh_room_created"})
_FILE_TOLD = re.compile(r".*? (uploaded|shared) a file:.*?(?: and commented: (.*))?", re.DOTALL)
"""Slack's own sentence about a file before 2018: who did what, and maybe what that person said."""


def text_of(entry: Entry, names: Names, *, author: str, bot: bool) -> str:
    """
    Return the plain text of a message, empty if nobody wrote, said or attached anything.

    :param author: Display name, for what Slack tells about a person.
    :param bot: Whether a bot wrote it; a person can also post through an app.
    """
    app = bot or bool(entry.bot_id)
    text = _rewritten(entry, names, author) if entry.subtype in _REWRITTEN else to_plain_text(entry.text or "", names)
    text = text.strip()
    if app:
        text = joined(text, blocks_text(decoded(entry.blocks), names))
        text = joined(text, attachments_text(decoded(entry.attachments), names, by_app=True))
    elif not text:
        text = blocks_text(decoded(entry.blocks), names)
        text = text or attachments_text(decoded(entry.attachments), names, by_app=False)
    if entry.files or (entry.file and entry.subtype != "file_comment"):
        files = decoded(entry.files) or [decoded(entry.file)]  # "file" is what exports before 2018 have
        text = f"{text}\n{files_text(files)}"
    text = text.strip()
    if not text and entry.attachments:
        text = shared_text(decoded(entry.attachments), names).strip()
    return without_secrets(text)


def _rewritten(entry: Entry, names: Names, author: str) -> str:
    """Put into words what Slack tells about a person in its own."""
    text = to_plain_text(entry.text or "", names)
    if entry.subtype == "me_message":
        return f"{author} {text}" if text else ""
    if entry.subtype == "file_comment":
        return to_plain_text(string(mapping(decoded(entry.comment)).get("comment")), names) or text
    if entry.subtype == "file_share":
        return _said_of_file(entry, text, names)
    room = mapping(decoded(entry.room))
    if entry.subtype == "sh_room_created":
        return joined("Started a call", string(room.get("name")))
    return ", ".join(["Huddle", *_minutes(room), *_people(room, names)])


def _said_of_file(entry: Entry, text: str, names: Names) -> str:
    told = _FILE_TOLD.fullmatch(text) if entry.file else None
    if told and told[1] == "shared":  # the first comment is its uploader's
        return told[2] or ""
    comment = string(mapping(mapping(decoded(entry.file)).get("initial_comment")).get("comment"))
    return to_plain_text(comment, names) or (told[2] or "" if told else text)


def _minutes(room: Mapping[str, Any]) -> list[str]:
    start, end = room.get("date_start"), room.get("date_end")
    if isinstance(start, int) and isinstance(end, int) and 0 < start <= end:
        return [f"{math.ceil((end - start) / 60)} min"]
    return []


def _people(room: Mapping[str, Any], names: Names) -> list[str]:
    users = strings(room.get("participant_history")) or strings(room.get("participants"))
    people = [names.users.get(user, user) for user in users]
    return [f"with {', '.join(people)}"] if people else []
