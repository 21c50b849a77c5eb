"""
Writes ``loaded.csv``: the calls whose messages landed in this run, to find or delete these messages in EverOS.

EverOS v1 deletes by ``group_id``, or by ``user_id`` and ``session_id``; a ``segment_id`` is a session of v2. The
support of EverOS can look up task ids.
"""

from collections.abc import Iterator
from typing import Any

from include.ledger import Snapshot
from include.plan.chunk_file import conversations_of
from include.records import Conversation
from include.report.sheets import write_sheet
from include.run_folder import RunFolder

COLUMNS = (
    "conversation_id",
    "segment_id",
    "kind",
    "group_id",
    "user_id",
    "session_id",
    "messages",
    "first_ms",
    "last_ms",
    "key",
    "task_id",
)


def write_calls(run: RunFolder, ledger: Snapshot, run_id: str) -> None:
    """
    Write ``loaded.csv``, if any message of the run has landed.

    :raises LedgerError: the ledger is damaged; the file is unchanged.
    """
    calls = list(ledger.landed_calls(run_id))
    if not calls:
        return
    known = conversations_of(run, {call["conversation_id"] for call in calls})

    def rows() -> Iterator[list[Any]]:
        for call in calls:
            cells = call | _ids(known.get(call["conversation_id"]))
            yield [cells.get(name) for name in COLUMNS]

    write_sheet(run.loaded, COLUMNS, rows())


def _ids(conversation: Conversation | None) -> dict[str, Any]:
    """Return the ids of a conversation in EverOS; none if it is only in an earlier plan of the run."""
    if conversation is None:
        return {}
    if conversation.kind == "group":
        return {"kind": "group", "group_id": conversation.conversation_id}
    return {"kind": "personal", "user_id": conversation.user_id, "session_id": conversation.session_id}
