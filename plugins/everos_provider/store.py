"""Lists, brings, puts and removes objects below an address, through Airflow's ``ObjectStoragePath``."""

import errno
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
        for name in [name for name in names if not _is_safe(name)]:
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
    return path.with_name(f".{path.name}.partial")


def _is_safe(name: str) -> bool:
    """Tell whether a name leads to a file of its own below a folder: keys of a store may hold anything."""
    return not name or not {"", ".", ".."}.intersection(name.split("/"))


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
        lasting = isinstance(error, _LASTING) or getattr(error, "errno", None) == errno.ENOSPC
        kind = StorageError if lasting else StoreUnavailable
        raise kind(f"{address}: {said}. {truth} {REMEDY}") from error
