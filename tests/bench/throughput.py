"""
Measures the speed of a load into a target with a fixed latency: ``python -m tests.bench.throughput``.

The batches of a conversation are sent one after the other, so the latency limits the speed. For comparison a plain
client loads the same target: one loop per conversation, in parallel, that polls its task ten times a second.

``of model`` is the share of what the latency model allows. The target shares the machine's cores with the client and
takes a little longer than the model: ``of target`` is the share of the time really taken, ``late`` the difference.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import batched, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import everos

from include.delivery.settings import LoadSettings
from include.standin.journal import Entry, judge
from include.standin.settings import Latency
from tests.bench.chats import Chats, write_chats
from tests.bench.importing import KEY, Import, start
from tests.bench.target import TargetProcess

LATENCY = Latency(base_s=0.3, per_message_s=0.002)
ASK_S = 0.1
ROW = "{:<14}{:>9}{:>12}{:>10}{:>11}{:>9}{:>8}{:>8}{:>7}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The load to measure: a number of conversations with as many messages each."""

    conversations: int
    messages: int
    batch_size: int
    concurrency: int = 20
    latency: Latency = LATENCY

    @classmethod
    def parse(cls, text: str) -> "Work":
        """Read ``20x500/50`` or ``20x500/50@8``: 20 conversations of 500 messages in batches of 50, 8 at once."""
        conversations, messages, batch_size, *at_once = map(int, re.split("[x/@]", text))
        work = cls(conversations=conversations, messages=messages, batch_size=batch_size)
        return replace(work, concurrency=at_once[0]) if at_once else work

    def __str__(self) -> str:
        at_once = min(self.concurrency, self.conversations)
        shape = f"{self.conversations} conversations of {self.messages} messages"
        return f"{shape}, {at_once} at once, batches of {self.batch_size}"

    @property
    def total(self) -> int:
        """All messages."""
        return self.conversations * self.messages

    @property
    def limit_s(self) -> float:
        """The time without any pause between two batches."""
        full, rest = divmod(self.messages, self.batch_size)
        one_s = full * self.latency.of(self.batch_size) + (self.latency.of(rest) if rest else 0)
        return self.at_best_s([one_s] * self.conversations)

    def at_best_s(self, each_s: Sequence[float]) -> float:
        """The time of conversations in parallel, given the time of each."""
        return max(*each_s, sum(each_s) / self.concurrency)


SHORT = ("20x500/50", "20x500/500")
"""One or two seconds of work, in which the start of the import has a share."""

LONG = ("16x1000/50@8", "20x2000/50", "20x5000/500", "200x100/50")
"""The first has the default concurrency of an import."""


def main() -> int:
    """Load the same chats with both clients, work by work, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument(
        "work", nargs="*", type=Work.parse, default=[Work.parse(text) for text in SHORT + LONG], metavar="20x500/50@8"
    )
    parser.add_argument("--slower", type=float, default=1, help="make the target so many times slower (default 1)")
    given = parser.parse_args()
    latency = Latency(base_s=LATENCY.base_s * given.slower, per_message_s=LATENCY.per_message_s * given.slower)
    print(
        f"\nA batch takes the target {latency.base_s:g} s + {latency.per_message_s * 1000:g} ms per message.", end=" "
    )
    print(f"Besides, the machine's {os.cpu_count()} cores have {os.getloadavg()[0]:.1f} processes to run.")
    options = ("--latency-s", str(latency.base_s), "--latency-per-message-s", str(latency.per_message_s))
    with (
        tempfile.TemporaryDirectory(prefix="throughput-") as folder,
        TargetProcess(Path(folder) / "target", *options) as target,
    ):
        for number, work in enumerate(given.work):
            _compare(replace(work, latency=latency), target, Path(folder) / str(number))
    return 0


def _compare(work: Work, target: TargetProcess, folder: Path) -> None:
    print(f"\n{work}")
    heads = "client", "seconds", "messages/s", "of model", "of target", "late ms", "gap ms", "calls", "wrong"
    print(ROW.format(*heads), flush=True)
    limit = [f"{work.limit_s:.2f}", f"{work.total / work.limit_s:,.0f}", "1.00"]
    print(ROW.format("limit", *limit, *[""] * 5))
    folder.mkdir()
    for client, load in (("plain client", load_plainly), ("this project", load_with_this_project)):
        prefix = f"{client.split()[0]}-{folder.name}"
        chats = write_chats(folder / f"{prefix}.json", [work.messages] * work.conversations, prefix=prefix)
        seen = len(target.journal())
        load(chats, target.base_url, work, folder)
        print(ROW.format(client, *_judged(target.journal()[seen:], chats, work)), flush=True)


def load_plainly(chats: Chats, base_url: str, work: Work, _: Path) -> None:
    """Load in order, as a short script does, without any handling of errors."""

    async def conversation(client: everos.AsyncEverOS, document: dict[str, Any]) -> None:
        messages = document.pop("messages")
        memories: Any = client.v1.memories.group if "group_id" in document else client.v1.memories
        async with at_once:
            for batch in batched(messages, work.batch_size):
                answer = await memories.add(**document, messages=batch, async_mode=True)
                status = answer.data.status
                while status != "success":
                    await asyncio.sleep(ASK_S)
                    status = (await client.v1.tasks.retrieve(answer.data.task_id)).data.status

    at_once = asyncio.Semaphore(work.concurrency)

    async def load() -> None:
        async with everos.AsyncEverOS(api_key=KEY, base_url=base_url) as client, asyncio.TaskGroup() as group:
            for document in json.loads(chats.path.read_text()):
                group.create_task(conversation(client, document))

    asyncio.run(load())


def load_with_this_project(chats: Chats, base_url: str, work: Work, folder: Path) -> None:
    """Import it in a separate process with one load task."""
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
        process.communicate()
    if process.returncode:
        raise RuntimeError(f"the import failed:\n{log.read_text()}")


def _judged(journal: Sequence[Entry], chats: Chats, work: Work) -> list[str]:
    """
    Return the columns of a load as the target saw it.

    ``seconds`` from the first call until the last batch was known to have landed; ``gap`` from the end of a batch until
    the next one of its conversation arrives (median); ``wrong`` messages lost, doubled or out of order.
    """
    calls = [entry for entry in journal if entry.kind != "flush"]
    seconds = max(call.arrived_s for call in calls) - min(call.arrived_s for call in calls)
    gaps_s, late_s, each_s = [], [], []
    for name in chats.expected:
        adds = [call for call in calls if call.kind == "add" and call.conversation == name]
        took_s = [(add.ended_s or add.arrived_s) - add.arrived_s for add in adds]
        each_s.append(sum(took_s))
        late_s += [took - work.latency.of(len(add.message_ids)) for took, add in zip(took_s, adds, strict=True)]
        gaps_s += [after.arrived_s - (before.ended_s or 0) for before, after in pairwise(adds)]
    verdicts = judge(calls, chats.expected).values()
    return [
        f"{seconds:.2f}",
        f"{work.total / seconds:,.0f}",
        f"{work.limit_s / seconds:.2f}",
        f"{work.at_best_s(each_s) / seconds:.2f}",
        f"{1000 * median(late_s):.0f}",
        f"{1000 * median(gaps_s):.0f}" if gaps_s else "-",
        f"{len(calls):,}",
        str(sum(len(verdict.lost) + len(verdict.doubled) + len(verdict.out_of_order) for verdict in verdicts)),
    ]


if __name__ == "__main__":
    sys.exit(main())
