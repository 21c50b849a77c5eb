"""
Compares the speed of a load with plain programs: ``python -m tests.bench.throughput``.

A conversation's batches are sent one after the other, so the time that a batch takes the target limits the speed. Each
load runs in a process of its own, against a server that takes exactly that time (:mod:`tests.bench.light_target`). The
time of a load is that of the whole load task, from opening the ledger to the last name, until everything is known to
have landed; that of a plain program (:mod:`tests.bench.plain_clients`) until its last batch has. Importing
libraries is part of neither.

``of limit`` is the share of the speed that the target allows; ``us/message`` is CPU time of the client.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from include.delivery.settings import LoadSettings
from include.standin.journal import Entry, judge
from include.standin.settings import Latency
from tests.bench.chats import Chats, write_chats
from tests.bench.importing import PROJECT, Import, Took, start
from tests.bench.light_target import RunningTarget
from tests.bench.plain_clients import Loaded

LATENCY = Latency(base_s=0.3, per_message_s=0.002)
PEOPLE = 7
"""In each group; no two groups share any."""

KINDS = ("add", "task", "group", "sender")
ROW = "{:<14}{:>9}{:>10}{:>7}{:>7}{:>7}{:>8}{:>12}{:>7}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The load to measure: a number of conversations with as many messages each."""

    conversations: int
    messages: int
    batch_size: int
    concurrency: int
    latency: Latency = LATENCY

    @classmethod
    def parse(cls, text: str) -> "Work":
        """Read ``20x500/50@8``: 20 conversations of 500 messages in batches of 50, 8 at once."""
        conversations, messages, batch_size, concurrency = map(int, re.split("[x/@]", text))
        return cls(conversations=conversations, messages=messages, batch_size=batch_size, concurrency=concurrency)

    def __str__(self) -> str:
        shape = f"{self.conversations} x {self.messages:,} messages"
        return f"{shape}, batches of {self.batch_size}, {self.concurrency} at once"

    @property
    def total(self) -> int:
        """All messages."""
        return self.conversations * self.messages

    @property
    def limit_s(self) -> float:
        """The time without any pause between two batches."""
        full, rest = divmod(self.messages, self.batch_size)
        one_s = full * self.latency.of(self.batch_size) + (self.latency.of(rest) if rest else 0)
        return max(one_s, one_s * self.conversations / self.concurrency)


WORK = (
    "20x500/50@8",
    "20x500/50@20",
    "20x500/500@20",
    "200x50/50@20",
    "200x50/50@50",
    "1x10000/500@8",
    "1x10000/50@8",
)
"""The fifth has the most calls in a second; the last is the only one that takes longer than 30 s."""


def main() -> int:
    """Load the same chats with each client, work by work, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument("work", nargs="*", type=Work.parse, default=list(map(Work.parse, WORK)), metavar=WORK[0])
    parser.add_argument("--slower", type=float, default=1, help="make the target so many times slower (default 1)")
    parser.add_argument("--client", choices=CLIENTS, nargs="+", default=list(CLIENTS), help="leave out the others")
    given = parser.parse_args()
    latency = Latency(base_s=LATENCY.base_s * given.slower, per_message_s=LATENCY.per_message_s * given.slower)
    print(f"\nA batch takes the target {latency.base_s:g} s + {latency.per_message_s * 1000:g} ms per message.")
    print(f"{os.cpu_count()} cores, with {os.getloadavg()[0]:.1f} other processes to run", flush=True)
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        for number, work in enumerate(given.work):
            _compare(replace(work, latency=latency), given.client, Path(folder) / str(number))
    return 0


def _compare(work: Work, clients: Sequence[str], folder: Path) -> None:
    """Print a table; loads of one conversation leave the machine idle and run side by side."""
    print(f"\n{work}")
    print(ROW.format("client", "seconds", "of limit", *(f"{kind}s" for kind in KINDS), "us/message", "wrong"))
    print(ROW.format("limit", f"{work.limit_s:.2f}", "1.00", *[""] * 6), flush=True)
    folder.mkdir()
    with ThreadPoolExecutor(len(clients) if work.conversations == 1 else 1) as pool:
        for row in pool.map(partial(_row, work, folder), clients):
            print(row, flush=True)


def _row(work: Work, folder: Path, client: str) -> str:
    sizes = [work.messages] * work.conversations
    chats = write_chats(folder / f"{client}.json", sizes, prefix=client, people=PEOPLE, own_people=True)
    with RunningTarget.of(work.latency) as target:
        took = CLIENTS[client](chats, target.base_url, work, folder)
        return ROW.format(client, *_judged(target.take_journal(), chats, work, took))


def _load_plainly(client: str, chats: Chats, base_url: str, work: Work, _: Path) -> Loaded:
    command = [sys.executable, "-m", "tests.bench.plain_clients", client, str(chats.path), base_url]
    command += [str(work.batch_size), str(work.concurrency)]
    done = subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Loaded)


def _load_with_this_project(chats: Chats, base_url: str, work: Work, folder: Path) -> Loaded:
    """Import it with one load task."""
    import_ = Import(
        source=str(chats.path),
        run_id="load",
        base_url=base_url,
        batch_size=work.batch_size,
        max_chunks=1,
        settings=LoadSettings(concurrency=work.concurrency),
    )
    log = folder / "import.log"
    with log.open("ab") as file, start(import_, folder / "home", file) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the import failed:\n{log.read_text()}")
    took = msgspec.json.decode(printed, type=Took)
    return Loaded(load_s=took.load_s, cpu_s=took.load_cpu_s)


CLIENTS: dict[str, Callable[[Chats, str, Work, Path], Loaded]] = {
    "polling": partial(_load_plainly, "polling"),
    "synchronous": partial(_load_plainly, "synchronous"),
    "this project": _load_with_this_project,
}


def _judged(journal: Sequence[Entry], chats: Chats, work: Work, took: Loaded) -> list[str]:
    """Return the columns of a load; ``wrong`` are messages lost, doubled or out of order, and batches that overlap."""
    calls = Counter(entry.kind for entry in journal)
    verdicts = judge(journal, chats.expected).values()
    wrong = (verdict.lost + verdict.doubled + verdict.out_of_order + verdict.overlapping for verdict in verdicts)
    return [
        f"{took.load_s:.2f}",
        f"{work.limit_s / took.load_s:.2f}",
        *(f"{calls[kind]:,}" for kind in KINDS),
        f"{took.cpu_s / work.total * 1e6:.0f}",
        str(sum(map(len, wrong))),
    ]


if __name__ == "__main__":
    sys.exit(main())
