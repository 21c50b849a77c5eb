"""Starting programs on a leash, and noticing when one of them ends on its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import ChatImportError
from include.layout import PROJECT
from include.processes import leash
from include.processes.home import Home


def own_environment() -> dict[str, str]:
    """Return this process's environment, with the project's own modules importable."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


class ComponentEnded(ChatImportError):
    """A program that the command needs has ended on its own; the command stops everything else."""


@dataclass
class Leashed:
    """Programs that end with this process, whatever ends it (:mod:`.leash`). Made by :func:`leashed`."""

    logs: Path
    keep: int
    """Descriptor that the leashes inherit: it stays open until the last of them has ended."""

    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _parent: int = field(default_factory=os.getppid)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Start ``argv``; what it prints goes to ``<logs>/<name>.log``."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("wb") as output:
            self._running[name] = subprocess.Popen(
                # by its path: the program's environment need not know where this project lies
                [sys.executable, "-P", leash.__file__, *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=(self.keep,),
            )

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """
        Start ``argv`` and wait for its end.

        :raises ComponentEnded: Its status was not 0.
        """
        self.start(name, argv, env, cwd)
        if self._running[name].wait() != 0:
            self.check()
        del self._running[name]

    def check(self) -> None:
        """
        Make sure that everything still runs.

        :raises ComponentEnded: Something ended; the message has the last lines it printed. Or `make` did, which started
            this process and can no longer hand on a Ctrl-C.
        """
        if "MAKELEVEL" in os.environ and os.getppid() != self._parent:
            raise ComponentEnded("make is gone, so this command ends too")
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                raise ComponentEnded(f"{name} ended with status {process.returncode}; {log} ends with:\n{tail(log)}")

    def stop(self) -> None:
        """Let go of all leashes and wait until everything has ended."""
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
        for process in self._running.values():
            process.wait()
        self._running.clear()


@contextlib.contextmanager
def leashed(home: Home) -> Iterator[Leashed]:
    """Run programs until the block ends; then nothing of them is left. Their output goes to ``<home>/logs/``."""
    processes = Leashed(home.root / "logs", home.lock)
    try:
        yield processes
    finally:
        processes.stop()


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
