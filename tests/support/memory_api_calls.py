"""Calls that the tests of every MemoryAPI share."""

import asyncio
from collections.abc import Coroutine, Sequence

from include.memory_api import MemoryAPI
from include.memory_api.contract import Evidence, Readback, TaskState
from include.records import Conversation, Outgoing

START_MS = 1_767_225_600_000
PATIENCE_S = 120.0
"""A server that takes longer hangs."""


def run[T](work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def messages(
    count: int, *, first: int = 0, text: str = "The deploy key lives in the vault", by: str = "U01"
) -> list[Outgoing]:
    """One message a second, all by one person."""
    return [
        Outgoing(
            message_id=f"{START_MS // 1000 + n}.000100",
            timestamp_ms=START_MS + n * 1000,
            sender_id=by,
            sender_name="Ada Okafor",
            role="user",
            text=f"{text} ({n})",
        )
        for n in range(first, first + count)
    ]


async def landed(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> None:
    """Add a batch and wait until it is stored."""
    receipt = await api.add(conversation, batch)
    async with asyncio.timeout(PATIENCE_S):
        while not receipt.landed:
            assert receipt.task_id
            state = await api.task_state(receipt.task_id)
            assert state in (TaskState.PROCESSING, TaskState.SUCCESS)
            if state == TaskState.SUCCESS:
                return
            await asyncio.sleep(0.02)


async def look(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> Evidence:
    return await api.find(
        conversation,
        [message.message_id for message in batch],
        batch_key="b0",
        timestamps_ms=[message.timestamp_ms for message in batch],
        senders=senders_of(batch),
    )


def senders_of(batch: Sequence[Outgoing]) -> list[str]:
    return sorted({message.sender_id for message in batch if message.role == "user"})


async def read_back(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> Readback:
    """Read back what became of exactly this batch."""
    return await api.readback(
        conversation, senders_of(batch), since_ms=batch[0].timestamp_ms, until_ms=batch[-1].timestamp_ms
    )


async def remembered(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> Readback:
    """Wait for an episode: reading may lag behind a flush."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await read_back(api, conversation, batch)).episodes:  # noqa: ASYNC110 - nobody notifies
            await asyncio.sleep(0.2)
    return found
