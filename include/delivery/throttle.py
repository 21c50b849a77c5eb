"""Limits the calls in flight of a task, by what the server answers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

from include.errors import Throttled
from include.logs import get_logger

log = get_logger(__name__)


class Throttle:
    """
    Limits the work in flight: halved at a 429, one more after each full round without one (AIMD).

    Work (a batch until it is settled, a name, a flush, reading back) has a place; a question about a batch has none of
    its own. A 429 to any of them slows down all.

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

    async def acquire(self, priority: int = 0) -> float:
        """
        Wait for a place.

        :param priority: The lowest goes first; among equals the first that came.
        :returns: When it was given, for :meth:`slow_down`.
        """
        turn = (priority, next(self._arrivals))
        self._waiting.add(turn)
        try:
            while True:
                wait_s = self._not_before_s - self._now_s()
                free = wait_s <= 0 and self.in_flight < self.limit and turn == min(self._waiting)
                if self._lifted or free:
                    self.in_flight += 1
                    return self._now_s()
                await self._change(wait_s if wait_s > 0 else None)
        finally:
            self._waiting.remove(turn)
            self._wake()

    def release(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    async def work[T](self, call: Callable[[], Awaitable[T]], priority: int = 0) -> T:
        """Make a call that has a place in flight for as long as it takes; ``priority`` as for :meth:`acquire`."""
        entered_s = await self.acquire(priority)
        try:
            with self.observing(entered_s):
                return await call()
        finally:
            self.release()

    async def question[T](self, call: Callable[[], Awaitable[T]], place_s: float | None = None) -> T:
        """
        Make a call that needs no place of its own, once the time has come that the server named to any call.

        :param place_s: As for :meth:`observing`.
        """
        while not self._lifted and (wait_s := self._not_before_s - self._now_s()) > 0:
            await self._change(wait_s)
        with self.observing(place_s):
            return await call()

    @contextlib.contextmanager
    def observing(self, place_s: float | None = None) -> Iterator[None]:
        """
        Slow down at a 429 to the call made inside.

        :param place_s: When the work that it belongs to got its place; ``None`` where it has none.
        """
        entered_s = self._now_s() if place_s is None else place_s
        try:
            yield
        except Throttled as error:
            self.slow_down(entered_s, error.retry_after_s)
            raise

    def release_all(self) -> None:
        """End all waiting: nothing will be sent any more."""
        self._lifted = True
        self._wake()

    def speed_up(self) -> None:
        """
        Count work that the server took: as many in a row as the limit raise it by one.

        Names do not count: they are cheap for the server, and some targets keep none.
        """
        self._good += 1
        if self._good >= self.limit and self.limit < self._ceiling:
            self.limit, self._good = self.limit + 1, 0
            self._wake()

    async def _change(self, timeout_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    def _wake(self) -> None:
        """Let those that wait look whether it is their turn, if there is a place for one of them."""
        if self._lifted or self.in_flight < self.limit:
            self._changed.set()
            self._changed = asyncio.Event()

    def slow_down(self, entered_s: float, retry_after_s: float | None) -> None:
        """
        Halve the limit, once for all calls that were in flight together, and let all wait as long as the server asks.

        :param entered_s: When the throttled work had got its place.
        """
        now_s = self._now_s()
        self._good = 0
        if retry_after_s:
            self._not_before_s = max(self._not_before_s, now_s + retry_after_s)
        if entered_s >= self._slowed_at_s:
            self._slowed_at_s = now_s
            if self.limit > 1:
                self.limit //= 2
                log.info("The server asks to slow down: %d calls in flight at most", self.limit)
