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

    Of the latter, those in a conversation are named by its own messages, in their order, else by the first message of
    the export that does. So names do not depend on which conversations were read before.

    :param collect_names: Calls :meth:`add_people` for every message of the export. Called at most once, when a name is
        in neither the roster nor an earlier message of the conversation.
    """

    def __init__(self, index: Index, collect_names: Callable[[], None] | None = None) -> None:
        self._roster = {key: Author(sender_id_of(key), user.name, user.bot) for key, user in index.users.items()}
        self._roster[SLACKBOT_ID] = SLACKBOT  # some rosters list it, as a person
        self._accounts = {key: user.account for key, user in index.users.items()}
        self._bots = dict(index.bots)
        self._listed = index.names.users
        self._listed_names = {plain_name(user.name) for user in index.users.values()}
        self._known = dict(self._roster)
        """With the guests of the conversation."""
        self._taken: set[str] = set()
        """Names of the guests of the conversation."""
        self._people = _People(self._listed, self._look_up)
        self._collect_names = collect_names
        self._guests: dict[str, tuple[str, str]] = {}
        """Name and account by id, of the whole export."""
        self._integrations: dict[str, str] = {}
        """Names of bots and their users by id, of the whole export."""
        self.names = index.names._replace(users=self._people)
        """Names for mentions, those of guests and bots included."""

    def begin_conversation(self) -> None:
        """Forget the people that the messages of the last conversation named."""
        if self._taken:
            self._known = dict(self._roster)
            self._taken.clear()
        self._people.forget()

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
        author = self._known.get(user or "") or self._unlisted(entry, user)
        return self._sender(entry, author) if author.bot and entry.username and author is not SLACKBOT else author

    def add_bot(self, entry: Entry) -> None:
        """Take a bot's name from the report that it was installed (``bot_add``), which may be the only place."""
        for bot_id, name in _BOT_ADDED.findall(entry.text or ""):
            self._people.add(bot_id, name)

    def add_people(self, entry: Entry) -> None:
        """Take the names of guests and bots that the roster does not list, for conversations that do not name them."""
        user, bot_id = entry.user or "", entry.bot_id or ""
        if user and entry.user_profile and user not in self._roster and user not in self._guests:
            profile = as_dict(decoded(entry.user_profile))
            if name := person_name(profile):
                self._guests[user] = (name, as_str(profile.get("name")))
        if bot_id and entry.bot_profile:
            if bot_id not in self._listed and bot_id not in self._integrations:
                self._name_integration(bot_id, as_str(as_dict(decoded(entry.bot_profile)).get("name")))
            if self._is_bot_user(entry, self._roster):
                self._name_integration(user, self._listed.get(bot_id) or self._integrations.get(bot_id, ""))
        if entry.subtype == "bot_add":
            for added, name in _BOT_ADDED.findall(entry.text or ""):
                self._name_integration(added, name)

    def _name_integration(self, key: str, name: str) -> None:
        if name and key not in self._listed:
            self._integrations.setdefault(key, name)

    def _look_up(self, key: str) -> str | None:
        """Return the name that any message of the export gives, and keep it for this conversation."""
        if self._collect_names:
            collect_names, self._collect_names = self._collect_names, None
            collect_names()
        if guest := self._guests.get(key):
            return self._add_guest(key, *guest).name
        self._people.add(key, self._integrations.get(key, ""))
        return dict.get(self._people, key)

    def _unlisted(self, entry: Entry, user: str | None) -> Author:
        if user and (guest := self._guest(entry, user)):
            return guest
        if entry.bot_id == _SLACKBOT_BOT:
            return SLACKBOT
        if entry.bot_id:
            self._people.add(entry.bot_id, as_str(as_dict(decoded(entry.bot_profile)).get("name")))
            if user and self._is_bot_user(entry, self._known):
                self._people.add(user, dict.get(self._people, entry.bot_id, ""))
            own = dict.get(self._people, entry.bot_id) or (entry.username or "").strip()
            name = own or self._people.get(entry.bot_id) or entry.bot_id
            return Author(sender_id_of(user or entry.bot_id), name, bot=True)
        bot = entry.subtype == "bot_message"
        if user:  # deleted, and missing in the roster; or a guest, of whom other messages tell more
            self._people.get(user)
            return self._known.get(user) or Author(sender_id_of(user), user, bot)
        if name := (entry.username or "").strip():
            return Author(sender_id_of(f"name:{name}"), name, bot)
        return UNKNOWN._replace(bot=True) if bot else UNKNOWN

    def _guest(self, entry: Entry, user: str) -> Author | None:
        """Return the user of another workspace that a message describes, and remember it."""
        profile = as_dict(decoded(entry.user_profile))
        name = person_name(profile)
        return self._add_guest(user, name, as_str(profile.get("name"))) if name else None

    def _add_guest(self, user: str, name: str, account: str) -> Author:
        if (plain := plain_name(name)) in self._listed_names or plain in self._taken:
            name = distinct_name(name, account, user)
        self._taken.add(plain_name(name))
        self._people.add(user, name, instead=True)
        author = self._known[user] = Author(sender_id_of(user), name, bot=False)
        return author

    @staticmethod
    def _is_bot_user(entry: Entry, known: Mapping[str, Author]) -> bool:
        """Return whether a user is an integration's own, which neither the roster nor the message describes."""
        return bool(entry.user and entry.bot_profile and not entry.user_profile and entry.user not in known)

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
    """
    Names by id: of the roster, and of those that a conversation's messages name, until it ends.

    :param look_up: Returns the name of an id that is missing, or ``None``.
    """

    def __init__(self, known: Mapping[str, str], look_up: Callable[[str], str | None]) -> None:
        super().__init__(known)
        self._roster = known
        self._look_up = look_up
        self._added: set[str] = set()

    def add(self, key: str, name: str, *, instead: bool = False) -> None:
        """Add a name; the first one stays, unless this is to stand ``instead``."""
        if name and (instead or key not in self):
            self[key] = name
            self._added.add(key)

    def forget(self) -> None:
        """Forget the names that were added."""
        for key in self._added:
            del self[key]
        self.update((key, self._roster[key]) for key in self._added if key in self._roster)
        self._added.clear()

    @override
    def get(self, key: str, default: Any = None) -> Any:
        name = super().get(key)
        if name is None and _ID.fullmatch(key):
            name = self._look_up(key)
        return default if name is None else name
