"""Group commit: work that many wait for at once and that is done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable


class Coalesced:
    """
    Does one piece of work again and again, one at a time.

    A caller gets a round that begins after its call; all callers until that begins share it.

    :param work: Its error goes to every caller of the round.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._next: asyncio.Task[None] | None = None
        """The round that has not begun yet."""
        self._working = asyncio.Lock()

    async def __call__(self) -> None:
        """Wait for a round; a caller that is cancelled does not cancel it for the others."""
        if self._next is None:
            self._next = asyncio.create_task(self._round())
        await asyncio.shield(self._next)

    async def settled(self) -> None:
        """Wait until nothing is under way, whatever its result."""
        if self._next is not None:
            await asyncio.wait([self._next])
        async with self._working:
            pass

    async def _round(self) -> None:
        async with self._working:
            self._next = None
            await self._work()
