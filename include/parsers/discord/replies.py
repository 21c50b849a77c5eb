"""Quotes the message that a reply answers, where that message is not close before it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from include.parsers.discord.text import one_line
from include.parsers.discord.time import sent_at_us
from include.parsers.json.values import as_dict, as_dicts, as_str, identifier

REMEMBERED = 10_000
"""Messages that are remembered at least; at most twice as many are."""

CLOSE_MESSAGES = 10
_NEXT_MESSAGES = 3
_CLOSE_US = 3_600_000_000
"""A reply needs no quote if at most 3 messages lie between, or at most 10 and an hour."""

_QUOTE = 120
_KEPT = 300
"""Characters kept of a message: more than are quoted, since white space is dropped."""


_Place = tuple[int, int, str, str]
"""Number and time (microseconds) of a message, name of its sender, and its text."""

_ARROWS = " \u21a9\u21aa\u2935\ufe0f"
_REPLY_TO = re.compile(
    r"[\s*_\u2709\ufe0f]*\[?(?:reply(?:ing)? to:?|\(?click to see [a-z]+\)?)\]?[\s*_]*"
    r"(?:\(<?https?://[^\s()<>]+>?\))?[\s*_]*",
    re.IGNORECASE,
)
_MESSAGE_LINK = re.compile(r"discord(?:app)?\.com/channels/(?:[0-9]+|@me)/([0-9]+)/([0-9]+)")
_LINKED = re.compile(r"\[([^\[\]]*)\]\(<?https?://[^\s()<>]+>?\)")


class Replies:
    """
    Remembers the last messages of a channel.

    :param ahead: Entries that come next, for exports with the newest message first.
    """

    def __init__(self, ahead: Iterable[Any] = ()) -> None:
        self._number = 0
        self._ahead = ahead
        self._recent: dict[str, _Place] = {}
        self._older: dict[str, _Place] = {}
        """Replaced as a whole: deleting the oldest entry of a dict one by one takes longer each time."""

    def add(self, message_id: str, at_us: int, name: str, text: str) -> None:
        """Remember a message."""
        self._number += 1
        self._recent[message_id] = (self._number, at_us, name, text[:_KEPT])
        if len(self._recent) >= REMEMBERED:
            self._older, self._recent = self._recent, {}

    def find(self, message_id: str) -> tuple[str, str] | None:
        """Return name of the sender and text of a message if it is remembered."""
        found = self._find(message_id)
        return found and found[2:]

    def close(self, message_id: str, at_us: int) -> bool:
        """Return whether a message is so close to the current one that its reply needs no quote."""
        if found := self._find(message_id):
            return _close(self._number + 1 - found[0], at_us - found[1])
        for distance, entry in enumerate(self._ahead, 1):
            if isinstance(entry, dict) and identifier(entry) == message_id:
                return _close(distance, at_us - (sent_at_us(message_id, entry.get("timestamp")) or 0))
        return False

    def _find(self, message_id: str) -> _Place | None:
        return self._recent.get(message_id) or self._older.get(message_id)


def _close(distance: int, apart_us: int) -> bool:
    return distance <= _NEXT_MESSAGES or (distance <= CLOSE_MESSAGES and abs(apart_us) <= _CLOSE_US)


def quote(name: str, text: str) -> str:
    r"""
    Return a line that names the answered message, in brackets like all text that the author did not write.

    >>> quote("ada", "Shall we sell\nthe blue boat?")
    '[in reply to ada: "Shall we sell the blue boat?"]'
    """
    return f'[in reply to {name}: "{one_line(text.replace('"', "'"), _QUOTE)}"]'


class ProxiedReply(NamedTuple):
    """The message that a webhook's message answers. Webhooks cannot reply; bots that post for users use an embed."""

    name: str
    text: str
    channel_id: str
    message_id: str | None
    others: list[dict[str, Any]]
    """The embeds without this one."""


def proxied_reply(entry: Mapping[str, Any]) -> ProxiedReply | None:
    """Find the embed of PluralKit and its like: "Reply to" with a link, or an author with an arrow, and the text."""
    embeds = as_dicts(entry.get("embeds"))
    for number, embed in enumerate(embeds):
        author, text = as_dict(embed.get("author")), as_str(embed.get("description"))
        given = as_str(author.get("name")).strip()
        name = given.rstrip(_ARROWS)
        begin = _REPLY_TO.match(text)
        place = _MESSAGE_LINK.search(f"{text} {as_str(author.get('url'))} {as_str(embed.get('url'))}")
        if begin and name and (place or name != given):
            channel_id, message_id = place.groups() if place else ("", None)
            said = _LINKED.sub(r"\1", text[begin.end() :]).strip(" *\n")
            return ProxiedReply(name, said, channel_id, message_id, embeds[:number] + embeds[number + 1 :])
    return None
