"""
Writes an extracted folder again where the view of all exports changes it.

- Its conversations get the ids that were made for all exports (:mod:`include.transform.naming`).
- Messages of a channel that another export shows to be private become skipped entries.

Most folders need neither. Readers of a run find the folder that counts by
:meth:`include.run_folder.RunFolder.all_extracted`.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.extract import COMPRESSION
from include.records import SKIPPED_SCHEMA
from include.run_folder import drafted, files_in, remove

FILE_OPTIONS: dict[str, Any] = {"compression": COMPRESSION, "write_statistics": ["conversation_id", "sent_at_us"]}


def restate(folder: Path, out: Path, ids: Mapping[str, str], private: Set[str]) -> None:
    """
    Copy an extracted folder with other conversation ids and without messages of private channels.

    :param out: An empty folder.
    :param ids: Final conversation id by conversation id in the folder.
    :param private: Final ids of the conversations whose messages become skipped entries.
    """
    for file in sorted(folder.iterdir()):
        if file.name.startswith("messages-"):
            continue
        table = pq.read_table(file)
        if file.name == "skipped.parquet":
            table = pa.concat_tables([_renamed(table, ids), *_private_messages(folder, ids, private)])
        elif "conversation_id" in table.schema.names:
            table = _renamed(table, ids)
        if file.name == "conversations.parquet":
            table = _without_imported(table, private)
        pq.write_table(table, out / file.name, compression=COMPRESSION)
    for file in files_in(folder, "messages-*.parquet"):
        _write_messages(file, out / file.name, ids, private)


def _write_messages(file: Path, out: Path, ids: Mapping[str, str], private: Set[str]) -> None:
    source = pq.ParquetFile(file)
    with pq.ParquetWriter(out, source.schema_arrow, **FILE_OPTIONS) as writer:
        for group in range(source.num_row_groups):
            table = _renamed(source.read_row_group(group), ids)
            kept = table.filter(pc.invert(_is_in(table, private)))
            if kept.num_rows:
                writer.write_table(kept)


def _private_messages(folder: Path, ids: Mapping[str, str], private: Set[str]) -> Iterator[pa.Table]:
    if not private:
        return
    for file in files_in(folder, "messages-*.parquet"):
        table = _renamed(pq.read_table(file, columns=["source", "conversation_id", "origin"]), ids)
        left_out = table.filter(_is_in(table, private))
        reason = pa.array(["private"] * left_out.num_rows, pa.string())
        yield left_out.append_column("reason", reason).select(SKIPPED_SCHEMA.names).cast(SKIPPED_SCHEMA)


def _without_imported(table: pa.Table, private: Set[str]) -> pa.Table:
    imported = pc.if_else(_is_in(table, private), 0, table["imported"])
    return table.set_column(table.schema.names.index("imported"), table.schema.field("imported"), imported)


def _is_in(table: pa.Table, conversations: Set[str]) -> Any:
    return pc.is_in(table["conversation_id"], pa.array(sorted(conversations), pa.string()))


def _renamed(table: pa.Table, ids: Mapping[str, str]) -> pa.Table:
    """Return the table under final ids; what is in no conversation stays so."""
    changed = {old: new for old, new in ids.items() if old != new}
    if not changed:
        return table
    column: Any = table["conversation_id"]
    place = pc.index_in(column, pa.array(list(changed), pa.string()))
    final = pc.coalesce(pc.take(pa.array(list(changed.values()), pa.string()), place), column)
    return table.set_column(table.schema.names.index("conversation_id"), table.schema.field("conversation_id"), final)


def restate_all(
    folders: Sequence[Path], out: Path, ids: Mapping[str, Mapping[str, str]], private: Set[str]
) -> list[Path]:
    """
    Write those folders again that need it, below ``out``; return for each folder the one that counts.

    :param out: Replaced.
    :param ids: By name of folder; see :func:`restate`.
    """
    remove(out, within=out.parent)
    counting = []
    for folder in folders:
        made = ids.get(folder.name, {})
        if any(old != new for old, new in made.items()) or _holds_messages_of(folder, made, private):
            with drafted(out / folder.name) as draft:
                restate(folder, draft, made, private)
            counting.append(out / folder.name)
        else:
            counting.append(folder)
    return counting


def _holds_messages_of(folder: Path, ids: Mapping[str, str], private: Set[str]) -> bool:
    table = pq.read_table(folder / "conversations.parquet", columns=["conversation_id", "imported"])
    return any(row["imported"] and ids.get(row["conversation_id"]) in private for row in table.to_pylist())
