"""Work on many items, some of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def side_by_side[T](items: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Work on items in their order, ``concurrency`` at a time; an error ends all of it."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(worker())
