"""Work that many wait for at once and that is done once for all of them: an fsync, a look at the ledger."""

import asyncio
from collections.abc import Awaitable, Callable


class Rounds:
    """
    Does one piece of work again and again, one round at a time.

    Whoever asks gets a round that begins after the question; all who ask until it begins get the same one.

    :param work: Its error goes to everybody whose round it was.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._next: asyncio.Task[None] | None = None
        """The round that has not begun yet."""
        self._working = asyncio.Lock()

    async def __call__(self) -> None:
        """Wait for a round; being cancelled does not take it from the others."""
        if self._next is None:
            self._next = asyncio.create_task(self._round())
        await asyncio.shield(self._next)

    async def settled(self) -> None:
        """Wait until nothing is under way, whatever comes of it."""
        if self._next is not None:
            await asyncio.wait([self._next])
        async with self._working:
            pass

    async def _round(self) -> None:
        async with self._working:
            self._next = None
            await self._work()
