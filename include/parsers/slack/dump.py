"""
Slack messages in separate files, one or more for each conversation, as tools and scripts save them from Slack's API.

- An array of messages, an answer of the API, or a message per line. The file's name is that of the channel, unless a
  list of conversations is beside it (slack-archive does that).
- slackdump's ``dump``: ``{"channel_id", "name", "thread_ts", "messages"}``, a channel or a thread.
- slackdump's chunks: lines ``{"t": 0, "id": "C1", "m": […]}``, the kind of line in ``t`` (github.com/rusq/slackdump,
  ``internal/chunk``).

Lists of people and conversations in the same folder, or in one above, give names and mark private conversations.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count, groupby
from operator import itemgetter
from typing import Any

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.json.head import Head, inspect_head
from include.parsers.json.loose import decode_loose, without_mark
from include.parsers.json.stream import MAX_ENTRY_BYTES, BrokenJson, documents, entries
from include.parsers.json.values import as_dict, as_dicts, as_str
from include.parsers.outcomes import exclusion_reason, reject_file
from include.parsers.slack.entries import (
    WHOLE_FILE_BYTES,
    Defect,
    NestingEntry,
    Slice,
    decode_entries,
    entries_of,
    holds_lines,
    read_entries,
    stream_entries,
)
from include.parsers.slack.export import conversation_of, named_without_entries, outcomes, read_lists_beside
from include.parsers.slack.index import Channel, Index, Lists, is_private_kind, names_around, privacy_of
from include.parsers.slack.messages import SOURCE, Classifier
from include.parsers.slack.nested import conversations_in
from include.parsers.slack.shapes import (
    is_chunk,
    is_nested,
    kind_by_name,
    list_kind,
    list_name,
    lists_people,
    message_places,
)
from include.records import Note, ParsedMany

type _Part = tuple[Channel, Iterator[Slice], Iterable[int]]
"""A conversation, entries of it, and their positions in the file."""

_PART = re.compile(
    r"(?:\d{10}[._]\d{6}|\d{4}(?:[-_. ]?\d{2}){0,2}|(?:page|part|chunk)?[-_ ]?\d+"
    r"|threads?|replies|messages?|history|channel|conversation|data|export)(?:[-_ ]?\(?\d+\)?)?",
    re.IGNORECASE,
)
"""Names of files that do not name a conversation: a time, a number, or a general word."""
_NAMED_PART = re.compile(
    r"(.+?)[-_ ](?:replies|threads?|history|messages|export|(?:thread[-_ ])?\d{10}[._]\d{6})", re.IGNORECASE
)
_CONVERSATION_ID = re.compile(r"[CDG][0-9A-Z]+")


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

_FIRST = 100
"""Messages in which a file is searched for its conversation."""

_CHUNK = msgspec.json.Decoder(_Chunk)


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """Yield every entry of the files, in order; nested replies follow their root."""
    heads = {name: inspect_head(archive, name) for name in archive.names()}
    indexes, broken = _indexes(archive, heads, export, options)
    for name, reason in broken.items():
        yield from reject_file(name, SOURCE, reason)
    classifiers = {
        folder: Classifier(index, options, partial(_every_file, archive, folder, heads, index))
        for folder, index in indexes.items()
    }
    unsure: set[str] = set()
    present: set[str] = set()
    for name, head in heads.items():
        if _is_list(name, head):
            continue
        folder = _folder_of(name)
        try:
            for channel, slices, positions in _conversations(archive, name, head, indexes[folder]):
                conversation = conversation_of(channel, "", options)
                yield conversation
                present.add(channel.id)
                reason = exclusion_reason(conversation, options)
                if channel.unsure and not (conversation.private or reason):
                    unsure.add(conversation.conversation_id)
                yield from outcomes(slices, conversation.conversation_id, name, classifiers[folder], reason, positions)
        except EntryUnreadable as error:  # before its conversation is known
            yield from reject_file(name, SOURCE, str(error))
    for classifier in classifiers.values():
        yield from classifier.notes()
    for index in indexes.values():
        yield from named_without_entries(index, present, "", options)
    yield Note(code="maybe_private", count=len(unsure))


def _indexes(
    archive: Archive, heads: Mapping[str, Head], export: Export, options: ParseOptions
) -> tuple[dict[str, Index], dict[str, str]]:
    """
    Return the lists that apply to each folder, and the reasons of those that cannot be read, by name.

    Lists apply to their folder and those below it. A folder without a list of conversations uses those of all other
    folders, and those of other parts of the source.
    """
    lists: dict[str, Lists] = defaultdict(Lists)
    for name, head in heads.items():
        _read_lists(archive, name, head, lists[_folder_of(name)])
    broken = {name: reason for found in lists.values() for name, reason in found.broken.items()}
    everywhere = Lists()
    for found in lists.values():
        everywhere.include(found)
    read_lists_beside(export, everywhere, options)
    for folder in sorted(lists):
        if (parent := next((above for above in _above(folder) if above in lists), None)) is not None:
            lists[folder].include(lists[parent])
        if not lists[folder].list_conversations:
            lists[folder].include(everywhere)
    around = names_around(archive)
    return {folder: found.index()._replace(around=around) for folder, found in lists.items()}, broken


def _every_file(archive: Archive, folder: str, heads: Mapping[str, Head], index: Index) -> Iterator[Iterator[Slice]]:
    """Yield the entries of each conversation in a folder."""
    for name, head in heads.items():
        if _folder_of(name) == folder and not _is_list(name, head):
            with suppress(EntryUnreadable):
                yield from (slices for _, slices, _ in _conversations(archive, name, head, index))


def beside(archive: Archive, names: Sequence[str]) -> list[str]:
    """Return the lists in the folders of these files and above, which may describe another export as well."""
    folders = {folder for name in names for folder in (_folder_of(name), *_above(_folder_of(name)))}
    return [name for name in archive.names() if _folder_of(name) in folders and kind_by_name(name)]


def matches_file(head: Head) -> bool:
    """Return whether a file has messages of Slack, or lists of its users or conversations."""
    return (
        list_kind("", head) != ""
        or is_chunk(head)
        or (head.has("", "channel_id", "messages") and not _other_messages(head))
        or any(message_places(head))
    )


def _other_messages(head: Head) -> bool:
    """Return whether the messages are not Slack's: they have no ``ts``."""
    return bool(head.keys.get("messages.item")) and not head.has("messages.item", "ts")


def _is_list(name: str, head: Head) -> bool:
    return list_kind(name, head) != "" or (is_chunk(head) and not head.has("", "m"))


def _read_lists(archive: Archive, name: str, head: Head, lists: Lists) -> None:
    """Read the people and conversations that a file lists."""
    if is_chunk(head):
        for chunk in _chunks(archive, name):
            if isinstance(chunk, _Chunk):
                lists.people(as_dicts(chunk.u))
                if chunk.ch:
                    lists.conversations(as_dicts(chunk.ch), list_name(name) or _file_of(name))
                if chunk.ci:
                    lists.add_conversation(as_dict(chunk.ci))
    elif kind := list_kind(name, head):
        lists.add(archive, name, kind)
    elif lists_people(head) and archive.size_bytes(name) <= WHOLE_FILE_BYTES:  # beside its messages
        with suppress(EntryUnreadable, ValueError):
            lists.people(as_dicts(as_dict(decode_loose(archive.read(name))).get("users")))


def _conversations(archive: Archive, name: str, head: Head, index: Index) -> Iterator[_Part]:
    """Yield the conversations of a file, each with its entries."""
    if is_chunk(head):
        yield from _of_chunks(archive, name, index)
    elif is_nested(head):
        yield from _of_nested(archive, name, index)
    elif head.has("", "messages") and not head.has("", "ts"):
        yield from _of_dump(archive, name, index)
    else:
        yield from _by_channel(read_entries(archive, name, loose=True), {}, (), name, index)


def _by_channel(
    slices: Iterable[Slice], described: Mapping[str, Any], kinds: Sequence[str], file: str, index: Index
) -> Iterator[_Part]:
    """Yield entries by the conversation that they name; those that name none belong to the file's own."""
    said: dict[str, dict[str, Any]] = defaultdict(dict)
    start = 0
    for part in slices:
        for key, (own, positions) in _groups(part).items():
            about = _said_by(own)
            said[key] = {**said[key], **about} if privacy_of(about) else {**about, **said[key]}
            channel = _channel({**described, **said[key]} if key else {**said[key], **described}, file, index, kinds)
            yield channel, iter([own]), [start + position for position in positions]
        start += len(part)


def _groups(part: Slice) -> dict[str, tuple[Slice, Sequence[int]]]:
    """Return the entries of each conversation by its id, with their positions; a reply follows its root."""
    if not any(isinstance(entry, NestingEntry) and entry.channel for entry in part):
        return {"": (part, range(len(part)))}
    groups: dict[str, tuple[Slice, list[int]]] = {}
    threads: dict[str, str] = {}
    last = ""
    for position, entry in enumerate(part):
        if isinstance(entry, NestingEntry):
            last = _channel_id(entry.channel) or threads.get(entry.thread_ts or "", "")
            threads.setdefault(entry.ts or "", last)
        own, positions = groups.setdefault(last, ([], []))
        own.append(entry)
        positions.append(position)
    named = [key for key in groups if key]
    return dict.fromkeys(named, (part, range(len(part)))) if len(named) == 1 else {**groups}


def _channel_id(channel: object) -> str:
    """Return the id of the conversation that a message names."""
    return as_str(as_dict(channel).get("id")) or as_str(channel)


def _of_nested(archive: Archive, name: str, index: Index) -> Iterator[_Part]:
    """Yield the conversations of a file that has them at several places."""
    start = 0
    for value in _values(archive, name):
        found = [({}, (), [value])] if isinstance(value, Defect) else conversations_in(value)
        for described, kinds, items in found:
            part = entries_of(items)
            for channel, slices, positions in _by_channel([part], described, kinds, name, index):
                yield channel, slices, [start + position for position in positions]
            start += len(part)


def _values(archive: Archive, name: str) -> Iterator[Any]:
    """Yield the values of a file: its only value, one per line, or the items of a large or broken array."""
    if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
        try:
            yield decode_loose(archive.read(name))
            return
        except ValueError:
            pass
    with archive.open(name) as stream:
        start = without_mark(stream.peek(64)[:64]).lstrip()  # type: ignore[attr-defined]
        try:
            for value in entries(stream, "item" if start.startswith(b"[") else "", _value):
                yield Defect(str(value)) if isinstance(value, BrokenJson) else value
        except BrokenJson as error:
            yield Defect(str(error))


def _value(data: bytes | msgspec.Raw) -> Any:
    try:
        return decode_loose(bytes(data))
    except ValueError as error:
        return BrokenJson(str(error))


def _of_dump(archive: Archive, name: str, index: Index) -> Iterator[_Part]:
    """Yield the conversation of a dump or an answer of the API, and its entries."""
    if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
        try:
            data = without_mark(archive.read(name))
            members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
            messages = members.pop("messages")
            described = {key: decode_loose(bytes(value)) for key, value in members.items()}
            decoded = decode_entries(bytes(messages), loose=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, KeyError, EntryUnreadable):
            pass  # broken somewhere: entry by entry, up to the break
        else:
            yield from _of_messages(iter([decoded]), described, name, index)
            return
    if holds_lines(archive, name):
        yield from _of_nested(archive, name, index)
    else:
        yield from _of_messages(stream_entries(archive, name, "messages.item"), _outline(archive, name), name, index)


def _of_messages(slices: Iterable[Slice], described: Mapping[str, Any], name: str, index: Index) -> Iterator[_Part]:
    """Yield the messages of a dump; where it names no conversation, its messages may."""
    if _key(described):
        yield _channel(described, name, index), iter(slices), count()
    else:
        yield from _by_channel(slices, described, (), name, index)


def _outline(archive: Archive, name: str) -> dict[str, Any]:
    """Return the members of a large dump before its messages."""
    try:
        with archive.open(name) as stream:
            for document in documents(stream, members=_DESCRIBING, lists=("messages",), early=True):
                return document.members
    except (BrokenJson, EntryUnreadable):
        pass
    return {}


def _said_by(own: Slice) -> dict[str, Any]:
    """Return the description of a conversation in its messages."""
    channels = [entry.channel for entry in own if isinstance(entry, NestingEntry) and entry.channel]
    types = {entry.channel_type for entry in own if isinstance(entry, NestingEntry) and entry.channel_type}
    said: dict[str, Any] = {**as_dict(channels[0]), "id": _channel_id(channels[0])} if channels else {}
    kind = next((kind for kind in sorted(types) if privacy_of({"type": kind})), types.pop() if len(types) == 1 else "")
    return said | ({"type": kind} if kind else {})


def _channel(described: Mapping[str, Any], file: str, index: Index, kinds: Sequence[str] = ()) -> Channel:
    """
    Return the conversation of a file, or of a part of one.

    :param described: Its description in the file: members of a dump, or members of its messages.
    :param kinds: Names of folders and members around it, which may name its kind.
    """
    for member in _DESCRIBED_IN:
        described = {**described, **as_dict(described.get(member))}
    path = file.rpartition(".")[0] or file
    *above, stem = path.split("/")
    named = _NAMED_PART.fullmatch(stem)
    if named and not index.knows(stem) and (_CONVERSATION_ID.fullmatch(named[1]) or index.knows(named[1])):
        stem = named[1]
        path = "/".join((*above, stem))
    while above and _is_part_of_conversation(stem, above[-1], index):
        path = path.removesuffix(f"/{stem}")
        *above, stem = above
    key = _key(described)
    label = as_str(described.get("name")) or as_str(described.get("channel_name")) or as_str(described.get("named"))
    kinds = (*above, *kinds)
    channel = index.channel(key or label or stem, kinds)
    private = privacy_of({**described, "id": key or stem})
    if channel.id not in index.listed:
        name = label or key or stem
        channel = channel._replace(
            id=key or (f"{path}/{label}" if described.get("named") else path), name=name, folder=name
        )
        if private == "" and not any(map(is_private_kind, kinds)):  # its own description says that it is public
            channel = channel._replace(private="", unsure=False)
    return channel._replace(private=channel.private or private or "")


def _key(described: Mapping[str, Any]) -> str:
    """Return the id of a conversation."""
    named = (described.get(key) for key in ("channel_id", "id", "channel"))
    return next((value for value in named if isinstance(value, str) and value), "")


def _is_part_of_conversation(stem: str, folder: str, index: Index) -> bool:
    """Return whether a file is part of a conversation that its folder is named after."""
    if is_private_kind(folder) or index.knows(stem):
        return False
    return _PART.fullmatch(stem) is not None or index.knows(folder)


def _of_chunks(archive: Archive, name: str, index: Index) -> Iterator[_Part]:
    for channel_id, run in groupby(_message_chunks(archive, name), key=itemgetter(0)):
        yield index.channel(channel_id), (part for _, part in run), count()


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
    parse=parse,
    matches_file=matches_file,
    beside=beside,
)
