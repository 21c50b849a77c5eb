"""Group commit: work that many wait for at once and that is done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable


class Coalesced[T, R]:
    """
    Does one kind of work again and again, one round at a time.

    A caller gets a round that begins after its call; all callers until that begins share it.

    :param work: Takes what the callers of a round have given; its result, or its error, goes to each of them.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[R]]) -> None:
        self._work = work
        self._items: list[T] = []
        self._next: asyncio.Task[R] | None = None
        """The round that has not begun yet."""
        self._working = asyncio.Lock()

    async def __call__(self, *items: T) -> R:
        """Wait for a round; a caller that is cancelled does not cancel it for the others."""
        self._items.extend(items)
        if self._next is None:
            self._next = asyncio.create_task(self._round())
        return await asyncio.shield(self._next)

    async def settled(self) -> None:
        """Wait until nothing is under way, whatever its result."""
        if self._next is not None:
            await asyncio.wait([self._next])
        async with self._working:
            pass

    async def _round(self) -> R:
        async with self._working:
            items, self._items, self._next = self._items, [], None
            return await self._work(items)
