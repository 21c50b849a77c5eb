"""
Temporary folders for files from an object store. Chat text must not stay on a worker's disk.

A task that is killed cannot remove its folder. So each process locks the folder that it uses, and the next task on that
machine removes the folders that are not locked.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from include.files import translate_file_errors, try_lock

PREFIX = "everos-import-"

STATE_AFTER = "The task had not started: nothing was read or sent."


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """
    Give a folder below ``TMPDIR`` that only this user can read; it is removed afterwards.

    :raises StorageError: the folder cannot be created.
    """
    with translate_file_errors(Path(tempfile.gettempdir()), STATE_AFTER):
        _remove_unlocked()
        folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """Return a new folder and the file descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder, os.O_RDONLY)
        if try_lock(lock) and folder.exists():
            return folder, lock
        os.close(lock)  # another task locked it first, to remove it


def _remove_unlocked() -> None:
    """Remove the folders of killed tasks."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # of another user, in use, or removed meanwhile
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if try_lock(lock):
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
