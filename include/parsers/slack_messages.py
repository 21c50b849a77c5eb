"""
Says of each Slack entry what it is: a message somebody wrote, something left out on purpose, or something broken.

The rules for authors, subtypes and text are those on which the projects that live with these files agree (zulip,
mattermost/mmetl, slack-export-viewer, msgvault). Slack adds subtypes: one that is unknown is imported if it has text.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from include.ids import sender_id_of
from include.parsers.formats import ParseOptions
from include.parsers.json_loose import decode_loose
from include.parsers.slack_blocks import attachments_text, blocks_text, files_text, shared_text
from include.parsers.slack_entries import Entry
from include.parsers.slack_index import Index, person_name
from include.parsers.slack_text import to_plain_text, without_secrets
from include.records import Message, Rejected, Skipped

SOURCE = "slack"

IMPORTED = frozenset(
    {
        "file_share",
        "thread_broadcast",
        "me_message",
        "bot_message",
        "file_comment",
        "huddle_thread",
        "sh_room_created",
    }
)
"""Subtypes in which somebody says something."""

NOISE = frozenset(
    {
        "reminder_add",
        "slackbot_response",
        "bot_add",
        "bot_remove",
        "bot_enable",
        "bot_disable",
        "joiner_notification",
        "joiner_notification_for_inviter",
        "channel_join",
        "channel_leave",
        "channel_topic",
        "channel_purpose",
        "channel_name",
        "channel_archive",
        "channel_unarchive",
        "channel_convert_to_private",
        "channel_convert_to_public",
        "channel_posting_permissions",
        "channel_canvas_updated",
        "group_join",
        "group_leave",
        "group_topic",
        "group_purpose",
        "group_name",
        "group_archive",
        "group_unarchive",
        "pinned_item",
        "unpinned_item",
        "ekm_access_denied",
    }
)
"""Subtypes in which Slack itself reports something; skipped under their own name."""

_NOISE_PATTERN = re.compile(r"joiner_notification.*|.*_canvas_updated")
_EVENTS = frozenset({"message_changed", "message_deleted", "message_replied"})
_SLACKBOT = "USLACKBOT"
_SLACKBOT_BOT = "B01"
_BOT_ADDED = re.compile(r"/services/(B[0-9A-Z]+)[^|<>]*\|([^<>]+)>")
_UPLOADED = re.compile(r".*?uploaded a file:.*?(?: and commented: (.*))?", re.DOTALL)
_SUBTYPE = re.compile(r"[A-Za-z0-9_]{1,64}")
_TS_CHARACTERS = 20
_MIN_US, _MAX_US = 1_000_000_000_000_000, 253_402_300_800_000_000
"""2001 to 9999. EverOS takes smaller figures for seconds; Slack began in 2013."""


class Author(NamedTuple):
    """Who wrote a message."""

    sender_id: str
    name: str
    bot: bool


UNKNOWN = Author("unknown", "unknown", bot=False)


class Judge:
    """Judges the entries of one workspace; remembers names that only messages give away."""

    def __init__(self, index: Index, options: ParseOptions) -> None:
        self._skip_bots = options.bots == "skip"
        self._people = dict(index.names.users)
        self._names = index.names._replace(users=self._people)
        self._authors = {key: Author(sender_id_of(key), user.name, user.bot) for key, user in index.users.items()}
        self._bots = dict(index.bots)
        self._added_bots: dict[str, str] = {}
        self.unknown_subtypes: Counter[str] = Counter()
        self.unknown_authors = 0

    def outcome(self, entry: Entry, conversation_id: str, origin: str) -> Message | Skipped | Rejected:
        """Say what an entry is."""
        subtype = entry.subtype
        reason = self._noise(entry) if subtype or entry.hidden else ""
        if reason:
            return Skipped(source=SOURCE, conversation_id=conversation_id, reason=reason, origin=origin)
        ts = entry.ts
        sent_at_us = time_us(ts)
        if ts is None or sent_at_us is None:
            problem = "ts is no Unix time between 2001 and 9999" if ts else "ts is missing"
            return Rejected(source=SOURCE, conversation_id=conversation_id, reason=problem, origin=origin)
        author = self._author(entry)
        bot = author.bot or subtype == "bot_message"
        text = (entry.text or "").strip()
        plain = text and not ("<" in text or "&" in text or "=xox" in text)
        if subtype or bot or not plain or entry.bot_id or entry.files or entry.file:
            text = self._text(entry, author, bot=bot)  # most messages are plain words and need nothing more
        if not text or (bot and self._skip_bots):
            reason = "bot" if text else "empty" if subtype is None or subtype in IMPORTED else _named(subtype)
            return Skipped(source=SOURCE, conversation_id=conversation_id, reason=reason, origin=origin)
        if subtype and subtype not in IMPORTED:
            self.unknown_subtypes[_named(subtype)] += 1
        if author is UNKNOWN:
            self.unknown_authors += 1
        thread_ts = entry.thread_ts
        return Message(
            source=SOURCE,
            conversation_id=conversation_id,
            message_id=ts,
            sent_at_us=sent_at_us,
            timestamp_ms=sent_at_us // 1000,
            edited_at_us=time_us(entry.edited.ts) if entry.edited else None,
            sender_id=author.sender_id,
            sender_name=author.name,
            role="assistant" if bot else "user",
            text=text,
            thread_id=thread_ts if thread_ts and time_us(thread_ts) else None,
            origin=origin,
        )

    def _noise(self, entry: Entry) -> str:
        """Return the reason to leave an entry out whatever it says; empty if there is none."""
        subtype = entry.subtype or ""
        if subtype == "bot_add":
            self._added_bots.update(_BOT_ADDED.findall(entry.text or ""))
        if subtype == "tombstone":
            return "deleted"
        if subtype in _EVENTS or entry.hidden:
            return "event"
        return _named(subtype) if subtype in NOISE or _NOISE_PATTERN.fullmatch(subtype) else ""

    def _author(self, entry: Entry) -> Author:
        user = entry.user
        if entry.subtype in _PART_WITH_AUTHOR:
            part, key = _PART_WITH_AUTHOR[entry.subtype]
            user = _str(_decoded(getattr(entry, part)), key) or user
        return self._authors.get(user or "") or self._stranger(entry, user)

    def _stranger(self, entry: Entry, user: str | None) -> Author:
        """Resolve an author whom the roster does not know: guests from elsewhere, bots, the deleted."""
        guest = person_name(_decoded(entry.user_profile)) if user else ""
        if user and guest:
            self._people[user] = guest
            author = self._authors[user] = Author(sender_id_of(user), guest, bot=False)
            return author
        if user == _SLACKBOT or entry.bot_id == _SLACKBOT_BOT:
            return Author(_SLACKBOT, "Slackbot", bot=True)
        if entry.bot_id:
            return Author(sender_id_of(user or entry.bot_id), self._bot_name(entry), bot=True)
        if user:
            return Author(sender_id_of(user), self._names.users.get(user, user), bot=False)
        if entry.username:
            return Author(sender_id_of(f"name:{entry.username}"), entry.username, bot=False)
        return UNKNOWN

    def _bot_name(self, entry: Entry) -> str:
        key = entry.bot_id or ""
        return (
            self._bots.get(key)
            or _str(_decoded(entry.bot_profile), "name")
            or entry.username
            or self._added_bots.get(key)
            or key
        )

    def _text(self, entry: Entry, author: Author, *, bot: bool) -> str:
        app = bot or entry.bot_id
        text = entry.text or ""
        if entry.subtype in _REWRITTEN:
            text = self._rewritten(entry, author)
        elif text:
            text = to_plain_text(text, self._names)
        text = text.strip()
        if app or not text:
            text = self._with_parts(entry, text, app=bool(app))
        if entry.files or (entry.file and entry.subtype != "file_comment"):
            files = _decoded(entry.files) or [_decoded(entry.file)]  # "file" is what exports before 2018 have
            text = f"{text}\n{files_text(files)}".strip()
        if not text and entry.attachments:
            text = shared_text(_decoded(entry.attachments), self._names)
        return without_secrets(text) if "=xox" in text else text

    def _with_parts(self, entry: Entry, text: str, *, app: bool) -> str:
        """Return what a message says in blocks and attachments; apps say something else there than in ``text``."""
        blocks = blocks_text(_decoded(entry.blocks), self._names)
        text = _joined(text, blocks) if app else blocks
        if app or not text:
            text = _joined(text, attachments_text(_decoded(entry.attachments), self._names, by_app=app))
        return text.strip()

    def _rewritten(self, entry: Entry, author: Author) -> str:
        """Put into words what Slack says about a person in its own."""
        text = to_plain_text(entry.text or "", self._names)
        if entry.subtype == "me_message":
            return f"{author.name} {text}" if text else ""
        if entry.subtype == "file_comment":
            return to_plain_text(_str(_decoded(entry.comment), "comment"), self._names)
        if entry.subtype == "file_share":
            comment = _str(_mapping(_decoded(entry.file), "initial_comment"), "comment")
            uploaded = _UPLOADED.fullmatch(text) if entry.file else None
            return to_plain_text(comment, self._names) or (uploaded[1] or "" if uploaded else text)
        room = _decoded(entry.room)
        if entry.subtype == "sh_room_created":
            return _joined("Started a call", _str(room, "name"))
        people = room.get("participant_history") or room.get("participants")
        names = [self._names.users.get(user, user) for user in _list(people) if isinstance(user, str)]
        return ", ".join(["Huddle", *_minutes(room), *([f"with {', '.join(names)}"] if names else [])])


_PART_WITH_AUTHOR: Mapping[str | None, tuple[str, str]] = {
    "huddle_thread": ("room", "created_by"),
    "sh_room_created": ("room", "created_by"),
    "file_comment": ("comment", "user"),
    "file_share": ("file", "user"),
}
"""Subtypes whose author stands in a part of the entry; ``user`` may be Slackbot or missing."""

_REWRITTEN = frozenset({"me_message", "file_comment", "file_share", "huddle_thread", "sh_room_created"})


def time_us(ts: str | None) -> int | None:
    """
    Return a Slack ``ts`` as microseconds since 1970; ``None`` if it is no time between 2001 and 9999.

    Split as text: before 2018 the fraction counts messages within a second, and a float would lose digits.

    >>> time_us("1452837318.000002"), time_us("1452837318")
    (1452837318000002, 1452837318000000)
    """
    if not ts or len(ts) > _TS_CHARACTERS:
        return None
    if len(ts) == 17 and ts[10] == ".":  # as Slack writes it
        digits = ts.replace(".", "", 1)
    else:
        seconds, _, fraction = ts.partition(".")
        digits = seconds + fraction.ljust(6, "0") if seconds and len(fraction) <= 6 else ""
    if not (digits.isdecimal() and digits.isascii()):
        return None
    time = int(digits)
    return time if _MIN_US <= time < _MAX_US else None


def _named(subtype: str) -> str:
    """Return a subtype as a reason, unless it is no word that a platform would use."""
    return subtype if _SUBTYPE.fullmatch(subtype) else "unreadable subtype"


def _joined(text: str, more: str) -> str:
    """Put two texts below each other unless one of them says it all; marks and white space do not count."""
    if not text or not more or more in text:
        return text or more
    one, other = _bare(text), _bare(more)
    if other in one:
        return text
    return more if one in other else f"{text}\n{more}"


def _bare(text: str) -> str:
    for mark in "*_~`":
        text = text.replace(mark, "")
    return " ".join(text.split())


def _minutes(room: Mapping[str, Any]) -> list[str]:
    start, end = room.get("date_start"), room.get("date_end")
    if isinstance(start, int) and isinstance(end, int) and 0 < start <= end:
        return [f"{math.ceil((end - start) / 60)} min"]
    return []


def _decoded(part: msgspec.Raw) -> Any:
    """Decode a nested part; one that is absent or broken is an empty object."""
    try:
        return (decode_loose(bytes(part)) or {}) if part else {}
    except ValueError:
        return {}


def _mapping(item: object, key: str) -> Mapping[str, Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _str(item: object, key: str) -> str:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, str) else ""
