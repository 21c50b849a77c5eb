"""
Runs one program and ends it, with every process it started, when the parent of this process ends.

``python include/local/supervisor.py 6 airflow scheduler``: standard input is a pipe whose other end only the parent
holds. The pipe closes when the parent ends for any reason: an error, Ctrl-C, or SIGKILL, after which the parent itself
cannot clean up. The program joins the parent's process group. The supervisor has a separate group, so that it survives
a SIGKILL of the parent's group and can clean up: Airflow gives each task a separate group, which that signal does not
reach. On Linux the supervisor is a subreaper: it also finds tasks whose own parent has died.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_HEARTBEAT_S = 1.0


def main(argv: list[str]) -> int:
    """
    Run a program until it or the parent ends; return its exit code (negative: the signal).

    :param argv: Seconds between SIGTERM and SIGKILL, then the program and its arguments.
    """
    grace_s, *program = argv
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the parent decides; a handler, unlike SIG_IGN, is not inherited
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    woken = _wake_on_child_exit()
    group = os.getpgid(0)
    os.setpgid(0, 0)
    child = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        process_group=group,
        preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - no threads here
    )
    status = _wait(child.pid, woken)
    _end_all(child.pid if status is None else None, float(grace_s))
    return 0 if status is None else os.waitstatus_to_exitcode(status)


def _wait(pid: int, woken: int) -> int | None:
    """Return the child's wait status, or ``None`` when the parent ended first."""
    while True:
        status = _reap(pid)
        if status is not None:
            return status
        ready, _, _ = select.select([sys.stdin.fileno(), woken], [], [], _HEARTBEAT_S)
        if woken in ready:
            os.read(woken, 512)
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
            return None


def _end_all(pid: int | None, grace_s: float) -> None:
    """Send SIGTERM to the child, then SIGKILL to every process that is left below this one."""
    deadline = time.monotonic() + grace_s
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        while _reap(pid) is None and time.monotonic() < deadline:
            time.sleep(0.05)
    while left := psutil.Process().children(recursive=True):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        _reap(0)
        time.sleep(0.02)


def _reap(pid: int) -> int | None:
    """Collect ended children, adopted ones included; return the wait status of ``pid`` if it is among them."""
    wanted = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return wanted
        if ended == 0:
            return wanted
        if ended == pid:
            wanted = status


def _wake_on_child_exit() -> int:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def _prctl(option: int, value: int) -> None:
    """Linux only: elsewhere the supervisor still ends every process whose parents are alive."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
