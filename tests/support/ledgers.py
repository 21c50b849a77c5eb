"""Calls written to a ledger, for tests of what reads them."""

import asyncio
from contextlib import AsyncExitStack

from include.ledger import Call, CallState, Flush, Ledger, key_of


def a_call(
    call_id: str,
    *message_ids: str,
    conversation_id: str = "a",
    run_id: str = "run 1",
    state: CallState = CallState.LANDED,
    first_ms: int = 1,
    reason: str = "",
) -> Call:
    return Call(
        call_id=call_id,
        conversation_id=conversation_id,
        key=key_of(conversation_id, message_ids),
        run_id=run_id,
        message_ids=message_ids,
        timestamps_ms=tuple(range(first_ms, first_ms + len(message_ids))),
        state=state,
        reason=reason,
    )


def numbered(call_id: str, count: int) -> tuple[str, ...]:
    """Ids for the messages of a call."""
    return tuple(f"{call_id}.{number}" for number in range(count))


def write(ledger: Ledger, *changes: Call | Flush, run_id: str = "run 1") -> None:
    """Write as a task does that holds the locks, and end."""

    async def task() -> None:
        async with ledger.writer(run_id) as writer, AsyncExitStack() as locks:
            for name in {change.segment_id for change in changes}:
                await locks.enter_async_context(writer.lock(name, wait_s=0))
            await writer.record(*changes)

    asyncio.run(task())
