"""Writes the rejected entries of a run as CSV and JSON lines."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.files import open_private
from include.ledger import Snapshot
from include.records import REJECTED_SCHEMA
from include.report.sheets import write_sheet
from include.run_folder import RunFolder

COLUMNS = ("source", "conversation_id", "message_id", "reason", "origin")

_ROWS_AT_ONCE = 10_000


def write_rejects(run: RunFolder, ledger: Snapshot) -> None:
    """
    Write ``rejects.csv`` and ``rejects.jsonl``: entries that parsers or the target rejected, with reason and origin.

    Neither has message text. The JSON lines are exact. In the CSV, cells that a spreadsheet would compute begin with
    ``'``.
    """
    run.make()
    with ledger.tables({}) as connection, open_private(run.rejects("jsonl")) as lines:

        def records() -> Iterator[tuple[Any, ...]]:
            for record in _records(connection, run):
                lines.write(msgspec.json.encode(dict(zip(COLUMNS, record, strict=True))) + b"\n")
                yield record

        write_sheet(run.rejects("csv"), COLUMNS, records())


def first_rejects(run: RunFolder, most: int) -> Iterator[dict[str, Any]]:
    """Yield the first rejected entries of a run; none before its report is written."""
    path = run.rejects("jsonl")
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, islice(lines, most))


def _records(connection: duckdb.DuckDBPyConnection, run: RunFolder) -> Iterator[tuple[Any, ...]]:
    connection.register("broken", _broken(run))
    connection.execute("CREATE TABLE rejects AS SELECT source, conversation_id, message_id, reason, origin FROM broken")
    exported = [str(path) for path in run.extracted_files("messages-*.parquet")]
    if exported and connection.sql("SELECT 1 FROM rejected LIMIT 1").fetchall():
        connection.read_parquet(exported).create_view("messages")
        connection.execute(
            """
            INSERT INTO rejects
            WITH here AS (
                SELECT conversation_id, message_id, min(source) AS source, min(origin) AS origin
                FROM messages SEMI JOIN rejected USING (conversation_id, message_id) GROUP BY ALL
            )
            SELECT source, conversation_id, message_id, reason, origin
            FROM here JOIN rejected USING (conversation_id, message_id)
            """
        )
    found = connection.execute("FROM rejects ORDER BY conversation_id, origin, message_id")
    while portion := found.fetchmany(_ROWS_AT_ONCE):
        yield from portion


def _broken(run: RunFolder) -> pa.Table:
    files = run.extracted_files("rejected.parquet")
    return pa.concat_tables([REJECTED_SCHEMA.empty_table(), *map(pq.read_table, files)])
