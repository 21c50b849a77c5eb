"""Waits and repetitions: backoff, the pace of questions about tasks, calls repeated until they are answered."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

from include.delivery.settings import LoadSettings
from include.errors import NotSent, OutcomeUnknown, Throttled

WATCHED_GROWTH, PATIENT_GROWTH = 0.04, 1.0
"""Of the waits between questions about a task of unknown length: while it is watched, and while another one is."""

PATIENT_FIRST = 100
"""Times ``poll_min_s`` to the first question while another task is watched: that one tells when to ask, if it can."""

_ALIKE = 1.02
"""Times the lower quartile at which the first question comes at the latest."""

_EARLIER = 0.995
"""A task that its first question found done counts as this much quicker: so questions come earlier until one is."""

_REMEMBERED = 8
"""Tasks of each size."""


def wait_after_s(error: BaseException | None, tries: int, jitter: float, settings: LoadSettings) -> float:
    """Return the wait that the server asks for, with some jitter; backoff where it asks for none or very little."""
    asked_s = error.retry_after_s * (1 + 0.1 * jitter) if isinstance(error, Throttled) and error.retry_after_s else 0
    return asked_s if asked_s >= settings.backoff_base_s else max(asked_s, backoff_s(tries, jitter, settings))


def poll_after_s(
    elapsed_s: float, settings: LoadSettings, typical_s: float | None = None, *, growth: float = 0.25
) -> float:
    """
    Return the wait until the next question.

    Nothing known: a share of the time passed, ``growth``. Else the first question comes at the typical time, the next
    ones closely after it and then ever more rarely.
    """
    if typical_s is None:
        wait_s = growth * elapsed_s
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
    The time that tasks usually take by their number of messages, learned from the tasks before, for all conversations.

    Asking much earlier costs calls, asking much later costs time. Where tasks of a size take alike, the first question
    comes when nearly all are done; where they differ, when the quicker ones are. The first task of all is watched
    closely, and the others that wait with it learn from it.

    :param on_first: Called when the first task has succeeded: whoever waits may look again.
    """

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        self._took_s: dict[int, deque[float]] = {}
        self._is_watching = False
        self._on_first = on_first

    def typical_s(self, messages: int) -> float | None:
        """Return seconds from acceptance to the first question; ``None`` before any task has ended."""
        if messages in self._took_s:
            return self._of_size(messages)
        nearest = sorted(self._took_s, key=lambda size: abs(size - messages))[:2]
        if len(nearest) < 2:
            return self._of_size(nearest[0]) * min(1.0, messages / nearest[0]) if nearest else None
        one, two = nearest
        one_s, two_s = self._of_size(one), self._of_size(two)
        return max(0.0, one_s + (two_s - one_s) * (messages - one) / (two - one))

    def _of_size(self, messages: int) -> float:
        ranked = sorted(self._took_s[messages])
        return min(ranked[3 * len(ranked) // 4], _ALIKE * ranked[len(ranked) // 4])

    def watch(self) -> bool:
        """Tell whether to watch a task closely: the first one."""
        is_first, self._is_watching = not self._is_watching and not self._took_s, True
        return is_first

    def record(self, messages: int, not_before_s: float, took_s: float) -> None:
        """
        Add a task that has succeeded.

        :param not_before_s: Seconds from its acceptance to the last question that found it at work; 0 without one.
        :param took_s: Seconds to the question that found it done. Without one before, it may have been done earlier.
        """
        is_first = not self._took_s
        of_size = self._took_s.setdefault(messages, deque(maxlen=_REMEMBERED))
        of_size.append((not_before_s + took_s) / 2 if not_before_s else _EARLIER * took_s)
        if is_first:
            self._on_first()


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
