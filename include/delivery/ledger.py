"""
What a target is known to hold, and what is in doubt: files that outlive runs.

``<home>/ledger/<target>/`` holds ``target.json`` (whose it is), ``*.jsonl`` segments (what load tasks append, see
:mod:`include.delivery.events`), ``landed-*.parquet``, ``rejected-*.parquet`` and ``flushed-*.parquet`` (what
:mod:`include.delivery.compaction` makes of them), ``leases/`` and ``lock``. All readers merge all of it.
Nothing unreadable is ever taken for "nothing sent yet".
"""

import fcntl
import fnmatch
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.delivery.fold import Fold, Settled, Tail
from include.delivery.locks import LEDGER_TRUTH, lock, open_lock
from include.delivery.owner import OWNER_FILE, check_owner, folder_of
from include.delivery.segment import Segment
from include.delivery.states import Attempt
from include.delivery.tables import SettledWriter, flushed_table
from include.errors import LedgerError
from include.logs import get_logger
from include.memory_api.contract import Target
from include.storage import file_trouble

log = get_logger(__name__)

REPLACES = b"replaces"
"""Key in the footer of a landed file: the names of the files whose content it took over, divided by newlines."""

SCRATCH_PREFIX = ".scratch-"

MEMORY_LIMIT = "256MB"
"""Of one question to the ledger; what does not fit spills to the ledger's own disk."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files that count; others are leftovers of a compaction that did not end."""

    landed: tuple[Path, ...]
    rejected: tuple[Path, ...]
    flushed: tuple[Path, ...]
    segments: tuple[Path, ...]

    @property
    def tables(self) -> tuple[Path, ...]:
        """All Parquet files."""
        return (*self.landed, *self.rejected, *self.flushed)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the ledger knows of one conversation in all."""

    landed: int = 0
    rejected: int = 0
    last_ms: int | None = None
    """``timestamp_ms`` of the newest message that landed."""

    flushed: int = 0
    """How many messages had landed when it was last flushed."""

    open: tuple[Attempt, ...] = ()
    """Calls whose outcome is not known."""

    @property
    def needs_flush(self) -> bool:
        """Whether messages have landed since the last flush."""
        return self.landed > self.flushed


class Ledger:
    """
    The ledger of one target. Any number of processes may read and append at once.

    :param rejections_of: Only what this run's calls had refused counts as rejected: what earlier runs had refused may
        be sent again, since a person has corrected it.
    """

    def __init__(self, folder: Path, *, rejections_of: str | None = None) -> None:
        self.folder = folder
        self.rejections_of = rejections_of
        self._replaces: dict[Path, frozenset[str]] = {}

    @classmethod
    def open(cls, root: Path, target: Target, *, rejections_of: str | None = None) -> "Ledger":
        """
        Open the target's ledger, or begin it.

        :param root: Folder of the ledgers of all targets.
        :param rejections_of: A run that may send again what earlier runs had refused.
        :raises LedgerError: it cannot be written, is damaged, belongs to another API key, hence perhaps to another
            account, or would be begun beside one of the same server; nothing was sent.
        """
        ledger = cls(folder_of(root, target), rejections_of=rejections_of)
        with ledger.locked():
            check_owner(ledger.folder / OWNER_FILE, target)
        return ledger

    def segment(self, run_id: str, conversations: Collection[str]) -> Segment:
        """Return a new segment to append to; its file appears with the first line."""
        return Segment(self.folder, run_id=run_id, conversations=conversations)

    @contextmanager
    def locked(self, *, exclusive: bool = False) -> Iterator[bool]:
        """
        Keep files from being replaced while they are listed and read.

        :param exclusive: Be alone instead, without waiting for it: yields whether it is so.
        :raises LedgerError: what is done meanwhile fails for want of room, or because a file cannot be used.
        """
        file = open_lock(self.folder / "lock")
        try:
            with file_trouble(self.folder, LEDGER_TRUTH, LedgerError):
                yield lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
        finally:
            os.close(file)

    def files(self) -> Files:
        """List the files that count; hold :meth:`locked` as long as they are read."""
        # not glob: to that, a folder that must not be listed is an empty one
        names = sorted(os.listdir(self.folder))  # noqa: PTH208 - all that is needed is names
        taken_over = (self._taken_over_by(self.folder / name) for name in fnmatch.filter(names, "landed-*.parquet"))
        gone = frozenset[str]().union(*taken_over)

        def counting(pattern: str) -> tuple[Path, ...]:
            return tuple(self.folder / name for name in fnmatch.filter(names, pattern) if name not in gone)

        return Files(
            landed=counting("landed-*.parquet"),
            rejected=counting("rejected-*.parquet"),
            flushed=counting("flushed-*.parquet"),
            segments=counting("*.jsonl"),
        )

    def _taken_over_by(self, landed: Path) -> frozenset[str]:
        if landed not in self._replaces:
            try:
                metadata = pq.read_schema(landed).metadata or {}
            except (OSError, pa.ArrowException) as error:
                raise LedgerError(
                    f"{landed}: the ledger is damaged ({error}). Nothing was sent: without this file it is unknown "
                    "what the target holds. Restore it from a backup."
                ) from error
            self._replaces[landed] = frozenset(filter(None, metadata.get(REPLACES, b"").decode().split("\n")))
        return self._replaces[landed]

    def fold(self, on_settled: Callable[[Settled], None], segments: Collection[Path]) -> Fold:
        """Fold whole segments; what is settled goes to ``on_settled``, what is open stays in the result."""
        fold = Fold(on_settled=on_settled)
        for path in segments:
            for line in Tail(path).read():
                fold.feed(line)
        return fold

    @contextmanager
    def settled(self) -> Iterator["SettledRows"]:
        """
        Offer all that is settled, for as long as the ``with`` block lasts.

        10 million landed messages are 10 million rows on disk, never as many Python objects.

        :raises LedgerError: a line or file is damaged.
        """
        with self.locked(), tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=self.folder) as scratch:
            files = self.files()
            fresh = Path(scratch) / "landed.parquet"
            with SettledWriter(fresh) as writer:
                fold = self.fold(writer.add, files.segments)
            yield SettledRows(
                landed=(*files.landed, fresh),
                rejected=self._counted(pa.concat_tables([*map(pq.read_table, files.rejected), writer.rejected()])),
                flushed=pa.concat_tables([*map(pq.read_table, files.flushed), flushed_table(fold.flushes)]),
                open=tuple(fold.open.values()),
                scratch=Path(scratch) / "spill",
            )

    def _counted(self, rejected: pa.Table) -> pa.Table:
        if self.rejections_of is None:
            return rejected
        return rejected.filter(pc.field("run_id") == self.rejections_of)

    def summaries(self) -> dict[str, Summary]:
        """Return what is known of every conversation that anything was ever sent of."""
        with self.settled() as rows:
            return rows.summaries()


@dataclass(frozen=True, kw_only=True)
class SettledRows:
    """The ledger's content at one moment. A message may stand in more than one row."""

    landed: tuple[Path, ...]
    """Parquet files of :data:`include.delivery.tables.LANDED_SCHEMA`."""

    rejected: pa.Table
    """:data:`include.delivery.tables.REJECTED_SCHEMA`."""

    flushed: pa.Table
    """:data:`include.delivery.tables.FLUSHED_SCHEMA`."""

    open: tuple[Attempt, ...]
    """Attempts without an outcome, oldest first."""

    scratch: Path
    """For what does not fit in memory; gone with the ``with`` block."""

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection that knows ``landed``, ``rejected`` and ``flushed``."""
        connection = duckdb.connect(config={"temp_directory": str(self.scratch), "memory_limit": MEMORY_LIMIT})
        connection.read_parquet([str(path) for path in self.landed]).create_view("landed")
        connection.register("rejected", self.rejected)
        connection.register("flushed", self.flushed)
        return connection

    def summaries(self) -> dict[str, Summary]:
        """Sum up by conversation."""
        with self.connect() as connection:
            landed = connection.sql(
                "SELECT conversation_id, count(*), max(timestamp_ms) FROM landed GROUP BY conversation_id"
            ).fetchall()
            rejected = connection.sql(
                "SELECT conversation_id, count(*) FROM rejected GROUP BY conversation_id"
            ).fetchall()
            flushed = connection.sql(
                "SELECT conversation_id, max(landed) FROM flushed GROUP BY conversation_id"
            ).fetchall()
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for conversation_id, count, last_ms in landed:
            found[conversation_id] = {"landed": count, "last_ms": last_ms}
        for conversation_id, count in rejected:
            found[conversation_id]["rejected"] = count
        for conversation_id, count in flushed:
            found[conversation_id]["flushed"] = count
        for attempt in self.open:
            known = found[attempt.conversation_id]
            known["open"] = (*known.get("open", ()), attempt)
        return {conversation_id: Summary(**known) for conversation_id, known in found.items()}
