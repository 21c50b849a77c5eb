"""
``loaded.csv``: what a run put into EverOS, call by call, for whoever has to find or remove it there.

EverOS v1 deletes by ``group_id``, or by ``user_id`` and ``session_id``; which calls a conversation came in, their keys
and task ids are for asking the vendor. Call by call is known from the ledger's segments, until they are compacted: so
this is written before the flush, and completed with the report. What was compacted in between (by a run beside this
one) stands in a line without key: counts are always right.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from include.delivery.chunkfile import conversations_of
from include.delivery.fold import Settled
from include.delivery.ledger import Ledger
from include.layout import RunFolder
from include.records import Conversation
from include.report.sheets import read_sheet, write_sheet

COLUMNS = (
    "conversation_id",
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


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that landed with one call."""

    conversation_id: str
    messages: int
    first_ms: int
    last_ms: int
    key: str = ""
    task_id: str = ""


def write_loaded(run: RunFolder, ledger: Ledger, run_id: str) -> None:
    """
    Write ``loaded.csv``; what it already says of the run's calls stays.

    :raises LedgerError: the ledger is damaged; the file is as it was.
    """
    calls = {(call.conversation_id, call.key, call.first_ms): call for call in _written(run.loaded)}

    def note(settled: Settled) -> None:
        attempt = settled.attempt
        if attempt.run_id == run_id and settled.reason is None and settled.message_ids:
            times = settled.timestamps_ms
            call = _Call(
                conversation_id=attempt.conversation_id,
                messages=len(settled.message_ids),
                first_ms=min(times),
                last_ms=max(times),
                key=attempt.key,
                task_id=attempt.task_id or "",
            )
            calls[call.conversation_id, call.key, call.first_ms] = call

    with ledger.locked():
        ledger.fold(note, ledger.files().segments)
    with ledger.settled() as rows, rows.connect() as connection:
        landed = connection.execute(
            "SELECT conversation_id, count(DISTINCT message_id), min(timestamp_ms), max(timestamp_ms) "
            "FROM landed WHERE run_id = $1 GROUP BY conversation_id",
            [run_id],
        ).fetchall()
    told = Counter[str]()
    for call in calls.values():
        told[call.conversation_id] += call.messages
    untold = [
        _Call(conversation_id=name, messages=count - told[name], first_ms=first_ms, last_ms=last_ms)
        for name, count, first_ms, last_ms in landed
        if count > told[name]
    ]
    if landed:
        _write(run, sorted([*calls.values(), *untold], key=lambda call: (call.conversation_id, call.first_ms)))


def _written(path: Path) -> Iterator[_Call]:
    if path.exists():
        rows = [row for row in read_sheet(path) if row["key"]]
        yield from msgspec.convert(rows, list[_Call], strict=False)


def _write(run: RunFolder, calls: list[_Call]) -> None:
    known = conversations_of(run, {call.conversation_id for call in calls})
    cells = (msgspec.structs.asdict(call) | _address(known[call.conversation_id]) for call in calls)
    write_sheet(run.loaded, COLUMNS, ([row.get(name) for name in COLUMNS] for row in cells))


def _address(conversation: Conversation) -> dict[str, Any]:
    """Return what EverOS knows the conversation by."""
    if conversation.kind == "group":
        return {"kind": "group", "group_id": conversation.conversation_id}
    return {"kind": "personal", "user_id": conversation.user_id, "session_id": conversation.session_id}
