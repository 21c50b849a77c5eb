"""How fast to go: batches in flight and waits, learned from the server and shared by a load's conversations."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from include.delivery.settings import LoadSettings

log = logging.getLogger(__name__)


class Throttle:
    """
    Bounds the batches in flight: halved when the server says 429, one more after each full round without (AIMD).

    :param now_s: The loop's clock.
    """

    def __init__(self, ceiling: int, now_s: Callable[[], float]) -> None:
        self.limit = self._ceiling = ceiling
        self.in_flight = 0
        self._now_s = now_s
        self._good = 0
        self._slowed_at_s = float("-inf")
        self._not_before_s = float("-inf")
        self._lifted = False
        self._changed = asyncio.Event()

    async def enter(self) -> float:
        """Wait for a place in flight; returns when it was given, which :meth:`slow_down` wants to know."""
        while True:
            wait_s = self._not_before_s - self._now_s()
            if self._lifted or (wait_s <= 0 and self.in_flight < self.limit):
                self.in_flight += 1
                return self._now_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s if wait_s > 0 else None):
                    await self._changed.wait()

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    def lift(self) -> None:
        """Let everybody through: nothing will be sent any more, and nobody should wait to learn that."""
        self._lifted = True
        self._wake()

    def speed_up(self) -> None:
        """Note a call that was taken: so many as the limit in a row raise it by one."""
        self._good += 1
        if self._good >= self.limit and self.limit < self._ceiling:
            self.limit, self._good = self.limit + 1, 0
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def slow_down(self, entered_s: float, retry_after_s: float | None) -> None:
        """
        Note a 429: halve the limit, once for all calls that were on their way together, and hold everyone back.

        :param entered_s: When the throttled call had got its place.
        """
        now_s = self._now_s()
        self._good = 0
        if retry_after_s:
            self._not_before_s = max(self._not_before_s, now_s + retry_after_s)
        if entered_s >= self._slowed_at_s:
            self._slowed_at_s = now_s
            if self.limit > 1:
                self.limit //= 2
                log.info("The server asks to slow down: %d batches in flight at most", self.limit)


class Pace:
    """
    When a batch's task is worth asking for the first time, learned from the tasks before it.

    Asking much earlier costs calls, much later costs time: the guess follows the shortest time that was not too short.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self.first_s = settings.poll_min_s
        self._min_s = settings.poll_min_s
        self._max_s = settings.poll_max_s

    def saw(self, took_s: float, *, asked: int) -> None:
        """
        Learn from a task that has succeeded.

        :param took_s: From acceptance to the answer that said so.
        :param asked: How many questions that took; after one alone it may have been done for long.
        """
        guess_s = self.first_s * 0.97 if asked <= 1 else 0.5 * (self.first_s + took_s)
        self.first_s = min(self._max_s, max(self._min_s, guess_s))
