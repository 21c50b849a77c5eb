"""Finds the keys at the beginning of a JSON file (64 KiB at most), from which its format is recognised."""

import io
import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import ijson

from include.archive import Archive
from include.parsers.json.loose import without_mark
from include.parsers.json.stream import in_lines

HEAD_BYTES = 1 << 16
_EVENTS = 4_000
_DEPTH = 12
_LINES = 20

_NOT_JSON = re.compile(rb"\\\\|(\\[^\"\\/bfnrtu]|\\u(?![0-9a-fA-F]{4})|[\x00-\x1f])")
_NO_NUMBER = re.compile(rb"(?<=[:,\[\s])(?:NaN|-?Infinity)(?=[\s,\]}])")


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
        """Return whether all these keys were seen at a place."""
        return self.keys.get(place, frozenset()).issuperset(keys)


def inspect_head(archive: Archive, name: str) -> Head:
    """
    Return the shape of the beginning of a file.

    :raises EntryUnreadable: if the beginning cannot be read.
    """
    with archive.open(name) as stream:
        return head_of(stream.read(HEAD_BYTES))


def head_of(data: bytes) -> Head:
    """Return the shape of the beginning of a JSON text; broken or cut text gives the keys before the break."""
    data = without_mark(data)
    start = data.lstrip()[:1].decode("latin-1")
    if start not in ("{", "["):
        return Head("", {})
    keys: dict[str, set[str]] = defaultdict(set)
    if not _collect(data, keys):
        _collect(_repaired(data), keys)
        for line in data.split(b"\n", _LINES)[:_LINES] if in_lines(data) else ():
            _collect(_repaired(line), keys)
    return Head(start, {place: frozenset(found) for place, found in keys.items()})


def _repaired(data: bytes) -> bytes:
    """Replace what is not JSON inside strings and numbers; values change, keys and structure do not."""
    text = _NOT_JSON.sub(lambda found: b" " if found[1] else found[0], data.decode("utf-8", "replace").encode())
    return _NO_NUMBER.sub(b"0", text)


def _collect(data: bytes, keys: dict[str, set[str]]) -> bool:
    """Add the keys of a text, by place; return False if it is broken or cut."""
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
        return False
    return True
