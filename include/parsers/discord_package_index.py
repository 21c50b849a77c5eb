"""What a Discord data package says beside its messages: whose it is, and what its channels are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable, ExportError

_PRIVATE_KINDS = ("1", "3", "12", "DM", "GROUP_DM", "PRIVATE_THREAD")
_DIRECT_KINDS = ("1", "DM")


class Owner(NamedTuple):
    """The person who asked Discord for the package, and wrote everything in it."""

    id: str
    name: str


class _User(msgspec.Struct, frozen=True):
    """Of ``user.json``, which also holds e-mail, phone and payments, only these members are ever decoded."""

    id: str | int
    username: str = ""
    global_name: str | None = None


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
        """A channel that says neither what it is nor where counts as private."""
        return str(self.type) in _PRIVATE_KINDS or (self.type is None and self.guild is None)

    @property
    def server(self) -> str:
        """Name of the server; empty if it is not on one, or the owner has left it."""
        return (self.guild and self.guild.name) or ""


class PackageIndex:
    """
    Reads the small files of a package; one that cannot be read is noted in :attr:`broken` and costs names only.

    :param channel_files: Name of ``channel.json`` by channel id.
    :raises ExportError: if nothing says whose package it is.
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
        for name in archive.names():
            if name.rpartition("/")[2] == "index.json":  # there is one for servers, too, of the same form
                self._labels |= self._decoded(name, dict[str, str | None]) or {}
        self.owner = self._owner()
        self.names = {key: channel.name for key, channel in self._channels.items() if channel.name}
        """What mentions stand for: channels, and the owner."""
        self.names[self.owner.id] = self.owner.name

    def channel(self, channel_id: str) -> Channel:
        """Return what is known of a channel."""
        return self._channels.get(channel_id) or Channel()

    def label(self, channel_id: str) -> str:
        """Return Discord's description of a channel ("general in Acme"), for people to read: it is translated."""
        return self._labels.get(channel_id) or ""

    def _owner(self) -> Owner:
        users: dict[str, _User] = {}
        for name in self._archive.names():
            if name.endswith("/user.json") and (user := self._decoded(name, _User)):
                users[str(user.id)] = user
        if not users:
            users = {user_id: _User(user_id) for user_id in self._in_every_direct_message()}
        if len(users) != 1:
            raise ExportError(
                f"{self._archive.path}: {len(users) or 'no'} people could be the owner of this Discord data package, "
                "nothing of it was read. Keep one account folder with its user.json beside the messages, or write one "
                'that holds {"id": "<the owner\'s user id>"}.'
            )
        user_id, user = users.popitem()
        return Owner(user_id, user.global_name or user.username or user_id)

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
