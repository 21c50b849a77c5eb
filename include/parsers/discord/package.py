"""
Discord's own data package: all messages of one user, and none of others.

Discord sends it on request (``Settings > Data & Privacy``). Read from packages of every generation through the
public readers ``discord_data`` and ``Data-Package-Tool``; facts about them:

- Folders have translated names since 2025 (``Messages``, ``Nachrichten``); channel folders are ``c<id>``, before 2021
  ``<id>``. So it is found by its structure: channel folders with ``channel.json``.
- Messages are ``messages.csv``, since 2024 ``messages.json`` with numeric ids and UTC times of whole seconds.
- The owner is in ``user.json`` of the account folder, which may be missing; direct messages name the owner, too.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of, sender_id_of
from include.parsers.discord.message import SOURCE
from include.parsers.discord.package_index import Owner, PackageIndex
from include.parsers.discord.text import file_text, name_in_address, to_plain_text
from include.parsers.discord.time import sent_at_us
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.json.head import inspect_head
from include.parsers.json.stream import BrokenJson, entries
from include.parsers.json.values import as_str, as_strs, identifier
from include.parsers.outcomes import Reject, Skip, exclusion_reason, outcomes, reject_file
from include.records import Conversation, Message, Note, ParsedMany

_CHANNEL_FILE = re.compile(r"(?P<messages>(?:.*/)?)c?(?P<id>[0-9]+)/(?P<file>channel\.json|messages\.(?:json|csv))")
_OWNERS = (
    "{} people could be the owner of this Discord data package, nothing of it was read. Keep one account folder with "
    'its user.json beside the messages, or write one that holds {{"id": "<the owner\'s user id>"}}.'
)
_BESIDE = re.compile(r"(?P<folder>[^/]+/)(?:user\.json|[0-9]+/guild\.json|(?:.*/)?events-[^/]*\.json)")
"""Files that identify folders of a package beside that of the channels: account, servers, activity."""

_JSON = (".json", ".jsonl", ".ndjson")
_OF_EXPORTS = {"messages", "ts", "author", "conversation_list", "conversation_meta", "group_id", "Contents"}
"""Keys that exports have, and files of a package beside its messages do not."""


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield channel by channel the owner's messages, as sessions of the owner's personal history.

    A package without a known owner is one rejected entry.
    """
    channel_files: dict[str, str] = {}
    message_files: dict[str, list[str]] = defaultdict(list)
    for found in filter(None, map(_CHANNEL_FILE.fullmatch, archive.names())):
        if found["file"] == "channel.json":
            channel_files[found["id"]] = found[0]
        else:
            message_files[found["id"]].append(found[0])
    index = PackageIndex(archive, channel_files)
    for name, reason in index.broken.items():
        yield from reject_file(export.root + name, SOURCE, reason)
    if len(index.owners) != 1:
        yield from reject_file(export.root or export.label, SOURCE, _OWNERS.format(len(index.owners) or "no"))
        return
    (owner,) = index.owners
    names = index.names(owner)
    for channel_id in sorted({*channel_files, *message_files}, key=int):
        conversation = _conversation(channel_id, index, owner, options)
        yield conversation
        read = partial(_to_message, conversation_id=conversation.conversation_id, owner=owner, names=names)
        for name in message_files.get(channel_id, ()):
            place = export.root + name
            try:
                with archive.open(name) as stream:
                    rows = _rows(stream) if name.endswith(".csv") else entries(stream, "item")
                    yield from outcomes(
                        enumerate(rows),
                        read,
                        conversation=conversation,
                        place=place,
                        skip_reason=exclusion_reason(conversation, options),
                    )
            except EntryUnreadable as error:
                yield from reject_file(place, SOURCE, str(error), conversation.conversation_id)
    yield Note(code="only_own", count=len(message_files))
    yield Note(code="no_entries", count=len(channel_files.keys() - message_files.keys()))


def _to_message(
    entry: dict[str, Any], origin: str, *, conversation_id: str, owner: Owner, names: Mapping[str, str]
) -> Message:
    message_id = identifier(entry, "ID")
    if not message_id:
        raise Reject("expected an ID, found none")
    at_us = sent_at_us(message_id, entry.get("Timestamp"))
    if at_us is None or at_us <= 0:
        raise Reject("expected a time as Timestamp or a snowflake as ID, found neither")
    said = to_plain_text(as_str(entry.get("Contents")), names).strip()
    attached = entry.get("Attachments")
    addresses = as_strs(attached) or as_str(attached).split()
    files = [file_text(name_in_address(url)) for url in addresses]
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
    """Yield the rows of a CSV file by column name; a malformed row is rejected, the rest is read."""
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


def _conversation(channel_id: str, index: PackageIndex, owner: Owner, options: ParseOptions) -> Conversation:
    channel = index.channel(channel_id)
    # By id: every server has a "general", and an export with all its messages is another conversation.
    # With the owner: packages of two people of one channel are two personal histories.
    own_id = f"{channel_id}-{owner.id}"
    conversation_id = conversation_id_of(
        options.id_template,
        source=SOURCE,
        workspace=channel.server,
        channel=own_id,
        channel_id=own_id,
    )
    return Conversation(
        conversation_id=conversation_id,
        source=SOURCE,
        kind="personal",
        workspace=channel.server,
        channel_id=own_id,
        channel=own_id,
        name=channel.name or index.label(channel_id) or channel_id,
        description=f"Only what {owner.name} wrote here: Discord's data package holds nobody else's messages",
        private=channel.private,
        private_reason="a direct message, a private thread or of an unknown kind" if channel.private else "",
        user_id=sender_id_of(owner.id),
        session_id=conversation_id,
    )


def find_roots(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find the folders above the folder of channels, with the files of all of the package's own folders."""
    names = archive.names()
    channels = [found for found in map(_CHANNEL_FILE.fullmatch, names) if found]
    own: dict[str, set[str]] = defaultdict(set)
    for messages in sorted({found["messages"] for found in channels if found["file"] == "channel.json"}):
        if not messages:  # the source is the folder of channels itself, maybe with other exports in it
            own[""].update({"index.json"}, (found[0] for found in channels if not found["messages"]))
            continue
        root = "".join(messages[:-1].rpartition("/")[:2])
        own[root].update({messages}, _beside(archive, root, messages))
    return {root: [name for name in names if name.startswith(tuple(folders))] for root, folders in own.items()}


def _beside(archive: Archive, root: str, messages: str) -> Iterator[str]:
    """
    Yield the other folders of a package: account, servers, activity; if there is one of these, all without exports.

    Their names are translated and their number grows (advertisements, programs, support tickets).
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in archive.names():
        if name.startswith(root) and not name.startswith(messages) and "/" in (path := name.removeprefix(root)):
            folders[path.partition("/")[0] + "/"].append(name)
    known = {
        folder for folder, files in folders.items() if any(_BESIDE.fullmatch(file.removeprefix(root)) for file in files)
    }
    for folder, files in folders.items():
        if folder in known or (known and not any(_may_be_export(archive, file) for file in files)):
            yield root + folder


def _may_be_export(archive: Archive, name: str) -> bool:
    if not name.lower().endswith(_JSON):
        return name.lower().endswith((".zip", ".csv"))
    try:
        return any(keys & _OF_EXPORTS for keys in inspect_head(archive, name).keys.values())
    except EntryUnreadable:
        return False


FORMAT = Format(
    name="discord_package",
    parse=parse,
    find_roots=find_roots,
)
