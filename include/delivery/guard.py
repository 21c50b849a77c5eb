"""
Notices a ledger that is older than what was sent, and a server that has lost what it held.

Two things are kept for that. A *generation* is a number that every load and flush raises before it sends, in the
ledger and outside of it (Airflow's asset state): a ledger whose number is smaller was restored from an older copy.
*Witnesses* are a few questions about conversations that the target answered when a run was verified: a target that
answers them now and shows nothing of any of them was emptied, or is another one behind the same address.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from include.delivery.locks import lock, open_lock
from include.delivery.segment import sync_folder
from include.errors import ChatImportError, LedgerError
from include.logs import get_logger
from include.memory_api.contract import MemoryAPI, Readback, Target
from include.records import Conversation

log = get_logger(__name__)

MOST_WITNESSES = 3


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a conversation that the target has shown episodes of; ids and times, no text and no names."""

    conversation_id: str
    source: str
    kind: str
    user_id: str | None
    session_id: str | None
    senders: tuple[str, ...]
    since_ms: int
    until_ms: int

    @property
    def conversation(self) -> Conversation:
        """What the target knows the conversation by."""
        names = ("conversation_id", "source", "kind", "user_id", "session_id")
        given = {name: getattr(self, name) for name in names} | {"channel_id": self.conversation_id, "name": ""}
        return msgspec.convert(given, Conversation)


def witness_of(
    conversation: Conversation, senders: tuple[str, ...], since_ms: int, until_ms: int, found: Readback | None
) -> Witness | None:
    """Return what can be asked again about a conversation that was read back; ``None`` where it proves nothing."""
    if not found or not found.episodes:
        return None
    return Witness(
        conversation_id=conversation.conversation_id,
        source=conversation.source,
        kind=conversation.kind,
        user_id=conversation.user_id,
        session_id=conversation.session_id,
        senders=senders,
        since_ms=since_ms,
        until_ms=until_ms,
    )


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """``guard.json`` in the ledger's folder."""

    generation: int = 0
    witnesses: tuple[Witness, ...] = ()


def generation_of(ledger: Path) -> int:
    """Return the ledger's generation, 0 before the first load."""
    return _read(ledger).generation


def check_generation(ledger: Path, known: int, target: Target) -> None:
    """
    Compare a ledger's generation with the one noted outside of it, as :func:`raise_generation` does.

    :raises LedgerError: the ledger's own is smaller.
    """
    _compare(ledger, generation_of(ledger), known, target)


def raise_generation(ledger: Path, known: int, target: Target) -> int:
    """
    Raise a ledger's generation; call it before anything is sent, and note the result outside of the ledger.

    :param ledger: Its folder.
    :param known: What was noted outside of it last, 0 where nothing was.
    :raises LedgerError: the ledger's own is smaller; it is as it was.
    """

    def raised(kept: _Kept) -> _Kept:
        _compare(ledger, kept.generation, known, target)
        return msgspec.structs.replace(kept, generation=kept.generation + 1)

    return _change(ledger, raised).generation


def _compare(ledger: Path, own: int, known: int, target: Target) -> None:
    if own < known:
        raise LedgerError(
            f"{ledger} is older than what was sent: it is at generation {own}, Airflow's asset state at {known}. An "
            "older copy was restored, or this is another home. Nothing was sent: what was loaded since that copy would "
            "be sent twice. Bring the newest copy of the ledger back; or, if the memory was put back to the same time "
            f"too, delete the keys 'generation {target.name}' and 'target {target.name}' from the state of the asset "
            "'everos' in Airflow."
        )


def keep_witnesses(ledger: Path, found: Iterable[Witness]) -> None:
    """Keep the few questions that are cheapest to ask, by how many people they ask about, and the newest of those."""

    def kept_of(kept: _Kept) -> _Kept:
        by_id = {witness.conversation_id: witness for witness in (*kept.witnesses, *found)}
        best = sorted(by_id.values(), key=lambda witness: (len(witness.senders), -witness.until_ms))
        return msgspec.structs.replace(kept, witnesses=tuple(best[:MOST_WITNESSES]))

    _change(ledger, kept_of)


async def check_not_emptied(ledger: Path, api: MemoryAPI) -> None:
    """
    Ask the target again what it has answered before; call it before the first message is sent.

    An answer that is no proof, or none at all, stops nothing.

    :raises LedgerError: it answers, and shows nothing of any of these conversations.
    """
    witnesses = _read(ledger).witnesses
    for witness in witnesses:
        found = None
        with suppress(ChatImportError):
            found = await api.readback(
                witness.conversation, witness.senders, since_ms=witness.since_ms, until_ms=witness.until_ms
            )
        if found is None or found.episodes != 0 or found.unprocessed != 0:
            return
    if witnesses:
        raise LedgerError(_emptied(ledger, api.target, witnesses))


def _emptied(ledger: Path, target: Target, witnesses: tuple[Witness, ...]) -> str:
    names = ", ".join(witness.conversation_id for witness in witnesses)
    other = "account or project_id" if target.api_version == "v2" else "account"
    return (
        f"{target.base_url} answers, but shows nothing of what the ledger says it holds ({names}): the server was "
        "emptied, its data was restored from before the import, or another server is behind this address. Nothing was "
        f"sent: {ledger} says that most messages are there, and only new ones would go out. Bring the server's data "
        f"back; or, if everything is to be loaded again, give this store a new {other} in the extra of the connection, "
        "and it gets a ledger of its own."
    )


def _read(ledger: Path) -> _Kept:
    path = ledger / "guard.json"
    if not path.exists():
        return _Kept()
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{path} is damaged ({error}): restore it from a backup; nothing was sent") from error


def _change(ledger: Path, change: Callable[[_Kept], _Kept]) -> _Kept:
    file = open_lock(ledger / "guard.lock")
    try:
        lock(file, fcntl.LOCK_EX)
        kept = change(_read(ledger))
        draft = ledger / f".guard.json.{os.getpid()}"
        with draft.open("wb") as draft_file:
            draft_file.write(msgspec.json.encode(kept))
            draft_file.flush()
            os.fsync(draft_file.fileno())
        draft.replace(ledger / "guard.json")
        sync_folder(ledger)
        return kept
    finally:
        os.close(file)
