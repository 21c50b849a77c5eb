"""At most one writer per conversation and target on a machine: a file lock that ends with the process that holds it."""

import asyncio
import fcntl
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from include.delivery.locks import LEDGER_TRUTH, lock, open_lock
from include.errors import ConversationBusy, LedgerError
from include.logs import get_logger
from include.storage import file_trouble

log = get_logger(__name__)

ASK_AGAIN_S = 0.25


class Lease:
    """The right to send to one conversation, for as long as the file is open."""

    def __init__(self, path: Path, conversation_id: str) -> None:
        self._path = path
        self._conversation_id = conversation_id
        self._file = open_lock(path)

    def take(self) -> bool:
        """Try to take it; does not wait."""
        return lock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def sign(self, holder: str) -> None:
        """Write down who holds it, for whoever finds it taken."""
        note = {"conversation": self._conversation_id, "pid": os.getpid(), "host": socket.gethostname(), "run": holder}
        with file_trouble(self._path.parent, LEDGER_TRUTH, LedgerError):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(note).encode(), 0)

    def holder(self) -> str:
        """Say who signed it last."""
        try:
            note = json.loads(os.pread(self._file, 4096, 0))
            return f"process {note['pid']} on {note['host']}, run {note['run']}"
        except (ValueError, KeyError, TypeError):
            return "a process that has not signed it"

    def check(self) -> None:
        """
        Make sure that it still keeps others away; call it before each batch.

        :raises LedgerError: its file was removed, so that another process may have taken a new one.
        """
        if os.fstat(self._file).st_nlink == 0:
            raise LedgerError(
                f"{self._path}: the lease of {self._conversation_id} was removed while it was loading. It stopped; "
                "what it had sent is in the ledger. Leave the ledger's folder alone during a load, then clear the task."
            )

    def close(self) -> None:
        """Give it back."""
        os.close(self._file)


@asynccontextmanager
async def leased(folder: Path, conversation_id: str, *, holder: str, wait_s: float) -> AsyncIterator[Lease]:
    """
    Hold a conversation's lease; an orphan of an earlier try is given time to end.

    :param folder: The ledger's folder of the target.
    :param holder: Who takes it (the run), for others to read.
    :raises ConversationBusy: another process still holds it after ``wait_s``; nothing was sent.
    """
    lease = Lease(folder / "leases" / f"{sha256(conversation_id.encode()).hexdigest()[:24]}.json", conversation_id)
    try:
        deadline_s = time.monotonic() + wait_s
        held = not lease.take()
        if held:
            log.info("%s is held by %s: waiting for it to end", conversation_id, lease.holder())
        while held:
            if time.monotonic() >= deadline_s:
                raise ConversationBusy(
                    f"{conversation_id} is being loaded by {lease.holder()}; nothing was sent. Wait for it to end or "
                    "stop it, then clear this task."
                )
            await asyncio.sleep(ASK_AGAIN_S)
            held = not lease.take()
        lease.sign(holder)
        yield lease
    finally:
        lease.close()
