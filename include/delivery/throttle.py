"""How fast to go: batches in flight and waits, learned from the server and shared by a load's conversations."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from itertools import count

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
        self._arrivals = count()
        self._waiting: set[tuple[int, int]] = set()

    async def enter(self, urgency: int = 0) -> float:
        """
        Wait for a place in flight.

        :param urgency: The higher, the sooner; among equals whoever came first.
        :returns: When it was given, which :meth:`slow_down` wants to know.
        """
        turn = (-urgency, next(self._arrivals))
        self._waiting.add(turn)
        try:
            while True:
                wait_s = self._not_before_s - self._now_s()
                free = wait_s <= 0 and self.in_flight < self.limit and turn == min(self._waiting)
                if self._lifted or free:
                    self.in_flight += 1
                    return self._now_s()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s if wait_s > 0 else None):
                        await self._changed.wait()
        finally:
            self._waiting.remove(turn)
            self._wake()

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
    How long a batch's task usually takes, learned from the tasks before it.

    Asking much earlier costs calls, asking much later costs time. The guess is a little less than what a quarter of the
    last tasks took: early enough for the quick ones, and close to all of them where they are all alike.
    """

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=32)

    @property
    def typical_s(self) -> float | None:
        """When to ask first, counted from acceptance; ``None`` before anything is known."""
        return 0.98 * sorted(self._took_s)[len(self._took_s) // 4] if self._took_s else None

    def saw(self, took_s: float) -> None:
        """Learn from a task that has succeeded: when it was seen to have, after its acceptance."""
        self._took_s.append(took_s)
