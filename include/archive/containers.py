"""
The common part of all containers: it checks names, counts the bytes read, and removes the wrapper folder.

Sizes in headers are checked before reading, and bytes are counted while reading, because headers can be wrong.
"""

import gzip
import io
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from include.archive.limits import VARIABLE, Limits
from include.archive.names import composed
from include.errors import EntryUnreadable, LimitExceeded, StorageError

CHUNK_BYTES = 1 << 17
"""Bytes read at a time, in addition to the data that a caller asks for."""

_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile)

_PACKED = re.compile(r"(.+\.(?:json|jsonl|ndjson))\.gz", re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_USUAL_RATIO = 10
"""Bytes of JSON per byte of gzip: an estimate if no header has the size."""

_DOCUMENTS = 32
"""JSON files that are read to find the encoding of names, smaller ones first."""
_DOCUMENT_BYTES = 1 << 24

_RATIO_FLOOR_BYTES = 1 << 20
"""An entry below this size is harmless at any ratio."""


class Refused(NamedTuple):
    """An entry that is not read, and why."""

    name: str
    reason: str


class Entry(NamedTuple):
    """
    One file in a container.

    The container opens it by its ``handle``. ``checksum`` is the CRC-32 if the container has one.
    """

    handle: Any
    size_bytes: int
    packed_bytes: int | None = None
    checksum: int | None = None


class Packed(NamedTuple):
    """The handle of a JSON file that is compressed by gzip in a container, as in slackdump's archives."""

    entry: Entry
    """The compressed file."""


class Container:
    """Keeps the entries of a folder, an archive or a file, and counts what is read from them."""

    is_divisible = False
    """Whether an entry is read without reading those before it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: list[Refused] = []
        self.wrapper = ""
        self.entries: dict[str, Entry] = {}
        self._read_bytes = 0

    def path_of(self, entry: Entry) -> Path | None:
        """Return where an entry is on disk; ``None`` if it is not a file on disk."""
        return None

    def open(self, name: str, entry: Entry) -> BinaryIO:
        """Open an entry for streaming; every read of it is counted."""
        return io.BufferedReader(_Counted(self._opened(name, entry), name, entry, self), buffer_size=CHUNK_BYTES)

    def read(self, name: str, entry: Entry) -> bytes:
        """Read a whole entry, with less work per file than a stream; an export has tens of thousands of files."""
        self._check_entry(name, entry, entry.size_bytes)
        if isinstance(entry.handle, Packed):
            with self.open(name, entry) as stream:
                return stream.read()
        try:
            data = self._whole(entry)  # no more than the declared size, which is within the limits
        except _DAMAGE as error:
            raise EntryUnreadable(f"{name}: damaged: {error}") from error
        self.count(name, entry, len(data), len(data))
        return data

    def count(self, name: str, entry: Entry, entry_bytes: int, new_bytes: int) -> None:
        """Count bytes that were just read from an entry."""
        self._check_entry(name, entry, entry_bytes)
        self._count_total(name, new_bytes)

    def close(self) -> None:
        """Release the container."""

    def _documents(self, found: Iterable[tuple[bytes, Entry]]) -> Iterator[bytes]:
        """Yield small, undamaged JSON files of the top folder, to detect the encoding of names."""
        documents = [
            (entry.size_bytes, name.count(b"/"), entry)
            for name, entry in found
            if name.lower().endswith(b".json") and entry.size_bytes <= _DOCUMENT_BYTES
        ]
        top = min((depth for _, depth, _ in documents), default=0)
        at_top = sorted((size_bytes, number) for number, (size_bytes, depth, _) in enumerate(documents) if depth == top)
        for _, number in at_top[:_DOCUMENTS]:
            with suppress(EntryUnreadable):
                yield self.read("", documents[number][2])

    def _opened(self, name: str, entry: Entry) -> BinaryIO:
        self._check_entry(name, entry, entry.size_bytes)
        try:
            if isinstance(entry.handle, Packed):
                return _unpacked(self._opened(name, entry.handle.entry))
            return self._raw(entry)
        except _DAMAGE as error:
            raise EntryUnreadable(f"{name}: cannot be opened: {error}") from error

    def _count_total(self, name: str, new_bytes: int) -> None:
        self._read_bytes += new_bytes
        if self._read_bytes > self.limits.total_bytes:
            raise LimitExceeded(
                f"{name}: more than {self.limits.total_bytes} bytes decompressed from one archive (limit total_bytes). "
                f"Nothing was loaded; raise it with {VARIABLE} if the archive is yours."
            )

    def _check_entry(self, name: str, entry: Entry, size_bytes: int) -> None:
        if size_bytes > self.limits.entry_bytes:
            raise EntryUnreadable(
                f"{name}: {size_bytes} bytes or more, limit entry_bytes is {self.limits.entry_bytes} ({VARIABLE})"
            )
        if entry.packed_bytes is not None and self._is_over_ratio(size_bytes, entry.packed_bytes):
            raise EntryUnreadable(
                f"{name}: packed {size_bytes // max(entry.packed_bytes, 1)} times or more, "
                f"limit ratio is {self.limits.ratio} ({VARIABLE})"
            )

    def _is_over_a_limit(self, entry: Entry) -> bool:
        too_dense = entry.packed_bytes is not None and self._is_over_ratio(entry.size_bytes, entry.packed_bytes)
        return too_dense or entry.size_bytes > self.limits.entry_bytes

    def _is_over_ratio(self, size_bytes: int, packed_bytes: int) -> bool:
        return size_bytes > _RATIO_FLOOR_BYTES and size_bytes // max(packed_bytes, 1) > self.limits.ratio

    def _check_ratio_of_all(self, size_bytes: int, packed_bytes: int) -> None:
        """Reject an archive whose entries are within the limits one by one, but not in total."""
        if self._is_over_ratio(size_bytes, packed_bytes):
            raise LimitExceeded(
                f"the archive is packed {size_bytes // max(packed_bytes, 1)} times or more ({size_bytes} bytes in "
                f"{packed_bytes}), limit ratio is {self.limits.ratio}. Nothing was loaded; raise it with {VARIABLE} if "
                "the archive is yours."
            )

    def _limited[Found](self, found: Iterable[Found]) -> Iterator[Found]:
        """Yield the items; raise an error at the first one above the limit."""
        for number, item in enumerate(found):
            if number >= self.limits.entries:
                raise LimitExceeded(
                    f"more than {self.limits.entries} entries. Nothing was loaded; raise the limit entries with "
                    f"{VARIABLE} if the archive is yours."
                )
            yield item

    def _fill(self, found: Iterable[tuple[str, Entry]]) -> None:
        """Store safe entries under their clean names, sorted, without the wrapper folder."""
        entries: dict[str, Entry] = {}
        for name, entry in found:
            if _JUNK.search(name):
                continue
            if name in entries and not _are_same(entries[name], entry):  # the later one wins, as in every unzip tool
                self.refused.append(Refused(name, "two entries have this name; the first is not read"))
            entries[name] = entry
        for name, form in composed(entries).items():
            entries[form] = entries.pop(name)
        for name in [name for name in entries if name.endswith((".gz", ".GZ"))]:
            match = _PACKED.fullmatch(name)
            if match and match[1] not in entries:
                entries[match[1]] = self._packed(entries.pop(name))
        tops = {name.partition("/")[0] for name in entries}
        if len(tops) == 1 and all("/" in name for name in entries):
            self.wrapper = tops.pop()
        cut = len(self.wrapper) + 1 if self.wrapper else 0
        self.entries = {name[cut:]: entries[name] for name in sorted(entries)}

    def _packed(self, entry: Entry) -> Entry:
        """Return the entry of the decompressed file in place of the compressed one."""
        packed_bytes = entry.size_bytes if entry.packed_bytes is None else entry.packed_bytes
        estimate = min(entry.size_bytes * _USUAL_RATIO, self.limits.entry_bytes, packed_bytes * self.limits.ratio)
        return Entry(Packed(entry), estimate, packed_bytes)

    def _raw(self, entry: Entry) -> BinaryIO:
        raise NotImplementedError

    def _whole(self, entry: Entry) -> bytes:
        with self._raw(entry) as raw:
            return raw.read()


class SpanContainer(Container):
    """Files stored uncompressed in another file; the handle of an entry is its first byte."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        super().__init__(limits)
        self._file = file

    def _raw(self, entry: Entry) -> BinaryIO:
        return cast(BinaryIO, _Span(self._file, entry.handle, entry.size_bytes))

    def _whole(self, entry: Entry) -> bytes:
        span = _Span(self._file, entry.handle, entry.size_bytes)
        return b"".join(iter(lambda: span.read(entry.size_bytes), b""))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Scratch:
    """
    An unnamed file below ``TMPDIR`` for data that has to be decompressed before it can be read.

    Only this process can read it; it is deleted when the process ends, even by SIGKILL.
    """

    def __init__(self) -> None:
        try:
            self.file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Append data."""
        try:
            self.file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.bytes += len(data)

    def done(self) -> BinaryIO:
        """Return the file with all that was written."""
        try:
            self.file.seek(0)
        except OSError as error:
            raise _no_room(error) from error
        return self.file


class _Span:
    """Reads a part of a file, independently of others that read it."""

    def __init__(self, file: BinaryIO, start: int, size_bytes: int) -> None:
        self._descriptor, self._at, self._end = file.fileno(), start, start + size_bytes

    def read(self, size_bytes: int) -> bytes:
        data = os.pread(self._descriptor, min(size_bytes, self._end - self._at), self._at)
        self._at += len(data)
        if not data and self._at < self._end:
            raise EOFError("the end is missing")
        return data

    def close(self) -> None:
        """Do not close the file, which the container closes."""


class _Counted(io.RawIOBase):
    """Passes bytes through and counts them in the container."""

    def __init__(self, raw: BinaryIO, name: str, entry: Entry, container: Container) -> None:
        self._raw, self._name, self._entry, self._container = raw, name, entry, container
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        try:
            data = self._raw.read(len(buffer))
        except _DAMAGE as error:
            raise EntryUnreadable(f"{self._name}: damaged after {self._bytes} bytes: {error}") from error
        self._bytes += len(data)
        self._container.count(self._name, self._entry, self._bytes, len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Prepended:
    """Reads bytes that were read before, then the rest."""

    def __init__(self, start: bytes, raw: BinaryIO) -> None:
        self._start, self._raw = start, raw

    def read(self, size_bytes: int) -> bytes:
        data, self._start = self._start[:size_bytes], self._start[size_bytes:]
        return data or self._raw.read(size_bytes)

    def close(self) -> None:
        self._raw.close()


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """Return a decompressing reader. An uncompressed file is read unchanged: browsers decompress and keep the name."""
    start = raw.read(len(_GZIP))
    whole = cast(BinaryIO, _Prepended(start, raw))
    return cast(BinaryIO, gzip.GzipFile(fileobj=whole)) if start == _GZIP else whole


def _are_same(one: Entry, other: Entry) -> bool:
    return one.checksum is not None and (one.checksum, one.size_bytes) == (other.checksum, other.size_bytes)


def _no_room(error: OSError) -> StorageError:
    return StorageError(
        f"{tempfile.gettempdir()}: an archive cannot be decompressed here: {error}. Nothing of it was loaded. Make "
        "room, or point TMPDIR at a folder that has some, then clear the failed task or run again."
    )
