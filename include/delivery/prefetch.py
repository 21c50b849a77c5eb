"""Reads the next batches from disk in a thread, while the server processes the present one."""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice

AT_ONCE = 8
"""Items read at a time: starting a thread takes longer than reading most of them."""


class Prefetcher[T]:
    """Hands out an iterator's items, read in a thread: on demand, or some ahead."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._read: deque[T] = deque()
        self._at_end = False
        self._reading: asyncio.Task[list[T]] | None = None

    def start(self) -> None:
        """Start to read, if no item is left and nothing is being read."""
        if not self._read and self._reading is None and not self._at_end:
            self._reading = asyncio.create_task(asyncio.to_thread(list, islice(self._items, AT_ONCE)))

    async def next(self) -> T | None:
        """Return the next item, ``None`` after the last; raises as the iterator does."""
        self.start()
        if self._reading is not None:
            reading, self._reading = self._reading, None
            read = await reading
            self._read.extend(read)
            self._at_end = len(read) < AT_ONCE
        return self._read.popleft() if self._read else None

    async def aclose(self) -> None:
        """Wait for the end of a reading whose items are not wanted any more."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
