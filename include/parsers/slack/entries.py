"""
Decodes files of Slack messages into :class:`Entry`, fast where they are regular and tolerant where they are not.

An ordinary day file is decoded in one go into structs with only the members needed (half the time of decoding
everything). An irregular file is decoded entry by entry, a broken one up to the break.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from operator import attrgetter
from typing import Any, BinaryIO

import msgspec

from include.archive import Archive
from include.parsers.json.loose import decode_loose, repaired, without_mark
from include.parsers.json.stream import BrokenJson, entries, in_lines

WHOLE_FILE_BYTES = 32 << 20
"""Up to this a file is decoded in one go; above, entry by entry in bounded memory, at about a tenth of the speed."""

_LINES_BYTES = 32 << 20
"""The longest first line of a file of lines."""

_SLICE = 1_000
_NOTHING = msgspec.Raw()


class Edited(msgspec.Struct, gc=False):
    """The time of the last edit; an export does not have the old text."""

    ts: str | None = None


class Entry(msgspec.Struct, gc=False):
    """The members of a message that are read. Nested parts stay undecoded until a message needs them."""

    ts: str | None = None
    user: str | None = None
    text: str | None = None
    subtype: str | None = None
    thread_ts: str | None = None
    bot_id: str | None = None
    username: str | None = None
    hidden: bool | None = None
    edited: Edited | None = None
    user_profile: msgspec.Raw = _NOTHING
    bot_profile: msgspec.Raw = _NOTHING
    blocks: msgspec.Raw = _NOTHING
    attachments: msgspec.Raw = _NOTHING
    files: msgspec.Raw = _NOTHING
    file: msgspec.Raw = _NOTHING
    comment: msgspec.Raw = _NOTHING
    room: msgspec.Raw = _NOTHING
    replies: msgspec.Raw = _NOTHING
    slackdump_thread_replies: msgspec.Raw = _NOTHING
    thread_replies: msgspec.Raw = _NOTHING


class NestingEntry(Entry, gc=False):
    """Further members of entries outside of day files; read only there, since each member takes time."""

    channel: Any = None
    channel_type: str | None = None
    messages: msgspec.Raw = _NOTHING
    """Of an answer of the API among the entries, not of a message."""
    event: msgspec.Raw = _NOTHING
    payload: msgspec.Raw = _NOTHING
    """Of a payload of Slack's Events API, which has the message in ``event``; not of a message."""


class Defect(msgspec.Struct, frozen=True):
    """A value that is no entry; ``reason`` quotes nothing of the file."""

    reason: str
    unread: bool = False
    """Whether it stands for the rest of the file, or all of it."""


type Slice = list[Entry | Defect]

_TEXTS = ("user", "text", "subtype", "bot_id", "username", "channel_type")
_NESTED = tuple(
    field for field, type_ in (Entry.__annotations__ | NestingEntry.__annotations__).items() if type_ is msgspec.Raw
)
_FILE = msgspec.json.Decoder(list[Entry | str | int | float | bool | list[Any] | None])
"""Values that are no message are accepted, so that the file is still decoded in one go."""
_TS = attrgetter("ts")
_WORDS_KEY = re.compile(rb'"(?:text|blocks|attachments|files)"\s*:')
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ENTRY = msgspec.json.Decoder(Entry)
_ITEM = msgspec.json.Decoder(NestingEntry)
_NESTING_FILE = msgspec.json.Decoder(list[NestingEntry | str | int | float | bool | list[Any] | None])


def read_entries(archive: Archive, name: str, *, loose: bool = False) -> Iterator[Slice]:
    """
    Yield the entries of a file in order, a few thousand at a time; nested replies follow their root.

    The file holds an array of messages, an answer of Slack's API with such an array, arrays of these, or one message or
    answer per line.

    :param loose: Also read the members that describe the conversation, which takes longer.
    :raises EntryUnreadable: if the file is damaged or over a limit; what was yielded before is valid.
    """
    if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
        yield decode_entries(archive.read(name), loose=loose)
    else:
        with archive.open(name) as stream:
            start = stream.peek(64)[:64]  # type: ignore[attr-defined]
        if without_mark(start).lstrip().startswith(b"["):
            path = "item"
        else:
            path = "" if holds_lines(archive, name) else "messages.item"
        yield from stream_entries(archive, name, path)


def holds_lines(archive: Archive, name: str) -> bool:
    """Return whether a large file has one value per line."""
    with archive.open(name) as stream:
        return in_lines(stream.read(_LINES_BYTES))


def stream_entries(archive: Archive, name: str, path: str) -> Iterator[Slice]:
    """Yield entries as :func:`read_entries` does, one after the other in bounded memory."""
    with archive.open(name) as stream:
        for part in batched(complete_prefix(stream, path), _SLICE):
            yield _flat(part)


def decode_entries(data: bytes, *, loose: bool = False) -> Slice:
    """Return the entries of a file, see :func:`read_entries`; a value that cannot be decoded is a :class:`Defect`."""
    data = without_mark(data)
    if data.lstrip()[:1] == b"{":
        return _decode_objects(data)
    try:
        items: list[Any] = (_NESTING_FILE if loose else _FILE).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _flat(_decode_each(data))
    if loose:
        return _flat(items)
    if set(map(type, items)) <= {Entry} and None not in map(_TS, items):
        return _flat(items) if _nest(items) else items
    without_time = [number for number, item in enumerate(items) if type(item) is Entry and item.ts is None]
    if without_time:  # these few may hold messages, which only a nesting entry shows
        texts = _ITEMS.decode(data)
        for number in without_time:
            items[number] = _decode_one(texts[number])
    return _flat(items)


def _nest(items: Iterable[Any]) -> bool:
    """Return whether whole messages are nested in entries; Slack's own lists of replies have only user and time."""
    with_replies = [
        item
        for item in items
        if item.replies is not _NOTHING
        or item.slackdump_thread_replies is not _NOTHING
        or item.thread_replies is not _NOTHING
    ]
    return any(
        _WORDS_KEY.search(item.replies or item.slackdump_thread_replies or item.thread_replies) for item in with_replies
    )


def _decode_objects(data: bytes) -> Slice:
    """Return the entries of an object, or of several, one per line."""
    try:
        return _flat([_ITEM.decode(data)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) > 1 and _is_object(lines[0]):
            return _flat([_decode_one(line) for line in lines])
    if _is_object(data):
        return _flat([_decode_one(data)])
    return list(complete_prefix(io.BytesIO(data), "messages.item"))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(decode_loose(data), dict)
    except ValueError:
        return False


def entries_of(items: Iterable[object]) -> Slice:
    """Return the entries that decoded values are, see :func:`read_entries`."""
    return _flat(items)


def _flat(items: Iterable[object]) -> Slice:
    """Return entries with the replies that are nested in them, and those of answers and arrays among them."""
    result: Slice = []
    for item in items:
        if type(item) is Entry and not (item.replies or item.slackdump_thread_replies or item.thread_replies):
            result.append(item)
            continue
        if isinstance(item, list) and item and all(isinstance(inner, dict) and "ts" in inner for inner in item):
            result += _flat(item)  # a page of an answer
            continue
        entry = item if isinstance(item, Entry | Defect) else entry_of(item)
        if isinstance(entry, Defect):
            result.append(entry)
        elif isinstance(entry, NestingEntry) and entry.messages and not entry.ts:
            result += decode_entries(bytes(entry.messages), loose=True)
        elif isinstance(entry, NestingEntry) and (entry.event or entry.payload) and not entry.ts:
            result += _of_event(entry)
        else:
            result.append(entry)
            for nested in (entry.replies, entry.slackdump_thread_replies, entry.thread_replies):
                if nested and _WORDS_KEY.search(nested):
                    replies = decode_entries(bytes(nested))
                    for reply in replies:
                        if isinstance(reply, Entry) and not reply.thread_ts:
                            reply.thread_ts = entry.ts
                    result += replies
    return result


def _of_event(entry: NestingEntry) -> Slice:
    """Return the message that an event of the Events API reports; other events are hidden entries."""
    inner = _decode_one(entry.event or entry.payload)
    if isinstance(inner, NestingEntry) and inner.event and not inner.ts:
        inner = _decode_one(inner.event)
    if isinstance(inner, Entry) and not (inner.ts and (inner.text is not None or inner.subtype)):
        inner.hidden = True
    return [inner]


def _decode_each(data: bytes) -> Slice:
    try:
        try:
            items = _ITEMS.decode(data)
        except msgspec.ValidationError:
            return [Defect("expected an array of messages", unread=True)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            items = _ITEMS.decode(repaired(data))
        return [entry for item in items for entry in _decode_item(item)]
    except (msgspec.DecodeError, ValueError):
        return list(complete_prefix(io.BytesIO(data), "item"))


def _decode_item(item: msgspec.Raw) -> Slice:
    try:
        if (entry := _ENTRY.decode(item)).ts is not None:  # as nearly all entries beside an odd one
            return [entry]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    data = bytes(item)
    return _flat([decode_loose(data)]) if data.startswith(b"[") else [_decode_one(data)]


def _decode_one(data: bytes | msgspec.Raw) -> NestingEntry | Defect:
    try:
        return _ITEM.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return entry_of(msgspec.json.decode(repaired(bytes(data))))
        except (msgspec.DecodeError, ValueError) as error:
            return Defect(str(error))


def complete_prefix(stream: BinaryIO, path: str) -> Iterator[Entry | Defect]:
    """Yield the entries up to where the text breaks off, and a :class:`Defect` for the rest."""
    try:
        for item in entries(stream, path, _decode_one):
            yield Defect(str(item)) if isinstance(item, BrokenJson) else item
    except BrokenJson as error:
        yield Defect(str(error), unread=True)


def decoded(part: msgspec.Raw) -> Any:
    """Decode a nested part of an entry; one that is absent or broken is ``None``."""
    try:
        return decode_loose(bytes(part)) if part else None
    except ValueError:
        return None


def entry_of(item: object) -> NestingEntry | Defect:
    """Return the entry that a decoded object is, without the fields that are of a wrong type."""
    if not isinstance(item, Mapping):
        return Defect(f"expected an object, found {_JSON_NAMES.get(type(item), 'a number')}")
    fields: dict[str, Any] = {key: item[key] for key in _TEXTS if isinstance(item.get(key), str)}
    fields.update((key, msgspec.Raw(msgspec.json.encode(item[key]))) for key in _NESTED if key in item)
    edited = item.get("edited")
    return NestingEntry(
        **fields,
        ts=_digits(item.get("ts")),
        thread_ts=_digits(item.get("thread_ts")),
        hidden=item.get("hidden") is True,
        channel=item.get("channel"),
        edited=Edited(_digits(edited.get("ts"))) if isinstance(edited, Mapping) else None,
    )


def _digits(value: object) -> str | None:
    """Return a time as text; a number has lost the zeros at its end."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    seconds, point, fraction = str(value).partition(".")
    return f"{seconds}.{fraction:0<6}" if point else seconds


_JSON_NAMES = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}
