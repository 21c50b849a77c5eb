"""Reads from a run's plan what delivery needs beside the batches themselves, without touching the text."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.records import BATCH_SCHEMA, Conversation
from include.run_folder import RunFolder

_LEAF = "messages.list.element."
_IDS = ("conversation_id", "segment_id")
_MESSAGE: Any = BATCH_SCHEMA.field("messages").type.value_type

ROWS_AT_ONCE = 1_000
"""Batches."""


def conversations_of(run: RunFolder, names: Collection[str] | None = None) -> dict[str, Conversation]:
    """Return the run's conversations of these ids, or all."""
    stored = [name for name in Conversation.__struct_fields__ if name != "segment_id"]
    table = pq.read_table(run.conversations, columns=stored)
    if names is not None:
        table = table.filter(pc.is_in(table["conversation_id"], value_set=pa.array(sorted(names), pa.string())))
    return {row["conversation_id"]: msgspec.convert(row, Conversation) for row in table.to_pylist()}


def batch_keys(chunk_path: Path) -> frozenset[str]:
    """Return the keys of all batches of a chunk."""
    return frozenset(str(key) for key in pq.read_table(chunk_path, columns=["key"])["key"].to_pylist())


def planned_messages(chunk_paths: Sequence[Path], *more: str) -> pa.RecordBatchReader:
    """
    Stream ``conversation_id, segment_id, message_id`` of all planned messages.

    :param more: Further columns, such as ``sender_id``.
    """
    names = ("message_id", *more)
    schema = pa.schema([BATCH_SCHEMA.field(name) for name in _IDS] + [_MESSAGE.field(name) for name in names])

    def batches() -> Iterator[pa.RecordBatch]:
        for path in chunk_paths:
            columns = [*_IDS, *(f"{_LEAF}{name}" for name in names)]
            for rows in pq.ParquetFile(path, pre_buffer=False).iter_batches(ROWS_AT_ONCE, columns=columns):
                messages = rows.column("messages")
                parents = pc.list_parent_indices(messages)
                ids = [rows.column(name).take(parents) for name in _IDS]
                flat = pc.list_flatten(messages)
                yield pa.RecordBatch.from_arrays([*ids, *(pc.struct_field(flat, n) for n in names)], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
