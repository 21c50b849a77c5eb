"""
How fast a load is on a target that nothing but its latency slows down: ``python -m include.bench.throughput``.

Within a conversation one batch follows the other, so the latency alone says what is possible. For comparison a plain
client loads the same target: a loop for each conversation, side by side, that asks for its task ten times a second.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import everos

from include.bench.chats import Chats, write_chats
from include.bench.importing import KEY, Import, start
from include.bench.target import TargetProcess
from include.delivery.settings import LoadSettings
from include.standin.journal import Entry, judge
from include.standin.settings import Latency

LATENCY = Latency(base_s=0.3, per_message_s=0.002)
ASK_S = 0.1
BATCH_SIZES = (50, 500)
ROW = "{:<14}{:>9}{:>9}{:>12}{:>10}{:>8}{:>8}{:>8}"


def main() -> int:
    """Load the same chats with both clients, batch size by batch size, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m include.bench.throughput", description=__doc__)
    parser.add_argument("--conversations", type=int, default=20)
    parser.add_argument("--messages", type=int, default=500, help="of each conversation")
    given = parser.parse_args()
    sizes = [given.messages] * given.conversations
    print(f"\n{len(sizes)} conversations of {given.messages} messages, all at once; a batch takes the target", end=" ")
    print(f"{LATENCY.base_s} s + {LATENCY.per_message_s * 1000:g} ms per message")
    print(ROW.format("client", "batches", "seconds", "messages/s", "of limit", "gap ms", "calls", "wrong"), flush=True)
    options = ("--latency-s", str(LATENCY.base_s), "--latency-per-message-s", str(LATENCY.per_message_s))
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        folder = Path(name)
        with TargetProcess(folder / "target", *options) as target:
            for batch_size in BATCH_SIZES:
                _print("limit", batch_size, sizes, _limit_s(sizes, batch_size))
                for client, load in (("plain client", load_plainly), ("this project", load_as_we_do)):
                    prefix = f"{client.split()[0]}-{batch_size}"
                    chats = write_chats(folder / f"{prefix}.json", sizes, prefix=prefix)
                    seen = len(target.journal())
                    load(chats, target.base_url, batch_size, folder)
                    figures = _judged(target.journal()[seen:], chats)
                    _print(client, batch_size, sizes, figures.seconds, figures)
    return 0


def load_plainly(chats: Chats, base_url: str, batch_size: int, _: Path) -> None:
    """Do what a careful person writes in an hour: in order, and with no thought of failure."""

    async def conversation(client: everos.AsyncEverOS, document: dict[str, Any]) -> None:
        messages = document.pop("messages")
        memories: Any = client.v1.memories.group if "group_id" in document else client.v1.memories
        for batch in batched(messages, batch_size):
            answer = await memories.add(**document, messages=batch, async_mode=True)
            status = answer.data.status
            while status != "success":
                await asyncio.sleep(ASK_S)
                status = (await client.v1.tasks.retrieve(answer.data.task_id)).data.status

    async def load() -> None:
        async with everos.AsyncEverOS(api_key=KEY, base_url=base_url) as client, asyncio.TaskGroup() as group:
            for document in json.loads(chats.path.read_text()):
                group.create_task(conversation(client, document))

    asyncio.run(load())


def load_as_we_do(chats: Chats, base_url: str, batch_size: int, folder: Path) -> None:
    """Import it, in a process of its own."""
    import_ = Import(
        source=str(chats.path),
        run_id=f"batches of {batch_size}",
        base_url=base_url,
        batch_size=batch_size,
        max_chunks=1,
        settings=LoadSettings(concurrency=len(chats.expected)),
    )
    log = folder / "import.log"
    with log.open("ab") as file, start(import_, folder / "home", file) as process:
        process.communicate()
    if process.returncode:
        raise RuntimeError(f"the import failed:\n{log.read_text()}")


def _limit_s(sizes: Sequence[int], batch_size: int) -> float:
    """Return what the longest conversation takes when no time passes between its batches."""
    full, rest = divmod(max(sizes), batch_size)
    return full * LATENCY.of(batch_size) + (LATENCY.of(rest) if rest else 0)


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """What a load came to, as the target saw it."""

    seconds: float
    """From the first call until the last batch was known to have landed."""

    gap_ms: float | None
    """From the end of a batch until the next one of its conversation arrives (median): what the client answers for."""

    calls: int
    wrong: int
    """Messages lost, doubled or out of order."""


def _judged(journal: Sequence[Entry], chats: Chats) -> _Figures:
    calls = [entry for entry in journal if entry.kind != "flush"]
    gaps_s = []
    for name in chats.expected:
        adds = [call for call in calls if call.kind == "add" and call.conversation == name]
        gaps_s += [after.arrived_s - (before.ended_s or 0) for before, after in pairwise(adds)]
    verdicts = judge(calls, chats.expected).values()
    return _Figures(
        seconds=max(call.arrived_s for call in calls) - min(call.arrived_s for call in calls),
        gap_ms=1000 * median(gaps_s) if gaps_s else None,
        calls=len(calls),
        wrong=sum(len(verdict.lost) + len(verdict.doubled) + len(verdict.out_of_order) for verdict in verdicts),
    )


def _print(client: str, batch_size: int, sizes: Sequence[int], seconds: float, figures: _Figures | None = None) -> None:
    rate, share = f"{sum(sizes) / seconds:,.0f}", f"{_limit_s(sizes, batch_size) / seconds:.2f}"
    gap = f"{figures.gap_ms:.0f}" if figures and figures.gap_ms is not None else "-"
    more = [gap, f"{figures.calls:,}", str(figures.wrong)] if figures else [""] * 3
    print(ROW.format(client, f"of {batch_size}", f"{seconds:.2f}", rate, share, *more), flush=True)


if __name__ == "__main__":
    sys.exit(main())
