"""The stand-in as a separate process that can be killed, frozen and restarted with the same port and data."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import msgspec

from include.standin.faults import Fault
from include.standin.journal import Entry
from include.standin.store import read_journal
from tests.bench.importing import PROJECT


class TargetProcess:
    """
    A stand-in that runs until the ``with`` block ends, apart from the interruptions that a test asks for.

    :param options: Of ``python -m include.standin``, such as ``--latency-s 0.1``.
    """

    def __init__(self, data: Path, *options: str) -> None:
        self.base_url = ""
        self._data = data
        self._options = options
        self._port = 0
        self._faults: Sequence[Fault] = ()
        self._process: subprocess.Popen[str] | None = None
        # one client for all calls: making one takes longer than a call
        self._http = httpx.Client(trust_env=False, timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._http.close()

    def start(self) -> None:
        """Start it with the faults set before and wait until it answers."""
        command = [sys.executable, "-m", "include.standin", "--port", str(self._port), "--data", str(self._data)]
        log = self._data.with_suffix(".log").open("a")
        with log:
            self._process = subprocess.Popen(
                [*command, *self._options], cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if "http://" not in line:
            raise RuntimeError(f"the stand-in did not start: see {log.name}")
        self.base_url = line.split(" at ", 1)[1].split(",", 1)[0]
        self._port = int(self.base_url.rsplit(":", 1)[1])
        self.arm(self._faults)

    def kill(self) -> None:
        """Send SIGKILL; everything that it has accepted is in its file."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self, for_s: float) -> None:
        """Suspend it with open connections, like a machine that has run out of memory."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(for_s)
            self._process.send_signal(signal.SIGCONT)

    def arm(self, faults: Sequence[Fault]) -> None:
        """Replace the active faults."""
        self._faults = faults
        self._http.post(f"{self.base_url}/standin/faults", content=msgspec.json.encode(faults)).raise_for_status()

    def storm(self, faults: Sequence[Fault], for_s: float) -> None:
        """Replace the active faults for a time."""
        before = self._faults
        self.arm(faults)
        time.sleep(for_s)
        self.arm(before)

    def stored(self) -> int:
        """Return the number of messages that it has stored."""
        return int(self._http.get(f"{self.base_url}/standin/stats").raise_for_status().json()["messages"])

    def journal(self) -> list[Entry]:
        """All calls so far."""
        return read_journal(self._data)
