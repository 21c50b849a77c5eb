"""
Decodes files of Slack messages into :class:`Entry`, fast where they are regular and tolerant where they are not.

An ordinary day file is decoded in one go into structs that build only what is needed (half the time of decoding
everything). A file that does not fit is decoded entry by entry, one that is broken up to where it breaks.
"""

import io
from collections.abc import Iterator, Mapping
from itertools import batched
from typing import Any, BinaryIO

import msgspec

from include.archive import Archive
from include.parsers.json_loose import decode_loose, mended, without_mark
from include.parsers.json_stream import BrokenJson, entries

WHOLE_FILE_BYTES = 32 << 20
"""Up to this a file is decoded in one go; above, entry by entry in bounded memory, at about a tenth of the speed."""

_SLICE = 1_000
_NOTHING = msgspec.Raw()


class Edited(msgspec.Struct, gc=False):
    """When a message was last edited; its old text is not in an export."""

    ts: str | None = None


class Entry(msgspec.Struct, gc=False):
    """What is read of a message. Nested parts stay undecoded until a message needs them."""

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
    slackdump_thread_replies: msgspec.Raw = _NOTHING


class Defect(msgspec.Struct, frozen=True):
    """Something in place of an entry that is none; ``reason`` quotes nothing of the file."""

    reason: str


type Slice = list[Entry | Defect]

_TEXTS = ("user", "text", "subtype", "bot_id", "username")
_NESTED = tuple(field for field, type_ in Entry.__annotations__.items() if type_ is msgspec.Raw)
_FILE = msgspec.json.Decoder(list[Entry | str | int | float | bool | list[Any] | None])
"""What is no message is let through, so that it does not cost its neighbours the fast way."""
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM = msgspec.json.Decoder(Entry)


def read_entries(archive: Archive, name: str) -> Iterator[Slice]:
    """
    Yield the entries of a file that holds an array, in order, a few thousand at a time.

    :raises EntryUnreadable: if the file is damaged or over a limit; what was yielded before stands.
    """
    if archive.size_bytes(name) <= WHOLE_FILE_BYTES:
        yield decode_entries(archive.read(name))
    else:
        yield from stream_entries(archive, name, "item")


def stream_entries(archive: Archive, name: str, path: str) -> Iterator[Slice]:
    """Yield entries as :func:`read_entries` does, one after the other in bounded memory."""
    with archive.open(name) as stream:
        for part in batched(complete_prefix(stream, path), _SLICE):
            yield list(part)


def decode_entries(data: bytes) -> Slice:
    """Return the entries of a JSON array; whatever cannot be decoded is a :class:`Defect` in its place."""
    data = without_mark(data)
    try:
        items = _FILE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_each(data)
    if set(map(type, items)) <= {Entry}:
        return items  # type: ignore[return-value]
    return [item if isinstance(item, Entry) else entry_of(item) for item in items]


def _decode_each(data: bytes) -> Slice:
    try:
        try:
            items = _ITEMS.decode(data)
        except msgspec.ValidationError:
            return [Defect("expected an array of messages")]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            items = _ITEMS.decode(mended(data))
        return [_decode_one(bytes(item)) for item in items]
    except (msgspec.DecodeError, ValueError):
        return list(complete_prefix(io.BytesIO(data), "item"))


def _decode_one(data: bytes | msgspec.Raw) -> Entry | Defect:
    try:
        return _ITEM.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return entry_of(msgspec.json.decode(mended(bytes(data))))
        except (msgspec.DecodeError, ValueError) as error:
            return Defect(str(error))


def complete_prefix(stream: BinaryIO, path: str) -> Iterator[Entry | Defect]:
    """Yield the entries up to where the text breaks off, and a :class:`Defect` for the rest."""
    try:
        for item in entries(stream, path, _decode_one):
            yield Defect(str(item)) if isinstance(item, BrokenJson) else item
    except BrokenJson as error:
        yield Defect(str(error))


def decoded(part: msgspec.Raw) -> Any:
    """Decode a nested part of an entry; one that is absent or broken is ``None``."""
    try:
        return decode_loose(bytes(part)) if part else None
    except ValueError:
        return None


def entry_of(item: object) -> Entry | Defect:
    """Return the entry that a decoded object is, without the fields that are of a wrong type."""
    if not isinstance(item, Mapping):
        return Defect(f"expected an object, found {_JSON_NAMES.get(type(item), 'a number')}")
    fields: dict[str, Any] = {key: item[key] for key in _TEXTS if isinstance(item.get(key), str)}
    fields.update((key, msgspec.Raw(msgspec.json.encode(item[key]))) for key in _NESTED if key in item)
    edited = item.get("edited")
    return Entry(
        **fields,
        ts=_digits(item.get("ts")),
        thread_ts=_digits(item.get("thread_ts")),
        hidden=item.get("hidden") is True,
        edited=Edited(_digits(edited.get("ts"))) if isinstance(edited, Mapping) else None,
    )


def _digits(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, str | int | float) else None


_JSON_NAMES = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}
