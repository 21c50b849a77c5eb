"""Reads the owner and the channels of a Discord data package."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from os.path import commonprefix
from typing import Any, NamedTuple

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.discord.message import is_private_kind

_DIRECT_KINDS = ("1", "DM")
_TAG = re.compile(r"(.*\S)#[0-9]{1,4}\b")
"""A name and its discriminator; ``#0`` since there are none."""


class Owner(NamedTuple):
    """The user who asked Discord for the package; all its messages are by this user."""

    id: str
    name: str


class _User(msgspec.Struct, frozen=True):
    """Of ``user.json``, which also holds e-mail, phone and payments, only these members are ever decoded."""

    id: str | int
    username: str | None = None
    global_name: str | None = None
    relationships: msgspec.Raw = msgspec.Raw(b"[]")

    @property
    def name(self) -> str:
        """Display name, else name of the account, else the id."""
        return self.global_name or self.username or str(self.id)


class _Relationship(msgspec.Struct, frozen=True):
    """A friend of the owner; the names are in ``user``, in older packages beside the id."""

    id: str | int
    username: str | None = None
    global_name: str | None = None
    user: _User | None = None


class _Guild(msgspec.Struct, frozen=True):
    name: str | None = None


class Channel(msgspec.Struct, frozen=True):
    """``channel.json``, where every member may be missing."""

    type: str | int | None = None
    name: str | None = None
    guild: _Guild | None = None
    recipients: list[Any] | None = None

    @property
    def private(self) -> bool:
        """A channel without kind and server counts as private."""
        return is_private_kind(self.type) or (self.type is None and self.guild is None)

    @property
    def server(self) -> str:
        """Name of the server; empty if it is not on one, or the owner has left it."""
        return (self.guild and self.guild.name) or ""


class PackageIndex:
    """
    Reads the small files of a package; one that cannot be read is noted in :attr:`broken`; only its names are missing.

    :param channel_files: Name of ``channel.json`` by channel id.
    """

    def __init__(self, archive: Archive, channel_files: Mapping[str, str]) -> None:
        self.broken: dict[str, str] = {}
        """Reason by name of file."""
        self._archive = archive
        self._channels = {
            channel_id: channel
            for channel_id, name in channel_files.items()
            if (channel := self._decoded(name, Channel)) is not None
        }
        self._labels: dict[str, str | None] = {}
        for name in self._files("index.json"):  # there is one for servers, too, of the same form
            self._labels |= self._decoded(name, dict[str, str | None]) or {}
        self._friends: dict[str, str] = {}
        self.owners = self._possible_owners()
        """All users who could be the owner."""

    def names(self, owner: Owner) -> Mapping[str, str]:
        """Return names for mentions: channels, the owner, and people the package names."""
        channels = {key: channel.name for key, channel in self._channels.items() if channel.name}
        return channels | self._partners(owner) | self._friends | {owner.id: owner.name}

    def channel(self, channel_id: str) -> Channel:
        """Return what is known of a channel."""
        return self._channels.get(channel_id) or Channel()

    def label(self, channel_id: str) -> str:
        """Return Discord's description of a channel ("general in Acme"), which is translated."""
        return self._labels.get(channel_id) or ""

    def _files(self, last: str) -> Iterator[str]:
        """Yield the files of this name in the package's own folders, or beside the channels."""
        for name in self._archive.names():
            if name.count("/") <= 1 and name.rpartition("/")[2] == last:
                yield name

    def _possible_owners(self) -> list[Owner]:
        users: dict[str, _User] = {}
        for name in self._files("user.json"):
            if user := self._decoded(name, _User):
                users[str(user.id)] = user
                self._friends |= _named(user.relationships)
        if not users:
            users = {user_id: _User(user_id) for user_id in self._in_every_direct_message()}
        return [Owner(user_id, user.name) for user_id, user in users.items()]

    def _partners(self, owner: Owner) -> dict[str, str]:
        """
        Return names of people the owner wrote to directly, out of the labels ("Direct Message with bo#0").

        Labels are translated. A name is what follows the words that all labels begin with, up to ``#``; of a single
        label it is the last word before ``#``.
        """
        labels: dict[str, str] = {}
        for channel_id, channel in self._channels.items():
            others = {str(one) for one in channel.recipients or () if isinstance(one, str | int)} - {owner.id}
            found = _TAG.match(self.label(channel_id))
            if len(others) == 1 and len(channel.recipients or ()) == 2 and found:
                labels[others.pop()] = found[1]
        same = commonprefix(list(labels.values()))  # noqa: RUF071 - of characters
        begin = same.rfind(" ") + 1
        return {user_id: label[begin:] for user_id, label in labels.items()}

    def _in_every_direct_message(self) -> frozenset[str]:
        direct = [channel.recipients for channel in self._channels.values() if str(channel.type) in _DIRECT_KINDS]
        pairs = [frozenset(str(one) for one in pair if isinstance(one, str | int)) for pair in direct if pair]
        return frozenset.intersection(*pairs) if pairs else frozenset()

    def _decoded[T](self, name: str, form: type[T]) -> T | None:
        try:
            return msgspec.json.decode(self._archive.read(name), type=form)
        except EntryUnreadable as error:
            self.broken[name] = str(error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.broken[name] = "expected a JSON object of Discord's data package, found something else"
        return None


def _named(relationships: msgspec.Raw) -> dict[str, str]:
    """Return names by id; a relationship of another form has none."""
    names: dict[str, str] = {}
    try:
        for raw in msgspec.json.decode(relationships, type=list[msgspec.Raw]):
            with suppress(msgspec.MsgspecError):
                one = msgspec.json.decode(raw, type=_Relationship)
                user = one.user or _User(one.id, one.username, one.global_name)
                if user.global_name or user.username:
                    names[str(one.id)] = user.name
    except (msgspec.MsgspecError, RecursionError):
        pass
    return names
