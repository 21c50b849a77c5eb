"""
Messages as DiscordChatExporter writes them, decoded and read without what no message needs: in half the time.

Ordinary words by a person are read here. Every other message becomes the object that it is in the file, which
:mod:`include.parsers.discord.message` reads; both give the same. A message with a member that the exporter does not
write, or with one of another type, is never decoded in this form.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from include.ids import sender_id_of
from include.parsers.discord.message import SOURCE, ExportNotes, answered_id, answered_words, correctable
from include.parsers.discord.replies import Replies, quote
from include.parsers.discord.roster import Roster, name_of
from include.parsers.discord.text import to_plain_text
from include.parsers.discord.time import sent_at_us
from include.parsers.json.stream import BrokenJson, decode_entry
from include.parsers.json.values import identifier, microseconds, visible
from include.parsers.outcomes import Reject
from include.records import Conversation, Message, Row

_NOTHING = msgspec.Raw()
_NO_ITEMS = len(b"[]")
_PLAIN = frozenset(("Default", "Reply"))
_MOST_AUTHORS = 10_000


type _Author = tuple[str, str, dict[str, Any]]
"""Id, name, and the whole object."""


class Written(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The members that the exporter writes (``JsonMessageWriter``, commit 4f29fa6); all but texts stay undecoded."""

    id: str
    type: str
    timestamp: str
    content: str
    author: msgspec.Raw
    timestampEdited: str | None = None  # noqa: N815 - the names of the exporter
    callEndedTimestamp: msgspec.Raw = _NOTHING  # noqa: N815
    isPinned: msgspec.Raw = _NOTHING  # noqa: N815
    attachments: msgspec.Raw = _NOTHING
    embeds: msgspec.Raw = _NOTHING
    stickers: msgspec.Raw = _NOTHING
    reactions: msgspec.Raw = _NOTHING
    mentions: msgspec.Raw = _NOTHING
    inlineEmojis: msgspec.Raw = _NOTHING  # noqa: N815
    reference: msgspec.Raw = _NOTHING
    interaction: msgspec.Raw = _NOTHING
    forwardedMessage: msgspec.Raw = _NOTHING  # noqa: N815

    def has_only_words(self) -> bool:
        """Return whether its text is its content and nothing else."""
        return (
            self.type in _PLAIN
            and len(self.attachments) <= _NO_ITEMS
            and len(self.embeds) <= _NO_ITEMS
            and len(self.stickers) <= _NO_ITEMS
            and not self.interaction
            and not self.forwardedMessage
        )

    def as_object(self) -> dict[str, Any] | BrokenJson:
        """Return the object that it is in the file."""
        found: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, msgspec.Raw):
                if not value:
                    continue
                value = decode_entry(value)
                if isinstance(value, BrokenJson):
                    return value
            found[name] = value
        return found


MESSAGES = msgspec.json.Decoder(list[Written])


class Reader:
    """
    Reads the messages of one channel.

    :param to_message: Reads an object.
    """

    def __init__(
        self,
        to_message: Callable[[dict[str, Any], str], Message],
        *,
        conversation: Conversation,
        roster: Roster,
        export_notes: ExportNotes,
        replies: Replies,
    ) -> None:
        self._to_message = to_message
        self._conversation_id, self._channel_id = conversation.conversation_id, conversation.channel_id
        self._roster, self._export_notes, self._replies = roster, export_notes, replies
        self._authors: dict[bytes, _Author] = {}
        """The authors who are persons, by the text of their objects."""

    def read(self, entry: Written | dict[str, Any], origin: str) -> Message | Row:
        """Return the record of one message, or its row; errors as for ``to_message``."""
        if isinstance(entry, dict):
            return self._to_message(entry, origin)
        if entry.has_only_words() and (row := self._plain(entry, origin)):
            return row
        given = entry.as_object()
        if isinstance(given, BrokenJson):
            raise Reject(str(given))
        return self._to_message(given, origin)

    def _plain(self, entry: Written, origin: str) -> Row | None:
        """Return the row of words that a person wrote; ``None`` if there are none, or an id, author or time lacks."""
        message_id, text = entry.id.strip(), visible(entry.content.strip())
        text_of_author = bytes(entry.author)
        author = self._authors.get(text_of_author) or self._author(text_of_author)
        at_us = sent_at_us(message_id, entry.timestamp)
        if not (message_id and text and author and at_us and at_us > 0):
            return None
        author_id, name, described = author
        roster, replies = self._roster, self._replies
        shown = roster.named(author_id, name, described)
        answered = before = None
        mentions = decode_entry(entry.mentions) if len(entry.mentions) > _NO_ITEMS else None
        names = roster.names_for({"mentions": mentions})
        if "<" in text:
            text = visible(to_plain_text(text, names).strip())
            if not text:
                return None
        if mentions:
            text = roster.with_distinct_names(text, mentions)
        self._export_notes.said += 1
        if entry.reference:
            answered = answered_id({"reference": decode_entry(entry.reference)}, self._channel_id)
        if answered and not replies.close(answered, at_us):
            before = answered_words({}, answered, entry.type, roster, replies, bot=False, skip_bots=False)
        replies.add(message_id, at_us, shown, text)
        return (
            SOURCE,
            self._conversation_id,
            message_id,
            at_us,
            at_us // 1000,
            microseconds(entry.timestampEdited) if entry.timestampEdited else None,
            sender_id_of(author_id),
            shown,
            "user",
            f"{quote(*before)}\n{text}" if before else text,
            answered,
            origin,
        )

    def _author(self, text: bytes) -> _Author | None:
        author = decode_entry(text)
        if not isinstance(author, dict) or author.get("isBot") or author.get("bot"):
            return None
        name = name_of(author)
        if not (author_id := identifier(author) or name):
            return None
        if len(self._authors) >= _MOST_AUTHORS:
            self._authors.clear()
        self._authors[text] = author_id, name, author
        return author_id, name, author


def correctable_of(entry: Written | dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a rejected entry that a user can correct (:data:`include.parsers.outcomes.Correctable`)."""
    given = entry if isinstance(entry, dict) else entry.as_object()
    return {} if isinstance(given, BrokenJson) else correctable(given)
