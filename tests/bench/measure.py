"""
Measures one step in a separate process, and prints a row about it.

This module imports no large library, because a process inherits the peak memory of its parent.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PIPELINE = ("extract", "transform", "plan")
_ROW = "{:<22}{:>10}{:>10}{:>13}{:>10}{:>10}"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Time and memory of a step."""

    count: int
    """Entries of the export; for ``plan`` messages."""

    wall_s: float
    cpu_s: float
    """Of all threads: comparable on a busy machine, too."""

    peak_bytes: int
    libraries_bytes: int
    """The part of the peak that imports take."""


def measure(step: str, export: Path, run: Path) -> Figures:
    """Run one step (:mod:`tests.bench.step`) and wait for its figures."""
    command = [sys.executable, "-m", "tests.bench.step", step, str(export), str(run)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return Figures(**json.loads(done.stdout))


def total(steps: Iterable[Figures]) -> Figures:
    """Add up times; entries are those of the first step, the peak is the highest."""
    every = list(steps)
    return Figures(
        count=every[0].count,
        wall_s=sum(step.wall_s for step in every),
        cpu_s=sum(step.cpu_s for step in every),
        peak_bytes=max(step.peak_bytes for step in every),
        libraries_bytes=every[0].libraries_bytes,
    )


def print_header(first: str, last: str = "") -> None:
    """Begin a table."""
    print(_ROW.format(first, "seconds", "cpu s", "entries/s", "peak MB", last).rstrip(), flush=True)


def print_row(name: str, figures: Figures, last: str = "") -> None:
    """Print one line."""
    print(
        _ROW.format(
            name,
            f"{figures.wall_s:.2f}",
            f"{figures.cpu_s:.2f}",
            f"{figures.count / figures.wall_s:,.0f}",
            f"{figures.peak_bytes / 1e6:.0f}",
            last,
        ).rstrip(),
        flush=True,
    )
