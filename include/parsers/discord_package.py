"""
Discord's own data package: what one person wrote, everywhere, and nothing that others said.

Discord sends it on request (``Settings > Data & Privacy``). Read from packages of every generation through the
public readers ``discord_data`` and ``Data-Package-Tool``; what they are like:

- Folders have translated names since 2025 (``Messages``, ``Nachrichten``); channel folders are ``c<id>``, before 2021
  ``<id>``. So it is found by its structure: channel folders with ``channel.json`` or ``messages.*``.
- Messages are ``messages.csv``, since 2024 ``messages.json`` with numeric ids and UTC times of whole seconds.
- The owner stands in ``user.json`` of the account folder, which may be missing; direct messages name him or her, too.
- ``user.json`` holds e-mail, phone and payments: only id and names are read.
"""

import csv
import io
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable, ExportError
from include.ids import conversation_id_of, sender_id_of
from include.parsers.discord_message import SOURCE, sent_at_us
from include.parsers.discord_text import to_plain_text
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.json_stream import BrokenJson, entries
from include.parsers.outcomes import Reject, Skip, left_out, outcomes, unreadable
from include.parsers.values import file_name_in, identifier, string
from include.records import Conversation, Message, Parsed

log = logging.getLogger(__name__)

_CHANNEL_FILE = re.compile(r"(?P<messages>(?:.*/)?)c?(?P<id>[0-9]+)/(?P<file>channel\.json|messages\.(?:json|csv))")
_BESIDE = re.compile(r"(?P<folder>[^/]+/)(?:user\.json|[0-9]+/guild\.json|(?:.*/)?events-[^/]*\.json)")
"""Files that tell the package's other folders: account, servers, activity."""

_PRIVATE_KINDS = ("1", "3", "12", "DM", "GROUP_DM", "PRIVATE_THREAD")
_DIRECT_KINDS = ("1", "DM")


class _User(msgspec.Struct, frozen=True):
    id: str | int
    username: str = ""
    global_name: str | None = None


class _Guild(msgspec.Struct, frozen=True):
    name: str | None = None


class _Channel(msgspec.Struct, frozen=True):
    type: str | int | None = None
    name: str | None = None
    guild: _Guild | None = None
    recipients: list[Any] | None = None

    @property
    def private(self) -> bool:
        """A channel that says neither what it is nor where counts as private."""
        return str(self.type) in _PRIVATE_KINDS or (self.type is None and self.guild is None)


class _Owner(NamedTuple):
    id: str
    name: str


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """
    Yield channel by channel what the owner wrote there, as sessions of the owner's personal history.

    :raises ExportError: if nothing says whose package it is; nothing was yielded.
    """
    files = _channel_files(archive)
    channels: dict[str, _Channel] = {}
    broken: dict[str, str] = {}
    for channel_id, names in files.items():
        for name in names:
            if name.endswith("/channel.json"):
                try:
                    channels[channel_id] = msgspec.json.decode(archive.read(name), type=_Channel)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EntryUnreadable) as error:
                    broken[name] = f"not the description of a channel ({type(error).__name__})"
    owner = _owner(archive, channels)
    for name, reason in broken.items():
        yield from unreadable(name, SOURCE, reason)
    labels = _labels(archive)
    for channel_id in sorted(files, key=int):
        channel = channels.get(channel_id, _Channel())
        conversation = _conversation(channel_id, channel, labels.get(channel_id) or "", owner, options)
        yield conversation
        for name in files[channel_id]:
            if not name.endswith("/channel.json"):
                yield from _messages(archive, name, conversation, owner, options)


def _messages(
    archive: Archive, name: str, conversation: Conversation, owner: _Owner, options: ParseOptions
) -> Iterator[Parsed]:
    try:
        with archive.open(name) as stream:
            yield from outcomes(
                enumerate(_rows(stream) if name.endswith(".csv") else entries(stream, "item")),
                partial(_to_message, conversation_id=conversation.conversation_id, owner=owner),
                conversation=conversation,
                place=name,
                leave_out=left_out(conversation, options),
            )
    except EntryUnreadable as error:
        yield from unreadable(name, SOURCE, str(error))


def _to_message(entry: dict[str, Any], origin: str, *, conversation_id: str, owner: _Owner) -> Message:
    message_id = identifier(entry, "ID")
    if not message_id:
        raise Reject("expected an ID, found none")
    at_us = sent_at_us(message_id, entry.get("Timestamp"))
    if at_us is None or at_us <= 0:
        raise Reject("expected a snowflake as ID or a time as Timestamp, found neither")
    said = to_plain_text(string(entry.get("Contents")), {owner.id: owner.name}).strip()
    files = [f"[file: {file_name_in(url)}]" for url in string(entry.get("Attachments")).split()]
    if not (said or files):
        raise Skip("empty")
    return Message(
        source=SOURCE,
        conversation_id=conversation_id,
        message_id=message_id,
        sent_at_us=at_us,
        timestamp_ms=at_us // 1000,
        sender_id=sender_id_of(owner.id),
        sender_name=owner.name,
        role="user",
        text="\n".join([said, *files] if said else files),
        origin=origin,
    )


def _rows(stream: BinaryIO) -> Iterator[Any]:
    """Yield the rows of a CSV file by column name; a malformed row is its own error and costs only itself."""
    reader = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""), strict=True)
    columns: list[str] = []
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            yield BrokenJson("the row is not CSV")
            continue
        if row is None:
            return
        if not columns:
            columns = row
        elif len(row) == len(columns):
            yield dict(zip(columns, row, strict=True))
        elif row:
            yield BrokenJson(f"expected {len(columns)} columns, found {len(row)}")


def _conversation(channel_id: str, channel: _Channel, label: str, owner: _Owner, options: ParseOptions) -> Conversation:
    workspace = (channel.guild and channel.guild.name) or ""
    conversation_id = conversation_id_of(
        options.id_template,
        source=SOURCE,
        workspace=workspace,
        # By id: every server has a "general", and a whole export of one of them is another conversation.
        channel=channel_id,
        channel_id=channel_id,
    )
    return Conversation(
        conversation_id=conversation_id,
        source=SOURCE,
        kind="personal",
        workspace=workspace,
        channel_id=channel_id,
        name=channel.name or label or channel_id,
        description=f"Only what {owner.name} wrote here: Discord's data package holds nobody else's messages",
        private=channel.private,
        user_id=sender_id_of(owner.id),
        session_id=conversation_id,
    )


def _owner(archive: Archive, channels: Mapping[str, _Channel]) -> _Owner:
    users: dict[str, _User] = {}
    for name in archive.names():
        if name.endswith("/user.json"):
            try:
                user = msgspec.json.decode(archive.read(name), type=_User)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EntryUnreadable) as error:
                log.warning("%s does not tell the owner: %s", name, type(error).__name__)
            else:
                users[str(user.id)] = user
    if not users:
        direct = [channel.recipients for channel in channels.values() if str(channel.type) in _DIRECT_KINDS]
        pairs = {frozenset(map(str, recipients)) for recipients in direct if recipients}
        users = {user_id: _User(user_id) for user_id in frozenset.intersection(*pairs)} if pairs else {}
    if len(users) != 1:
        raise ExportError(
            f"{archive.path}: {len(users)} people could be the owner of this Discord data package. Keep one account "
            'folder with its user.json beside the messages, or write one that holds {"id": "<your user id>"}.'
        )
    user_id, user = users.popitem()
    return _Owner(user_id, user.global_name or user.username or user_id)


def _labels(archive: Archive) -> Mapping[str, str | None]:
    """Return Discord's descriptions of channels by id, for people to read."""
    for name in archive.names():
        if name.endswith("index.json") and _CHANNEL_FILE.fullmatch(name) is None:
            try:
                return msgspec.json.decode(archive.read(name), type=dict[str, str | None])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EntryUnreadable) as error:
                log.warning("%s gives no names of channels: %s", name, type(error).__name__)
    return {}


def _channel_files(archive: Archive) -> Mapping[str, Sequence[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for name in archive.names():
        if found := _CHANNEL_FILE.fullmatch(name):
            files[found["id"]].append(name)
    return files


def trees(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find the folders above the folder of channels, with the files of all of the package's own folders."""
    names = archive.names()
    channels = [found for found in map(_CHANNEL_FILE.fullmatch, names) if found]
    own: dict[str, set[str]] = defaultdict(set)
    for messages in {found["messages"] for found in channels if found["file"] == "channel.json"}:
        root = re.sub(r"[^/]+/$", "", messages)
        own[root].add(messages)
        if messages:
            beside = (_BESIDE.fullmatch(name.removeprefix(root)) for name in names if name.startswith(root))
            own[root].update(root + found["folder"] for found in beside if found)
    return {root: [name for name in names if name.startswith(tuple(folders))] for root, folders in own.items()}


FORMAT = Format(
    name="discord_package",
    looked_for="a Discord data package (folders c<id> with channel.json and messages.json or messages.csv)",
    parse=parse,
    trees=trees,
)
