"""
Scratch folders for what comes from an object store: chat text does not stay on a worker's disk.

A task that is killed cannot clean up after itself. So each folder is locked by the process that uses it, and the next
task on that machine removes those that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from include.storage import file_trouble

PREFIX = "everos-import-"

NOTHING_YET = "The task had not begun: nothing was read or sent."


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """
    Give a folder below ``TMPDIR`` that only this user can read, and remove it with all that is in it.

    :raises StorageError: none can be made; nothing was done.
    """
    with file_trouble(Path(tempfile.gettempdir()), NOTHING_YET):
        _sweep()
        folder, lock = _made()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # swept by somebody before it was locked


def _sweep() -> None:
    """Remove what killed tasks have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
