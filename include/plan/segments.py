"""The segments of a run's messages, counted before anything is cut: what each chunk gets, and where each one goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from include.columns import edges_of

MEMORY_LIMIT = "256MB"


@dataclass(frozen=True, kw_only=True)
class CountedSegments:
    """The segments of one conversation, in the order of their first messages."""

    conversation_id: str
    ids: Any
    """Arrow strings."""

    messages: npt.NDArray[np.int64]

    @property
    def total(self) -> int:
        """Messages of the conversation."""
        return int(self.messages.sum())

    def parts(self, most: int) -> npt.NDArray[np.int64]:
        """Return the number of the part that each segment is in, if none is to be much larger than so many messages."""
        number = -(-self.total // most)
        before: npt.NDArray[np.int64] = np.cumsum(self.messages) - self.messages
        return before * number // self.total


def count_segments(parts: Sequence[Path]) -> list[CountedSegments]:
    """Count the messages of ``messages/``, by conversation in their order."""
    if not parts:
        return []
    offsets = [0, *accumulate(pq.read_metadata(part).num_rows for part in parts)]
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as connection:
        names = ", ".join("'" + str(part).replace("'", "''") + "'" for part in parts)
        table: Any = connection.sql(
            f"""
            SELECT conversation_id, segment_id, count(*)::BIGINT AS messages
            FROM read_parquet([{names}], hive_partitioning = false)
            GROUP BY conversation_id, segment_id
            ORDER BY min(list_extract({offsets}, file_index::BIGINT + 1) + file_row_number)
            """  # noqa: S608 - names and numbers of our own
        ).to_arrow_table()
    return list(_by_conversation(table))


def _by_conversation(table: pa.Table) -> Iterator[CountedSegments]:
    columns: Any = table.combine_chunks()
    ids = columns["conversation_id"]
    for start, end in pairwise(edges_of(ids)):
        piece = columns.slice(start, end - start)
        yield CountedSegments(
            conversation_id=ids[start].as_py(),
            ids=pa.concat_arrays(piece["segment_id"].chunks),
            messages=piece["messages"].to_numpy(),
        )
