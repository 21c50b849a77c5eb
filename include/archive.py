r"""
Reads a zip, a folder or a single file in place: nothing is extracted, nothing hostile gets through.

Names come decoded, ``/``-separated and proven to stay inside; what cannot be read safely is listed in
:attr:`Archive.refused` and costs only itself. Sizes are counted on the bytes really decompressed, since
headers lie. What archives are like in the wild:

- Slack writes UTF-8 names without setting the UTF-8 flag; Python then reads them as cp437.
- Archives zipped again have one wrapper folder, ``__MACOSX/`` and ``._*`` beside it, or ``\`` as separator.
- A bomb packs 5 GB of JSON into 5 MB (CVE-2024-54682); an honest export packs 10 to 50 times.
"""

import io
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, cast

from include.errors import EntryUnreadable, ExportError, LimitExceeded

_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_RATIO_FLOOR_BYTES = 1 << 20
"""Below this an entry cannot hurt, however well it is packed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold. An entry over its limit costs itself, an archive over its limits is refused whole."""

    entry_bytes: int = 16 << 30
    """Of one file, decompressed. Single DiscordChatExporter files of 3 GB are real."""

    total_bytes: int = 256 << 30
    """Of everything read from one archive, decompressed."""

    entries: int = 2_000_000

    ratio: int = 250
    """Decompressed to packed bytes of one zip entry, from 1 MiB on."""


DEFAULT_LIMITS = Limits()


class Refused(NamedTuple):
    """An entry that is not read, and why."""

    name: str
    reason: str


class _Entry(NamedTuple):
    """``handle`` is what the opener of its container understands."""

    handle: zipfile.ZipInfo | str
    size_bytes: int
    packed_bytes: int | None


def open_archive(path: Path, limits: Limits = DEFAULT_LIMITS) -> "Archive":
    """
    Open a zip, a folder, or any other file (which then is its own only entry).

    :raises ExportError: if ``path`` is missing or a damaged zip.
    :raises LimitExceeded: if it holds more entries than allowed; none was read.
    """
    try:
        if path.is_dir():
            return Archive(path, _Folder(path, limits))
        if zipfile.is_zipfile(path):
            return Archive(path, _Zip(path, limits))
        return Archive(path, _File(path, limits))
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ExportError(f"{path}: cannot be opened: {error}. Check the path, or fetch the file again.") from error


class Archive:
    """The files of an export, wherever they lie; made by :func:`open_archive`, used as a context manager."""

    def __init__(self, path: Path, container: "_Container", *, prefix: str = "", names: Sequence[str] | None = None):
        self.path = path
        self._container = container
        self._prefix = prefix
        self._names = tuple(container.entries if names is None else names)

    @property
    def wrapper(self) -> str:
        """The folder that held everything and was taken off the names; empty if there was none."""
        return self._container.wrapper

    @property
    def refused(self) -> Sequence[Refused]:
        """Entries that are not read: unsafe names, links, encrypted, zips inside a zip. The rest is not affected."""
        return self._container.refused

    def names(self) -> Sequence[str]:
        """All files, sorted; ``/`` separates, junk of operating systems is left out."""
        return self._names

    def size_bytes(self, name: str) -> int:
        """Return the decompressed size as the container declares it."""
        return self._entry(name).size_bytes

    def path_of(self, name: str) -> Path | None:
        """Return where a file lies on disk; ``None`` if it is inside a zip."""
        handle = self._entry(name).handle
        return Path(handle) if isinstance(handle, str) else None

    def open(self, name: str) -> BinaryIO:
        """
        Open one file for streaming.

        :raises EntryUnreadable: here or from a later read, if the entry is damaged or over its limit; its
            neighbours can still be read.
        :raises LimitExceeded: from a read that crosses the limit of the whole archive.
        """
        return self._container.open(self._prefix + name, self._entry(name))

    def read(self, name: str) -> bytes:
        """Read one file whole; errors as for :meth:`open`."""
        return self._container.read(self._prefix + name, self._entry(name))

    def below(self, folder: str) -> "Archive":
        """Return the part under ``folder`` (``""`` or ending in ``/``), with names relative to it."""
        names = [name.removeprefix(folder) for name in self._names if name.startswith(folder)]
        return Archive(self.path, self._container, prefix=self._prefix + folder, names=names)

    def only(self, names: Sequence[str]) -> "Archive":
        """Return the part that consists of the given files."""
        return Archive(self.path, self._container, prefix=self._prefix, names=names)

    def close(self) -> None:
        """Close the container, views of it included."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entry(self, name: str) -> _Entry:
        return self._container.entries[self._prefix + name]


class _Container:
    """What folder, zip and file have in common: safe names, the wrapper, and the counting of bytes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: list[Refused] = []
        self.wrapper = ""
        self.entries: dict[str, _Entry] = {}
        self._read_bytes = 0

    def open(self, name: str, entry: _Entry) -> BinaryIO:
        return io.BufferedReader(_Counted(self._opened(name, entry), name, entry, self), buffer_size=1 << 17)

    def read(self, name: str, entry: _Entry) -> bytes:
        with self._opened(name, entry) as raw:
            try:
                data = raw.read()  # no more than the declared size, which is within the limits
            except _DAMAGE as error:
                raise EntryUnreadable(f"{name}: damaged: {error}") from error
        self.count(name, entry, len(data), len(data))
        return data

    def _opened(self, name: str, entry: _Entry) -> BinaryIO:
        self._check_entry(name, entry, entry.size_bytes)
        try:
            return self._raw(entry)
        except (*_DAMAGE, RuntimeError, NotImplementedError) as error:
            raise EntryUnreadable(f"{name}: cannot be opened: {error}") from error

    def count(self, name: str, entry: _Entry, entry_bytes: int, new_bytes: int) -> None:
        """Account for bytes that came out of an entry just now."""
        self._check_entry(name, entry, entry_bytes)
        self._read_bytes += new_bytes
        if self._read_bytes > self.limits.total_bytes:
            raise LimitExceeded(
                f"{name}: more than {self.limits.total_bytes} bytes decompressed from one archive (limit total_bytes). "
                "Nothing was loaded; raise the limit if the archive is yours."
            )

    def _check_entry(self, name: str, entry: _Entry, size_bytes: int) -> None:
        if size_bytes > self.limits.entry_bytes:
            raise EntryUnreadable(f"{name}: {size_bytes} bytes or more, limit entry_bytes is {self.limits.entry_bytes}")
        if entry.packed_bytes is not None and size_bytes > _RATIO_FLOOR_BYTES:
            ratio = size_bytes // max(entry.packed_bytes, 1)
            if ratio > self.limits.ratio:
                raise EntryUnreadable(f"{name}: packed {ratio} times or more, limit ratio is {self.limits.ratio}")

    def _fill(self, found: Iterator[tuple[str, _Entry]]) -> None:
        """Keep safe entries under their clean names, sorted, without the wrapper."""
        entries: dict[str, _Entry] = {}
        for number, (name, entry) in enumerate(found):
            if number >= self.limits.entries:
                raise LimitExceeded(f"more than {self.limits.entries} entries (limit entries), the next is {name}")
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

    def _raw(self, entry: _Entry) -> BinaryIO:
        raise NotImplementedError

    def close(self) -> None:
        """Release the container."""


class _Zip(_Container):
    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(limits)
        self._zip = zipfile.ZipFile(path)
        try:
            self._fill(self._found())
        except BaseException:
            self._zip.close()
            raise
        for name in [name for name in self.entries if "/" not in name and name.lower().endswith(".zip")]:
            self.refused.append(Refused(name, "a zip inside a zip; unpack the outer one"))
            del self.entries[name]

    def _found(self) -> Iterator[tuple[str, _Entry]]:
        for info in self._zip.infolist():
            if info.is_dir() or info.orig_filename.endswith("\\"):
                continue
            raw = _zip_name(info).replace("\\", "/")
            name = "/".join(part for part in raw.split("/") if part not in ("", "."))
            reason = _unsafe(raw) or _unreadable(info)
            if reason:
                self.refused.append(Refused(name, reason))
            elif name:
                yield name, _Entry(info, info.file_size, info.compress_size)

    def _raw(self, entry: _Entry) -> BinaryIO:
        return cast(BinaryIO, self._zip.open(cast(zipfile.ZipInfo, entry.handle)))

    def close(self) -> None:
        self._zip.close()


class _Folder(_Container):
    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(limits)
        self._root = path
        self._fill(self._found())

    def _found(self) -> Iterator[tuple[str, _Entry]]:
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
                        yield _printable(name), _Entry(item.path, item.stat().st_size, None)

    def _raw(self, entry: _Entry) -> BinaryIO:
        return cast(BinaryIO, open(cast(str, entry.handle), "rb", buffering=0))  # noqa: PTH123 - 15,000 times


class _File(_Folder):
    def _found(self) -> Iterator[tuple[str, _Entry]]:
        yield _printable(self._root.name), _Entry(str(self._root), self._root.stat().st_size, None)


class _Counted(io.RawIOBase):
    """Passes bytes through and tells the container how many."""

    def __init__(self, raw: BinaryIO, name: str, entry: _Entry, container: _Container) -> None:
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
