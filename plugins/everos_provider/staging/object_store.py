"""Lists, downloads, uploads and removes objects below an address, with Airflow's ``ObjectStoragePath``."""

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
from include.files import private_folder
from include.logs import get_logger

log = get_logger(__name__)

_AT_ONCE = 8

_LONGEST_NAME_BYTES = 255
"""Limit of the file systems of Linux and macOS; a key of S3 may have 1,024 bytes without a "/"."""

_PERMANENT = (FileNotFoundError, PermissionError, ImportError, ValueError, AirflowNotFoundException)
"""No such bucket, no access, no provider for the address, no connection: a retry cannot help."""

_VERSIONS = ("ETag", "etag", "updated", "last_modified", "mtime")
"""Keys of an object's version in the file systems of S3, Azure, Google and this machine."""

NOT_READ = "The task has stopped reading and has sent nothing of it."
NOT_WRITTEN = "This task's files count as not written; messages that were loaded before are in the ledger."
_PACKAGES = {
    "s3": "apache-airflow-providers-amazon[s3fs] (requirements-distributed.txt has it)",
    "gs": "apache-airflow-providers-google",
    "abfs": "apache-airflow-providers-microsoft-azure",
    "abfss": "apache-airflow-providers-microsoft-azure",
}
"""Package that opens addresses of a scheme with :class:`airflow.sdk.ObjectStoragePath`."""

REMEDY = (
    "Check the store, its Airflow connection and permissions, and the free space in TMPDIR; then clear the failed task "
    "or run again."
)


def is_url(source: str) -> bool:
    """Return whether ``source`` is an address; if not, it is a path."""
    return "://" in source


@dataclass(frozen=True)
class Objects:
    """
    The objects below an address. Names are relative to it; the object at the address itself has the name ``""``.

    All methods raise :class:`include.errors.StoreUnavailable` if the store fails or does not answer, and
    :class:`include.errors.StorageError` if it refuses the call or no provider is installed for it.
    """

    root: ObjectStoragePath

    @property
    def local_path(self) -> Path | None:
        """Local path of an address that begins with ``file://``; ``None`` for a store."""
        return Path(self.root.path) if self.root.protocol in ("file", "local") else None

    @classmethod
    def below(cls, address: str, *names: str) -> Self:
        """Return the objects below ``address/names…``."""
        with _translated_errors(address, NOT_READ):
            root = ObjectStoragePath(address).joinpath(*names)
            _ = root.fs  # names what is missing before anything is read
            return cls(root)

    def versions(self) -> dict[str, str]:
        """Return the current version of each object, by name."""
        with _translated_errors(str(self.root), NOT_READ):
            fs, top = self.root.fs, self._path("")
            fs.invalidate_cache()
            found: Mapping[str, Mapping[str, Any]] = fs.find(top, detail=True)
        names = {
            path[len(top) :].removeprefix("/"): _version(info)
            for path, info in found.items()
            if not path.endswith("/")  # consoles create such an object for a folder
        }
        folders = {name[:end] for name in names for end in range(len(name)) if name[end] == "/"}
        for name in [name for name in names if not _is_safe(name) or name in folders]:
            log.warning("Skipped: the name of this object is not a valid file name: %s", self._address(name))
            del names[name]
        return names

    def download(self, paths: Mapping[str, Path]) -> None:
        """Copy objects to files, by name; each file is written completely or not at all."""
        _each(self._download, paths.items())

    def upload(self, paths: Mapping[str, Path]) -> None:
        """Copy files to objects, by name; each object is written completely or not at all."""
        _each(self._upload, paths.items())

    def create_empty(self, names: Iterable[str]) -> None:
        """Create empty objects."""
        _each(self._create_empty, names)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects."""
        _each(self._remove, names)

    def content(self, name: str) -> bytes | None:
        """Return the content of an object, ``None`` if it does not exist."""
        with _translated_errors(self._address(name), NOT_READ):
            try:
                return bytes(self.root.fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def _download(self, pair: tuple[str, Path]) -> None:
        name, path = pair
        with _translated_errors(self._address(name), NOT_READ):
            private_folder(path.parent)
            partial = _partial(path)
            self.root.fs.get_file(self._path(name), str(partial))
            partial.chmod(0o600)
            partial.replace(path)

    def _upload(self, pair: tuple[str, Path]) -> None:
        name, path = pair
        with _translated_errors(self._address(name), NOT_WRITTEN):
            if self.root.protocol != "file":
                self.root.fs.put_file(str(path), self._path(name))
                return
            there = Path(self._path(name))
            private_folder(there.parent)
            shutil.copyfile(path, _partial(there))
            _partial(there).chmod(0o600)
            _partial(there).replace(there)

    def _create_empty(self, name: str) -> None:
        with _translated_errors(self._address(name), NOT_WRITTEN):
            self.root.fs.pipe_file(self._path(name), b"")

    def _remove(self, name: str) -> None:
        with _translated_errors(self._address(name), NOT_WRITTEN):
            self.root.fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.root.path.rstrip('/')}/{name}".rstrip("/")

    def _address(self, name: str) -> str:
        return f"{str(self.root).rstrip('/')}/{name}".rstrip("/")


def _partial(path: Path) -> Path:
    """Return the temporary name of a file: in the same folder, and short however long the file's name is."""
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.partial")


def _is_safe(name: str) -> bool:
    """Return whether a name is a valid relative path without ``..``: keys of a store may be any text."""
    parts = name.split("/")
    return not name or (
        not {"", ".", ".."}.intersection(parts)
        and "\0" not in name
        and all(len(part.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME_BYTES for part in parts)
    )


def _version(info: Mapping[str, Any]) -> str:
    return " ".join(str(info[key]) for key in ("size", *_VERSIONS) if key in info)


def _each[Item](work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Call ``work`` in parallel; the first error is raised when all calls have ended."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, items):
            pass


@contextmanager
def _translated_errors(address: str, state_after: str) -> Iterator[None]:
    """Turn any error into one that says which object, what happened, what is true now, what to do."""
    try:
        yield
    except Exception as error:
        scheme = address.partition("://")[0]
        if isinstance(error, ImportError) or (isinstance(error, ValueError) and "filesystem" in str(error)):
            package = _PACKAGES.get(scheme)
            raise StorageError(
                f"{address}: no installed package opens addresses with {scheme}://. {state_after}",
                remedy=f"Install {package} wherever tasks run."
                if package
                else f"Use a path, or an address with {', '.join(f'{each}://' for each in _PACKAGES)}.",
            ) from error
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        permanent = isinstance(error, _PERMANENT) or getattr(error, "errno", None) in (errno.ENOSPC, errno.ENAMETOOLONG)
        kind = StorageError if permanent else StoreUnavailable
        raise kind(f"{address}: {reason}. {state_after}", remedy=REMEDY) from error
