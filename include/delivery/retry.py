"""Waits and repetitions: backoff, the pace of questions about tasks, calls repeated until they are answered."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

from include.delivery.settings import LoadSettings
from include.errors import NotSent, OutcomeUnknown, Throttled


def wait_after_s(error: BaseException | None, tries: int, jitter: float, settings: LoadSettings) -> float:
    """Return the wait that the server asks for, with some jitter; backoff where it asks for none or very little."""
    asked_s = error.retry_after_s * (1 + 0.1 * jitter) if isinstance(error, Throttled) and error.retry_after_s else 0
    return asked_s if asked_s >= settings.backoff_base_s else max(asked_s, backoff_s(tries, jitter, settings))


def poll_after_s(elapsed_s: float, settings: LoadSettings, typical_s: float | None = None) -> float:
    """
    Return the wait until the next question.

    Nothing known: a quarter of the time passed. Else the first question comes at the typical time, the next ones
    closely after it and then ever more rarely.
    """
    if typical_s is None:
        wait_s = 0.25 * elapsed_s
    elif elapsed_s < typical_s:
        wait_s = typical_s - elapsed_s
    else:
        wait_s = 0.015 * typical_s + 0.25 * (elapsed_s - typical_s)
    return min(settings.poll_max_s, max(settings.poll_min_s, wait_s))


def backoff_s(tries: int, jitter: float, settings: LoadSettings) -> float:
    """Return exponential backoff with full jitter: anything from nothing to ``base * 2**tries``, capped."""
    return jitter * min(settings.backoff_cap_s, settings.backoff_base_s * 2.0 ** min(tries, 32))


class Pace:
    """
    The time that a task usually takes, by the tasks before it.

    Asking much earlier costs calls, asking much later costs time. The estimate is a little less than the lower quartile
    of the last tasks: early enough for quick ones, and close to all where they are alike.
    """

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=32)

    @property
    def typical_s(self) -> float | None:
        """Seconds from acceptance to the first question; ``None`` before any task has ended."""
        return 0.98 * sorted(self._took_s)[len(self._took_s) // 4] if self._took_s else None

    def record(self, took_s: float) -> None:
        """Add a task that has succeeded: seconds from its acceptance to the question that found it done."""
        self._took_s.append(took_s)


async def retry_until_answered[T](call: Callable[[], Awaitable[T]], settings: LoadSettings) -> T:
    """
    Make a call whose repetition changes nothing (an upsert, a flush) until it is answered.

    :raises ChatImportError: the last error, once ``give_up_after_s`` since the first one would pass; anything but
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
            if now_s + wait_s - since_s > settings.give_up_after_s:
                raise
            await asyncio.sleep(wait_s)
