"""
Loose Slack JSON: slackdump's ``dump`` (one object per channel or thread) and bare arrays of messages.

A dump nests replies below their root in ``slackdump_thread_replies`` and drops the copies of replies that were also
sent to the channel (github.com/rusq/slackdump, ``types``). A bare array is what a script makes of a channel: it says
nothing about the channel, so the file's name stands for it. Lists of users lying beside them give names.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head, look
from include.parsers.json_loose import decode_loose, without_mark
from include.parsers.json_stream import BrokenJson, documents
from include.parsers.outcomes import left_out, unreadable
from include.parsers.slack import conversation_of, outcomes
from include.parsers.slack_entries import (
    WHOLE_FILE_BYTES,
    Entry,
    Slice,
    decode_entries,
    read_entries,
    stream_entries,
)
from include.parsers.slack_index import Channel, index_of_users
from include.parsers.slack_messages import SOURCE, Judge
from include.records import Note, Parsed

_SAYINGS = ("text", "user", "type", "subtype")
_PRIVATE = re.compile(r"[DG][0-9A-Z]+")
"""Ids of direct messages and of private groups; newer private channels cannot be told from public ones."""


class _Dump(msgspec.Struct):
    """One channel or thread, as slackdump writes it."""

    channel_id: Any = None
    name: Any = None
    messages: msgspec.Raw = msgspec.Raw(b"[]")


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """Yield every entry of the files, in order; nested replies follow their root."""
    heads = {name: look(archive, name) for name in archive.names()}
    people: list[object] = []
    for name in [name for name, head in heads.items() if _lists_users(head)]:
        try:
            people += decode_loose(archive.read(name))
        except (EntryUnreadable, ValueError) as error:
            yield from unreadable(name, SOURCE, str(error))
    files = [name for name, head in heads.items() if not _lists_users(head)]
    judge = Judge(index_of_users(people), options, lambda: (_read(archive, name, heads[name])[1] for name in files))
    unsure: set[str] = set()
    for name in files:
        channel, slices = _read(archive, name, heads[name])
        conversation = conversation_of(channel, "", options)
        yield conversation
        reason = left_out(conversation, options)
        if not (conversation.private or reason):
            unsure.add(conversation.conversation_id)
        yield from outcomes(slices, conversation.conversation_id, name, judge, reason)
    yield from judge.notes()
    yield Note(code="maybe_private", count=len(unsure))


def owns(head: Head) -> bool:
    """Tell messages of Slack, and lists of its users, from anything else."""
    return (
        _lists_users(head)
        or head.has("", "channel_id", "messages")
        or _says(head, "messages.item")
        or _says(head, "item")
    )


def _says(head: Head, place: str) -> bool:
    return head.has(place, "ts") and any(head.has(place, key) for key in _SAYINGS)


def _lists_users(head: Head) -> bool:
    return head.has("item", "id", "profile")


def _read(archive: Archive, name: str, head: Head) -> tuple[Channel, Iterator[Slice]]:
    return _array(archive, name) if head.start == "[" else _dump(archive, name)


def _array(archive: Archive, name: str) -> tuple[Channel, Iterator[Slice]]:
    stem = name.rpartition(".")[0] or name
    label = stem.rpartition("/")[2]
    return Channel(stem, label, label, "", private=False), read_entries(archive, name)


def _dump(archive: Archive, name: str) -> tuple[Channel, Iterator[Slice]]:
    """Return what a dump is about, and its entries with the replies among them."""
    try:
        if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
            dump = msgspec.json.decode(without_mark(archive.read(name)), type=_Dump)
            return _channel(dump, name), iter([_with_replies(decode_entries(bytes(dump.messages)))])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EntryUnreadable):
        pass  # too large, or broken somewhere: entry by entry, as far as it goes
    slices = (_with_replies(part) for part in stream_entries(archive, name, "messages.item"))
    return _channel(_outline(archive, name), name), slices


def _outline(archive: Archive, name: str) -> _Dump:
    try:
        with archive.open(name) as stream:
            for document in documents(stream, members=("channel_id", "name"), lists=("messages",), early=True):
                return _Dump(**document.members)
    except (BrokenJson, EntryUnreadable):
        pass
    return _Dump()


def _channel(dump: _Dump, file: str) -> Channel:
    stem = file.rpartition("/")[2].partition(".")[0]
    key = dump.channel_id if isinstance(dump.channel_id, str) and dump.channel_id else stem
    name = dump.name if isinstance(dump.name, str) and dump.name else key
    return Channel(key, name, name, "", private=_PRIVATE.fullmatch(key) is not None or name.startswith("mpdm-"))


def _with_replies(part: Slice) -> Slice:
    result: Slice = []
    for entry in part:
        result.append(entry)
        if isinstance(entry, Entry) and entry.slackdump_thread_replies:
            result += decode_entries(bytes(entry.slackdump_thread_replies))
    return result


FORMAT = Format(
    name="slack_dump",
    looked_for="Slack messages (an array of objects with ts, or a slackdump object with such messages)",
    parse=parse,
    owns=owns,
)
