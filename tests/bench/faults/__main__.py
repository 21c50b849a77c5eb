"""
Checks the delivery guarantees under every fault: ``make faults``, or ``python -m tests.bench.faults``.

Each scenario has a separate target and state folder. A first run gets the faults; a second run of the same export gets
none. The exit status is 1 if either run breaks a guarantee.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.bench.faults.scenarios import Scenario, Times, scenarios
from tests.bench.faults.trial import Run, Trial, run_trial

SIZES = (300, 200, 160, 140, 120, 100, 100, 80, 60, 40, 20, 80)

WRONG = {
    "lost": "lost",
    "doubled": "twice",
    "out_of_order": "order",
    "overlapping": "overl.",
    "flushed_early": "early",
    "unflushed": "unfl.",
}
CLAIMED = {"pending": "pend.", "unknown": "unkn."}
"""Columns: errors that the target's journal shows, and messages that the run reports as not loaded."""


def main() -> int:
    """Run the chosen scenarios, print a row for each, then the broken guarantees."""
    given = _arguments()
    times = Times(scale=given.scale, settle_s=given.settle_s)
    every = scenarios(times)
    chosen = [row for row in every if any(word in row.name for word in given.only or [""])]
    if not chosen:
        print(
            f"None of the {len(every)} scenario names contains any of these words: {', '.join(given.only)}",
            file=sys.stderr,
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=given.folder))
    began_s = time.monotonic()
    _print_head(chosen)
    with ThreadPoolExecutor(given.at_once) as pool:
        trials = []
        for trial in pool.map(partial(_one, chosen, folder, times), range(len(chosen))):
            trials.append(trial)
            print(_row(trial), flush=True)
    print(f"\n{len(trials)} scenarios, {sum(SIZES):,} messages and more, in {time.monotonic() - began_s:.0f} s")
    _print_unknown(trials)
    return _conclude(trials, folder, keep=given.keep)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("only", nargs="*", help="run those whose names contain one of these words (default: all)")
    parser.add_argument("--scale", type=float, default=0.1, help="of storms (20 s) and outages (30 s); default 0.1")
    parser.add_argument("--settle-s", type=float, default=1.5, help="LoadSettings.settle_s; default 1.5")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="scenarios in parallel")
    parser.add_argument("--folder", type=Path, help="where to work (default: temporary)")
    parser.add_argument("--keep", action="store_true", help="keep logs, ledgers and journals even if nothing is broken")
    return parser.parse_args()


def _one(chosen: Sequence[Scenario], folder: Path, times: Times, number: int) -> Trial:
    scenario, place = chosen[number], folder / f"{number:02}"
    return run_trial(scenario, scenario.write_chats(folder / f"{number:02}.json", SIZES), place, times)


def _print_head(chosen: Sequence[Scenario]) -> None:
    print(f"{len(chosen)} scenarios: errors that the target shows, and messages that the run reports as not loaded\n")
    width = 7 * (len(WRONG) + len(CLAIMED))
    print(f"{'':<32}{' with the faults':<{width + 2}} and without")
    heads = "".join(f"{head:>7}" for head in (*WRONG.values(), *CLAIMED.values()))
    print(f"{'scenario':<31}|{heads} |{heads} |{'seconds':>8}{'calls':>7}", flush=True)


def _row(trial: Trial) -> str:
    seconds = trial.first.seconds + trial.second.seconds
    counts = f"|{_counts(trial.first)} |{_counts(trial.second)} |"
    return f"{trial.scenario.name:<31}{counts}{seconds:>8.1f}{trial.second.account.calls:>7}"


def _counts(run: Run) -> str:
    return "".join(f"{getattr(run.account, name) or '·':>7}" for name in (*WRONG, *CLAIMED))


def _print_unknown(trials: Sequence[Trial]) -> None:
    for trial in trials:
        for attempt in trial.second.account.batches:
            named = f"{attempt.conversation_id}, batch {attempt.key} of {len(attempt.message_ids)} messages"
            print(f"unknown after '{trial.scenario.name}': {named}")


def _conclude(trials: Sequence[Trial], folder: Path, *, keep: bool) -> int:
    broken = [trial for trial in trials if trial.broken]
    for trial in broken:
        print(f"BROKEN in '{trial.scenario.name}': {'; '.join(trial.broken)}")
    if not broken:
        print("Every guarantee holds: nothing lost, doubled, out of order or overlapping; nothing left unnamed.")
    if broken or keep:
        print(f"Logs, ledgers and journals: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
