"""At most one writer per segment and target: locks that end with the process or the connection that holds them."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, text

from include.errors import LedgerError
from include.files import try_lock


class Locks(Protocol):
    """The locks that one writer holds, by name."""

    def take(self, name: str) -> bool:
        """Try to take a lock; does not wait."""
        ...

    def holds(self, names: frozenset[str]) -> bool:
        """Tell whether all of these still keep other writers away."""
        ...

    def release(self, name: str) -> None:
        """Give a lock back."""
        ...

    def close(self) -> None:
        """Give back all that are still held, as those that a cancelled task had just taken."""
        ...


class FileLocks:
    """
    Locked files beside an SQLite database; they end with the process.

    :param database: The database's file; it must stay the one that was opened.
    """

    def __init__(self, database: Path) -> None:
        self._database, self._opened = database, _identity(database)
        self._folder = database.with_name(f"{database.name}-locks")
        self._files: dict[str, int] = {}

    def take(self, name: str) -> bool:
        """Lock the file; one that its last holder removed meanwhile is made again."""
        path = self._path(name)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        while True:
            file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            if not try_lock(file):
                os.close(file)
                return False
            if _is_at(path, file):
                self._files[name] = file
                return True
            os.close(file)

    def holds(self, names: frozenset[str]) -> bool:
        """Compare the locked files, and the database itself, with what is at their paths now."""
        if _identity(self._database) != self._opened:
            return False
        return all(name in self._files and _is_at(self._path(name), self._files[name]) for name in names)

    def release(self, name: str) -> None:
        """Remove the file while it is locked, so that none are left behind."""
        file = self._files.pop(name)
        if _is_at(self._path(name), file):
            self._path(name).unlink()
        os.close(file)

    def close(self) -> None:
        """Release what is left."""
        for name in list(self._files):
            self.release(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{_digest(name).hex()}.lock"


class AdvisoryLocks:
    """PostgreSQL's advisory locks of one connection; they end with its session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take(self, name: str) -> bool:
        """Ask the server for the lock."""
        with self._connection.begin():
            return bool(
                self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(name)}).scalar()
            )

    def holds(self, names: frozenset[str]) -> bool:
        """Ask the server, in the transaction at hand: a pooler may have handed the session to somebody else."""
        held = self._connection.execute(
            text(
                "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks "
                "WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = pg_backend_pid()"
            )
        )
        return {_key(name) for name in names} <= {int(key) for (key,) in held}

    def release(self, name: str) -> None:
        """Give the lock back; a session that is gone holds none."""
        if not self._connection.invalidated:
            with self._connection.begin():
                self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(name)})

    def close(self) -> None:
        """End the session with its locks: a pool would keep it open."""
        self._connection.invalidate()


def lost(name: str, database: str) -> LedgerError:
    """Say that a writer must stop."""
    return LedgerError(
        f"{name}: its lock in {database} was lost, or the database was replaced, while it was loading. It stopped; "
        "what it had sent is settled by the next try. Leave the ledger alone during a load, then clear the task."
    )


def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()[:8]


def _key(name: str) -> int:
    return int.from_bytes(_digest(name), signed=True)


def _is_at(path: Path, file: int) -> bool:
    """Tell whether an open file is the one at a path; neither is where it was removed."""
    status = os.fstat(file)
    return _identity(path) == (status.st_dev, status.st_ino)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path, ``None`` where none can be reached."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
