r"""
Reads a zip, a folder or a single file in place: nothing is extracted, nothing hostile gets through.

Names come decoded, ``/``-separated and proven to stay inside; what cannot be read safely is listed in
:attr:`Archive.refused` and costs only itself. What archives are like in the wild:

- Slack writes UTF-8 names without setting the UTF-8 flag; Python then reads them as cp437.
- Archives zipped again have one wrapper folder, ``__MACOSX/`` and ``._*`` beside it, or ``\`` as separator.
- A bomb packs 5 GB of JSON into 5 MB (CVE-2024-54682); an honest export packs 10 to 50 times.
"""

import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self

from include.archive.containers import Container, Entry, FileContainer, FolderContainer, Refused, ZipContainer
from include.archive.limits import Limits, limits_of_environment
from include.errors import ExportError

__all__ = ["Archive", "Limits", "Refused", "limits_of_environment", "open_archive"]


_ZIP_START = b"PK\x03\x04"


def open_archive(path: Path, limits: Limits | None = None) -> "Archive":
    """
    Open a zip, a folder, or any other file (which then is its own only entry).

    :param limits: Default: :func:`include.archive.limits.limits_of_environment`.
    :raises ExportError: if ``path`` is missing or a damaged zip.
    :raises LimitExceeded: if it holds more entries than allowed; none was read.
    """
    limits = limits or limits_of_environment()
    try:
        if path.is_dir():
            return Archive(path, FolderContainer(path, limits))
        if zipfile.is_zipfile(path):
            return Archive(path, ZipContainer(path, limits))
        with path.open("rb") as file:
            if file.read(len(_ZIP_START)) == _ZIP_START:
                raise zipfile.BadZipFile("a zip whose end is missing")
        return Archive(path, FileContainer(path, limits))
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ExportError(f"{path}: cannot be opened: {error}. Check the path, or fetch the file again.") from error


class Archive:
    """The files of an export, wherever they lie; made by :func:`open_archive`, used as a context manager."""

    def __init__(self, path: Path, container: Container, *, prefix: str = "", names: Sequence[str] | None = None):
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

    def __contains__(self, name: str) -> bool:
        return name in self._present

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

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(self._names)

    def _entry(self, name: str) -> Entry:
        return self._container.entries[self._prefix + name]
