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
from itertools import batched
from pathlib import Path
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
ROW = "{:<22}{:>9}{:>9}{:>12}{:>11}{:>8}{:>8}"


def main() -> int:
    """Load the same chats with both clients, batch size by batch size, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m include.bench.throughput", description=__doc__)
    parser.add_argument("--conversations", type=int, default=20)
    parser.add_argument("--messages", type=int, default=500, help="of each conversation")
    given = parser.parse_args()
    sizes = [given.messages] * given.conversations
    print(f"\n{len(sizes)} conversations of {given.messages} messages, all at once; a batch takes the target", end=" ")
    print(f"{LATENCY.base_s} s + {LATENCY.per_message_s * 1000:g} ms per message")
    print(ROW.format("client", "batches", "seconds", "messages/s", "of limit", "calls", "wrong"), flush=True)
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
                    _print(client, batch_size, sizes, *_judged(target.journal()[seen:], chats))
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


def _judged(journal: Sequence[Entry], chats: Chats) -> tuple[float, int, int]:
    """Return seconds from the first call until the last batch was known to have landed, calls, and wrong messages."""
    calls = [entry for entry in journal if entry.kind != "flush"]
    seconds = max(call.arrived_s for call in calls) - min(call.arrived_s for call in calls)
    verdicts = judge(calls, chats.expected).values()
    wrong = sum(len(verdict.lost) + len(verdict.doubled) + len(verdict.out_of_order) for verdict in verdicts)
    return seconds, len(calls), wrong


def _print(
    client: str,
    batch_size: int,
    sizes: Sequence[int],
    seconds: float,
    calls: int | None = None,
    wrong: int | None = None,
) -> None:
    share = f"{_limit_s(sizes, batch_size) / seconds:.2f}"
    rate = f"{sum(sizes) / seconds:,.0f}"
    counts = ["" if count is None else f"{count:,}" for count in (calls, wrong)]
    print(ROW.format(client, f"of {batch_size}", f"{seconds:.2f}", rate, share, *counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
