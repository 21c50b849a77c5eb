"""Says who wrote a Slack message: people, guests from other workspaces, bots under their many names, Slackbot."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from include.ids import sender_id_of
from include.parsers.slack_entries import Entry, decoded
from include.parsers.slack_index import SLACKBOT_ID, Index, person_name
from include.parsers.values import mapping, string

_SLACKBOT_BOT = "B01"
_BOT_ADDED = re.compile(r"/services/(B[0-9A-Z]{1,30}+)[^|<>]{0,200}+\|([^<>]{1,200}+)>")  # bounded: linear time

_PART_WITH_AUTHOR: Mapping[str, tuple[str, str]] = {
    "huddle_thread": ("room", "created_by"),
    "sh_room_created": ("room", "created_by"),
    "file_comment": ("comment", "user"),
}
"""Subtypes whose author stands in a part of the entry; ``user`` may be Slackbot or missing."""


class Author(NamedTuple):
    """Who wrote a message."""

    sender_id: str
    name: str
    bot: bool


SLACKBOT = Author(SLACKBOT_ID, "Slackbot", bot=True)
UNKNOWN = Author("unknown", "unknown", bot=False)


class Authors:
    """The people and bots of one workspace. Learns from the messages those that the roster does not list."""

    def __init__(self, index: Index) -> None:
        self._known = {key: Author(sender_id_of(key), user.name, user.bot) for key, user in index.users.items()}
        self._known[SLACKBOT_ID] = SLACKBOT  # some rosters list it, as a person
        self._bots = dict(index.bots)
        self._added_bots: dict[str, str] = {}
        self._people = dict(index.names.users)
        self.names = index.names._replace(users=self._people)
        """What mentions stand for, guests included as soon as they have said something."""

    def of(self, entry: Entry) -> Author:
        """Return the author of a message, :data:`UNKNOWN` if it names none."""
        user = entry.user
        if entry.subtype and entry.subtype in _PART_WITH_AUTHOR:
            part, key = _PART_WITH_AUTHOR[entry.subtype]
            user = string(mapping(decoded(getattr(entry, part))).get(key)) or user
        elif not user and entry.subtype == "file_share":  # with one, somebody may have shared another's file
            user = string(mapping(decoded(entry.file)).get("user"))
        return self._known.get(user or "") or self._stranger(entry, user)

    def learn(self, entry: Entry) -> None:
        """Take a bot's name from the report that it was installed (``bot_add``); some stand nowhere else."""
        self._added_bots.update(_BOT_ADDED.findall(entry.text or ""))

    def _stranger(self, entry: Entry, user: str | None) -> Author:
        guest = person_name(mapping(decoded(entry.user_profile))) if user else ""
        if user and guest:
            self._people[user] = guest
            author = self._known[user] = Author(sender_id_of(user), guest, bot=False)
            return author
        if entry.bot_id == _SLACKBOT_BOT:
            return SLACKBOT
        if entry.bot_id:
            name = self._people[entry.bot_id] = self._bot_name(entry, entry.bot_id)
            return Author(sender_id_of(user or entry.bot_id), name, bot=True)
        if user:  # deleted, and missing in the roster
            return Author(sender_id_of(user), user, bot=False)
        if entry.username:
            return Author(sender_id_of(f"name:{entry.username}"), entry.username, bot=False)
        return UNKNOWN

    def _bot_name(self, entry: Entry, bot_id: str) -> str:
        return (
            self._bots.get(bot_id)
            or string(mapping(decoded(entry.bot_profile)).get("name"))
            or entry.username
            or self._added_bots.get(bot_id)
            or bot_id
        )
