"""The outcome of each conversation of a run, by its plan and the ledger: for the flush and the report."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from include.ledger import CallState, Snapshot
from include.plan import earliest_ms
from include.plan.chunk_file import planned_messages
from include.run_folder import RunFolder


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a conversation's planned messages by outcome; they are ``loaded + … + unknown`` in all."""

    conversation_id: str
    loaded: int = 0
    """Sent by this run and landed."""

    already_loaded: int = 0
    """Sent by an earlier run, and found to have landed after this run was planned."""

    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    """Refused by the target: reason to count."""

    pending: int = 0
    """Not sent, proved not stored, or at the server with a task that has not ended."""

    unknown: int = 0
    """The target may or may not hold them."""

    segments: int = 0
    """That were planned."""

    unflushed: int = 0
    """Segments that this run has loaded into and not flushed."""

    flushed: str | None = None
    """
    The server's answer to this run's flush, of several segments ``extracted`` if any was; ``None`` without one or where
    one is missing.
    """


class Unsettled(msgspec.Struct, frozen=True, kw_only=True):
    """Planned messages of a segment whose end is not known."""

    pending: int
    unknown: int


def outcomes_of(run: RunFolder, ledger: Snapshot, run_id: str) -> dict[str, Outcome]:
    """
    Return what became of every conversation that was planned or flushed, by conversation id.

    :raises LedgerError: the ledger is damaged.
    """
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    with ledger.tables(earliest_ms(run)) as connection:
        _judge(connection, ledger, run.chunks(), run_id)
        for conversation_id, *counts in connection.sql(_OUTCOMES).fetchall():
            names = ("loaded", "already_loaded", "pending", "unknown", "segments")
            found[conversation_id].update(zip(names, counts, strict=True))
        for conversation_id, reason, count in connection.sql(
            "SELECT conversation_id, reason, count(*) FROM rejected "
            "SEMI JOIN planned USING (conversation_id, message_id) GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall():
            found[conversation_id].setdefault("rejected", {})[reason] = count
        for conversation_id, unflushed, status in connection.execute(_FLUSHES, {"run": run_id}).fetchall():
            found[conversation_id].update(unflushed=unflushed, flushed=None if unflushed else status)
    return {name: Outcome(conversation_id=name, **values) for name, values in found.items()}


def unsettled_segments(run: RunFolder, ledger: Snapshot, run_id: str) -> dict[str, Unsettled]:
    """Return the segments with messages that are pending or unknown, by their ids."""
    with ledger.tables(earliest_ms(run)) as connection:
        _judge(connection, ledger, run.chunks(), run_id)
        return {
            name: Unsettled(pending=pending, unknown=unknown)
            for name, pending, unknown in connection.sql(
                """
                SELECT segment_id, count(*) FILTER (NOT open), count(*) FILTER (open)
                FROM judged WHERE ours IS NULL AND NOT refused GROUP BY segment_id
                """
            ).fetchall()
        }


_OUTCOMES = """
    SELECT conversation_id, count(*) FILTER (ours), count(*) FILTER (NOT ours),
           count(*) FILTER (ours IS NULL AND NOT refused AND NOT open),
           count(*) FILTER (ours IS NULL AND NOT refused AND open), count(DISTINCT segment_id)
    FROM judged GROUP BY conversation_id
    """

_FLUSHES = """
    WITH answered AS (
        SELECT conversation_id, segment_id, arg_max(status, landed) AS status
        FROM flushed WHERE run_id = $run GROUP BY ALL
    ), sent AS (
        SELECT DISTINCT conversation_id, segment_id FROM judged WHERE ours
    )
    SELECT conversation_id, count(*) FILTER (status IS NULL),
           coalesce(max(status) FILTER (status = 'extracted'), max(status))
    FROM sent FULL JOIN answered USING (conversation_id, segment_id) GROUP BY conversation_id
    """


def _judge(connection: duckdb.DuckDBPyConnection, ledger: Snapshot, chunks: list[Path], run_id: str) -> None:
    """
    Make the table ``judged``: the planned messages and what is known of each.

    A message counts once, and what is certain counts before what is not.
    """
    connection.register("planned_messages", planned_messages(chunks))
    connection.register("open_messages", _open_messages(ledger))
    connection.execute("CREATE TABLE planned AS FROM planned_messages")
    connection.execute(
        """
        CREATE TABLE judged AS
        WITH sent AS (
            SELECT conversation_id, message_id, bool_or(run_id = $run) AS ours
            FROM landed SEMI JOIN planned USING (conversation_id, message_id)
            GROUP BY conversation_id, message_id
        ), doubtful AS (
            SELECT DISTINCT conversation_id, message_id FROM open_messages WHERE doubtful
        )
        SELECT conversation_id, segment_id, ours, rejected.message_id IS NOT NULL AS refused,
               doubtful.message_id IS NOT NULL AS open
        FROM planned
        LEFT JOIN sent USING (conversation_id, message_id)
        LEFT JOIN rejected USING (conversation_id, message_id)
        LEFT JOIN doubtful USING (conversation_id, message_id)
        """,
        {"run": run_id},
    )


def _open_messages(ledger: Snapshot) -> pa.Table:
    """Messages of calls without an outcome. Those with an accepted task are not doubtful."""
    open_ = [
        {
            "conversation_id": call.conversation_id,
            "message_id": message_id,
            "doubtful": call.state is not CallState.ACCEPTED,
        }
        for call in ledger.open()
        for message_id in call.message_ids
    ]
    fields: list[pa.Field[Any]] = [
        pa.field("conversation_id", pa.string()),
        pa.field("message_id", pa.string()),
        pa.field("doubtful", pa.bool_()),
    ]
    return pa.Table.from_pylist(open_, schema=pa.schema(fields))
