"""
Measure how long the way from an export to a plan takes, how much memory, and how fast a load is: ``make bench``.

Imports nothing heavy, because a process inherits its parent's peak memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

GENERATOR = Path(__file__).parents[2] / "tests" / "slack_generator.py"
PIPELINE = ("extract", "transform", "plan")
ROW = "{:<12}{:>10}{:>10}{:>14}{:>10}{:>12}"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a step took."""

    count: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    libraries_bytes: int
    """Of the peak, what imports alone take."""


def main() -> None:
    """Measure exports of the sizes asked for, or one that exists, and print a table of each and of how they grow."""
    parser = argparse.ArgumentParser(prog="python -m include.bench", description=__doc__)
    parser.add_argument("--messages", type=int, nargs="+", default=[100_000], help="sizes to generate (default 100000)")
    parser.add_argument("--export", type=Path, help="measure this export instead")
    parser.add_argument("--folder", type=Path, help="where to work; needs about 1.5 KB a message (default: temporary)")
    given = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
        if given.export:
            measure(given.export, Path(folder))
        else:
            print_growth([measure(generate(Path(folder), size), Path(folder)) for size in given.messages])
    subprocess.run([sys.executable, "-m", "include.bench.throughput"], check=True)


def generate(folder: Path, messages: int) -> Path:
    """Make a Slack export with every quirk the project knows, the same for the same size."""
    export = folder / f"slack-{messages}.zip"
    subprocess.run(
        [sys.executable, GENERATOR, export, "--messages", str(messages)], check=True, stdout=subprocess.DEVNULL
    )
    return export


def measure(export: Path, folder: Path) -> dict[str, Figures]:
    """Run every step, each in its own process, and print a line for each as it ends."""
    print(f"\n{export.name}, {export.stat().st_size / 1e6:,.0f} MB")
    print(ROW.format("step", "seconds", "cpu s", "entries/s", "peak MB", "x decode"), flush=True)
    run = folder / f"run-{export.stem}"
    found: dict[str, Figures] = {}
    for step in ("decode", "plain", *PIPELINE):
        found[step] = run_step(step, export, run)
        print_row(step, found[step], found["decode"])
    found["all three"] = total(found[step] for step in PIPELINE)
    print_row("all three", found["all three"], found["decode"])
    print(f"a plain converter takes {found['plain'].cpu_s / found['all three'].cpu_s:.1f} times the CPU of all three")
    print(f"of each peak, libraries: {found['decode'].libraries_bytes / 1e6:.0f} MB")
    return found


def run_step(step: str, export: Path, run: Path) -> Figures:
    """Start one step and wait for its figures."""
    command = [sys.executable, "-m", "include.bench.step", step, str(export), str(run)]
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


def print_row(name: str, figures: Figures, decode: Figures) -> None:
    """Print one line; the last column compares with reading and decoding the same bytes and nothing else."""
    print(
        ROW.format(
            name,
            f"{figures.wall_s:.2f}",
            f"{figures.cpu_s:.2f}",
            f"{figures.count / figures.wall_s:,.0f}",
            f"{figures.peak_bytes / 1e6:.0f}",
            f"{figures.wall_s / decode.wall_s:.2f}",
        ),
        flush=True,
    )


def print_growth(sizes: list[dict[str, Figures]]) -> None:
    """Print how time and memory grow with the export."""
    for smaller, larger in pairwise(sizes):
        entries = larger["decode"].count / smaller["decode"].count
        print(f"\n{entries:.1f} times the entries take")
        for step in ("decode", "plain", *PIPELINE):
            before, after = smaller[step], larger[step]
            print(f"  {step:<10}{after.wall_s / before.wall_s:6.1f} times the time", end="")
            print(f"{after.peak_bytes / before.peak_bytes:6.1f} times the memory")


if __name__ == "__main__":
    main()
