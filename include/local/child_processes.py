"""Starts the programs of a local run, each under a supervisor, and detects that one of them has ended."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import ChatImportError
from include.local import supervisor
from include.local.state_folder import StateFolder
from include.run_folder import PROJECT


def own_environment() -> dict[str, str]:
    """Return this process's environment, with the project's own modules importable."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


class ComponentEnded(ChatImportError):
    """
    A program that the command needs has ended; the command stops all others.

    The message ends with the last lines of the program's log.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


GRACE_S = 6.0
"""Between SIGTERM and SIGKILL. The next run reconciles calls that were interrupted."""


@dataclass
class ChildProcesses:
    """Programs that end when this process ends, even by SIGKILL (:mod:`.supervisor`); see :func:`child_processes`."""

    logs: Path
    keep: int
    """Descriptor of the lock. The supervisors inherit it, so the lock is held until the last of them has ended."""

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

        :param grace_s: Seconds between SIGTERM and SIGKILL.
        :param outlives_others: Stop it after all others, because they need it to shut down.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("wb") as output:
            self._running[name] = subprocess.Popen(
                # by its path: PYTHONPATH of the program may not contain this project
                [sys.executable, "-P", supervisor.__file__, str(grace_s), *argv],
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
        Check that every program still runs.

        :raises ComponentEnded: A program has ended; the message has its last lines. Or `make`, which started this
            process, has ended, so that a Ctrl-C would not arrive.
        """
        if "MAKELEVEL" in os.environ and os.getppid() != self._parent:
            raise ComponentEnded("the `make` that started this command has ended, so this command stops too")
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                raise ComponentEnded(f"{name} ended with status {process.returncode}; {log} ends with:\n{tail(log)}")

    def stop(self) -> None:
        """End all programs and wait until they have ended."""
        self._stop(self._running.keys() - self._outliving)
        self._stop(set(self._running))

    def _stop(self, names: Set[str]) -> None:
        processes = [self._running.pop(name) for name in names]
        for process in processes:
            if process.stdin:
                process.stdin.close()
        for process in processes:
            process.wait()


@contextlib.contextmanager
def child_processes(state_folder: StateFolder) -> Iterator[ChildProcesses]:
    """Run programs until the block ends, then end them all. Their output goes to ``<state folder>/logs/``."""
    processes = ChildProcesses(state_folder.root / "logs", state_folder.lock)
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
