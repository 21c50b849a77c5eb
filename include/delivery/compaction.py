"""
Turns dead segments into sorted Parquet, so that ten million messages stay quick to ask about.

The one moment that counts is the renaming of the new landed file: its footer names the files it took over, and from
then on those do not count. What a crash before or after leaves behind is redone or cleared away by the next compaction.
"""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from include.delivery import events
from include.delivery.fold import Fold, lines_of
from include.delivery.ledger import MEMORY_LIMIT, REPLACES, SCRATCH_PREFIX, Files, Ledger
from include.delivery.locks import lock
from include.delivery.segment import sync_folder
from include.delivery.tables import LANDED_SCHEMA, ROWS_AT_ONCE, SettledWriter, flushed_table
from include.errors import LedgerError
from include.logs import get_logger

log = get_logger(__name__)

MERGE_ABOVE = 16
"""More landed files than this are merged into one, and the rest with them."""


def compact(ledger: Ledger) -> bool:
    """
    Compact the ledger unless somebody is reading or writing it; call it before a run reads what has landed.

    :returns: Whether there was nothing in the way. If there was, the ledger works as well as before, only slower.
    :raises LedgerError: a line or file is damaged, or a segment is missing; nothing was changed.
    """
    with ledger.locked(exclusive=True) as alone, ExitStack() as claims:
        if not alone:
            return False
        files = ledger.files()
        _clear_leftovers(ledger, files)
        if not all(claims.enter_context(_claimed(path)) for path in files.segments):
            return False
        if _is_worth_it(files):
            _replace(ledger, files)
        return True


def _is_worth_it(files: Files) -> bool:
    """A single small segment of open attempts, carried over already, would only be copied."""
    return len(files.segments) > 1 or any(not _is_carried(path) for path in files.segments)


def _replace(ledger: Ledger, files: Files) -> None:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}_{secrets.token_hex(6)}"
    merge = len(files.landed) > MERGE_ABOVE
    replaced = [*files.segments, *(files.tables if merge else ())]
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=ledger.folder) as folder:
        scratch = Path(folder)
        with SettledWriter(scratch / "fresh.parquet") as writer:
            fold = ledger.fold(writer.add, files.segments)
        _check_intents(ledger, fold)
        old_rejected, old_flushed = (files.rejected, files.flushed) if merge else ((), ())
        rejected = pa.concat_tables([*map(pq.read_table, old_rejected), writer.rejected()])
        flushed = pa.concat_tables([*map(pq.read_table, old_flushed), flushed_table(fold.flushes)])
        _write_carried(scratch, ledger.folder / f"{name}_carried.jsonl", fold)
        _write_small(scratch, ledger.folder / f"rejected-{name}.parquet", rejected)
        _write_small(scratch, ledger.folder / f"flushed-{name}.parquet", flushed)
        sources = [scratch / "fresh.parquet", *(files.landed if merge else ())]
        _write_landed(scratch, ledger.folder / f"landed-{name}.parquet", sources, [path.name for path in replaced])
    _remove(ledger.folder, replaced)
    log.info("Compacted %d segments of the ledger: %d messages", len(files.segments), writer.rows)


def _check_intents(ledger: Ledger, fold: Fold) -> None:
    """An outcome without its intent names no messages: what it speaks of would be sent again."""
    for attempt, lines in fold.early.items():
        raise LedgerError(
            f"{ledger.folder}: {lines[0].conversation}, attempt {attempt}: its outcome is here, its intent is not. A "
            "segment (*.jsonl) of the ledger is missing: restore the folder from a backup. Nothing was sent or changed."
        )


def _write_carried(scratch: Path, path: Path, fold: Fold) -> None:
    """Open attempts stay lines: they are few, and wait for their outcome."""
    if not fold.open:
        return
    conversations = tuple(sorted({attempt.conversation_id for attempt in fold.open.values()}))
    lines: list[events.Header | events.Line] = [events.Header(run="", conversations=conversations)]
    for attempt in fold.open.values():
        lines.extend(lines_of(attempt))
    draft = scratch / path.name
    draft.write_bytes(b"".join(events.encode(line) for line in lines))
    _publish(draft, path)


def _write_small(scratch: Path, path: Path, table: pa.Table) -> None:
    if table.num_rows:
        draft = scratch / path.name
        pq.write_table(table, draft)
        _publish(draft, path)


def _write_landed(scratch: Path, path: Path, sources: Sequence[Path], taken_over: Sequence[str]) -> None:
    """Sort by conversation, out of core, and publish: the commit point."""
    draft = scratch / path.name
    with duckdb.connect(config={"temp_directory": str(scratch), "memory_limit": MEMORY_LIMIT}) as connection:
        rows = connection.read_parquet([str(source) for source in sources]).order("conversation_id, timestamp_ms")
        schema = LANDED_SCHEMA.with_metadata({REPLACES: "\n".join(taken_over)})
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for batch in rows.to_arrow_reader(ROWS_AT_ONCE):
                writer.write_batch(batch.cast(schema))
    _publish(draft, path)


def _publish(draft: Path, path: Path) -> None:
    """Make a file appear complete and durable, or not at all."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(path)
    sync_folder(path.parent)


def _clear_leftovers(ledger: Ledger, files: Files) -> None:
    """Remove what an earlier compaction had taken over and did not get to remove."""
    known = {*files.tables, *files.segments}
    found = [*ledger.folder.glob("*.jsonl"), *ledger.folder.glob("*.parquet")]
    _remove(ledger.folder, [path for path in found if path not in known])
    for scratch in ledger.folder.glob(f"{SCRATCH_PREFIX}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def _remove(folder: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    if paths:
        sync_folder(folder)


def _is_carried(segment: Path) -> bool:
    return segment.name.endswith("_carried.jsonl")


@contextmanager
def _claimed(segment: Path) -> Iterator[bool]:
    """Hold a segment's lock: nobody is appending to it."""
    file = os.open(segment, os.O_RDONLY)
    try:
        yield lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(file)
