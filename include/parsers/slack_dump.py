"""
Slack messages in files of their own, one or more for each conversation: what tools and scripts make of Slack's API.

- An array of messages, an answer of the API, or a message per line. The file's name stands for the channel, unless a
  list of conversations lies beside it (slack-archive does that).
- slackdump's ``dump``: ``{"channel_id", "name", "thread_ts", "messages"}``, a channel or a thread.
- slackdump's chunks: lines ``{"t": 0, "id": "C1", "m": […]}``, the kind of line in ``t`` (github.com/rusq/slackdump,
  ``internal/chunk``).

Lists of people and conversations in the same folder, or in one above, give names and say what is private.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head, look
from include.parsers.json_loose import decode_loose, without_mark
from include.parsers.json_stream import MAX_ENTRY_BYTES, BrokenJson, documents
from include.parsers.outcomes import left_out, unreadable
from include.parsers.slack import conversation_of, outcomes
from include.parsers.slack_entries import (
    WHOLE_FILE_BYTES,
    Defect,
    Entry,
    Slice,
    decode_entries,
    read_entries,
    stream_entries,
)
from include.parsers.slack_index import Channel, Index, Lists, privacy_of, records_of
from include.parsers.slack_layout import LISTS
from include.parsers.slack_messages import SOURCE, Judge
from include.parsers.values import mapping, objects, string
from include.records import Note, Parsed

_SAYINGS = ("text", "user", "type", "subtype", "blocks", "attachments")
_CONVERSATION_MARKS = ("is_channel", "is_im", "is_mpim", "is_group", "is_private", "num_members", "purpose")


class _Chunk(msgspec.Struct):
    """A line of slackdump's chunk files."""

    t: int
    id: str = ""
    m: msgspec.Raw = msgspec.Raw(b"[]")
    """Messages of a channel or of a thread."""
    u: Any = None
    """People."""
    ch: Any = None
    """Conversations."""
    ci: Any = None
    """The conversation that the file is about."""


_DESCRIBED_IN = ("channel", "channel_info", "info", "conversation")
"""Members in which tools put Slack's description of the conversation."""

_DESCRIBING = (
    *("channel_id", "id", "name", "channel_name", "type", "is_im", "is_mpim", "is_group", "is_private", "is_channel"),
    *_DESCRIBED_IN,
)

_CHUNK = msgspec.json.Decoder(_Chunk)


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """Yield every entry of the files, in order; nested replies follow their root."""
    heads = {name: look(archive, name) for name in archive.names()}
    lists: dict[str, Lists] = defaultdict(Lists)
    for name, head in heads.items():
        _read_lists(archive, name, head, lists[_folder_of(name)])
    indexes: dict[str, Index] = {}
    for folder in sorted(lists):
        if (parent := next((above for above in _above(folder) if above in lists), None)) is not None:
            lists[folder].include(lists[parent])
        indexes[folder] = lists[folder].index()
    for folder, index in indexes.items():
        for name in index.broken:
            if name in archive and _folder_of(name) == folder:
                yield from unreadable(name, SOURCE, index.broken[name])
    judges = {
        folder: Judge(index, options, partial(_every_file, archive, folder, heads, index))
        for folder, index in indexes.items()
    }
    unsure: set[str] = set()
    for name, head in heads.items():
        if _is_list(name, head):
            continue
        folder = _folder_of(name)
        for channel, slices in _conversations(archive, name, head, indexes[folder]):
            conversation = conversation_of(channel, "", options)
            yield conversation
            reason = left_out(conversation, options)
            if channel.unsure and not (conversation.private or reason):
                unsure.add(conversation.conversation_id)
            yield from outcomes(slices, conversation.conversation_id, name, judges[folder], reason)
    for judge in judges.values():
        yield from judge.notes()
    yield Note(code="maybe_private", count=len(unsure))


def _every_file(archive: Archive, folder: str, heads: Mapping[str, Head], index: Index) -> Iterator[Iterator[Slice]]:
    """Yield the entries of each conversation in a folder."""
    for name, head in heads.items():
        if _folder_of(name) == folder and not _is_list(name, head):
            yield from (slices for _, slices in _conversations(archive, name, head, index))


def beside(archive: Archive, names: Sequence[str]) -> list[str]:
    """Return the lists in the folders of these files and above, which may describe another export as well."""
    folders = {folder for name in names for folder in (_folder_of(name), *_above(_folder_of(name)))}
    return [name for name in archive.names() if _file_of(name) in LISTS and _folder_of(name) in folders]


def owns(head: Head) -> bool:
    """Tell messages of Slack, and lists of its users and conversations, from anything else."""
    return (
        _lists_users(head)
        or _lists_conversations(head)
        or _is_chunk(head)
        or (head.has("", "channel_id", "messages") and not _other_messages(head))
        or any(_says(head, place) for place in ("messages.item", "item", "", "item.messages.item", "item.item"))
    )


def _says(head: Head, place: str) -> bool:
    return head.has(place, "ts") and any(head.has(place, key) for key in _SAYINGS)


def _other_messages(head: Head) -> bool:
    """Tell whether the messages are somebody else's: they have no ``ts``."""
    return bool(head.keys.get("messages.item")) and not head.has("messages.item", "ts")


def _is_list(name: str, head: Head) -> bool:
    return (
        _file_of(name) in LISTS
        or _lists_users(head)
        or _lists_conversations(head)
        or (_is_chunk(head) and not head.has("", "m"))
    )


def _lists_users(head: Head) -> bool:
    return any(head.has(place, "id", "profile") for place in ("item", "members.item", "users.item", "u.item"))


def _lists_conversations(head: Head) -> bool:
    places = ("item", "channels.item", "conversations.item", "ch.item")
    return any(
        head.has(place, "id") and any(head.has(place, mark) for mark in _CONVERSATION_MARKS) and not _says(head, place)
        for place in places
    )


def _is_chunk(head: Head) -> bool:
    return head.has("", "t", "id") and any(head.has("", key) for key in ("m", "u", "ch", "ci"))


def _read_lists(archive: Archive, name: str, head: Head, lists: Lists) -> None:
    """Read what a file says of people and conversations."""
    if _file_of(name) in LISTS and not _is_chunk(head):
        lists.add(archive, name)
    elif _is_chunk(head):
        for chunk in _chunks(archive, name):
            if isinstance(chunk, _Chunk):
                lists.people(objects(chunk.u))
                if chunk.ch:
                    lists.conversations(objects(chunk.ch), _file_of(name))
                if chunk.ci:
                    lists.describe(mapping(chunk.ci))
    elif _is_list(name, head):
        try:
            items = records_of(archive.read(name))
        except (EntryUnreadable, ValueError) as error:
            lists.broken[name] = str(error)
            return
        if _lists_users(head):
            lists.people(items)
        else:
            lists.conversations(items, _file_of(name))


def _conversations(archive: Archive, name: str, head: Head, index: Index) -> Iterator[tuple[Channel, Iterator[Slice]]]:
    """Yield what a file is about, and its entries; a file of chunks may be about several conversations."""
    if _is_chunk(head):
        yield from _of_chunks(archive, name, index)
    elif head.has("", "messages") and not _says(head, ""):
        yield _of_dump(archive, name, index)
    else:
        slices = read_entries(archive, name)
        first = next(slices, [])
        yield _channel(_said_by_messages(first), name, index), chain([first], slices)


def _of_dump(archive: Archive, name: str, index: Index) -> tuple[Channel, Iterator[Slice]]:
    """Return what a dump or an answer of the API is about, and its entries."""
    try:
        if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
            members = msgspec.json.decode(without_mark(archive.read(name)), type=dict[str, msgspec.Raw])
            messages = members.pop("messages")
            described = {key: decode_loose(bytes(value)) for key, value in members.items()}
            return _channel(described, name, index), iter([decode_entries(bytes(messages))])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, KeyError, EntryUnreadable):
        pass  # too large, or broken somewhere: entry by entry, as far as it goes
    return _channel(_outline(archive, name), name, index), stream_entries(archive, name, "messages.item")


def _outline(archive: Archive, name: str) -> dict[str, Any]:
    """Return what a large dump says before its messages."""
    try:
        with archive.open(name) as stream:
            for document in documents(stream, members=_DESCRIBING, lists=("messages",), early=True):
                return document.members
    except (BrokenJson, EntryUnreadable):
        pass
    return {}


def _said_by_messages(entries: Slice) -> dict[str, Any]:
    """Return what messages say of the conversation that they stand in, where they agree."""
    channels = [entry.channel for entry in entries if isinstance(entry, Entry) and entry.channel]
    types = {entry.channel_type for entry in entries if isinstance(entry, Entry)} - {None}
    described = mapping(channels[0]) if channels else {}
    ids = {string(mapping(channel).get("id")) or string(channel) for channel in channels}
    said: dict[str, Any] = {**described, "id": ids.pop() if len(ids) == 1 else ""}
    return said | ({"type": types.pop()} if len(types) == 1 else {})


def _channel(described: Mapping[str, Any], file: str, index: Index) -> Channel:
    """
    Return the conversation of a file.

    :param described: What the file says of it: members of a dump, or what its messages agree on.
    """
    for member in _DESCRIBED_IN:
        described = {**described, **mapping(described.get(member))}
    named = [described.get(key) for key in ("channel_id", "id", "channel")]
    path = file.rpartition(".")[0] or file
    stem = _file_of(path)
    key = next((value for value in named if isinstance(value, str) and value), "")
    channel = index.channel(key or stem, _folder_of(file).split("/")[:-1])
    private = privacy_of({**described, "id": key or stem}) or ""
    if channel.id not in index.listed:
        name = string(described.get("name")) or string(described.get("channel_name")) or key or stem
        channel = channel._replace(id=key or path, name=name, folder=name)
    return channel._replace(private=channel.private or private)


def _of_chunks(archive: Archive, name: str, index: Index) -> Iterator[tuple[Channel, Iterator[Slice]]]:
    for channel_id, run in groupby(_message_chunks(archive, name), key=itemgetter(0)):
        yield index.channel(channel_id), (part for _, part in run)


def _message_chunks(archive: Archive, name: str) -> Iterator[tuple[str, Slice]]:
    """Yield channel id and entries of each line; a line that cannot be read belongs to the channel before it."""
    channel_id = _file_of(name).partition(".")[0]
    for chunk in _chunks(archive, name):
        if isinstance(chunk, Defect):
            yield channel_id, [chunk]
        elif len(chunk.m) > len(b"[]"):
            channel_id = chunk.id or channel_id
            yield channel_id, decode_entries(bytes(chunk.m))


def _chunks(archive: Archive, name: str) -> Iterator[_Chunk | Defect]:
    with archive.open(name) as stream:
        while line := stream.readline(MAX_ENTRY_BYTES):
            if line.strip():
                try:
                    yield _CHUNK.decode(without_mark(line))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    yield Defect("the line is no chunk of slackdump")


def _above(folder: str) -> Iterator[str]:
    """Yield the folders above one, the innermost first, ``""`` last."""
    while folder:
        folder = folder[: folder.rstrip("/").rfind("/") + 1]
        yield folder


def _folder_of(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _file_of(name: str) -> str:
    return name[name.rfind("/") + 1 :]


FORMAT = Format(
    name="slack_dump",
    looked_for="Slack messages (an array of objects with ts, or a slackdump object with such messages)",
    parse=parse,
    owns=owns,
    beside=beside,
)
