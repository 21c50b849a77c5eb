"""
Measures how fast one conversation is loaded in segments: ``python -m tests.bench.one_conversation``.

The target is in this process and takes the same time for every batch, so the limit is batches * seconds / concurrency.
The messages are of one Slack channel of 100 people; a share of them answers one of the last thirty threads.
"""

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from include import steps
from include.memory_api.contract import Receipt, Target
from include.memory_api.v2_wire import session_of
from include.memory_layout import memory_layout
from include.plan import plan
from include.records import Conversation, Message, Outgoing
from include.run_folder import RunFolder
from include.window import Window
from tests.support.delivery_runs import QUICK, PromptMemory, World
from tests.support.make_tables import a_message, extracted

FIRST_S = 1_772_323_200
STEP_S = 40
PEOPLE = 100
THREADS_AT_ONCE = 30


class SlowMemory(PromptMemory):
    """A v2 store that takes so many seconds for a batch; counts batches that came before an earlier one had ended."""

    target = Target(base_url="https://slow.example", api_version="v2")

    def __init__(self, batch_s: float) -> None:
        super().__init__()
        self._batch_s = batch_s
        self._writing: set[str] = set()
        self.messages = self.batches = self.at_once = self.out_of_order = 0

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """Store a batch."""
        session = session_of(conversation)
        self.out_of_order += session in self._writing
        self._writing.add(session)
        self.at_once = max(self.at_once, len(self._writing))
        await asyncio.sleep(self._batch_s)
        self._writing.discard(session)
        self.messages += len(messages)
        self.batches += 1
        return Receipt(task_id=None, landed=True)


def channel(messages: int, replies: float) -> Iterator[Message]:
    """Yield one channel's messages, the same every time."""
    rng = random.Random("one conversation")
    roots: list[int] = []
    for number in range(messages):
        second = FIRST_S + number * STEP_S
        root = rng.choice(roots[-THREADS_AT_ONCE:]) if roots and rng.random() < replies else None
        if root is None:
            roots.append(second)
        yield a_message(
            f"{second}.000100",
            sent_at_us=second * 1_000_000 + 100,
            thread_id=None if root is None else f"{root}.000100",
            text="x" * rng.randint(10, 200),
            sender_id=f"U{number % PEOPLE}",
            sender_name=f"Person {number % PEOPLE}",
        )


def main() -> int:
    """Load it once and print a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.one_conversation", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--replies", type=float, default=0.9, help="share of replies; more make longer threads")
    parser.add_argument("--batch-s", type=float, default=0.6, help="seconds that a batch takes the target")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-conversation-") as name:
        memory = SlowMemory(given.batch_s)
        world, run = World(Path(name), memory), RunFolder.of("run 1", Path(name))
        run.make()
        extracted(run.root / "extracted" / "export", list(channel(given.messages, given.replies)))
        steps.transform(run, Window(), world.ledger, layout=memory_layout("v2"))
        [chunk] = plan(run, max_chunks=1)
        settings = replace(QUICK, concurrency=given.concurrency)
        began_s, cpu_s = time.monotonic(), _cpu_s()
        world.load(run, chunk, settings=settings, after_s=3600)
        took_s, cpu_s = time.monotonic() - began_s, _cpu_s() - cpu_s
    limit_s = memory.batches * given.batch_s / given.concurrency
    print(
        f"{memory.messages:,} messages in {chunk.segments:,} segments and {memory.batches:,} batches, at most "
        f"{memory.at_once} at once: {took_s:.0f} s, {limit_s / took_s:.3f} of the limit; {cpu_s:.0f} s of CPU, "
        f"{1000 * cpu_s / memory.batches:.1f} ms a batch; out of order {memory.out_of_order}"
    )
    return 0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
