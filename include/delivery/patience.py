"""Calls that may safely be repeated, repeated until they are answered or patience ends."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from include.delivery.machine import wait_after_s
from include.delivery.settings import LoadSettings
from include.errors import NotSent, OutcomeUnknown, Throttled


async def patiently[T](call: Callable[[], Awaitable[T]], settings: LoadSettings) -> T:
    """
    Make a call whose repetition changes nothing (an upsert, a flush) until it is answered.

    :raises ChatImportError: the last error, once ``patience_s`` since the first one would pass; anything but
        ``NotSent``, ``Throttled`` and ``OutcomeUnknown`` at once.
    """
    since_s, tries = None, 0
    while True:
        try:
            return await call()
        except (NotSent, Throttled, OutcomeUnknown) as error:
            jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
            wait_s = wait_after_s(error, tries, jitter, settings)
            tries += 1
            now_s = time.monotonic()
            since_s = now_s if since_s is None else since_s
            if now_s + wait_s - since_s > settings.patience_s:
                raise
            await asyncio.sleep(wait_s)
