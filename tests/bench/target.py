"""The stand-in as a process of its own: killed, frozen and started again on the same port with the same data."""

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
    A stand-in that runs as long as the ``with`` block, interruptions aside.

    :param options: Of ``python -m include.standin``, such as ``--latency-s 0.1``.
    """

    def __init__(self, data: Path, *options: str) -> None:
        self.base_url = ""
        self._data = data
        self._options = options
        self._port = 0
        self._faults: Sequence[Fault] = ()
        self._process: subprocess.Popen[str] | None = None
        # Answers matter, not proxies; one client, since making one costs more than a call.
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
        """Start it and wait until it answers; the faults are those from before."""
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
        """End it without warning; what it has accepted is in its file."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self, for_s: float) -> None:
        """Let it hold all connections and do nothing, as a machine does that has run out of memory."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(for_s)
            self._process.send_signal(signal.SIGCONT)

    def arm(self, faults: Sequence[Fault]) -> None:
        """Replace the faults in force."""
        self._faults = faults
        self._http.post(f"{self.base_url}/standin/faults", content=msgspec.json.encode(faults)).raise_for_status()

    def storm(self, faults: Sequence[Fault], for_s: float) -> None:
        """Put other faults in the place of those in force, for a time."""
        before = self._faults
        self.arm(faults)
        time.sleep(for_s)
        self.arm(before)

    def stored(self) -> int:
        """How many messages it holds."""
        return int(self._http.get(f"{self.base_url}/standin/stats").raise_for_status().json()["messages"])

    def journal(self) -> list[Entry]:
        """All calls so far."""
        return read_journal(self._data)
