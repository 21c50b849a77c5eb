"""Writes progress to the task's key/value store in the background: the latest value of each key."""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Protocol, Self

from include.logs import get_logger

log = get_logger(__name__)

TRIES = 5


class Checkpoint(Protocol):
    """A key/value store that survives the task: JSON values below 64 KiB."""

    async def get(self, key: str) -> Any:
        """Return the stored value, or ``None``."""
        ...

    async def set(self, key: str, value: Any) -> None:
        """Store a value; when this returns it is there."""
        ...


class CheckpointWriter:
    """
    Writes in the background, one call at a time; only the latest value of a key is written.

    The ledger is what counts, and it is written first: a store that fails costs only the view of the progress. A store
    behind an API server that all tasks share is not bothered more often than a person looks.

    :param every_s: Between two rounds of writing.
    """

    def __init__(self, store: Checkpoint, *, every_s: float = 1.0, retry_after_s: float = 1.0) -> None:
        self._store = store
        self._every_s = every_s
        self._retry_after_s = retry_after_s
        self._closing = asyncio.Event()
        self._waiting: dict[str, Any] = {}
        self._writer: asyncio.Task[None] | None = None
        self._tries = TRIES

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        while self._writer is not None:
            await asyncio.wait([self._writer])

    def put(self, key: str, value: Any) -> None:
        """
        Take a value to write; returns at once.

        :param value: JSON data, or a function that returns them when they are written.
        """
        self._waiting[key] = value
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                for key in list(self._waiting):
                    await self._write(key, self._waiting.pop(key))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every_s):
                        await self._closing.wait()
        finally:
            self._writer = None

    async def _write(self, key: str, value: Any) -> None:
        """After a value was given up, the others get one try each, until the store answers again."""
        for tried in range(1, self._tries + 1):
            try:
                await self._store.set(key, value() if callable(value) else value)
            except Exception as error:  # whatever the store raises, the load goes on
                if tried == self._tries:
                    log.warning("Could not store the progress of %s (%s); the ledger has it", key, error)
                    self._tries = 1
                    return
                await asyncio.sleep(self._retry_after_s * 2 ** (tried - 1))
                value = self._waiting.pop(key, value)
            else:
                self._tries = TRIES
                return
