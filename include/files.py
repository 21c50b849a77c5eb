"""Writes private files atomically, locks files, and turns errors of files into messages with a remedy."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb

from include.errors import ChatImportError, StorageError

FILE_ERRORS = (OSError, duckdb.IOException, duckdb.OutOfMemoryException)
"""Errors of the system, Parquet and DuckDB; the last one is that of DuckDB without room to spill."""

REMEDY = "Make room there or fix its permissions, then clear the failed task or run again."


@contextmanager
def translate_file_errors(
    folder: Path, state_after: str, as_error: type[ChatImportError] = StorageError
) -> Iterator[None]:
    """
    Turn errors of files into one error with the folder, the error, the state after it, and a remedy.

    :param folder: The folder that is read and written; it need not exist.
    :param state_after: A sentence that states what is true after the error.
    :param as_error: The class of the error to raise.
    """
    try:
        yield
    except FILE_ERRORS as error:
        raise as_error(f"{folder}: {described(error, folder)}. {state_after}", remedy=REMEDY) from error


def described(error: Exception, folder: Path) -> str:
    """Return the error in one line, with the free space: a full disk is the usual reason."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return f"{str(error).partition('\n')[0].rstrip('.')} ({shutil.disk_usage(there).free / 1e6:,.0f} MB free)"


def private_folder(path: Path) -> None:
    """Make a folder and the missing ones above it, each with mode 0700; one that exists stays as it is."""
    for each in (*reversed(path.parents), path):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def open_private(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing, with mode 0600; it appears when the block ends, complete or not at all."""
    draft = path.with_name(f".{path.name}.partial")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        yield file
    draft.replace(path)


def write_private(path: Path, content: bytes) -> None:
    """Write a file as :func:`open_private` does."""
    with open_private(path) as file:
        file.write(content)


def try_lock(descriptor: int) -> bool:
    """
    Try to lock an open file or folder; return ``False`` if another descriptor has the lock.

    The lock ends when every process that inherited the descriptor has closed it or ended, also by SIGKILL.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_private(folder: Path) -> None:
    """Give all files below a folder mode 0600, and all folders 0700: libraries write with the umask's."""
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
