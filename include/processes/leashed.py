"""Starting programs on a leash, and noticing when one of them ends on its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
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
    """
    A program that the command needs has ended on its own; the command stops everything else.

    The message has several lines: the last ones of the program's log.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


GRACE_S = 6.0
"""Between SIGTERM and SIGKILL. What is cut off while sending is settled by the ledger of the next run."""


@dataclass
class Leashed:
    """Programs that end with this process, whatever ends it (:mod:`.leash`). Made by :func:`leashed`."""

    logs: Path
    keep: int
    """Descriptor that the leashes inherit: it stays open until the last of them has ended."""

    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _outliving: set[str] = field(default_factory=set)
    _parent: int = field(default_factory=os.getppid)

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        grace_s: float = GRACE_S,
        outlives_others: bool = False,
    ) -> None:
        """
        Start ``argv``; what it prints goes to ``<logs>/<name>.log``.

        :param grace_s: How long it may take to end by itself.
        :param outlives_others: Stop it only when everything else has ended, because that needs it to end well.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("wb") as output:
            self._running[name] = subprocess.Popen(
                # by its path: the program's environment need not know where this project lies
                [sys.executable, "-P", leash.__file__, str(grace_s), *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=(self.keep,),
            )
        if outlives_others:
            self._outliving.add(name)

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
        self._let_go(self._running.keys() - self._outliving)
        self._let_go(set(self._running))

    def _let_go(self, names: Set[str]) -> None:
        processes = [self._running.pop(name) for name in names]
        for process in processes:
            if process.stdin:
                process.stdin.close()
        for process in processes:
            process.wait()


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
