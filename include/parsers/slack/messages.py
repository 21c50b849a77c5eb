"""
Classifies Slack entries: a message, an entry to skip, or a broken one.

The rules for authors, subtypes and text are those on which the projects that read these files agree (zulip,
mattermost/mmetl, slack-export-viewer, msgvault). Slack adds subtypes: an unknown one is imported if it has text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from include.errors import EntryUnreadable
from include.parsers.formats import ParseOptions
from include.parsers.json.values import visible
from include.parsers.slack.authors import UNKNOWN, Authors
from include.parsers.slack.blocks import say_more_than_text
from include.parsers.slack.content import text_of
from include.parsers.slack.entries import Defect, Entry, Slice
from include.parsers.slack.index import Index
from include.records import Message, Note, Rejected, Row, Skipped, message_of

SOURCE = "slack"

type Files = Iterable[Iterable[Slice]]
"""The entries of each file, a part of a file at a time."""

IMPORTED = frozenset(
    {
        "file_share",
        "file_mention",
        "thread_broadcast",
        "reply_broadcast",
        "me_message",
        "bot_message",
        "file_comment",
        "huddle_thread",
        "sh_room_created",
        "assistant_app_thread",
    }
)
"""Subtypes of messages with an author's words."""

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
_SUBTYPE = re.compile(r"[A-Za-z0-9_]{1,64}")
_TS_CHARACTERS = 20
_REGULAR_TIMES = re.compile(r"(?:[1-9][0-9]{9}\.[0-9]{6},)*+[1-9][0-9]{9}\.[0-9]{6}")
"""With ten digits before the point they are between 2001 and 2286."""

_TS = attrgetter("ts")
_INTEGER = msgspec.json.Decoder(int)
_INTEGERS = msgspec.json.Decoder(list[int | None])
_MIN_US, _MAX_US = 1_000_000_000_000_000, 253_402_300_800_000_000
"""2001 to 9999. EverOS reads smaller numbers as seconds; Slack began in 2013."""


class Classifier:
    """
    Classifies the entries of one workspace, in the order of the export.

    :param files: Reads the entries of every file once more. Called once, for a user whom neither the roster nor an
        earlier message of the conversation names: guests are named only by their own messages.
    """

    def __init__(self, index: Index, options: ParseOptions, files: Callable[[], Files] | None = None) -> None:
        self._skip_bots = options.bots == "skip"
        self._authors = Authors(index, partial(self.collect_names, files) if files else None)
        self.unknown_subtypes: Counter[str] = Counter()
        """Messages imported although their subtype is unknown."""
        self.unknown_authors = 0

    def begin_conversation(self) -> None:
        """Begin a conversation that is read apart from the others: people are named by its own messages first."""
        self._authors.begin_conversation()

    def outcome(self, entry: Entry, conversation_id: str, origin: str) -> Message | Skipped | Rejected:
        """Return the outcome of an entry."""
        outcome = self.row(entry, conversation_id, origin, time_us(entry.ts))
        return message_of(outcome) if isinstance(outcome, tuple) else outcome

    def row(self, entry: Entry, conversation_id: str, origin: str, sent_at_us: int | None) -> Row | Skipped | Rejected:
        """
        Return the outcome of an entry; for a message, the row of a :class:`include.records.Message`.

        :param sent_at_us: Its time, see :func:`times_us`.
        """
        subtype = entry.subtype
        reason = self._noise(entry) if subtype or entry.hidden else ""
        if reason:
            return Skipped(source=SOURCE, conversation_id=conversation_id, reason=reason, origin=origin)
        ts = entry.ts
        if ts is None or sent_at_us is None:
            problem = "ts is no Unix time between 2001 and 9999" if ts else "ts is missing"
            return Rejected(
                source=SOURCE,
                conversation_id=conversation_id,
                reason=problem,
                origin=origin,
                entry=_correctable(entry),
            )
        author = self._authors.of(entry)
        bot = author.bot
        text = (entry.text or "").strip()  # most messages are plain text and nothing else
        if text > "~":
            text = visible(text)
        plain = text and not ("<" in text or "&" in text or "=" in text)  # "=" as in an address that ends in a token
        if (
            subtype
            or bot
            or not plain
            or entry.bot_id
            or entry.username
            or entry.files
            or entry.file
            or entry.attachments
            or (entry.blocks and say_more_than_text(entry.blocks))
        ):
            text = text_of(entry, self._authors.names, author=author.name, bot=bot)
        if not text or (bot and self._skip_bots):
            said = subtype is None or (subtype in IMPORTED and subtype != "reply_broadcast")
            reason = "bot" if text else "empty" if said else _named(subtype or "")
            return Skipped(source=SOURCE, conversation_id=conversation_id, reason=reason, origin=origin)
        if subtype and subtype not in IMPORTED:
            self.unknown_subtypes[_named(subtype)] += 1
        if author.sender_id == UNKNOWN.sender_id:
            self.unknown_authors += 1
        thread_ts = entry.thread_ts
        return (
            SOURCE,
            conversation_id,
            ts,
            sent_at_us,
            sent_at_us // 1000,
            time_us(entry.edited.ts) if entry.edited else None,
            author.sender_id,
            author.name,
            "assistant" if bot else "user",
            text,
            thread_ts if thread_ts and time_us(thread_ts) else None,
            origin,
        )

    def collect_names(self, files: Callable[[], Files]) -> None:
        """Collect the names of guests and bots from all messages; files that cannot be read are skipped."""
        for slices in files():
            with suppress(EntryUnreadable):
                for part in slices:
                    for entry in part:
                        if isinstance(entry, Entry):
                            self._authors.add_people(entry)

    def notes(self) -> Iterator[Note]:
        """Yield what the report notes about the entries so far."""
        for subtype, count in sorted(self.unknown_subtypes.items()):
            yield Note(code="unknown_kind", detail=subtype, count=count)
        yield Note(code="unknown_author", count=self.unknown_authors)

    def _noise(self, entry: Entry) -> str:
        """Return the reason to skip an entry regardless of its text; empty if there is none."""
        subtype = entry.subtype or ""
        if subtype == "bot_add":
            self._authors.add_bot(entry)
        if subtype == "tombstone":
            return "deleted"
        if subtype in _EVENTS or entry.hidden:
            return "event"
        return _named(subtype) if subtype in NOISE or _NOISE_PATTERN.fullmatch(subtype) else ""


def _correctable(entry: Entry) -> dict[str, Any]:
    """Return the fields of a rejected entry that a user can correct (:data:`include.parsers.outcomes.Correctable`)."""
    return {"sender_id": entry.user or entry.bot_id, "timestamp": entry.ts, "content": entry.text}


def time_us(ts: str | None) -> int | None:
    """
    Return a Slack ``ts`` as microseconds since 1970; ``None`` if it is no time between 2001 and 9999.

    Split as text: before 2018 the fraction counts messages within a second, and a float would lose digits.

    >>> time_us("1452837318.000002"), time_us("1452837318")
    (1452837318000002, 1452837318000000)
    """
    if not ts or len(ts) > _TS_CHARACTERS or not ts.isascii():
        return None
    if len(ts) == 17 and ts[10] == ".":  # as Slack writes it
        digits = ts[:10] + ts[11:]
    else:
        seconds, _, fraction = ts.partition(".")
        digits = seconds + fraction.ljust(6, "0") if seconds and len(fraction) <= 6 else ""
    if not digits.isdecimal() or digits.startswith("0"):
        return None
    time = _INTEGER.decode(digits)  # a third of the time that int() takes
    return time if _MIN_US <= time < _MAX_US else None


def times_us(entries: Sequence[Entry | Defect]) -> list[int | None]:
    """
    Return :func:`time_us` of each entry; ``None`` of a defect.

    Times as Slack writes them are read together, in a quarter of the time.
    """
    try:
        joined = ",".join(map(_TS, entries))
    except (AttributeError, TypeError):  # a defect, or an entry without a time
        joined = ""
    if len(joined) == 18 * len(entries) - 1 and _REGULAR_TIMES.fullmatch(joined):  # none holds a comma itself
        return _INTEGERS.decode(f"[{joined.replace('.', '')}]")
    return [time_us(entry.ts) if isinstance(entry, Entry) else None for entry in entries]


def _named(subtype: str) -> str:
    """Return a subtype as a reason, unless it cannot be a platform's word."""
    return subtype if _SUBTYPE.fullmatch(subtype) else "unreadable subtype"
