"""
Measures time and memory of extract, transform and plan, how both grow with the export, and a load (``make bench``).

Inputs are generated from a seed, so that two runs measure the same.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.bench.measure import PIPELINE, Figures, measure, print_header, print_row, total
from tests.bench.reading import print_comparison, print_parts
from tests.bench.redaction import print_redaction

COMPARISONS = ("decode", "plain")
DAYS = 365


def main() -> None:
    """Print the tables asked for; without arguments all of them, in a few minutes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="leave out the other parts")
    add("--messages", type=int, nargs="+", default=[100_000, 1_000_000], help="growth: sizes of the Slack exports")
    add("--without", nargs="+", choices=COMPARISONS, default=(), help="growth: 'plain' needs 1.4 GB per million")
    add("--export", type=Path, help="growth: measure this export instead")
    add("--reading", type=int, default=1_000_000, help="reading: messages of each export, of Discord in KB")
    add("--discord-mb", type=int, default=200, help="files: size of the one Discord file; 2000 takes three minutes")
    add("--day-files", type=int, default=100_000, help="files: number of day files in the one Slack zip")
    add("--landed", type=int, default=1_000_000, help="ledger: landed messages")
    add("--folder", type=Path, help="where to work; needs 0.6 GB per million messages (default: temporary)")
    given = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
        for name in given.only:
            SECTIONS[name](given, Path(folder))


def print_growth(given: argparse.Namespace, folder: Path) -> None:
    """Print time and memory of each step beside decoding alone and a plain converter, and how both grow."""
    if given.export:
        _measure_steps(given.export, folder, given.without)
        return
    sizes = []
    for messages in given.messages:
        export = _generate("slack", folder / f"slack-{messages}.zip", "--messages", messages)
        sizes.append(_measure_steps(export, folder, given.without))
        export.unlink()
    for smaller, larger in pairwise(sizes):
        print(f"\n{larger['extract'].count / smaller['extract'].count:.1f} times the entries take")
        print(f"{'step':<22}{'cpu':>10}{'memory':>10}")
        for step, before in smaller.items():
            cpu, peak = larger[step].cpu_s / before.cpu_s, larger[step].peak_bytes / before.peak_bytes
            print(f"{step:<22}{f'x {cpu:.1f}':>10}{f'x {peak:.1f}':>10}")


def print_files(given: argparse.Namespace, folder: Path) -> None:
    """Print time and memory of extract for one very long file and for many short ones; it may use 300 MB."""
    print("\nextract must stay below 300 MB of memory, however large a file and however many")
    print_header("export")
    long = _generate("discord", folder / "discord.json", "--mb", given.discord_mb)
    print_row(f"Discord, {given.discord_mb} MB", measure("extract", long, folder / "run-discord"))
    channels = -(-given.day_files // DAYS)
    messages = channels * DAYS * 4 // 3  # a quarter goes to the first channel, the rest makes one a day of the others
    many = _generate("slack", folder / "days.zip", "--messages", messages, "--channels", channels, "--days", DAYS)
    print_row(f"Slack, {given.day_files:,} files", measure("extract", many, folder / "run-days"))


def print_reading(given: argparse.Namespace, folder: Path) -> None:
    """Print what reading takes beside a plain program, for every format."""
    messages = given.reading
    packed = _generate("slack", folder / "slack.zip", "--messages", messages)
    unpacked = folder / "slack"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(unpacked)
    discord = _generate("discord", folder / "discord.json", "--mb", messages // 1000)
    everos = _generate("everos", folder / "everos.json", "--messages", messages)
    print(f"\n{messages:,} messages; of Discord about as many bytes as 1,000 times that")
    exports = {"Slack, folder": unpacked, "Slack, zip": packed, "Discord": discord, "EverOS JSON": everos}
    print_comparison(exports, folder)
    print_parts(packed, folder)


def print_landed(given: argparse.Namespace, folder: Path) -> None:
    """Print how a ledger grows, and what a run without new messages takes."""
    from tests.bench.ledger import print_ledger  # noqa: PLC0415 - imports large libraries, see tests.bench.measure

    print_ledger(_generate("slack", folder / "landed.zip", "--messages", given.landed), folder / "landed")


def print_load(_given: argparse.Namespace, _folder: Path) -> None:
    """Print how fast a load is."""
    subprocess.run([sys.executable, "-m", "tests.bench.throughput"], check=True)


def print_redacted(_given: argparse.Namespace, _folder: Path) -> None:
    """Print how many credentials of the corpus redaction finds."""
    print_redaction()


SECTIONS = {
    "reading": print_reading,
    "growth": print_growth,
    "files": print_files,
    "ledger": print_landed,
    "load": print_load,
    "redaction": print_redacted,
}


def _generate(kind: str, path: Path, *arguments: object) -> Path:
    """Generate an export; equal arguments give equal exports."""
    command = [sys.executable, "-m", f"tests.support.{kind}_generator", str(path), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def _measure_steps(export: Path, folder: Path, without: Sequence[str]) -> dict[str, Figures]:
    """Run every step, each in its own process, and print a line for each as it ends."""
    print(f"\n{export.name}, {export.stat().st_size / 1e6:,.0f} MB")
    print_header("step", "x decode")
    found: dict[str, Figures] = {}

    def note(step: str, figures: Figures) -> None:
        found[step] = figures
        print_row(step, figures, f"{figures.cpu_s / found['decode'].cpu_s:.2f}" if "decode" in found else "")

    for step in (*COMPARISONS, *PIPELINE):
        if step not in without:
            note(step, measure(step, export, folder / f"run-{export.stem}"))
    note("all three", total(found[step] for step in PIPELINE))
    if "plain" in found:
        ratio = found["plain"].cpu_s / found["all three"].cpu_s
        print(f"the plain converter takes {ratio:.1f} times the CPU of all three")
    print(f"of each peak, libraries: {found['extract'].libraries_bytes / 1e6:.0f} MB")
    return found


if __name__ == "__main__":
    main()
