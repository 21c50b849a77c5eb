"""Reads a folder and all folders below it. Links to folders are not followed; only regular files are opened."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from include.archive.containers import Container, Entry, Packed, Refused
from include.archive.limits import Limits


class FolderContainer(Container):
    """Reads the files of a folder where they are."""

    is_divisible = True

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(limits)
        self._root = path
        self._inside = os.path.realpath(path)
        self._fill(self._limited(self._found()))

    def path_of(self, entry: Entry) -> Path | None:
        """Return where an entry is on disk."""
        return Path((entry.handle.entry if isinstance(entry.handle, Packed) else entry).handle)

    def _found(self) -> Iterator[tuple[str, Entry]]:
        folders = [(str(self._root), "")]
        while folders:
            folder, prefix = folders.pop()
            try:
                with os.scandir(folder) as items:
                    for item in items:
                        name = prefix + item.name
                        if item.is_dir(follow_symlinks=False):
                            folders.append((item.path, f"{name}/"))
                        elif item.is_file(follow_symlinks=False):
                            yield from self._file(name, item.path)
                        elif item.is_symlink():
                            yield from self._link(name, item.path)
                        else:
                            self._refuse(name, "a pipe, a socket or a device")
            except OSError as error:
                if not prefix:
                    raise
                self._refuse(prefix.rstrip("/"), f"a folder that cannot be read: {error.strerror}")

    def _file(self, name: str, path: str) -> Iterator[tuple[str, Entry]]:
        try:
            size_bytes = os.stat(path).st_size  # noqa: PTH116 - 15,000 times
        except OSError as error:
            self._refuse(name, f"cannot be read: {error.strerror}")
            return
        yield _printable(name), Entry(path, size_bytes)

    def _link(self, name: str, path: str) -> Iterator[tuple[str, Entry]]:
        try:
            target = os.path.realpath(path, strict=True)
            mode = os.stat(target).st_mode  # noqa: PTH116
        except OSError as error:
            looping = error.errno == errno.ELOOP
            self._refuse(name, "a link that leads back to itself" if looping else "a link that leads nowhere")
            return
        if not Path(target).is_relative_to(self._inside):
            self._refuse(name, "a link that leads out of the folder")
        elif stat.S_ISDIR(mode):
            self._refuse(name, "a link to a folder; the folder is read where it is")
        elif not stat.S_ISREG(mode):
            self._refuse(name, "a link to a pipe, a socket or a device")
        else:
            yield from self._file(name, target)

    def _refuse(self, name: str, reason: str) -> None:
        self.refused.append(Refused(_printable(name), reason))

    def _raw(self, entry: Entry) -> BinaryIO:
        return cast(BinaryIO, open(entry.handle, "rb", buffering=0, opener=_open))


class FileContainer(FolderContainer):
    """A single file on disk, as its only entry."""

    def _found(self) -> Iterator[tuple[str, Entry]]:
        yield _printable(self._root.name), Entry(str(self._root), self._root.stat().st_size)


def _open(path: str, flags: int) -> int:
    """Open without waiting for a writer: a pipe may have replaced the file since it was found."""
    return os.open(path, flags | os.O_NONBLOCK)


def _printable(name: str) -> str:
    """Return a name on disk as text that can be stored; some unpackers leave backslashes in names."""
    return os.fsencode(name).decode("utf-8", "replace").replace("\\", "/")
