"""Logs that the target is away: since when, and why, while the calls are repeated."""

import inspect
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast

from include.errors import ChatImportError, NotSent, OutcomeUnknown, Throttled
from include.logs import get_logger
from include.memory_api.contract import MemoryAPI

log = get_logger(__name__)


def logged_outages(api: MemoryAPI, every_s: float) -> MemoryAPI:
    """
    Return the client with a log of its outages.

    :param every_s: Seconds between two lines at least.
    """
    return cast("MemoryAPI", _Logged(api, every_s))


class _Logged:
    """Passes every call on, and sees which of them are not answered."""

    def __init__(self, api: MemoryAPI, every_s: float) -> None:
        self._api, self._every_s = api, every_s
        self._since_s: float | None = None
        """Time of the first call that was not answered since the last one that was."""
        self._logged_s = float("-inf")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._api, name)
        if inspect.iscoroutinefunction(value):
            value = self._watched(value)
            setattr(self, name, value)
        return value

    def _watched(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(call)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await call(*args, **kwargs)
            except (NotSent, OutcomeUnknown, Throttled) as error:
                self._failed(error)
                raise
            self._answered()
            return result

        return watched

    def _failed(self, error: ChatImportError) -> None:
        now_s = time.monotonic()
        self._since_s = now_s if self._since_s is None else self._since_s
        if now_s - self._logged_s >= self._every_s:
            self._logged_s = now_s
            log.warning("Waiting for EverOS for %d s, and calling it again: %s", now_s - self._since_s, error)

    def _answered(self) -> None:
        if self._since_s is not None:
            waited_s = time.monotonic() - self._since_s
            self._since_s = None
            if waited_s >= self._every_s:
                log.info("EverOS answers again, after %d s", waited_s)
