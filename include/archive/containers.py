"""
The containers behind an archive: safe names, real bytes counted, the wrapper taken off; a zip, a folder or a file.

Sizes that headers declare are checked before reading and the bytes that come out while reading, since headers lie.
"""

import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from include.archive.limits import VARIABLE, Limits
from include.errors import EntryUnreadable, LimitExceeded

_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER = struct.Struct("<26xHH")
"""Before an entry's data: here only the lengths of what follows it, a name and extra fields."""

_RATIO_FLOOR_BYTES = 1 << 20
"""Below this an entry cannot hurt, however well it is packed."""


class Refused(NamedTuple):
    """An entry that is not read, and why."""

    name: str
    reason: str


class Entry(NamedTuple):
    """``handle`` is what the opener of its container understands."""

    handle: zipfile.ZipInfo | str
    size_bytes: int
    packed_bytes: int | None


class Container:
    """What folder, zip and file have in common: safe names, the wrapper, and the counting of bytes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: list[Refused] = []
        self.wrapper = ""
        self.entries: dict[str, Entry] = {}
        self._read_bytes = 0

    def open(self, name: str, entry: Entry) -> BinaryIO:
        """Open an entry for streaming; every read of it is counted."""
        return io.BufferedReader(_Counted(self._opened(name, entry), name, entry, self), buffer_size=1 << 17)

    def read(self, name: str, entry: Entry) -> bytes:
        """Read an entry whole: less work per file than a stream, and there are tens of thousands of them."""
        self._check_entry(name, entry, entry.size_bytes)
        try:
            data = self._whole(entry)  # no more than the declared size, which is within the limits
        except (*_DAMAGE, RuntimeError, NotImplementedError) as error:
            raise EntryUnreadable(f"{name}: damaged: {error}") from error
        self.count(name, entry, len(data), len(data))
        return data

    def _opened(self, name: str, entry: Entry) -> BinaryIO:
        self._check_entry(name, entry, entry.size_bytes)
        try:
            return self._raw(entry)
        except (*_DAMAGE, RuntimeError, NotImplementedError) as error:
            raise EntryUnreadable(f"{name}: cannot be opened: {error}") from error

    def count(self, name: str, entry: Entry, entry_bytes: int, new_bytes: int) -> None:
        """Account for bytes that came out of an entry just now."""
        self._check_entry(name, entry, entry_bytes)
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
        if entry.packed_bytes is not None and size_bytes > _RATIO_FLOOR_BYTES:
            ratio = size_bytes // max(entry.packed_bytes, 1)
            if ratio > self.limits.ratio:
                raise EntryUnreadable(
                    f"{name}: packed {ratio} times or more, limit ratio is {self.limits.ratio} ({VARIABLE})"
                )

    def _fill(self, found: Iterator[tuple[str, Entry]]) -> None:
        """Keep safe entries under their clean names, sorted, without the wrapper."""
        entries: dict[str, Entry] = {}
        for number, (name, entry) in enumerate(found):
            if number >= self.limits.entries:
                raise LimitExceeded(
                    f"more than {self.limits.entries} entries, the next is {name}. Nothing was loaded; raise the limit "
                    f"entries with {VARIABLE} if the archive is yours."
                )
            if _JUNK.search(name):
                continue
            if name in entries:  # the later one wins, as in every unzip tool
                self.refused.append(Refused(name, "two entries have this name; the first is not read"))
            entries[name] = entry
        tops = {name.partition("/")[0] for name in entries}
        if len(tops) == 1 and all("/" in name for name in entries):
            self.wrapper = tops.pop()
        cut = len(self.wrapper) + 1 if self.wrapper else 0
        self.entries = {name[cut:]: entries[name] for name in sorted(entries)}

    def _raw(self, entry: Entry) -> BinaryIO:
        raise NotImplementedError

    def _whole(self, entry: Entry) -> bytes:
        with self._raw(entry) as raw:
            return raw.read()

    def close(self) -> None:
        """Release the container."""


class ZipContainer(Container):
    """A zip; every name and flag in it is somebody else's claim."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(limits)
        self._file = path.open("rb")
        self._zip = zipfile.ZipFile(self._file)
        try:
            self._fill(self._found())
        except BaseException:
            self._zip.close()
            raise
        for name in [name for name in self.entries if "/" not in name and name.lower().endswith(".zip")]:
            self.refused.append(Refused(name, "a zip inside a zip; unpack the outer one"))
            del self.entries[name]

    def _found(self) -> Iterator[tuple[str, Entry]]:
        for info in self._zip.infolist():
            if info.is_dir() or info.orig_filename.endswith("\\"):
                continue
            raw = _zip_name(info).replace("\\", "/")
            name = "/".join(part for part in raw.split("/") if part not in ("", "."))
            reason = _unsafe(raw) or _unreadable(info)
            if reason:
                self.refused.append(Refused(name, reason))
            elif name:
                yield name, Entry(info, info.file_size, info.compress_size)

    def _raw(self, entry: Entry) -> BinaryIO:
        return cast(BinaryIO, self._zip.open(cast(zipfile.ZipInfo, entry.handle)))

    def _whole(self, entry: Entry) -> bytes:
        """Inflate in one call: for a day file, all else that :mod:`zipfile` does takes longer than that."""
        info = cast(zipfile.ZipInfo, entry.handle)
        if info.compress_type != zipfile.ZIP_DEFLATED or info.compress_size > info.file_size:
            return super()._whole(entry)
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER.size)
        if not header.startswith(b"PK\3\4") or len(header) < _LOCAL_HEADER.size:
            raise zipfile.BadZipFile("no entry where the directory says")
        self._file.seek(sum(_LOCAL_HEADER.unpack(header)), os.SEEK_CUR)
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(self._file.read(info.compress_size), info.file_size)
        if zlib.crc32(data) != info.CRC:
            raise zipfile.BadZipFile("not what its checksum says")
        return data

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()
        self._file.close()


class FolderContainer(Container):
    """A folder with everything below it; links to folders are not followed."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(limits)
        self._root = path
        self._fill(self._found())

    def _found(self) -> Iterator[tuple[str, Entry]]:
        inside = self._root.resolve()
        folders = [(str(self._root), "")]
        while folders:
            folder, prefix = folders.pop()
            with os.scandir(folder) as found:
                for item in found:
                    name = prefix + item.name
                    if item.is_dir(follow_symlinks=False):
                        folders.append((item.path, f"{name}/"))
                    elif item.is_symlink() and not Path(item.path).resolve().is_relative_to(inside):
                        self.refused.append(Refused(_printable(name), "a link that leads out of the folder"))
                    elif item.is_file():
                        yield _printable(name), Entry(item.path, item.stat().st_size, None)

    def _raw(self, entry: Entry) -> BinaryIO:
        return cast(BinaryIO, open(cast(str, entry.handle), "rb", buffering=0))  # noqa: PTH123 - 15,000 times


class FileContainer(FolderContainer):
    """A single file, its own only entry."""

    def _found(self) -> Iterator[tuple[str, Entry]]:
        yield _printable(self._root.name), Entry(str(self._root), self._root.stat().st_size, None)


class _Counted(io.RawIOBase):
    """Passes bytes through and tells the container how many."""

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


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Undo Python's reading of unflagged UTF-8 names as cp437."""
    name = info.orig_filename
    if info.flag_bits & _UTF8_FLAG or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _unsafe(name: str) -> str:
    """Say why a ``/``-separated name must not be used; empty if it may."""
    if "\x00" in name:
        return "a NUL in the name"
    if name.startswith("/"):
        return "an absolute name"
    if re.match(r"[A-Za-z]:", name):
        return "a drive letter in the name"
    if ".." in name.split("/"):
        return "a name that leads out of the archive"
    return ""


def _unreadable(info: zipfile.ZipInfo) -> str:
    """Say why a zip entry's content must not be read; empty if it may."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a symbolic link"
    if info.flag_bits & _ENCRYPTED_FLAG:
        return "encrypted; export again without a password"
    if info.compress_type not in _READABLE:
        return f"compression method {info.compress_type} is not supported"
    return ""


def _printable(name: str) -> str:
    """Return a name on disk as text that can be stored; a bad unpacker left backslashes in it."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\\", "/")
