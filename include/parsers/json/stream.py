"""
Splits JSON files of any size into their entries: in bounded memory; a broken entry is rejected, the others are read.

A file is split at brackets, commas and quotes alone; each entry is then decoded separately. So text that is not JSON
(``NaN``, a raw control character, a wrong escape) breaks only the entry that it is in. Reading ends where brackets or
quotes do not match.

A file may hold several values one after the other. Where each is on a line of its own (JSON Lines), a line that is
broken in any way is rejected, and the others are read.
"""

import codecs
import math
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

import msgspec

from include.errors import EntryUnreadable
from include.parsers.json.loose import repaired

MAX_ENTRY_BYTES = 32 << 20
"""Of one entry. A message that thousands reacted to has some 20 MB in a DiscordChatExporter file."""

MAX_DEPTH = 1_000
"""Brackets open at once in one entry; messages need about 10."""

_READ_BYTES = 1 << 16
_MAX_READ_BYTES = 1 << 22

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = re.compile(rb"(?:[ \t\r\n\x1e]++|\xef\xbb\xbf)*+").match
"""White space, marks at the beginning of files that were put together, separators of RFC 7464."""
_KEY = re.compile(_STRING, re.DOTALL).match
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+[\[\]{}]', re.DOTALL).match
_TO_COMMA_OR_BRACKET = re.compile(rb'[^"\[\]{},]*+(?:' + _STRING + rb'[^"\[\]{},]*+)*+[\[\]{},]', re.DOTALL).match
_WITHOUT_BRACKETS = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+', re.DOTALL).match
_BEGIN = rb'[\[{][ \t]*["\[{\]}]'
_LINES = re.compile(
    rb"(?:\A(?:\xef\xbb\xbf)?\s*|^)[\[{][^\r\n]*+(?<=[^\s\[{,:])\r?\n\s*+" + _BEGIN, re.MULTILINE
).search
"""Two lines of which the second cannot go on with a value that the first one began."""
_LINE = re.compile(_BEGIN).match
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_VALUES = msgspec.json.Decoder(list[Any])
_TRIES = 8

_END = -1
_COMMA, _COLON, _QUOTE, _SQUARE, _CURLY = b',:"[{'
_CLOSING = {_SQUARE: ord("]"), _CURLY: ord("}")}
_STEP = {_SQUARE: 1, _CURLY: 1, ord("]"): -1, ord("}"): -1, _COMMA: 0}
_NOT_JSON = "not JSON from here on; the entries before it were read"


type Text = bytes | msgspec.Raw
type Decode = Callable[[Text], Any]
type Several = msgspec.json.Decoder[Any]


class BrokenJson(Exception):
    """
    Text that cannot be read. The message quotes nothing of the file.

    Raised where a stream cannot be read further, yielded in place of an entry where reading goes on.
    """


@dataclass(kw_only=True)
class Document:
    """One object without its long lists: a value of the file, or an item of an array that is one."""

    value: int = 0
    """Position of the value among those of the file."""

    index: int | None
    """Position in the array; ``None`` if the object is the whole value."""

    members: dict[str, Any] = field(default_factory=dict)
    """The members asked for, as far as they are present and can be decoded."""

    lengths: dict[str, int] = field(default_factory=dict)
    """Number of entries in each list asked for; ``null`` is an empty list, anything else is none."""

    flaw: str = ""
    """The defect, if the text ends inside it; else empty."""


def decode_entry(data: Text) -> Any:
    """Return the value of a JSON text; a :class:`BrokenJson` if it is none even when read tolerantly."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.json.decode(repaired(bytes(data), fraction=_finite))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return BrokenJson("not JSON" if isinstance(error, msgspec.DecodeError) else str(error))


def _as_it_is(data: Text) -> Text:
    return data


def entries(
    stream: BinaryIO, path: str, decode: Decode = decode_entry, *, usual: Several | None = None
) -> Iterator[Any]:
    """
    Yield the entries of a list one by one, over all values of the file.

    :param path: Where the entries are: ``item`` of an array, ``messages.item`` of a member, empty for the values of
        the file themselves.
    :param decode: Decodes the JSON text of an entry. Default: its value, whole numbers exact and others
        floats, or a :class:`BrokenJson`.
    :param usual: Decodes an array of entries of the usual shape, which is faster. It refuses all others; these come as
        ``decode`` has them.
    :raises BrokenJson: after the last entry that can be read, where the rest is cut off, malformed or hostile. Such a
        line of JSON Lines is yielded as a :class:`BrokenJson` instead, and reading goes on.
    """
    text = _Text(stream)
    parts = tuple(path.split(".")) if path else ()
    empty = True
    while (first := text.next_value()) != _END:
        empty = False
        try:
            if first not in _CLOSING:
                value = decode_entry(text.rest_of_line())
                if not parts or isinstance(value, BrokenJson):
                    yield value
            elif parts:
                yield from _entries(text, first, parts, decode, usual)
            else:
                yield decode(text.element(whole=True))
        except BrokenJson as error:
            if not text.recover():
                raise
            yield error
    if empty:
        raise BrokenJson("the file is empty")


def _entries(text: "_Text", first: int, parts: tuple[str, ...], decode: Decode, usual: Several | None) -> Iterator[Any]:
    """Yield the entries in the container at which the text is; skip a container without entries."""
    name, *rest = parts
    if first == _CURLY:
        for key, inner in text.members():
            if key != name or (rest and inner not in _CLOSING):
                text.element(keep=False)
            elif rest:
                yield from _entries(text, inner, tuple(rest), decode, usual)
            else:
                yield decode(text.element())
        return
    if name == "item" and not rest:
        if decode is decode_entry:
            several = (usual, _VALUES) if usual else (_VALUES,)
            yield from chain.from_iterable(text.portions(decode, *several))
        else:
            yield from map(decode, chain.from_iterable(text.portions(_as_it_is, _ITEMS)))
        return
    for inner in text.items():
        if name == "item" and inner in _CLOSING:
            yield from _entries(text, inner, tuple(rest), decode, usual)
        else:
            text.element(keep=False)


def documents(
    stream: BinaryIO, *, members: Container[str], lists: Container[str] = (), early: bool = False
) -> Iterator[Document]:
    """
    Yield each value of the file, or each item of those that are arrays, without holding its lists.

    A value or item that is no object is yielded with nothing in it. Never raises for broken text: ``flaw`` of the
    document has the reason.

    :param members: Names of the members to keep.
    :param lists: Names of the lists to count.
    :param early: Stop at the first of these lists; the last document has the members before it.
    """
    document = Document(index=None)
    for kind, part, data in _parts(stream, members, lists, _as_it_is, _ITEMS):
        if kind == "document":
            document = part
        elif kind == "member":
            value = decode_entry(data)
            if not isinstance(value, BrokenJson):
                document.members[part] = value
        elif kind == "entries":
            document.lengths[part] += len(data)
        elif kind == "list":
            document.lengths.setdefault(part, 0)
            if early:
                yield document
                return
        else:
            yield document


def listed(stream: BinaryIO, *, members: Container[str], lists: Container[str]) -> Iterator[Any]:
    """
    Yield the entries that :func:`documents` counts, in the order of the file; a broken one is a :class:`BrokenJson`.

    :param members: As given to :func:`documents`, so that both count the same entries.
    """
    for kind, _, data in _parts(stream, members, lists, decode_entry, _VALUES):
        if kind == "entries":
            yield from data


def _parts(
    stream: BinaryIO, members: Container[str], lists: Container[str], decode: Decode, several: Several
) -> Iterator[tuple[str, Any, Any]]:
    """
    Yield the parts of a file: ``document``, then its ``member``, ``list``, ``entries`` …, then ``end``.

    :param decode: As for :meth:`_Text.portions`.
    """
    text = _Text(stream)
    number = 0
    document: Document | None = None
    following: int | None = None
    try:
        while (first := text.next_value()) != _END:
            document, following = None, 0 if first == _SQUARE else None
            try:
                for index, begin in _objects(text, first):
                    document = Document(value=number, index=index)
                    yield "document", document, b""
                    if begin == _CURLY:
                        yield from _members(text, members, lists, decode, several)
                    elif index is None:
                        text.rest_of_line()
                    else:
                        text.element(keep=False)
                    yield "end", document, b""
                    document, following = None, index if index is None else index + 1
            except BrokenJson as error:
                yield from _broken(document or Document(value=number, index=following), str(error))
                if not text.recover():
                    return
            number += 1
    except EntryUnreadable as error:
        yield from _broken(document or Document(value=number, index=following), str(error))


def _objects(text: "_Text", first: int) -> Iterator[tuple[int | None, int]]:
    """Yield index and first byte of each item of an array, or of the only value."""
    if first == _SQUARE:
        yield from enumerate(text.items())
    else:
        yield None, first


def _members(
    text: "_Text", members: Container[str], lists: Container[str], decode: Decode, several: Several
) -> Iterator[tuple[str, Any, Any]]:
    for key, begin in text.members():
        if key in lists and begin == _SQUARE:
            yield "list", key, b""
            for portion in text.portions(decode, several):
                yield "entries", key, portion
        elif key in lists and begin not in _CLOSING:
            if text.element().strip() == b"null":
                yield "list", key, b""
        elif key in members:
            yield "member", key, text.element()
        else:
            text.element(keep=False)


def _broken(document: Document, reason: str) -> Iterator[tuple[str, Any, Text]]:
    document.flaw = reason
    yield "document", document, b""
    yield "end", document, b""


class _Text:
    """The text of a stream, as UTF-8 and without a mark, from which values are cut off one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = _reader(stream)
        self._ahead, self._at = self._read(_READ_BYTES), 0
        """Text read from the stream; from ``_at`` on it is not yet used."""
        self._lines = in_lines(self._ahead)
        """Whether values end with their lines; the text then is one line, up to :meth:`_next_line`."""
        self._data = b""
        self._pos = 0
        self._fresh = False
        """Whether text was appended since items were last cut off together."""
        self._checked = 0
        """Up to here ``_data`` was searched for the ends of lines."""
        self._spans = True
        """Whether the value goes over several lines."""

    def next_value(self) -> int:
        """Go to the next value of the text, and return its first byte; ``_END`` if there is none."""
        if not self._lines and not self._spans_lines():
            self._split_into_lines()
        first = self._peek()
        while self._lines and (first == _END or first in b",]}"):
            if first != _END:  # left over from an array with one item on each line
                self._pos += 1
            elif not self._next_line():
                break
            first = self._peek()
        if self._lines and not (self._data[self._pos + 1 :].strip() or _LINE(self._ahead, self._at)):
            self._lines = False  # this value goes over several lines, unlike the one before
        self._spans, self._checked = False, self._pos
        return first

    def recover(self) -> bool:
        """Go to the next line after a broken value, if values end with their lines; return whether they do."""
        if not self._lines:
            if self._spans_lines():
                return False
            while (end := self._data.find(b"\n", self._pos)) < 0:
                if not self._more(len(self._data)):
                    return False
            self._pos = end + 1
            self._split_into_lines()
            return self.next_value() in _CLOSING
        while self._more(len(self._data)):
            pass
        self._pos = len(self._data)
        return True

    def items(self) -> Iterator[int]:
        """Yield the first byte of each item of the array at which the text is; the caller cuts off the item."""
        return (first for _, first in self._inside(_SQUARE))

    def members(self) -> Iterator[tuple[str, int]]:
        """Yield name and first byte of each member of the object at which the text is; the caller cuts off the rest."""
        return self._inside(_CURLY)

    def portions(self, decode: Decode, *several: Several) -> Iterator[Sequence[Any]]:
        """
        Cut off the items of the array at which the text is, some at a time, and decode them.

        :param decode: Decodes one item.
        :param several: Decode an array of items, to the same or a form of it that the caller knows; each may refuse
            items that the next one or ``decode`` accepts.
        """
        for first in self.items():
            many = self._several(several) if self._fresh and first == _CURLY else ()
            yield many or [decode(self.element())]

    def _several(self, several: Sequence[Several]) -> Sequence[Any]:
        """
        Cut off as many items as possible of the text in memory; none if they are not objects or the end is not found.

        Much faster than one by one. What looks like the end of an item may be inside one; but text that is JSON in
        brackets consists of whole items.
        """
        self._fresh = False
        space = self._pos
        while space and self._data[space - 1] in b" \t\r\n":
            space -= 1
        between = b"}," + self._data[space : self._pos] + b"{"
        end = len(self._data)
        for _ in range(_TRIES):
            end = self._data.rfind(between, self._pos, end)
            if end < 0:
                break
            data = b"[%b]" % self._data[self._pos : end + 1]
            for decoder in several:
                try:
                    items: list[Any] = decoder.decode(data)
                except msgspec.ValidationError:
                    continue
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    break
                self._pos = end + 1
                return items
        return ()

    def _inside(self, opening: int) -> Iterator[tuple[str, int]]:
        closing = _CLOSING[opening]
        self._pos += 1
        while (first := self._peek()) != closing:
            if first == _END:
                raise BrokenJson(self._ending())
            if first in _CLOSING.values():
                raise BrokenJson(_NOT_JSON)
            if opening == _SQUARE:
                yield "", first
            elif first == _QUOTE:
                name = self._name()
                if self._peek() == _COLON:
                    self._pos += 1
                    yield name, self._peek()
            after = self._peek()
            if after not in (_COMMA, closing) and opening == _CURLY:
                self.element(keep=False)
                after = self._data[self._pos]
            if after == _COMMA:
                self._pos += 1
            elif after == _END:
                raise BrokenJson(self._ending())
            elif after != closing and after not in _CLOSING:  # a comma between two items may be missing
                raise BrokenJson(_NOT_JSON)
        self._pos += 1

    def element(self, *, keep: bool = True, whole: bool = False) -> bytes:
        """
        Cut off the text before the next comma or closing bracket.

        :param keep: Whether to return it; if not, it may be of any size.
        :param whole: Cut off one array or object, whatever follows it.
        :raises BrokenJson: if that does not come, or is over a limit; the text then still is where it was.
        """
        start = pos = self._pos
        depth = 0
        while True:
            found = (_TO_BRACKET if depth else _TO_COMMA_OR_BRACKET)(self._data, pos)
            if found:
                pos = found.end()
                step = _STEP[self._data[pos - 1]]
                if not depth and step <= 0:
                    pos -= 1
                    break
                depth += step
                if depth > MAX_DEPTH:
                    raise BrokenJson(f"more than {MAX_DEPTH} brackets open at once")
                if whole and not depth:
                    break
                continue
            if not keep:
                start = pos = _WITHOUT_BRACKETS(self._data, pos).end() if depth else pos  # type: ignore[union-attr]
            if len(self._data) - start > MAX_ENTRY_BYTES:
                raise BrokenJson(f"an entry of more than {MAX_ENTRY_BYTES} bytes")
            if not self._more(start):
                if depth or pos == start or self._data[pos:].strip():
                    raise BrokenJson(self._ending())
                break  # an array or object that was closed is complete
            pos -= start
            start = 0
        self._pos = pos
        return self._data[start:pos] if keep else b""

    def rest_of_line(self) -> bytes:
        """Cut off the text before the end of the line."""
        start = self._pos
        while (end := self._data.find(b"\n", start)) < 0 and len(self._data) - start <= MAX_ENTRY_BYTES:
            if not self._more(start):
                break
            start = 0
        self._pos = end if end >= 0 else len(self._data)
        return self._data[start : self._pos]

    def _name(self) -> str:
        while not (found := _KEY(self._data, self._pos)):
            if len(self._data) - self._pos > MAX_ENTRY_BYTES:
                raise BrokenJson(f"a name of more than {MAX_ENTRY_BYTES} bytes")
            if not self._more(self._pos):
                raise BrokenJson(self._ending())
        self._pos = found.end()
        if b"\\" in found[0]:
            name = decode_entry(found[0])
            return name if isinstance(name, str) else ""
        return found[0][1:-1].decode("utf-8", "replace")

    def _peek(self) -> int:
        """Skip white space; return the next byte, ``_END`` if there is none."""
        while True:
            self._pos = _SPACE(self._data, self._pos).end()  # type: ignore[union-attr]
            if self._pos < len(self._data):
                return self._data[self._pos]
            if not self._more(self._pos):
                return _END

    def _more(self, start: int) -> bool:
        """Drop the text before ``start`` and append more; return False if there is no more."""
        if self._lines and self._data.endswith(b"\n"):
            return False
        if self._at == len(self._ahead):
            self._ahead = self._read(min(max(_READ_BYTES, len(self._data) - start), _MAX_READ_BYTES))
            self._at = 0
            if not self._ahead:
                return False
        end = self._ahead.find(b"\n", self._at) + 1 if self._lines else 0
        end = end or len(self._ahead)
        self._spans = self._spans or self._data.find(b"\n", self._checked, start) >= 0
        self._checked = max(self._checked - start, 0)
        self._data = self._data[start:] + self._ahead[self._at : end]
        self._fresh = True
        self._at = end
        self._pos = max(self._pos - start, 0)
        return True

    def _spans_lines(self) -> bool:
        self._spans = self._spans or self._data.find(b"\n", self._checked, self._pos) >= 0
        return self._spans

    def _split_into_lines(self) -> None:
        """Put the text back, to read it line by line."""
        self._ahead, self._at = self._data[self._pos :] + self._ahead[self._at :], 0
        self._data, self._pos, self._checked = b"", 0, 0
        self._lines = True

    def _next_line(self) -> bool:
        self._data, self._pos, self._checked = b"", 0, 0
        return self._more(0)

    def _ending(self) -> str:
        unit = "line" if self._lines else "file"
        return f"the {unit} ends in the middle; the entries before it were read"


def in_lines(data: bytes) -> bool:
    """Return whether a text begins as several values, each on a line of its own; lines may be broken."""
    return _LINES(data) is not None


def _reader(stream: BinaryIO) -> Callable[[int], bytes]:
    """Return a function that reads some bytes as UTF-8. UTF-16 with a mark (PowerShell's ``>``) becomes UTF-8."""
    start = stream.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        decoder.decode(start)

        def read_utf16(size: int) -> bytes:
            raw, text = b"\0", b""
            while raw and not text:
                raw = stream.read(size)
                text = decoder.decode(raw, not raw).encode()
            return text

        return read_utf16
    held = [start]

    def read_utf8(size: int) -> bytes:
        return held.pop() + stream.read(size) if held else stream.read(size)

    return read_utf8


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
