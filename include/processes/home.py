"""One command at a time in one home folder, and the names of what a local run keeps there."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.errors import ConfigurationError

_WAIT_S = 60.0
"""Longer than any program of a killed command may take to end."""


class HomeInUse(ConfigurationError):
    """Another command works in this home; nothing was started."""


@dataclass(frozen=True)
class Home:
    """A folder that one command at a time works in."""

    root: Path
    lock: int
    """Descriptor that holds the lock. Whoever inherits it keeps the home taken until it ends, too."""

    @property
    def airflow(self) -> Path:
        """``AIRFLOW_HOME``: settings, metadata, logs."""
        return self.root / "airflow"

    def standin(self, port: int) -> Path:
        """
        Data of the stand-in on ``port``.

        The port is part of the address that names the ledger: another port gets an empty stand-in and an empty ledger.
        """
        return self.root / "standin" / str(port)


@contextlib.contextmanager
def hold(root: Path, command: str) -> Iterator[Home]:
    """
    Take the home for this process until the block ends.

    A command that was killed leaves processes that need some seconds to end; they hold the lock and are waited for.

    :param command: What to tell others who want the home meanwhile.
    :raises HomeInUse: A living command has it.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, root)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {command}".encode(), 0)
        yield Home(root, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, root: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, command = os.pread(descriptor, 200, 0).decode(errors="replace").partition(" ")
            if (pid.isdigit() and psutil.pid_exists(int(pid))) or time.monotonic() > deadline:
                raise HomeInUse(
                    f"{root} is in use by `{command or '?'}` (process {pid or '?'}): let it finish or stop it, "
                    "or give this one a folder of its own with EVEROS_IMPORT_HOME=…"
                ) from None
            time.sleep(0.2)
        else:
            return


def free_port(preferred: int | None = None) -> int:
    """Return a port on 127.0.0.1 that nobody listens on, ``preferred`` if that is one."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ConfigurationError("no free port on 127.0.0.1")


def kept_port(note: Path) -> int:
    """Return the port that ``note`` remembers, or a free one where there is none or somebody else took it."""
    remembered = note.read_text().strip() if note.exists() else ""
    port = free_port(int(remembered) if remembered.isdigit() else None)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{port}\n")
    return port
