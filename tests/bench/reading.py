"""
Compare reading with a plain program: each step and format beside typed decoding and a plain converter.

CPU seconds of one run, each step in a process of its own, so all figures of a line are of the same machine and hour.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.measure import PIPELINE, measure

LIMITS = {"slack": 3.0, "discord": 2.5, "everos": 2.5}
"""Times the plain converter that extract may take."""

ALL_LIMIT = 4.5
"""Times typed decoding that the three steps may take, for Slack."""

_STEPS = ("typed", "converter", *PIPELINE)
_ROW = "{:<18}{:>8}{:>11}{:>9}{:>11}{:>7}{:>15}{:>13}"


def print_comparison(exports: Mapping[str, Path], folder: Path) -> None:
    """
    Print the CPU seconds of each step, how many times those of the plain programs that is, and the sizes written.

    :param exports: By what the line is called; the name of a path begins with its format.
    :param folder: Where to work.
    """
    print("\nCPU seconds; extract by the plain converter, and all three steps by typed decoding")
    print(_ROW.format("export", "typed", "converter", "extract", "transform", "plan", "extract/plain", "all/typed"))
    sizes = []
    for name, export in exports.items():
        run = folder / f"reading-{export.name}"
        cpu_s = {step: measure(step, export, run).cpu_s for step in _STEPS}
        extract, three = cpu_s["extract"] / cpu_s["converter"], sum(map(cpu_s.__getitem__, PIPELINE)) / cpu_s["typed"]
        figures = [f"{cpu_s[step]:.2f}" for step in _STEPS]
        print(_ROW.format(name, *figures, f"{extract:.2f}", f"{three:.2f}"), flush=True)
        folders = ("converted", "extracted", "messages", "plan")
        sizes.append([name, *(f"{_size_bytes(run / part) / 1e6:.0f}" for part in folders)])
    limits = ", ".join(f"{name} {limit}" for name, limit in LIMITS.items())
    print(f"to be at most: extract/plain {limits}; all/typed {ALL_LIMIT} for Slack")
    print("\nMB of Parquet written")
    for row in (["export", "converter", "extract", "transform", "plan"], *sizes):
        print("{:<18}{:>11}{:>11}{:>11}{:>11}".format(*row))


def print_parts(export: Path, folder: Path) -> None:
    """Print the time of extract in one process, and in two at once that read a part each."""
    whole = measure("extract", export, folder / "whole")
    began = time.perf_counter()
    with ThreadPoolExecutor() as threads:
        halves = list(threads.map(lambda half: measure(half, export, folder / "parts"), ("first-half", "second-half")))
    wall_s = time.perf_counter() - began
    cpu_s = " + ".join(f"{half.cpu_s:.2f}" for half in halves)
    print(f"\n{export.name} in two parts at once: {wall_s / whole.wall_s:.2f} of the time of one process, ", end="")
    print(f"{wall_s:.1f} instead of {whole.wall_s:.1f} s; {cpu_s} instead of {whole.cpu_s:.2f} s of CPU", flush=True)


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))
