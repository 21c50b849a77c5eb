"""
Reads a Slack export's index files: who is who, which folder is which channel, and what is private.

Every index file may be missing, empty or broken: public-only exports have no ``groups.json``, ``dms.json`` and
``mpims.json``, slackdump leaves ``members`` null, and people delete what they do not know. Folders are then told by
their names, and by nothing at all they are private if the file that would say so cannot be read.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.json_loose import decode_loose
from include.parsers.slack_text import Names, to_plain_text
from include.parsers.values import mapping, objects, string, strings

CHANNEL_FILES = ("channels.json", "groups.json", "mpims.json", "dms.json", "file_conversations.json")
"""Files that list conversations; all but the first list private ones."""

RECORD_FILES = ("canvases.json", "lists.json", "huddle_transcripts.json")

SLACKBOT_ID = "USLACKBOT"
"""In no roster, or in it as a person."""

_ORGANISATION = "org_users.json"
USER_FILES = ("users.json", _ORGANISATION)

_NAMES = ("real_name", "real_name_normalized", "display_name", "display_name_normalized", "name")
_E_MAIL = re.compile(r"\S+@\S+\.\S+")

_FORBIDDEN_ON_WINDOWS = re.compile(r'[:*?"<>|\\]')
_DIRECT = re.compile(r"D[0-9A-Z]+|mpdm-.*|FC[:_-].*")
"""Folders of direct messages, of group direct messages, and of comments on canvases."""


class User(NamedTuple):
    """A member of the roster."""

    name: str
    """No other member has it: people of one name are told apart by their accounts."""
    bot: bool
    account: str = ""


class Channel(NamedTuple):
    """A conversation, listed in an index or only found as a folder."""

    id: str
    folder: str
    name: str
    description: str
    private: bool


class Index(NamedTuple):
    """What the index files of one workspace say."""

    users: Mapping[str, User]
    bots: Mapping[str, str]
    """``profile.bot_id`` to the name of the roster's entry."""
    names: Names
    channels: Mapping[str, Channel]
    """By folder, which is the name or, with some tools, the id."""
    broken: Mapping[str, str]
    """Index files that cannot be read, with the reason."""
    team: str
    """Id of the workspace that most people are of, the others being guests; empty for an organisation of several."""

    def channel(self, folder: str) -> Channel:
        """Return the conversation that a folder holds; a folder that no index lists stands for itself."""
        listed = self.channels.get(folder_key(folder))
        if listed:
            return listed
        unsure = any(file.rpartition("/")[2] in CHANNEL_FILES[1:] for file in self.broken)
        return Channel(folder, folder, folder, "", private=unsure or _DIRECT.fullmatch(folder) is not None)


def read_index(archive: Archive, prefix: str = "") -> Index:
    """
    Read the index files of a workspace.

    :param prefix: Folder of the workspace; users listed at the top of the archive are known in all of them.
    """
    broken: dict[str, str] = {}
    places = dict.fromkeys(("", prefix))
    index = index_of_users(_items(archive, [place + file for place in places for file in USER_FILES], broken))
    groups = _items(archive, [f"{place}usergroups.json" for place in places], broken)
    usergroups = {string(group.get("id")): string(group.get("handle") or group.get("name")) for group in groups}
    names = index.names._replace(usergroups=usergroups)
    listed = {
        channel.id: channel
        for place in places
        for file in CHANNEL_FILES
        for item in _items(archive, [place + file], broken)
        if (channel := _channel(item, file, names))
    }
    names = names._replace(channels={key: channel.name for key, channel in listed.items()})
    by_folder = {folder_key(channel.id): channel for channel in listed.values()}
    by_folder |= {folder_key(channel.folder): channel for channel in listed.values()}
    team = "" if _ORGANISATION in archive else index.team
    return index._replace(names=names, channels=by_folder, broken=broken, team=team)


def count_records(archive: Archive) -> int:
    """Return how many canvases, lists and huddle transcripts the export names; their text is not in it."""
    files = [name for name in archive.names() if name.rpartition("/")[2] in RECORD_FILES]
    return sum(1 for _ in _items(archive, files, {}))


def index_of_users(items: Iterable[object]) -> Index:
    """Return an index that knows people only."""
    users: dict[str, User] = {}
    bots: dict[str, str] = {}
    teams: Counter[str] = Counter()
    for item in map(mapping, items):
        key = string(item.get("id"))
        if key:
            teams[string(item.get("team_id"))] += 1
            bot_id = string(mapping(item.get("profile")).get("bot_id"))
            bot = item.get("is_bot") is True or bot_id != ""
            users[key] = User(person_name(item) or key, bot, string(item.get("name")).strip())
            bots[bot_id] = key
    bots.pop("", None)
    shared = Counter(plain_name(user.name) for user in users.values())
    for key, user in users.items():
        if shared[plain_name(user.name)] > 1:
            users[key] = user._replace(name=told_apart(user.name, user.account, key))
    twice = Counter(user.name for user in users.values())
    for key, user in users.items():
        if twice[user.name] > 1:  # of one account name too, as in two workspaces
            users[key] = user._replace(name=told_apart(user.name, "", key))
    named = {bot_id: users[key].name for bot_id, key in bots.items()}
    mentioned = named | {SLACKBOT_ID: "Slackbot"} | {key: user.name for key, user in users.items()}
    return Index(users, named, Names(mentioned, {}, {}), {}, {}, team=next(iter(teams.most_common(1)), ("", 0))[0])


def plain_name(name: str) -> str:
    """Return what names are compared by: letters of any case, without signs and white space."""
    return "".join(filter(str.isalnum, name.casefold())) or name


def told_apart(name: str, account: str, key: str) -> str:
    """Return a display name that several people have with the account name, else the id."""
    return f"{name} ({account if account and account != name and not _E_MAIL.fullmatch(account) else key})"


def folder_key(folder: str) -> str:
    """Return what a folder and its channel have in common, whatever a file system made of accents, case and signs."""
    return _FORBIDDEN_ON_WINDOWS.sub("_", unicodedata.normalize("NFC", folder).casefold())


def _items(archive: Archive, files: Sequence[str], broken: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects listed in the files that exist; note those that cannot be read."""
    for file in files:
        if file not in archive or file in broken:
            continue
        try:
            items = decode_loose(archive.read(file))
        except (EntryUnreadable, ValueError) as error:
            broken[file] = str(error)
            continue
        if not isinstance(items, list):
            broken[file] = "expected an array"
        yield from objects(items)


def person_name(item: Mapping[str, Any]) -> str:
    """
    Return the first name that is there: real name, display name, handle; empty if there is none.

    The full name comes first since handles do not merge with the people named in other sources. An e-mail address is
    private and no name.

    :param item: A user of the roster, or a message's ``user_profile``.
    """
    profile = mapping(item.get("profile"))
    found = (string(place.get(key)).strip() for key in _NAMES for place in (profile, item))
    return next((name for name in found if name and not _E_MAIL.fullmatch(name)), "")


def _channel(item: Mapping[str, Any], file: str, names: Names) -> Channel | None:
    key = string(item.get("id"))
    if not key:
        return None
    name = string(item.get("name"))
    people = [names.users.get(member, member) for member in strings(item.get("members"))]
    label = name or ", ".join(dict.fromkeys(people)) or key
    about = (string(mapping(item.get(field)).get("value")).strip() for field in ("topic", "purpose"))
    description = to_plain_text("\n".join(dict.fromkeys(filter(None, about))), names)
    private = file != CHANNEL_FILES[0] or item.get("is_private") is True
    return Channel(key, name or key, label, description, private)
