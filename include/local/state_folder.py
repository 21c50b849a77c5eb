"""The folder that a local run keeps its state in: its lock, its paths, and the ports of its servers."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.errors import ConfigurationError
from include.files import translate_file_errors, try_lock

_WAIT_S = 60.0
"""Longer than any program of a killed command needs to end."""


class StateFolderLocked(ConfigurationError):
    """Another command uses this state folder; nothing was started."""


@dataclass(frozen=True)
class StateFolder:
    """A folder that one command at a time may use."""

    root: Path
    lock: int
    """Descriptor of the lock. The folder stays locked until every process that inherits it has ended."""

    @property
    def airflow(self) -> Path:
        """``AIRFLOW_HOME``: settings, metadata, logs."""
        return self.root / "airflow"

    def standin(self, port: int) -> Path:
        """
        Data of the stand-in on ``port``.

        The address, port included, names the ledger: a stand-in on another port is empty and has an empty ledger.
        """
        return self.root / "standin" / str(port)


@contextlib.contextmanager
def lock_state_folder(root: Path, command: str, say: Callable[[str], None] = lambda _: None) -> Iterator[StateFolder]:
    """
    Lock the folder for this process until the block ends.

    The processes of a killed command need some seconds to end and hold the lock until then: this waits for them.

    :param command: Name of this command, for the error message of another command.
    :param say: Prints a line if it waits.
    :raises StateFolderLocked: A running command has locked it.
    :raises StorageError: It cannot be made or written.
    """
    with translate_file_errors(root, "Nothing was started. EVEROS_IMPORT_HOME=… names another folder."):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, root, say)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {command}".encode(), 0)
        yield StateFolder(root, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, root: Path, say: Callable[[str], None]) -> None:
    deadline, said = time.monotonic() + _WAIT_S, False
    while not try_lock(descriptor):
        pid, _, command = os.pread(descriptor, 200, 0).decode(errors="replace").partition(" ")
        if (pid.isdigit() and psutil.pid_exists(int(pid))) or time.monotonic() > deadline:
            raise StateFolderLocked(
                f"{root} is in use by `{command or '?'}` (process {pid or '?'}); nothing was started.",
                remedy="Let it finish or stop it, or give this command another folder with EVEROS_IMPORT_HOME=…",
            )
        if not said:
            say(f"Waiting for the processes of `{command or '?'}`, which was killed, to end: at most {_WAIT_S:.0f} s …")
            said = True
        time.sleep(0.2)


def free_port(preferred: int | None = None) -> int:
    """Return a port on 127.0.0.1 without a listener: ``preferred`` if it is free."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ConfigurationError("no free port on 127.0.0.1")


def kept_port(note: Path) -> int:
    """Return the port in the file ``note``; without one, or if another program uses it, write a free one there."""
    remembered = note.read_text().strip() if note.exists() else ""
    port = free_port(int(remembered) if remembered.isdigit() else None)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{port}\n")
    return port
