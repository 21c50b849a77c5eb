"""
Every extracted message in order, however many there are: DuckDB sorts them, a slice at a time.

Sorting slices that fit in memory, each read with the help of Parquet's statistics, beats one large external sort:
with 10 M messages it took half the time and 260 MB instead of 470 MB, and the large sort needs more with every run that
it merges. Parsers write channel by channel and day by day, so a slice touches few row groups.
"""

# ruff: noqa: S608 - the SQL is put together from file names and numbers of our own; values are parameters
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from include.records import MESSAGE_SCHEMA
from include.transform import segments
from include.transform.segments import Threads


class ArrowStream(Protocol):
    """Anything that hands out Arrow data: a table, a record batch reader, a DuckDB relation."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export as the Arrow C stream interface."""
        ...


type LedgerQuery = Callable[[Mapping[str, int]], ArrowStream]
"""
Takes conversation id to the earliest time of interest (Unix milliseconds), returns Arrow data with ``conversation_id``,
``message_id`` and perhaps ``timestamp_ms``; more rows than asked for may come, and a message may come twice.
"""


def nothing(_: Mapping[str, int]) -> ArrowStream:
    """Return the rows of an empty ledger."""
    return pa.table({"conversation_id": pa.array([], pa.string()), "message_id": pa.array([], pa.string())})


KEEP, REFUSED, LANDED, DUPLICATE = range(4)
"""Status of a row before its time is checked."""

SLICE_BYTES = 32_000_000
"""Of text and the columns around it; the sort holds about three times that."""

ROW_BYTES = 200
"""The columns around a message's text, about."""

MEMORY_LIMIT = "256MB"
"""For what is not sliced, which spills beyond it: looking for duplicates, a day of one channel that fills slices."""

BATCH_ROWS = 16_384

_DAY_US = 86_400_000_000


_IS_SNOWFLAKE = "source = 'discord' AND regexp_full_match(message_id, '[0-9]{15,20}')"
_APART_S = "abs(((TRY_CAST(message_id AS UBIGINT) >> 22)::BIGINT + 1420070400000) // 1000 - sent_at_us // 1000000)"
"""Seconds between the time in a Discord id and the message's own."""

_SNOWFLAKE = f"CASE WHEN {_IS_SNOWFLAKE} AND {_APART_S} <= 1 THEN TRY_CAST(message_id AS UBIGINT) END"
"""A Discord id whose time is the message's own, to the second: it orders messages of one millisecond."""

_ODD_TS = "NOT (strlen(message_id) = 17 AND message_id[11] = '.' AND right(message_id, 7) != '.000000')"
"""All but a time as Slack writes it today, told without a pattern."""

_WEAK_ID = f"""(
    source = 'everos'
    OR (source = 'slack' AND {_ODD_TS} AND regexp_full_match(message_id, '[0-9]{{9,}}([.]([0-9]{{1,5}}|0{{6}}))?'))
    OR (source = 'discord' AND NOT coalesce({_IS_SNOWFLAKE} AND {_APART_S} <= 86400, false))
)"""
"""
Ids that may stand for several messages: of EverOS JSON, where tools count anew in each file, a Slack ``ts`` without all
digits of its fraction, and Discord ids of exports that somebody has edited (more than a day off: some exports have
local times).
"""

_CONTENT = "sha256(concat_ws(chr(31), sender_id, sent_at_us, text))"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Whole conversations, or a time range of a large one; both ends are part of it."""

    first: str
    last: str
    since_us: int
    until_us: int
    bytes: int

    def join(self, later: "Slice") -> "Slice":
        """Return the slice that covers both."""
        return Slice(
            first=self.first,
            last=later.last,
            since_us=min(self.since_us, later.since_us),
            until_us=max(self.until_us, later.until_us),
            bytes=self.bytes + later.bytes,
        )


class Staging:
    """
    The extracted message files as one table with numbered rows. A context manager.

    :param files: ``messages-*.parquet``, :data:`include.records.MESSAGE_SCHEMA`.
    :param spill: Folder for what does not fit in memory; made when needed.
    """

    def __init__(self, files: Sequence[Path], spill: Path) -> None:
        lengths = [pq.read_metadata(file).num_rows for file in files]
        self._rows = sum(lengths)
        self._database = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(spill),
                "threads": min(2, os.cpu_count() or 1),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._database.execute("SET enable_progress_bar = false")
        self._source = _parquet(files)
        self._places, self._place = "", "row"
        offsets = [0, *accumulate(lengths)]
        self._numbered = (
            f"SELECT *, list_extract({offsets}, file_index::BIGINT + 1) + file_row_number AS row FROM {self._source}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def fates(self, landed: LedgerQuery, refused: LedgerQuery) -> npt.NDArray[np.uint8]:
        """
        Return for each row whether it is a duplicate, landed before, was refused before, or none of these.

        From then on, messages that differ have different ids.
        """
        fates = np.zeros(self._rows, dtype=np.uint8)
        if self._rows:
            self._find_shared_ids()
            known = self._read_ledger(refused=refused, landed=landed)
            self._tell_apart(known)
            for name, fate in (("refused", REFUSED), ("landed", LANDED)):
                if name in known:
                    self._mark(fates, fate, self._known(name))
            self._mark(fates, DUPLICATE, self._duplicates())
        return fates

    def threads(self) -> Threads:
        """Return what is to be known of Slack's threads; call it after :meth:`fates`, which settles the ids."""
        if not self._rows or not self._any(self._source, "source = 'slack' AND thread_id IS NOT NULL"):
            return Threads()
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE roots AS
            SELECT row FROM ({self._numbered}) AS messages
            SEMI JOIN (SELECT DISTINCT conversation_id, thread_id FROM {self._source} WHERE source = 'slack') AS replies
            ON messages.conversation_id = replies.conversation_id AND messages.message_id = replies.thread_id
            WHERE source = 'slack' AND messages.thread_id IS NULL
            """
        )
        found = self._database.sql(
            f"""
            SELECT conversation_id, coalesce(thread_id, message_id) AS thread
            FROM ({self._numbered}) LEFT JOIN (SELECT row, true AS is_root FROM roots) USING (row)
            WHERE source = 'slack' AND (thread_id IS NOT NULL OR is_root)
            GROUP BY ALL HAVING count(*) > {segments.MAX_MESSAGES} OR sum(strlen(text)) > {segments.MAX_BYTES}
            """
        )
        large: dict[str, set[str]] = {}
        for conversation_id, thread_id in found.fetchall():
            large.setdefault(conversation_id, set()).add(thread_id)
        rows = self._database.sql("SELECT row FROM roots ORDER BY row").fetchnumpy()["row"]
        return Threads(roots=np.asarray(rows, dtype=np.int64), large=large)

    def sorted_batches(self) -> Iterator[pa.RecordBatch]:
        """
        Yield all rows by conversation, time and place in the source, with their row number as last column.

        Equal times keep the order of export, file and position; of copies of a message the first one's place counts.
        Only an id that is itself a time decides before that: Discord's snowflake, where it agrees with the time.
        """
        for piece in self._slices():
            ordered = self._database.sql(
                f"""
                SELECT messages.* FROM ({self._numbered}) AS messages {self._places}
                WHERE conversation_id BETWEEN $first AND $last AND sent_at_us BETWEEN $since_us AND $until_us
                ORDER BY conversation_id, sent_at_us, {_SNOWFLAKE} NULLS LAST, {self._place}
                """,
                params={
                    "first": piece.first,
                    "last": piece.last,
                    "since_us": piece.since_us,
                    "until_us": piece.until_us,
                },
            )
            yield from ordered.to_arrow_reader(BATCH_ROWS)

    def _slices(self) -> Iterator[Slice]:
        """Yield the work in order: runs of small conversations together, large ones by the days in them."""
        gathered: Slice | None = None
        for conversation in self._sizes("true", by="conversation_id") if self._rows else ():
            if gathered and gathered.bytes + conversation.bytes > SLICE_BYTES:
                yield gathered
                gathered = None
            if conversation.bytes > SLICE_BYTES:
                yield from self._days(conversation)
            else:
                gathered = gathered.join(conversation) if gathered else conversation
        if gathered:
            yield gathered

    def _days(self, conversation: Slice) -> Iterator[Slice]:
        gathered: Slice | None = None
        days = self._sizes("conversation_id = $id", by=f"sent_at_us // {_DAY_US}", params={"id": conversation.first})
        for day in days:
            if gathered and gathered.bytes + day.bytes > SLICE_BYTES:
                yield gathered
                gathered = None
            gathered = gathered.join(day) if gathered else day
        if gathered:
            yield gathered

    def _sizes(self, where: str, *, by: str, params: dict[str, Any] | None = None) -> Iterator[Slice]:
        sizes = self._database.sql(
            f"""
            SELECT min(conversation_id) AS id, min(sent_at_us), max(sent_at_us), sum({ROW_BYTES} + strlen(text))::BIGINT
            FROM {self._source} WHERE {where} GROUP BY {by} ORDER BY ALL
            """,
            params=params or {},
        )
        for conversation_id, since_us, until_us, size in sizes.fetchall():
            yield Slice(first=conversation_id, last=conversation_id, since_us=since_us, until_us=until_us, bytes=size)

    def _read_ledger(self, **queries: LedgerQuery) -> list[str]:
        """Make a table of each query's rows; return the names of those that hold any."""
        earliest = dict(
            self._database.sql(
                f"SELECT conversation_id, min(sent_at_us) // 1000 FROM {self._source} GROUP BY conversation_id"
            ).fetchall()
        )
        for name, query in queries.items():
            self._database.register("stream", pa.RecordBatchReader.from_stream(query(earliest)))
            self._database.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM stream")
            self._database.unregister("stream")
        return [name for name in queries if self._any(name)]

    def _known(self, ledger: str) -> str:
        return f"SELECT row FROM ({self._numbered}) SEMI JOIN {ledger} USING (conversation_id, message_id)"

    def _find_shared_ids(self) -> None:
        """
        Make the table ``shared``: the digests of ids that stand in several rows.

        Digests find the few candidates without holding every id; only those are compared in full.
        """
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE shared AS
            SELECT hash(conversation_id, message_id) AS digest FROM {self._source} GROUP BY digest HAVING count(*) > 1
            """
        )

    def _any(self, table: str, where: str = "true") -> bool:
        return bool(self._database.sql(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1").fetchall())

    def _tell_apart(self, ledgers: Sequence[str]) -> None:
        """
        Give messages of one id that differ in sender, time or text ids of their own: the id and a digest.

        The id itself stays with the message that the ledger knows by it, of several the nearest in time, else with the
        earliest. The ledger holds no text: there the time tells, which is that of the source or later, where messages
        of equal times were moved apart: by less than there are messages of one time and of successive milliseconds.
        """
        shared = f"{_WEAK_ID} AND hash(conversation_id, message_id) IN (SELECT digest FROM shared)"
        # Told by ids alone, since reading the texts as well takes 0.35 s for a million messages.
        if not self._any(self._source, _WEAK_ID if ledgers else shared):
            return
        execute = self._database.execute
        self._remember(ledgers)
        execute(
            f"""
            CREATE OR REPLACE TEMP TABLE weak AS
            SELECT row, conversation_id, message_id, sent_at_us, {_CONTENT} AS content, same, apart_ms
            FROM ({self._numbered}) LEFT JOIN remembered USING (row)
            WHERE {_WEAK_ID} AND (same IS FALSE OR hash(conversation_id, message_id) IN (SELECT digest FROM shared))
            """
        )
        execute(
            """
            CREATE OR REPLACE TEMP TABLE renamed AS
            WITH ranked AS (
                SELECT *, bool_or(same) OVER ids AS remembered, first_value(content) OVER (
                    ids ORDER BY coalesce(same, false) DESC, apart_ms, sent_at_us, row
                ) AS keeps
                FROM weak WINDOW ids AS (PARTITION BY conversation_id, message_id)
            )
            SELECT row, conversation_id, message_id || '-' || content[:12] AS new_id FROM ranked
            WHERE content != keeps OR remembered IS FALSE
            """
        )
        if self._any("renamed"):
            execute("INSERT INTO shared SELECT DISTINCT hash(conversation_id, new_id) FROM renamed")
            self._numbered = f"""
                SELECT * EXCLUDE (new_id) REPLACE (coalesce(new_id, message_id) AS message_id)
                FROM ({self._numbered}) LEFT JOIN (SELECT row, new_id FROM renamed) USING (row)
                """

    def _remember(self, ledgers: Sequence[str]) -> None:
        """Make the table ``remembered``: rows of weak ids that the ledger has, and whether with about their time."""
        known = " UNION ALL ".join(
            f"SELECT conversation_id, message_id, timestamp_ms FROM {rows}"
            for rows in ledgers
            if "timestamp_ms" in self._database.sql(f"SELECT * FROM {rows} LIMIT 0").columns
        )
        if not known:
            self._database.execute(
                "CREATE OR REPLACE TEMP TABLE remembered (row BIGINT, same BOOLEAN, apart_ms BIGINT)"
            )
            return
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE remembered AS
            WITH known AS ({known}),
            met AS (
                SELECT row, conversation_id, timestamp_ms - sent_at_us // 1000 AS late_ms
                FROM (SELECT conversation_id, message_id, sent_at_us, row FROM ({self._numbered}) WHERE {_WEAK_ID})
                JOIN known USING (conversation_id, message_id)
            ),
            moved AS (SELECT DISTINCT conversation_id FROM met WHERE late_ms > 0),
            equal AS (
                SELECT conversation_id, count(*) AS size FROM {self._source} SEMI JOIN moved USING (conversation_id)
                GROUP BY conversation_id, sent_at_us // 1000
            ),
            numbered AS (
                SELECT conversation_id, timestamp_ms, row_number() OVER (
                    PARTITION BY conversation_id ORDER BY timestamp_ms
                ) AS number
                FROM (SELECT DISTINCT conversation_id, timestamp_ms FROM known SEMI JOIN moved USING (conversation_id))
            ),
            successive AS (
                SELECT conversation_id, count(*) AS size FROM numbered GROUP BY conversation_id, timestamp_ms - number
            ),
            furthest AS (
                SELECT conversation_id, sum(size - 1) AS ms FROM (
                    SELECT conversation_id, max(size) AS size FROM equal GROUP BY conversation_id
                    UNION ALL SELECT conversation_id, max(size) AS size FROM successive GROUP BY conversation_id
                ) GROUP BY conversation_id
            )
            SELECT row, bool_or(late_ms BETWEEN 0 AND coalesce(ms, 0)) AS same, min(abs(late_ms)) AS apart_ms
            FROM met LEFT JOIN furthest USING (conversation_id) GROUP BY row
            """
        )

    def _duplicates(self) -> str:
        """
        Return the query for all rows of a message but the one to keep.

        Where edits tie, the earlier time, the longer text and then the content decides, so that it does not matter
        which file a row came from. The row that is kept takes the place of the first.
        """
        if not self._any("shared"):
            return ""
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE copies AS
            SELECT row, row_number() OVER (
                PARTITION BY conversation_id, message_id
                ORDER BY edited_at_us DESC NULLS LAST, sent_at_us, strlen(text) DESC,
                    hash({", ".join(MESSAGE_SCHEMA.names)}), row
            ) AS preference, min(row) OVER (PARTITION BY conversation_id, message_id) AS first
            FROM ({self._numbered}) SEMI JOIN shared ON digest = hash(conversation_id, message_id)
            """
        )
        self._database.execute(
            "CREATE OR REPLACE TEMP TABLE moved AS "
            "SELECT row AS kept, first FROM copies WHERE preference = 1 AND first < row"
        )
        if self._any("moved"):
            self._places, self._place = "LEFT JOIN moved ON row = kept", "coalesce(first, row)"
        return "SELECT row FROM copies WHERE preference > 1"

    def _mark(self, fates: npt.NDArray[np.uint8], fate: int, query: str) -> None:
        if query:
            for batch in self._database.sql(query).to_arrow_reader(BATCH_ROWS):
                fates[batch["row"].to_numpy()] = fate


def _parquet(files: Sequence[Path]) -> str:
    quoted = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{quoted}], hive_partitioning = false)"
