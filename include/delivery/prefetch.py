"""Reading from disk while the server is at work, so that the next batch is there when its turn comes."""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice

AT_ONCE = 8
"""Items for each trip to a thread, which takes longer than most of them do."""


class Prefetcher[T]:
    """Hands out an iterator's items, read in a thread: on demand, or some ahead."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._read: deque[T] = deque()
        self._reading: asyncio.Task[list[T]] | None = None

    def start(self) -> None:
        """Begin to read on, if nothing is left and that has not begun yet."""
        if not self._read and self._reading is None:
            self._reading = asyncio.create_task(asyncio.to_thread(list, islice(self._items, AT_ONCE)))

    async def next(self) -> T | None:
        """Return the next item, ``None`` after the last; raises as the iterator does."""
        self.start()
        if self._reading is not None:
            reading, self._reading = self._reading, None
            self._read.extend(await reading)
        return self._read.popleft() if self._read else None

    async def aclose(self) -> None:
        """Let a reading that nobody waits for any more come to its end."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
