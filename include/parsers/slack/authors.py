"""Finds the author of a Slack message: users, guests from other workspaces, bots under any name, Slackbot."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, override

from include.ids import sender_id_of
from include.parsers.json.values import as_dict, as_str
from include.parsers.slack.entries import Entry, decoded
from include.parsers.slack.index import SLACKBOT_ID, Index, distinct_name, person_name, plain_name

_SLACKBOT_BOT = "B01"
_ID = re.compile(r"[UWB][0-9A-Z]+")
_BOT_ADDED = re.compile(r"/services/(B[0-9A-Z]{1,30}+)[^|<>]{0,200}+\|([^<>]{1,200}+)>")  # bounded: linear time
_PERSON = re.compile(r"<@([UW][0-9A-Z]+)(?:\|[^<>]*)?>")
"""``username`` of people in exports before 2017."""

_PART_WITH_AUTHOR: Mapping[str, tuple[str, str]] = {
    "huddle_thread": ("room", "created_by"),
    "sh_room_created": ("room", "created_by"),
    "file_comment": ("comment", "user"),
}
"""Subtypes whose author is in a part of the entry; ``user`` may be Slackbot or missing."""


class Author(NamedTuple):
    """The author of a message."""

    sender_id: str
    name: str
    bot: bool


SLACKBOT = Author(SLACKBOT_ID, "Slackbot", bot=True)
UNKNOWN = Author("unknown", "unknown", bot=False)


class Authors:
    """
    The people and bots of one workspace: those of the roster, and those that only messages name.

    :param gather: Reads every message once (:meth:`learn_people`). Called at most once, when a name is in neither the
        roster nor an earlier message.
    """

    def __init__(self, index: Index, gather: Callable[[], None] | None = None) -> None:
        self._known = {key: Author(sender_id_of(key), user.name, user.bot) for key, user in index.users.items()}
        self._known[SLACKBOT_ID] = SLACKBOT  # some rosters list it, as a person
        self._accounts = {key: user.account for key, user in index.users.items()}
        self._bots = dict(index.bots)
        self._people = _People(index.names.users, gather)
        self._taken = {plain_name(user.name) for user in index.users.values()}
        self.names = index.names._replace(users=self._people)
        """Names for mentions, those of guests and bots included."""

    def of(self, entry: Entry) -> Author:
        """Return the author of a message, :data:`UNKNOWN` if it names none."""
        user = entry.user
        if entry.subtype and entry.subtype in _PART_WITH_AUTHOR:
            part, key = _PART_WITH_AUTHOR[entry.subtype]
            user = as_str(as_dict(decoded(getattr(entry, part))).get(key)) or user
        elif not user and entry.subtype == "file_share":  # an entry with a user may share the file of another user
            user = as_str(as_dict(decoded(entry.file)).get("user"))
        if not user and entry.username and (person := _PERSON.fullmatch(entry.username)):
            user = person[1]
        author = self._known.get(user or "") or self._stranger(entry, user)
        return self._sender(entry, author) if author.bot and entry.username and author is not SLACKBOT else author

    def learn(self, entry: Entry) -> None:
        """Take a bot's name from the report that it was installed (``bot_add``), which may be the only place."""
        for bot_id, name in _BOT_ADDED.findall(entry.text or ""):
            self._name_bot(bot_id, name)

    def learn_people(self, entry: Entry) -> None:
        """Take the names of guests and bots that the roster does not list."""
        if entry.user and entry.user_profile and entry.user not in self._known:
            self._guest(entry, entry.user)
        if entry.bot_id and entry.bot_profile and entry.bot_id not in self._people:
            self._name_bot(entry.bot_id, as_str(as_dict(decoded(entry.bot_profile)).get("name")))
        self._name_bot_user(entry)
        if entry.subtype == "bot_add":
            self.learn(entry)

    def _stranger(self, entry: Entry, user: str | None) -> Author:
        if user and (guest := self._guest(entry, user)):
            return guest
        if entry.bot_id == _SLACKBOT_BOT:
            return SLACKBOT
        if entry.bot_id:
            self._name_bot(entry.bot_id, as_str(as_dict(decoded(entry.bot_profile)).get("name")))
            self._name_bot_user(entry)
            name = dict.get(self._people, entry.bot_id) or (entry.username or "").strip() or entry.bot_id
            return Author(sender_id_of(user or entry.bot_id), name, bot=True)
        bot = entry.subtype == "bot_message"
        if user:  # deleted, and missing in the roster
            return Author(sender_id_of(user), user, bot)
        if name := (entry.username or "").strip():
            return Author(sender_id_of(f"name:{name}"), name, bot)
        return UNKNOWN._replace(bot=True) if bot else UNKNOWN

    def _guest(self, entry: Entry, user: str) -> Author | None:
        """Return the person of another workspace that a message describes, from then on known."""
        profile = as_dict(decoded(entry.user_profile))
        name = person_name(profile)
        if not name:
            return None
        if plain_name(name) in self._taken:
            name = distinct_name(name, as_str(profile.get("name")), user)
        self._taken.add(plain_name(name))
        self._people[user] = name
        author = self._known[user] = Author(sender_id_of(user), name, bot=False)
        return author

    def _name_bot(self, bot_id: str, name: str) -> None:
        """Note the name of an integration; the roster's stays. Names of single messages are their senders' alone."""
        if name and bot_id not in self._people:
            self._people[bot_id] = name

    def _name_bot_user(self, entry: Entry) -> None:
        """Note the name of an integration for its user too, where the roster and the message do not describe one."""
        user = entry.user
        if user and entry.bot_id and entry.bot_profile and not entry.user_profile and user not in self._known:
            self._name_bot(user, dict.get(self._people, entry.bot_id, ""))

    def _sender(self, entry: Entry, author: Author) -> Author:
        """
        Return the sender that a bot's message names (``username``), as webhooks and bridges do.

        A name that is not the integration's own makes a separate sender. Only the message and the roster are compared:
        with names from other messages, ids would depend on the order of the export.
        """
        name = (entry.username or "").strip()
        key = entry.bot_id or entry.user
        if not key or not name:
            return author
        own = (
            self._bots.get(entry.bot_id or ""),
            as_str(as_dict(decoded(entry.bot_profile)).get("name")),
            author.name if entry.user in self._accounts else "",
            self._accounts.get(entry.user or ""),
        )
        if any(other and plain_name(other) == plain_name(name) for other in own):
            return author
        return Author(sender_id_of(f"{key}:{name}"), name, bot=True)


class _People(dict[str, str]):
    """Names by id. One that is missing is looked for in the whole export, once."""

    def __init__(self, known: Mapping[str, str], gather: Callable[[], None] | None) -> None:
        super().__init__(known)
        self._gather = gather

    @override
    def get(self, key: str, default: Any = None) -> Any:
        name = super().get(key)
        if name is None and self._gather and _ID.fullmatch(key):
            gather, self._gather = self._gather, None
            gather()
            name = super().get(key)
        return default if name is None else name
