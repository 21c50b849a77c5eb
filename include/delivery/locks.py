"""File locks that end with the process that holds them; a folder where they do not work is no place for a ledger."""

import fcntl
import os
from pathlib import Path

from include.errors import LedgerError
from include.storage import file_trouble

LEDGER_TRUTH = "Nothing is sent without the ledger; calls made before are settled by the next try."
"""What is true when a ledger's folder fails, whenever that is."""


def open_lock(path: Path) -> int:
    """
    Open a file to lock, making it and its folder if needed; the lock ends when the returned descriptor is closed.

    :raises LedgerError: it cannot be opened for writing; nothing is sent.
    """
    with file_trouble(path.parent, LEDGER_TRUTH, LedgerError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o644)


def lock(file: int, how: int) -> bool:
    """
    Lock a descriptor (``fcntl.LOCK_SH``, ``LOCK_EX``, ``LOCK_NB``); ``False`` when ``LOCK_NB`` finds it taken.

    :raises LedgerError: the file system knows no locks; nothing was sent.
    """
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LedgerError(
            f"files in the ledger's folder cannot be locked ({error}), and without that two loads could send the same "
            "messages. Nothing was sent. Put EVEROS_IMPORT_HOME on a file system with locks."
        ) from error
    return True
