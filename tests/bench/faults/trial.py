"""One scenario: a target, a run with faults, a second run without, and the findings."""

import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from include.ledger import Ledger, ledger_url
from include.run_folder import RunFolder
from tests.bench.chats import Chats
from tests.bench.faults.judging import Account, account, read_claims
from tests.bench.faults.scenarios import Event, Freeze, KillImport, KillTarget, Scenario, Storm, Times
from tests.bench.importing import INCOMPLETE, Import, start
from tests.bench.target import TargetProcess

BATCH_SIZE = 20
LONGEST_S = 180
_LOOK_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run and its findings."""

    account: Account
    status: int | None
    """Exit status of the import; ``None`` when it was killed."""

    missed: int
    """Events that did not happen before the run ended."""

    seconds: float
    log: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The findings of one scenario."""

    scenario: Scenario
    first: Run
    second: Run

    @property
    def broken(self) -> list[str]:
        """Return every broken guarantee as a sentence."""
        nothing_happened = self.first.missed or (self.scenario.faults and not self.first.account.struck)
        return [
            *(["the fault or event did not happen: this run proves nothing"] if nothing_happened else []),
            *(f"first run: {sentence}" for sentence in _broken(self.first)),
            *(f"second run: {sentence}" for sentence in (*_broken(self.second), *self._unfinished())),
        ]

    def _unfinished(self) -> list[str]:
        """After a run without faults only batches without any evidence may be left, in their own conversations."""
        end = self.second.account
        allowed = len({attempt.conversation_id for attempt in end.batches}) if self.scenario.blind else 0
        guarantees = {
            f"{end.stranded} messages are left, and nothing is unknown": end.stranded,
            f"{end.unknown} messages are unknown, though the target can tell": not self.scenario.blind and end.unknown,
            f"{end.unflushed} conversations are not flushed": end.unflushed > allowed,
        }
        return [sentence for sentence, is_broken in guarantees.items() if is_broken]


def _broken(run: Run) -> list[str]:
    """Return the guarantees that this run breaks; they hold for every run."""
    done = run.account
    unnamed = [attempt.key for attempt in done.batches if attempt.key not in run.log]
    left = done.pending + done.unknown
    guarantees = {
        f"{done.lost} messages are lost": done.lost,
        f"{done.doubled} messages are doubled": done.doubled,
        f"{done.out_of_order} messages are out of order": done.out_of_order,
        f"{done.overlapping} batches overlap": done.overlapping,
        f"{done.flushed_early} flushes came too early": done.flushed_early,
        f"exit status {run.status}": run.status not in (None, 0, INCOMPLETE),
        f"{left} messages are left, and the run reports success": run.status == 0 and left,
        f"unknown and not named: {' '.join(unnamed)}": run.status is not None and unnamed,
    }
    return [sentence for sentence, is_broken in guarantees.items() if is_broken]


def run_trial(scenario: Scenario, chats: Chats, folder: Path, times: Times, ledger: str | None = None) -> Trial:
    """
    Run a scenario.

    :param folder: Gets ``target/``, ``home/``, ``first.log``, ``second.log``.
    :param ledger: URL of an empty database; default: a file in ``home/``.
    """
    folder.mkdir(parents=True)
    options = ["--latency-s", str(scenario.batch_s), "--flush-s", "0.02", "--task-kept-s", str(times.task_kept_s)]
    with TargetProcess(folder / "target", *options, *scenario.target_options) as target:
        target.arm(scenario.faults)
        attempt = _Attempt(folder, chats, target, times, ledger or ledger_url(folder / "home"))
        first = attempt.run("first", scenario.events)
        target.arm(())
        time.sleep(scenario.rest_s)
        return Trial(scenario=scenario, first=first, second=attempt.run("second"))


class _Attempt:
    """Runs imports against one target, with events."""

    def __init__(self, folder: Path, chats: Chats, target: TargetProcess, times: Times, ledger: str) -> None:
        self._folder, self._ledger = folder, ledger
        self._home = folder / "home"
        self._chats = chats
        self._target = target
        self._times = times

    def run(self, name: str, events: Sequence[Event] = ()) -> Run:
        import_ = Import(
            source=str(self._chats.path),
            run_id=name,
            base_url=self._target.base_url,
            batch_size=BATCH_SIZE,
            read_timeout_s=self._times.read_timeout_s,
            settings=self._times.load,
            ledger=self._ledger,
        )
        began_s = time.monotonic()
        log = self._folder / f"{name}.log"
        to_come = deque(events)
        status = self._run_until_end(import_, log, to_come)
        seconds = time.monotonic() - began_s
        ledger = Ledger.open(self._ledger, import_.connection().target)
        claims = read_claims(RunFolder.of(name, self._home), ledger)
        return Run(
            account=account(self._target.journal(), self._chats.expected, claims),
            status=status,
            missed=len(to_come),
            seconds=seconds,
            log=log.read_text(),
        )

    def _run_until_end(self, import_: Import, log: Path, events: deque[Event]) -> int | None:
        """Run an import until it ends or is killed without a resume."""
        while True:
            with log.open("ab") as file, start(import_, self._home, file) as process:
                kill = self._run_events(process, events)
                printed, _ = process.communicate()
                file.write(printed + b"\n")
            if kill is None:
                return process.returncode
            if not kill.resumed:
                return None

    def _run_events(self, process: subprocess.Popen[bytes], events: deque[Event]) -> KillImport | None:
        """Produce events at their time until the process ends or an event kills it."""
        ends_s = time.monotonic() + LONGEST_S
        while True:
            try:
                process.wait(timeout=_LOOK_S if events else ends_s - time.monotonic())
            except subprocess.TimeoutExpired:
                if time.monotonic() >= ends_s:
                    process.kill()
                    return None
            else:
                return None
            if not events or self._progress() < events[0].at:
                continue
            match event := events.popleft():
                case KillImport():
                    process.kill()
                    return event
                case KillTarget(down_s=down_s):
                    self._target.kill()
                    time.sleep(down_s)
                    self._target.start()
                case Freeze(for_s=for_s):
                    self._target.freeze(for_s)
                case Storm(for_s=for_s, faults=faults):
                    self._target.storm(faults, for_s)

    def _progress(self) -> float:
        try:
            return self._target.stored() / self._chats.messages
        except httpx.TransportError:  # it is starting
            return 0.0
