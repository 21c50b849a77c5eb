"""Limits the calls of a client: how many at once, and the time of each as a whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from include.memory_api import failures
from include.memory_api.settings import Settings


class CallLimits:
    """The limits of one client. Use them from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._deadline_s = failures.deadline_s(settings)
        self._slots = asyncio.Semaphore(settings.connections)

    @asynccontextmanager
    async def in_time(self, call: str) -> AsyncIterator[None]:
        """
        Wait until there is a connection for it, then limit the time.

        :raises OutcomeUnknown: there is no whole answer in time.
        """
        async with self._slots:
            try:
                async with asyncio.timeout(self._deadline_s):
                    yield
            except TimeoutError:
                raise failures.too_late(call, self._deadline_s) from None
