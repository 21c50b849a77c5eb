"""Reads JSON files of any size entry by entry: bounded memory, and the complete part of a file that was cut."""

import codecs
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, BinaryIO

import ijson

MAX_ENTRY_BYTES = 32 << 20
"""Of one entry. A message that thousands reacted to has some 20 MB in a DiscordChatExporter file."""

MAX_DEPTH = 1_000
"""Brackets open at once. ijson's memory and time grow with the square of it; messages need about 10."""

_READ_BYTES = 1 << 16
_OPEN_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*((?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\(?:u[0-9a-fA-F]{0,4})?)\Z")
"""An escape at the end of what was read that may go on in the next read."""

_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Group 1 is half of a pair without the other, over which ijson stumbles."""

_STARTS = ("start_map", "start_array")
_ENDS = ("end_map", "end_array")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(set(range(256)) - set(_STEP))


class BrokenJson(Exception):
    """What stands here cannot be read; a stream cannot be read beyond it. Quotes nothing of the file."""


@dataclass(kw_only=True)
class Document:
    """One top-level object without its long lists."""

    index: int | None
    """Position in the file's array; ``None`` if the object is the whole file."""

    members: dict[str, Any] = field(default_factory=dict)
    """The members asked for, as far as they are present."""

    lengths: dict[str, int] = field(default_factory=dict)
    """Number of entries in each list asked for; a list that is none has no length."""


def entries(stream: BinaryIO, path: str) -> Iterator[Any]:
    """
    Yield the entries of a list one by one; whole numbers are exact, others floats.

    (Not ``Decimal``: ijson 3.6.0 then crashes the process on a number of more than 4,300 digits.)

    :param path: ijson's name of the entries: ``item`` of an array, ``messages.item`` of a member.
    :raises BrokenJson: after the last complete entry, where the rest is cut off, malformed or hostile.
    """
    source = _Source(stream)
    with _silenced(source):
        for entry in ijson.items(source, path, buf_size=_READ_BYTES, use_float=True):
            source.start_entry()
            yield entry


def documents(
    stream: BinaryIO, *, members: Container[str], lists: Container[str] = (), early: bool = False
) -> Iterator[Document]:
    """
    Yield the top-level object, or each item of a top-level array, without holding its lists.

    An item that is no object is yielded with nothing in it.

    :param members: Names of the members to keep.
    :param lists: Names of the lists to count.
    :param early: Stop at the first of these lists; the last document has what was seen until then.
    :raises BrokenJson: after yielding the document in which the file breaks off.
    """
    outline = _Outline(members, lists)
    source = _Source(stream)
    try:
        with _silenced(source):
            for event, value in ijson.basic_parse(source, buf_size=_READ_BYTES, use_float=True):
                if done := outline.take(event, value):
                    yield done
                if outline.builder is None:
                    source.start_entry()
                if early and outline.list:
                    break
    except BrokenJson:
        if outline.document:
            yield outline.document
        raise
    if outline.document:
        yield outline.document


class _Outline:
    """Puts documents together from parse events. A value's level is the number of containers around it."""

    def __init__(self, members: Container[str], lists: Container[str]) -> None:
        self.document: Document | None = None
        self._members, self._lists = members, lists
        self._level = 0
        self._home = 0
        """Level of the documents: 0 if the file is one, 1 if it is an array of them."""
        self._count = 0
        self._key = ""
        self.list = ""
        """Name of the list that the last event was in."""
        self.builder: ijson.ObjectBuilder | None = None
        """Of the member that the last event was in, if it is one to keep."""

    def take(self, event: str, value: Any) -> Document | None:
        """Take one event; return the document that it completes."""
        if event in _ENDS:
            self._level -= 1
        level = self._level
        if event in _STARTS:
            self._level += 1
            if level == 0 and event == "start_array":
                self._home = 1
        if level == self._home:
            return self._at_document(event)
        if self.document and level > self._home:
            self._inside(self.document, level - self._home, event, value)
        return None

    def _at_document(self, event: str) -> Document | None:
        if event in _STARTS:
            self._key = self.list = ""
            self.document = Document(index=self._index) if event == "start_map" else None
            return None
        done = self.document or Document(index=self._index)
        self.document = None
        self._count += 1
        return done

    @property
    def _index(self) -> int | None:
        return self._count if self._home else None

    def _inside(self, document: Document, depth: int, event: str, value: Any) -> None:
        if depth == 1 and event == "map_key":
            self._key, self.builder = value, ijson.ObjectBuilder() if value in self._members else None
        elif self.builder:
            self.builder.event(event, value)
            if depth == 1 and event not in _STARTS:
                document.members[self._key] = self.builder.value
                self.builder = None
        elif depth == 1 and self._key in self._lists:
            self.list = self._key if event == "start_array" else ""
            if self.list:
                document.lengths.setdefault(self._key, 0)
        elif depth == 2 and self.list and event not in _ENDS:
            document.lengths[self.list] += 1


class _Source:
    """What ijson reads from: UTF-8 without a mark, and no entry that costs more than an honest one could."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._held = b""
        self.ended = False
        """Whether everything was read; what is wrong then is that there is no more."""
        self.start_entry()

    def start_entry(self) -> None:
        """Forget what earlier entries cost."""
        self._bytes = self._depth = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes; what stands for no character costs one character, not the file."""
        data = b""
        while size and not data:
            raw = self._stream.read(size)
            data = self._held + self._decoder.decode(raw, not raw).encode()
            self._held = b""
            if not raw:
                self.ended = True
                break
            if escape := _OPEN_ESCAPE.search(data, max(len(data) - 64, 0)):
                data, self._held = data[: escape.start(1)], data[escape.start(1) :]
        if rb"\ud" in data or rb"\uD" in data:
            data = _SURROGATES.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)
        self._check(data)
        return data

    def _check(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MAX_ENTRY_BYTES + _READ_BYTES:
            raise BrokenJson(f"an entry of more than {MAX_ENTRY_BYTES} bytes")
        depths = list(accumulate(map(_STEP.__getitem__, data.translate(None, _NOT_BRACKETS)), initial=self._depth))
        if max(depths) > MAX_DEPTH:
            raise BrokenJson(f"more than {MAX_DEPTH} brackets open at once")
        self._depth = max(depths[-1], 0)


@contextmanager
def _silenced(source: _Source) -> Iterator[None]:
    """Replace ijson's errors, which quote the file."""
    try:
        yield
    except (ijson.JSONError, ValueError, ArithmeticError, RecursionError):
        where = "the file ends in the middle" if source.ended else "not JSON from here on"
        raise BrokenJson(f"{where}; what comes before it was read") from None
