"""
Reads the lists that come with Slack messages: people, bots, user groups and conversations. Decides which are private.

Lists come as Slack's export has them, as answers of Slack's API (``{"ok": true, "channels": […]}``), as maps by id, and
as slackdump's chunks. Every file may be missing, empty or broken.

**Privacy is decided here and nowhere else** (:func:`privacy_of`, :meth:`Index.channel`). A conversation is public only
if the export shows that it is:

- It is listed in ``channels.json`` without a flag or an id to the contrary, or a flag marks it public.
- If the export lists conversations, one that is not listed, or whose name matches two of them, is private.
- If it lists none, direct and group messages are recognised by names of files and folders; all others count as public
  and the report notes that this is not known.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.json.loose import decode_loose, without_mark
from include.parsers.json.values import as_dict, as_dicts, as_str, as_strs
from include.parsers.slack.shapes import (
    CHANNEL_FILES,
    ORGANISATION_FILE,
    PUBLIC_FILE,
    ListKind,
    kind_by_name,
    list_name,
)
from include.parsers.slack.text import Names, to_plain_text

RECORD_FILES = ("canvases.json", "lists.json", "huddle_transcripts.json")

SLACKBOT_ID = "USLACKBOT"
"""Not in the roster, or in it as a user."""

_MEMBERS: Mapping[ListKind, tuple[str, ...]] = {
    "people": ("members", "users", "u"),
    "conversations": ("channels", "groups", "ims", "mpims", "conversations", "ch"),
    "groups": ("usergroups",),
}
"""Members that hold a list in an answer of the API, or in a chunk of slackdump."""
_LISTS = tuple(member for members in _MEMBERS.values() for member in members)

_PRIVATE_FLAGS = {
    "is_im": "a direct message",
    "is_mpim": "a group direct message",
    "is_group": "a private channel",
    "is_private": "a private channel",
}
_PRIVATE_TYPES = ("im", "mpim", "dm", "group_dm", "group", "private", "private_channel")
_ID = re.compile(r"[CDG][0-9A-Z]+")
_DIRECT_ID = re.compile(r"D[0-9A-Z]+")
_GROUP_ID = re.compile(r"G[0-9A-Z]+")
_DIRECT_NAME = re.compile(r"mpdm-.*|FC[:_-].*")
"""Folders of group direct messages, and of comments on canvases."""

_PRIVATE_NAME = re.compile(
    r"(?:direct(?:[ _-]?messages?)?|dms?|ims?|mpims?|mpdms?|group[ _-]?dms?|private(?:[ _-]?(?:channel|group)s?)?)"
    r"[ _-].+"
    r"|.+[ _-](?:dm|im|mpim)",
    re.IGNORECASE,
)
"""Files and folders that scripts name after the kind of conversation: ``dm_bob``, ``private_channel-board``."""

_DIRECT_ID_IN_NAME = re.compile(r"(?<![0-9A-Za-z])D[0-9A-Z]{8,}(?![0-9A-Za-z])")
_PRIVATE_WORDS = (
    *("privat", "prive", "direct", "direkt", "diret", "gruppe", "groupe", "grupo", "личн", "приват"),
    *("ダイレクト", "プライベート", "非公開", "私", "直接", "비공개", "다이렉트"),
)
"""Beginnings and parts of names of private kinds, in the languages in which Slack and its tools are used."""

_PRIVATE_KINDS = ("dm", "dms", "im", "ims", "mpim", "mpims", "mpdm", "mpdms", "group", "groups")
_NAMES = ("real_name", "real_name_normalized", "display_name", "display_name_normalized", "name")
_E_MAIL = re.compile(r"(?=\S++\Z).[^@]*+@.+\..+")  # the lookahead keeps it in linear time

_FORBIDDEN_ON_WINDOWS = re.compile(r'[:*?"<>|\\]')


class User(NamedTuple):
    """A member of the roster."""

    name: str
    """Distinct: people of one name get their account added."""
    bot: bool
    account: str = ""


class Channel(NamedTuple):
    """A conversation, listed or only found as a folder or file."""

    id: str
    folder: str
    name: str
    description: str = ""
    private: str = ""
    """The reason for which it is private; empty if it is public."""
    unsure: bool = False
    """Whether it is not known to be public."""


class Index(NamedTuple):
    """The lists of one workspace."""

    users: Mapping[str, User]
    bots: Mapping[str, str]
    """``profile.bot_id`` to the name of the roster's entry."""
    names: Names
    listed: Mapping[str, Channel]
    """Conversations by id."""
    broken: Mapping[str, str]
    """Files that cannot be read, with the reason."""
    team: str
    """Id of the workspace of most people, the others are guests; empty for an organisation of several."""
    lists: tuple[str, ...] = ()
    """Names of the files that list conversations, readable or not."""
    matches: Mapping[str, Mapping[str, frozenset[str]]] = {}
    """Ids of listed conversations by the names they may have in the export; the most certain kind of name first."""
    around: tuple[str, ...] = ()
    """Names of the archive and of the folder that holds all of it: they may name a kind, if nothing is listed."""

    def channel(self, folder: str, kinds: Sequence[str] = ()) -> Channel:
        """
        Return the conversation that a folder or file holds.

        :param folder: Its name or its id.
        :param kinds: Names of the folders around it, which may name its kind.
        """
        kinds = kinds if self.lists else (*kinds, *self.around)
        kind = next((f"in the folder {kind}/" for kind in kinds if is_private_kind(kind)), "")
        found = self._found(folder)
        if len(found) == 1:
            listed = self.listed[next(iter(found))]
            if not kind or listed.private:
                return listed
        return Channel(
            folder, folder, folder, private=kind or self._unlisted(folder, len(found)), unsure=not self.lists
        )

    def knows(self, name: str) -> bool:
        """Return whether a listed conversation has this name or id."""
        return bool(self._found(name))

    def _found(self, folder: str) -> frozenset[str]:
        keys = (unicodedata.normalize("NFC", folder), folder, folder_key(folder), folder_key(folder))
        tried = (found.get(key) for key, found in zip(keys, self.matches.values(), strict=False))
        return next(filter(None, tried), None) or self._found_by_part(folder)

    def _found_by_part(self, folder: str) -> frozenset[str]:
        """Find ``#general``, ``general (C024BE91L)`` and ``C024BE91L-general``: name and id must match."""
        found: set[str] = set()
        for key in filter(self.listed.__contains__, _ID.findall(folder)):
            name = folder.replace(key, "").strip(" #-_()[]")
            if self.listed[key].private or folder_key(name) == folder_key(self.listed[key].folder):
                found.add(key)
        if not found and folder.startswith("#"):
            return self._found(folder.lstrip("#"))
        return frozenset(found)

    def _unlisted(self, folder: str, fitting: int) -> str:
        """Return why a conversation that is not in the lists is private; empty if there is no reason."""
        if fitting:
            return f"its name fits {fitting} listed conversations"
        if _DIRECT_ID.fullmatch(folder) or _DIRECT_NAME.fullmatch(folder) or _DIRECT_ID_IN_NAME.search(folder):
            return "a direct message by its name"
        if self.lists:
            unread = sorted({name.rpartition("/")[2] for name in self.broken} & set(self.lists))
            return f"{unread[0]} cannot be read" if unread else f"not listed in {', '.join(self.lists)}"
        return "a private conversation by its name" if _PRIVATE_NAME.fullmatch(folder) else ""


def names_around(archive: Archive) -> tuple[str, ...]:
    """Return the names of an archive, unless it is a folder on disk, and of the folder that holds all of it."""
    packed = archive.inside or archive.path.is_file()
    return (archive.wrapper, archive.stem) if packed else (archive.wrapper,)


def is_private_kind(folder: str) -> bool:
    """Return whether a folder's name says that it holds private conversations: ``dms``, ``private_channels``."""
    name = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", folder).casefold().replace("é", "e"))
    return name in _PRIVATE_KINDS or any(word in name for word in _PRIVATE_WORDS)


def privacy_of(item: Mapping[str, Any], file: str = "") -> str | None:
    """
    Return why a listed conversation is private, ``""`` if it is shown to be public, ``None`` if neither is known.

    :param item: The conversation as a list or an answer of Slack's API describes it.
    :param file: Name of the list; empty if it is not one of Slack's.
    """
    key, name = as_str(item.get("id")), as_str(item.get("name"))
    flag = next((flag for flag in _PRIVATE_FLAGS if _is_true(item.get(flag))), None)
    reason: str | None = None
    if flag:
        reason = f"{_PRIVATE_FLAGS[flag]} ({flag})"
    elif as_str(item.get("type")) in _PRIVATE_TYPES:
        reason = f"a private conversation (type {item['type']})"
    elif _DIRECT_ID.fullmatch(key) or name.startswith("mpdm-"):
        reason = "a direct message by its id or name"
    elif file in CHANNEL_FILES[1:-1]:
        reason = f"listed in {file}"
    elif item.get("is_private") is False or (item.get("is_channel") is True and "is_private" not in item):
        reason = ""
    elif _GROUP_ID.fullmatch(key) or item.get("is_channel") is False:
        reason = "a private group by its id, and no flag says otherwise"
    elif file == PUBLIC_FILE:
        reason = ""
    return reason


def _is_true(flag: object) -> bool:
    return flag is True or flag == 1 or (isinstance(flag, str) and flag.casefold() in ("true", "1", "yes"))


class Lists:
    """Collects the lists of one workspace from all files."""

    def __init__(self) -> None:
        self.broken: dict[str, str] = {}
        self._users: dict[str, Mapping[str, Any]] = {}
        self._groups: list[Mapping[str, Any]] = []
        self._channels: list[tuple[Mapping[str, Any], str]] = []
        self._files: dict[str, None] = {}
        self._organisation = False

    def add(self, archive: Archive, name: str, kind: ListKind = "") -> None:
        """
        Read one list.

        :param kind: The kind of its items; default: by its name.
        """
        kind = kind or kind_by_name(name)
        file = list_name(name) or name.rpartition("/")[2]
        if kind == "conversations":
            self._files[file] = None
        try:
            values = _values(archive.read(name))
            items = [item for value in values for item in _records(value, _MEMBERS[kind])]
        except (EntryUnreadable, ValueError) as error:
            self.broken[name] = str(error)
            return
        self._take(kind, items, file)
        for other in _MEMBERS.keys() - {kind}:  # a file may have lists of several kinds
            listed = [item for value in values for item in _inside(value, _MEMBERS[other])]
            if listed:
                self._take(other, listed, file)
        self._organisation |= file == ORGANISATION_FILE

    def _take(self, kind: ListKind, items: Iterable[Mapping[str, Any]], file: str) -> None:
        if kind == "conversations":
            self.conversations(items, file)
        elif kind == "groups":
            self._groups += items
        else:
            self.people(items)

    def people(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add people; those already known stay as they are."""
        for item in items:
            self._users.setdefault(as_str(item.get("id")), item)

    def add_conversation(self, item: Mapping[str, Any]) -> None:
        """Add the description of one conversation that is beside its messages."""
        self._channels.append((item, ""))

    def conversations(self, items: Iterable[Mapping[str, Any]], file: str) -> None:
        """Add a list of conversations."""
        self._files[file] = None
        self._channels += ((item, file) for item in items)

    def include(self, above: "Lists") -> None:
        """Add the lists of a folder above."""
        self.people(above._users.values())
        self._groups += above._groups
        self._channels += above._channels
        self._files |= above._files
        self._organisation |= above._organisation
        self.broken |= above.broken

    @property
    def list_conversations(self) -> bool:
        """Whether there is a list of conversations, readable or not."""
        return bool(self._files)

    def index(self) -> Index:
        """Return the index of all lists."""
        index = index_of_users(self._users.values())
        groups = {as_str(group.get("id")): as_str(group.get("handle") or group.get("name")) for group in self._groups}
        names = index.names._replace(usergroups=groups)
        listed: dict[str, Channel] = {}
        exact, by_id, loose, former = (defaultdict[str, set[str]](set) for _ in range(4))
        for item, file in self._channels:
            if channel := _channel(item, file, names, listing=bool(self._files)):
                known = listed.get(channel.id, channel)
                private = known.private or channel.private
                unsure = known.unsure and channel.unsure
                listed[channel.id] = channel._replace(private=private, unsure=unsure and not private)
                exact[unicodedata.normalize("NFC", channel.folder)].add(channel.id)
                by_id[channel.id].add(channel.id)
                loose[folder_key(channel.folder)].add(channel.id)
                for old in as_strs(item.get("previous_names")):
                    former[folder_key(old)].add(channel.id)
        return index._replace(
            names=names._replace(channels={key: channel.name for key, channel in listed.items()}),
            listed=listed,
            broken=self.broken,
            team="" if self._organisation else index.team,
            lists=tuple(self._files),
            matches={
                kind: {name: frozenset(ids) for name, ids in found.items()}
                for kind, found in (("name", exact), ("id", by_id), ("loose", loose), ("former", former))
            },
        )


def count_records(archive: Archive) -> int:
    """Return how many canvases, lists and huddle transcripts the export names; their text is not in it."""
    count = 0
    for name in archive.names():
        if name.rpartition("/")[2] in RECORD_FILES:
            try:
                count += len(records_of(archive.read(name)))
            except (EntryUnreadable, ValueError):
                continue
    return count


def records_of(data: bytes) -> list[dict[str, Any]]:
    """
    Return the objects that a list holds, in any of its shapes: an array, an answer of the API, a map by id, lines.

    :raises ValueError: it is none of these; the message quotes nothing of it.
    """
    return [item for value in _values(data) for item in _records(value, _LISTS)]


def _values(data: bytes) -> list[Any]:
    """Return the values of a file: one, or one on each line."""
    try:
        return [decode_loose(data)]
    except ValueError:
        lines = [line for line in without_mark(data).splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [decode_loose(line) for line in lines]


def _records(value: object, members: Sequence[str]) -> list[dict[str, Any]]:
    if isinstance(value, list):
        pages = [page for page in as_dicts(value) if "id" not in page and any(key in page for key in members)]
        return [item for page in pages for item in _inside(page, members)] if pages else as_dicts(value)
    if isinstance(value, dict):
        if any(isinstance(value.get(member), list | dict) for member in members):
            return _inside(value, members)
        if "id" in value:
            return [value]
        if value and all(isinstance(item, dict) for item in value.values()):
            return [{"id": key} | ({"name": key} if "id" in item else {}) | item for key, item in value.items()]
    if value is None:  # as some tools write an empty list
        return []
    raise ValueError("expected an array")


def _inside(value: object, members: Sequence[str]) -> list[dict[str, Any]]:
    """Return the items of the lists in an object, or in a page of an answer."""
    found = (as_dict(value).get(member) for member in members)
    return [item for listed in found if isinstance(listed, list | dict) for item in _records(listed, ())]


def index_of_users(items: Iterable[object]) -> Index:
    """Return an index that knows people only."""
    users: dict[str, User] = {}
    bots: dict[str, str] = {}
    teams: Counter[str] = Counter()
    for item in map(as_dict, items):
        key = as_str(item.get("id"))
        if key:
            teams[as_str(item.get("team_id"))] += 1
            bot_id = as_str(as_dict(item.get("profile")).get("bot_id"))
            bot = item.get("is_bot") is True or bot_id != ""
            users[key] = User(person_name(item) or key, bot, as_str(item.get("name")).strip())
            bots[bot_id] = key
    bots.pop("", None)
    shared = Counter(plain_name(user.name) for user in users.values())
    for key, user in users.items():
        if shared[plain_name(user.name)] > 1:
            users[key] = user._replace(name=distinct_name(user.name, user.account, key))
    twice = Counter(user.name for user in users.values())
    for key, user in users.items():
        if twice[user.name] > 1:  # of one account name too, as in two workspaces
            users[key] = user._replace(name=distinct_name(user.name, "", key))
    named = {bot_id: users[key].name for bot_id, key in bots.items()}
    mentioned = named | {SLACKBOT_ID: "Slackbot"} | {key: user.name for key, user in users.items()}
    return Index(users, named, Names(mentioned, {}, {}), {}, {}, team=next(iter(teams.most_common(1)), ("", 0))[0])


def plain_name(name: str) -> str:
    """Return the form in which names are compared: one case, without signs and white space."""
    return "".join(filter(str.isalnum, name.casefold())) or name


def distinct_name(name: str, account: str, key: str) -> str:
    """Return a display name that several people have with the account name, else the id."""
    return f"{name} ({account if account and account != name and not _E_MAIL.fullmatch(account) else key})"


def folder_key(folder: str) -> str:
    """Return the form in which folders and channels are compared, as file systems change accents, case and signs."""
    return _FORBIDDEN_ON_WINDOWS.sub("_", unicodedata.normalize("NFC", folder).casefold())


def person_name(item: Mapping[str, Any]) -> str:
    """
    Return the first name that is there: real name, display name, handle; empty if there is none.

    The full name comes first since handles do not merge with the people named in other sources. An e-mail address is
    private and no name.

    :param item: A user of the roster, or a message's ``user_profile``.
    """
    profile = as_dict(item.get("profile"))
    found = (as_str(place.get(key)).strip() for key in _NAMES for place in (profile, item))
    return next((name for name in found if name and not _E_MAIL.fullmatch(name)), "")


def _channel(item: Mapping[str, Any], file: str, names: Names, *, listing: bool) -> Channel | None:
    """Return a listed conversation; ``listing``: whether the export lists conversations at all."""
    name = as_str(item.get("name")) or as_str(item.get("name_normalized"))
    key = as_str(item.get("id")) or name
    if not key:
        return None
    people = [names.users.get(member, member) for member in as_strs(item.get("members"))]
    label = name or ", ".join(dict.fromkeys(people)) or key
    about = (as_str(as_dict(item.get(field)).get("value")).strip() for field in ("topic", "purpose"))
    description = to_plain_text("\n".join(dict.fromkeys(filter(None, about))), names)
    private = privacy_of(item, file)
    if private is None and (file or listing):
        private = f"{file or 'the export'} does not say that it is public"
    return Channel(key, name or key, label, description, private or "", unsure=private is None)
