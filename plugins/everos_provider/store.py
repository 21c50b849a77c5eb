"""Lists, brings, puts and removes objects below an address, through Airflow's ``ObjectStoragePath``."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowNotFoundException

from include.errors import StorageError, StoreUnavailable
from include.layout import private_folder
from include.logs import get_logger

log = get_logger(__name__)

_AT_ONCE = 8

_LONGEST_NAME_BYTES = 255
"""Of a file, in the file systems of Linux and macOS; a key of S3 may have 1,024 without a "/" in it."""

_LASTING = (FileNotFoundError, PermissionError, ImportError, ValueError, AirflowNotFoundException)
"""No such bucket, no access, no provider for such an address, no connection: trying again cannot help."""

_VERSIONS = ("ETag", "etag", "updated", "last_modified", "mtime")
"""What the file systems of S3, Azure, Google and this machine tell an object's version by."""

NOT_READ = "This task has read no more of it, and sent nothing because of it."
NOT_WRITTEN = "This task's files count as not written; what was loaded before is in the ledger."
REMEDY = (
    "Look after the store, its Airflow connection and permissions, and the room that TMPDIR has; then clear the failed "
    "task, or run again."
)


def is_url(place: str) -> bool:
    """Tell an address from a path."""
    return "://" in place


@dataclass(frozen=True)
class Objects:
    """
    The objects below an address, by their names relative to it; the object at the address itself is named ``""``.

    Every call raises :class:`include.errors.StoreUnavailable` when the store does not answer as it should, and
    :class:`include.errors.StorageError` when it says no, or nothing here can talk to it.
    """

    root: ObjectStoragePath

    @property
    def local_path(self) -> Path | None:
        """Where they are on this machine, for an address that begins with ``file://``; ``None`` for a store."""
        return Path(self.root.path) if self.root.protocol in ("file", "local") else None

    @classmethod
    def below(cls, address: str, *names: str) -> Self:
        """Return those below an address, or below a name below it."""
        with _trouble(address, NOT_READ):
            return cls(ObjectStoragePath(address).joinpath(*names))

    def versions(self) -> dict[str, str]:
        """Return each object's version by its name, as they are now."""
        with _trouble(str(self.root), NOT_READ):
            fs, top = self.root.fs, self._path("")
            fs.invalidate_cache()
            found: Mapping[str, Mapping[str, Any]] = fs.find(top, detail=True)
        names = {
            path[len(top) :].removeprefix("/"): _version(info)
            for path, info in found.items()
            if not path.endswith("/")  # what consoles put where a person makes a folder
        }
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        for name in [name for name in names if not _is_safe(name) or name in folders]:
            log.warning("Left out, its name cannot be that of a file: %s", self._address(name))
            del names[name]
        return names

    def bring(self, paths: Mapping[str, Path]) -> None:
        """Copy objects to files, by name; each file appears whole."""
        _each(self._bring, paths.items())

    def put(self, paths: Mapping[str, Path]) -> None:
        """Copy files to objects, by name; each object appears whole."""
        _each(self._put, paths.items())

    def mark(self, names: Iterable[str]) -> None:
        """Make empty objects."""
        _each(self._mark, names)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects."""
        _each(self._remove, names)

    def content(self, name: str) -> bytes | None:
        """Return what an object holds, ``None`` when there is none."""
        with _trouble(self._address(name), NOT_READ):
            try:
                return bytes(self.root.fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def _bring(self, pair: tuple[str, Path]) -> None:
        name, path = pair
        with _trouble(self._address(name), NOT_READ):
            private_folder(path.parent)
            draft = _draft(path)
            self.root.fs.get_file(self._path(name), str(draft))
            draft.chmod(0o600)
            draft.replace(path)

    def _put(self, pair: tuple[str, Path]) -> None:
        name, path = pair
        with _trouble(self._address(name), NOT_WRITTEN):
            if self.root.protocol != "file":
                self.root.fs.put_file(str(path), self._path(name))
                return
            there = Path(self._path(name))
            private_folder(there.parent)
            shutil.copyfile(path, _draft(there))
            _draft(there).chmod(0o600)
            _draft(there).replace(there)

    def _mark(self, name: str) -> None:
        with _trouble(self._address(name), NOT_WRITTEN):
            self.root.fs.pipe_file(self._path(name), b"")

    def _remove(self, name: str) -> None:
        with _trouble(self._address(name), NOT_WRITTEN):
            self.root.fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.root.path.rstrip('/')}/{name}".rstrip("/")

    def _address(self, name: str) -> str:
        return f"{str(self.root).rstrip('/')}/{name}".rstrip("/")


def _draft(path: Path) -> Path:
    """Return a name beside a file that no file system finds too long, however long the file's own is."""
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.partial")


def _is_safe(name: str) -> bool:
    """Tell whether a name leads to a file of its own below a folder: keys of a store may hold anything."""
    parts = name.split("/")
    return not name or (
        not {"", ".", ".."}.intersection(parts)
        and "\0" not in name
        and all(len(part.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME_BYTES for part in parts)
    )


def _version(info: Mapping[str, Any]) -> str:
    return " ".join(str(info[key]) for key in ("size", *_VERSIONS) if key in info)


def _each[Item](work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do some at a time; the first trouble is raised when all have ended."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, items):
            pass


@contextmanager
def _trouble(address: str, truth: str) -> Iterator[None]:
    """Say of what goes wrong: which object, what happened, what is true now, what to do."""
    try:
        yield
    except Exception as error:
        said = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        lasting = isinstance(error, _LASTING) or getattr(error, "errno", None) in (errno.ENOSPC, errno.ENAMETOOLONG)
        kind = StorageError if lasting else StoreUnavailable
        raise kind(f"{address}: {said}. {truth} {REMEDY}") from error
