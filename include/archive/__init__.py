r"""
Reads a zip, a tar, a folder or a single file in place, safely: no file is written under a name of the archive.

Names are decoded, ``/``-separated and checked to stay inside. Entries that cannot be read safely are listed in
:attr:`Archive.refused`; the others are read. Real archives have these properties:

- Slack writes UTF-8 names without setting the UTF-8 flag; Windows uses the encoding of its region.
- Archives zipped again have one wrapper folder, ``__MACOSX/`` and ``._*`` beside it, or ``\` as separator.
- Exports are sent around as a zip in a zip, or as a compressed tar.
- A zip bomb has 5 GB of JSON in 5 MB (CVE-2024-54682); the ratio of a real export is 10 to 50.
"""

import os
import stat
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self
from zipfile import BadZipFile

from include.archive.containers import Container, Entry, Refused, Scratch
from include.archive.folders import FileContainer, FolderContainer
from include.archive.kinds import (
    DAMAGE,
    DECOMPRESSED,
    HEAD_BYTES,
    NOT_READ,
    TAR,
    ZIP,
    is_named_as_archive,
    kind_of,
    unpacked_name,
)
from include.archive.limits import Limits, limits_of_environment
from include.archive.tars import TarContainer
from include.archive.zips import ZipContainer, ends_as_zip
from include.errors import EntryUnreadable, ExportError, LimitExceeded

__all__ = ["Archive", "Limits", "Refused", "is_named_as_archive", "limits_of_environment", "open_archive"]

_DAMAGE = (*DAMAGE, BadZipFile, ValueError)
_COPIED_BYTES = 1 << 20


def open_archive(path: Path, limits: Limits | None = None, inside: str = "") -> "Archive":
    """
    Open a folder, a zip, a tar (``.gz``, ``.bz2``, ``.xz``), one compressed file, or any other file as its own entry.

    :param limits: Default: :func:`include.archive.limits.limits_of_environment`.
    :param inside: The name of a file in it that is an archive and is opened instead: see :meth:`Archive.place_of`.
    :raises ExportError: if ``path`` is missing, damaged, neither file nor folder, or of a kind that is not read.
    :raises LimitExceeded: if it holds more entries than allowed, or more bytes for what it is packed in; none was read.
    """
    limits = limits or limits_of_environment()
    if inside:
        with open_archive(path, limits) as outer:
            return outer._open_inside(inside, limits)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Archive(path, FolderContainer(path, limits))
        if not stat.S_ISREG(mode):
            raise OSError("it is a pipe, a socket or a device, not a file or a folder")
        file = path.open("rb")
        container = _container(path.name, file, limits)
        return Archive(path, container or FileContainer(path, limits))
    except LimitExceeded as error:
        raise LimitExceeded(f"{path}: {error}") from error
    except _DAMAGE as error:
        raise ExportError(f"{path}: cannot be opened: {error}. Check the path, or fetch the file again.") from error


def _container(name: str, file: BinaryIO, limits: Limits, packed_bytes: int | None = None) -> Container | None:
    """Return the reader of a file, which closes it later; ``None``, and the file is closed, if it is no container."""
    try:
        kind = kind_of(os.pread(file.fileno(), HEAD_BYTES, 0))
        if kind in NOT_READ:
            raise ExportError(f"{name}: a {kind} archive, which is not read. Unpack it and import the folder.")
        if kind == ZIP or (not kind and ends_as_zip(file)):
            return ZipContainer(file, limits, packed_bytes)
        if kind == TAR or kind in DECOMPRESSED:
            return TarContainer(name, file, kind, limits, packed_bytes)
    except BaseException:
        file.close()
        raise
    file.close()
    return None


class Archive:
    """The files of an export in a folder or archive; :func:`open_archive` makes it, a context manager."""

    def __init__(  # one argument per part of a view
        self,
        path: Path,
        container: Container,
        *,
        inside: str = "",
        prefix: str = "",
        names: Sequence[str] | None = None,
    ):
        self.path = path
        """On disk."""
        self.inside = inside
        """The name of the archive in the one at ``path`` that this is; empty if it is the one at ``path`` itself."""
        self._container = container
        self._prefix = prefix
        self._names = tuple(container.entries if names is None else names)

    @property
    def stem(self) -> str:
        """The name of the archive, folder or file without its ending."""
        return PurePosixPath(unpacked_name(self.inside or self.path.name)).stem

    @property
    def wrapper(self) -> str:
        """The folder that contains all entries and is removed from their names; empty without one."""
        return self._container.wrapper

    @property
    def is_divisible(self) -> bool:
        """Whether each file can be read without reading those before it, also by several processes at once."""
        return self._container.is_divisible and not self.inside

    @property
    def refused(self) -> Sequence[Refused]:
        """Entries that are not read: unsafe names, links, encrypted ones. Others are not affected."""
        return self._container.refused

    def names(self) -> Sequence[str]:
        """All files, sorted; ``/``-separated, without files that operating systems add."""
        return self._names

    def __contains__(self, name: str) -> bool:
        return name in self._present

    def size_bytes(self, name: str) -> int:
        """Return the decompressed size as the container declares it."""
        return self._entry(name).size_bytes

    def path_of(self, name: str) -> Path | None:
        """Return where a file is on disk; ``None`` if it is inside an archive."""
        return self._container.path_of(self._entry(name))

    def is_archive(self, name: str) -> bool:
        """Tell whether a file in this archive is an archive itself: by its name and, if not ``.zip``, its content."""
        if not is_named_as_archive(name) or isinstance(self._container, FileContainer):
            return False
        if name.lower().endswith(".zip"):
            return True
        try:
            with self.open(name) as file:
                return bool(kind_of(file.read(HEAD_BYTES)))
        except EntryUnreadable:
            return True  # opening it raises the reason

    def place_of(self, name: str) -> tuple[Path, str]:
        """
        Return the arguments ``path`` and ``inside`` of :func:`open_archive` for an archive that is a file in this one.

        :raises ExportError: if this one is inside an archive too.
        """
        path = self.path_of(name)
        if path:
            return path, ""
        if self.inside:
            raise ExportError(
                f"{name}: an archive three levels deep is not read. Unpack the outer ones and import them."
            )
        return self.path, self._prefix + name

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
        return Archive(self.path, self._container, inside=self.inside, prefix=self._prefix + folder, names=names)

    def only(self, names: Sequence[str]) -> "Archive":
        """Return the part that consists of the given files."""
        return Archive(self.path, self._container, inside=self.inside, prefix=self._prefix, names=names)

    def close(self) -> None:
        """Close the container, views of it included."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(self._names)

    def _entry(self, name: str) -> Entry:
        return self._container.entries[self._prefix + name]

    def _open_inside(self, name: str, limits: Limits) -> "Archive":
        """Open an archive in this one from a scratch copy."""
        where = f"{self.path}/{name}"
        if name not in self:
            raise ExportError(f"{where}: is no longer there. Run the import again.")
        entry, copy = self._entry(name), Scratch()
        try:
            with self.open(name) as file:
                while data := file.read(_COPIED_BYTES):
                    copy.write(data)
            packed_bytes = entry.size_bytes if entry.packed_bytes is None else entry.packed_bytes
            container = _container(name.rpartition("/")[2], copy.done(), limits, packed_bytes)
        except BaseException as error:
            copy.file.close()
            if isinstance(error, _DAMAGE):
                raise ExportError(f"{where}: cannot be opened: {error}. Fetch the file again.") from error
            if isinstance(error, LimitExceeded):
                raise LimitExceeded(f"{where}: {error}") from error
            raise
        if container is None:
            raise ExportError(f"{where}: has the name of an archive, but is not one. Check the file.")
        return Archive(self.path, container, inside=name)
