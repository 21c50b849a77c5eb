"""
Notices a target that has lost what it held.

Witnesses are a few questions about conversations that the target answered when a run was verified, kept in the ledger:
a target that answers them now and shows nothing of any of them was emptied, or is another one behind the same address.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from include.errors import ChatImportError, LedgerError
from include.ledger import Ledger
from include.memory_api.contract import MemoryAPI, Readback, Target
from include.records import Conversation

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
    segment_id: str = ""

    @property
    def conversation(self) -> Conversation:
        """The conversation, with the fields that address it at the target."""
        names = ("conversation_id", "source", "kind", "user_id", "session_id", "segment_id")
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
        segment_id=conversation.segment_id,
        senders=senders,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def keep_witnesses(ledger: Ledger, found: Iterable[Witness]) -> None:
    """Keep the few questions that are cheapest to ask, by how many people they ask about, and the newest of those."""
    by_id = {witness.conversation_id: witness for witness in (*ledger.witnesses(Witness), *found)}
    best = sorted(by_id.values(), key=lambda witness: (len(witness.senders), -witness.until_ms))
    ledger.keep_witnesses(best[:MOST_WITNESSES])


async def check_not_emptied(ledger: Ledger, api: MemoryAPI) -> None:
    """
    Ask the target again what it has answered before; call it before the first message is sent.

    An answer that is no proof, or none at all, stops nothing.

    :raises LedgerError: it answers, and shows nothing of any of these conversations.
    """
    witnesses = await asyncio.to_thread(ledger.witnesses, Witness)
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


def _emptied(ledger: Ledger, target: Target, witnesses: tuple[Witness, ...]) -> str:
    names = ", ".join(witness.conversation_id for witness in witnesses)
    other = "account or project_id" if target.api_version == "v2" else "account"
    return (
        f"{target.base_url} answers, but shows nothing of what the ledger says it holds ({names}): the server was "
        "emptied, its data was restored from before the import, or another server is behind this address. Nothing was "
        f"sent: {ledger.database.name} says that most messages are there, and only new ones would go out. Bring the "
        f"server's data back; or, if everything is to be loaded again, give this store a new {other} in the extra of "
        "the connection, and it gets a ledger of its own."
    )
