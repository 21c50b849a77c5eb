"""A first look at a JSON file: enough to tell formats apart by content, never more than its first 64 KiB."""

import io
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import BinaryIO, NamedTuple

import ijson

from include.archive import Archive

HEAD_BYTES = 1 << 16
_EVENTS = 4_000
_DEPTH = 12
_BOM = b"\xef\xbb\xbf"


class Head(NamedTuple):
    """The shape of a JSON file's beginning."""

    start: str
    """``{``, ``[``, or empty for anything that is not JSON."""

    keys: Mapping[str, frozenset[str]]
    """
    Keys seen per place: ``""`` is the outermost object, ``item`` an item of the outermost array,
    ``messages.item.author`` the author of a message in ``messages``. JSON Lines look like one object.
    """

    def has(self, place: str, *keys: str) -> bool:
        """Tell whether all these keys were seen at a place."""
        return self.keys.get(place, frozenset()).issuperset(keys)


def look(archive: Archive, name: str) -> Head:
    """
    Look at the beginning of a file.

    :raises EntryUnreadable: if not even that can be read.
    """
    with open_json(archive, name) as stream:
        return head_of(stream.read(HEAD_BYTES))


def head_of(data: bytes) -> Head:
    """Return the shape of the beginning of a JSON text; broken or cut text gives what came before."""
    start = data.lstrip()[:1].decode("latin-1")
    if start not in ("{", "["):
        return Head("", {})
    keys: dict[str, set[str]] = defaultdict(set)
    frames = [["", ""]]  # per open container: its place, and the place of its next value
    try:
        # use_float: ijson 3.6.0 otherwise crashes the process on a number of more than 4,300 digits
        for event, value in islice(ijson.basic_parse(io.BytesIO(data), multiple_values=True, use_float=True), _EVENTS):
            if event == "map_key":
                place = frames[-1][0]
                keys[place].add(value)
                frames[-1][1] = f"{place}.{value}" if place else value
            elif event in ("start_map", "start_array"):
                if len(frames) > _DEPTH:
                    break
                place = frames[-1][1]
                item = f"{place}.item" if place else "item"
                frames.append([place, item if event == "start_array" else place])
            elif event in ("end_map", "end_array"):
                frames.pop()
    except (ijson.JSONError, UnicodeDecodeError):
        pass  # cut at 64 KiB, or broken further on: what came before tells enough
    return Head(start, {place: frozenset(found) for place, found in keys.items()})


def open_json(archive: Archive, name: str) -> BinaryIO:
    """Open a file of an archive behind its byte order mark, if it has one."""
    stream = archive.open(name)
    if stream.peek(len(_BOM))[: len(_BOM)] == _BOM:  # type: ignore[attr-defined]
        stream.read(len(_BOM))
    return stream
