"""
Recognises files of Slack by name and by shape: lists of people and conversations, messages, slackdump's chunks.

Tools and users rename Slack's lists (``Channels.json``, ``users (1).json``, ``channels-T024BE7LD.json``), and scripts
use any name. With a list missed, private conversations would look public, so a list is recognised by its shape, too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from include.parsers.json.head import Head

PUBLIC_FILE = "channels.json"

CHANNEL_FILES = (PUBLIC_FILE, "groups.json", "mpims.json", "dms.json", "file_conversations.json", "conversations.json")
"""
Files that list conversations. The last is not Slack's own: a conversation in it is public only if a flag says so.
"""

ORGANISATION_FILE = "org_users.json"
USER_FILES = ("users.json", ORGANISATION_FILE)
GROUPS_FILE = "usergroups.json"

LISTS = frozenset({*CHANNEL_FILES, *USER_FILES, GROUPS_FILE})

type ListKind = Literal["people", "conversations", "groups", ""]

_NAMED: Mapping[str, str] = {
    **{name.removesuffix(".json").replace("_", ""): name for name in LISTS},
    **dict.fromkeys(("publicchannels", "publicchannel"), PUBLIC_FILE),
    **dict.fromkeys(("privatechannels", "privatechannel", "privategroups"), "groups.json"),
    **dict.fromkeys(("groupdms", "groupdirectmessages", "multipartydms", "mpdms"), "mpims.json"),
    **dict.fromkeys(("ims", "directmessages"), "dms.json"),
    **dict.fromkeys(("channellist", "channelslist", "conversationlist", "conversationslist"), "conversations.json"),
    **dict.fromkeys(("userlist", "userslist"), "users.json"),
}
_LIST = re.compile(
    r"([a-z][a-z _-]{0,40}?)"
    r"(?:[\s_-]{0,3}(?:\(\d{1,4}\)|(?:-\s{0,3})?(?:copy|kopie|copie|copia|c\u00f3pia|\u30b3\u30d4\u30fc|\u526f\u672c)(?:\s{0,3}\(?\d{1,4}\)?)?)"
    r"|-t[0-9a-z]{8,20})?"
    r"\.(?:json|jsonl|ndjson)(?:\.txt)?",
    re.IGNORECASE,
)
"""A name, the mark of a copy or the id of a team, and an extension, maybe with another one after it."""

_CONVERSATION_MARKS = ("is_channel", "is_im", "is_mpim", "is_group", "is_private", "num_members", "purpose")
_SAYINGS = ("text", "user", "type", "subtype", "blocks", "attachments")
_BY_TIME = re.compile(r"(?:^|\.)\d{10}\.\d{6}$")
"""A place in a map of messages by their times."""
_AUTHORS = ("user", "type", "bot_id", "username")
_PLAIN_PLACES = ("messages.item", "item", "", "item.messages.item", "item.item")
_PLACES = frozenset({*_PLAIN_PLACES, "event", "item.event", "payload.event", "item.payload.event"})


def list_name(name: str) -> str:
    """
    Return Slack's name of the list that a file is by its name; empty for any other file.

    >>> list_name("acme/Channels (1).json"), list_name("general/2026-01-01.json")
    ('channels.json', '')
    """
    match = _LIST.fullmatch(name, name.rfind("/") + 1)
    return _NAMED.get(re.sub(r"[\W_]", "", match[1].casefold()), "") if match else ""


def list_order(name: str) -> tuple[int, str]:
    """Return the sort key of a list: people first, since conversations are named after them."""
    order = (*USER_FILES, GROUPS_FILE, *CHANNEL_FILES)
    named = list_name(name)
    return (order.index(named) if named in order else len(order), name)


def lists_private(name: str) -> bool:
    """Return whether a list, by its name, holds private conversations only."""
    return list_name(name) in CHANNEL_FILES[1:-1]


def kind_by_name(name: str) -> ListKind:
    """Return the kind of list that a file is by its name; empty for any other file."""
    named = list_name(name)
    if named in USER_FILES:
        return "people"
    if named in CHANNEL_FILES:
        return "conversations"
    return "groups" if named == GROUPS_FILE else ""


def list_kind(name: str, head: Head) -> ListKind:
    """Return the kind of list that a file is, by its name and shape; empty for messages and any other file."""
    if any(message_places(head)):
        return ""
    if named := kind_by_name(name):
        return named
    if _lists_conversations(head):
        return "conversations"
    return "people" if lists_people(head) else ""


def is_chunk(head: Head) -> bool:
    """Return whether a file holds slackdump's chunks."""
    return head.has("", "t", "id") and any(head.has("", key) for key in ("m", "u", "ch", "ci"))


def message_places(head: Head) -> Iterator[str]:
    """Yield the places of Slack's messages in a file, at any depth; ``.`` is the outermost object."""
    for place in head.keys:
        *above, last = place.split(".")
        if place in _PLAIN_PLACES:
            found = _says(head, place)
        elif (last in ("item", "event") or _BY_TIME.search(place)) and "latest" not in above and not _is_part(above):
            found = head.has(place, "ts", "text") and any(head.has(place, key) for key in _AUTHORS)
        else:
            found = False
        if found:
            yield place or "."
    if is_chunk(head) and head.has("", "m"):
        yield "m.item"


def is_nested(head: Head) -> bool:
    """Return whether messages are elsewhere than in one array, answer or event, or in pages or lines of these."""
    places = {"" if place == "." else place for place in message_places(head)}
    tops = {place for place in places if not any(place != other and _lies_in(place, other) for other in places)}
    described = any(head.has("item", key) for key in ("channel_id", "id", "name", "channel", "channel_info"))
    return not tops <= _PLACES or ("item.messages.item" in tops and described)


def _lies_in(place: str, other: str) -> bool:
    return not other or place.startswith(f"{other}.")


def _is_part(above: list[str]) -> bool:
    """Return whether a place is inside a message: in a forward, a file, a reply."""
    return any(key in ("attachments", "files", "blocks", "root", "message_blocks", "replies") for key in above)


def _says(head: Head, place: str) -> bool:
    return head.has(place, "ts") and any(head.has(place, key) for key in _SAYINGS)


def lists_people(head: Head) -> bool:
    """Return whether a file has a list of people, among others."""
    return any(head.has(place, "id", "profile") for place in ("item", "members.item", "users.item", "u.item"))


def _lists_conversations(head: Head) -> bool:
    places = ("item", "channels.item", "conversations.item", "groups.item", "ims.item", "ch.item")
    return any(
        head.has(place, "id") and any(head.has(place, mark) for mark in _CONVERSATION_MARKS) and not _says(head, place)
        for place in places
    )
