"""One load task's lines in the ledger: appended, durable before the caller goes on, many conversations per fsync."""

import asyncio
import fcntl
import os
import re
import secrets
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from include.delivery import events
from include.delivery.rounds import Rounds
from include.errors import LedgerError
from include.logs import get_logger
from include.storage import REMEDY, described

log = get_logger(__name__)

_sync = getattr(os, "fdatasync", os.fsync)


class Segment:
    """
    A file of the ledger that only this object writes, created with its first line.

    The file stays locked as long as it is open, so that compaction can tell a live segment from a dead one.

    :param conversations: The only conversations it may speak of; readers who want none of them pass it over.
    """

    def __init__(self, folder: Path, *, run_id: str, conversations: Collection[str]) -> None:
        self._token = secrets.token_hex(6)
        run = re.sub(r"[^A-Za-z0-9.+-]+", "-", run_id)[:48]
        self.path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}_{run}_{self._token}.jsonl"
        self._header = events.Header(run=run_id, conversations=tuple(sorted(conversations)))
        self._conversations = frozenset(conversations)
        self._file: int | None = None
        self._waiting: list[bytes] = []
        self._committed = Rounds(self._commit)
        self._broken: OSError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def names(self) -> Iterator[str]:
        """Yield names for attempts that no other segment has ever given."""
        number = 0
        while True:
            number += 1
            yield f"{self._token}-{number}"

    async def write(self, *lines: events.Line) -> None:
        """
        Append lines; they are on disk when this returns. Callers that wait at the same time share one fsync.

        :raises LedgerError: they could not be written, nor will any later line be: nothing may be sent any more.
        """
        at_ms = time.time_ns() // 1_000_000
        for line in lines:
            if line.conversation not in self._conversations:
                raise ValueError(f"{line.conversation} is not of this segment")
            self._waiting.append(events.encode(msgspec.structs.replace(line, at_ms=at_ms)))
        if self._waiting:
            await self._committed()

    async def aclose(self) -> None:
        """Let the last commit end and close the file."""
        await self._committed.settled()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _commit(self) -> None:
        """Write what has gathered while the commit before was on its way."""
        lines, self._waiting = self._waiting, []
        await asyncio.to_thread(self._append, b"".join(lines))

    def _append(self, data: bytes) -> None:
        """After any error the file may end in half a line: nothing must ever follow it."""
        try:
            if self._broken is not None:
                raise self._broken
            if self._file is None:
                self._file = self._create()
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            _sync(self._file)
        except OSError as error:
            self._broken = error
            raise LedgerError(
                f"{self.path}: {described(error, self.path.parent)}. Nothing more is sent; calls made before are "
                f"settled by the next try. {REMEDY}"
            ) from error

    def _create(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, events.encode(self._header))
        sync_folder(self.path.parent)
        return file


def sync_folder(folder: Path) -> None:
    """Make the folder's entries themselves durable: new names, renames, deletions."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
