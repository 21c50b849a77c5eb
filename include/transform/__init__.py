"""
One order for everything extracted: merged over exports, deduplicated, sorted by conversation and time, counted.

::

    extracted/*/conversations.parquet ─▶ channels   one description and one id for each channel (naming)
    extracted/*                       ─▶ restated   folders that this changes, written again
    extracted/*/messages-*.parquet    ─▶ staging   rows by conversation and time, a slice at a time (DuckDB)
                                         │      which rows are duplicates or known to the ledger
                                         ▼
                                      timeline  milliseconds, segments, range, ledger; what happened to how many
                                         ▼
                                      parts     messages/part-*.parquet

The same messages in the same order give the same bytes, however they were spread over files and exports.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import NotConserved
from include.files import make_private, private_folder
from include.logs import PeriodicLine, get_logger
from include.memory_layout import PLAIN, MemoryLayout
from include.parsers import ParseOptions
from include.records import NOTE_SCHEMA, TRANSFORMED_SCHEMA, TransformCounts
from include.run_folder import RunFolder, files_in
from include.transform.channels import Channel, Merged, merge_channels
from include.transform.naming import KnownIds, is_longer_id
from include.transform.parts import PartWriter
from include.transform.restated import restate_all
from include.transform.segments import Segments
from include.transform.selection import check_names
from include.transform.staging import LedgerQuery, Staging, nothing
from include.transform.timeline import Timeline

log = get_logger(__name__)

__all__ = ["KnownIds", "LedgerQuery", "TransformResult", "transform"]


MAX_NOTES = 100


class TransformResult(TransformCounts, kw_only=True):
    """The counts of all conversations together; ``conversations.parquet`` has them for each."""

    conversations: int
    entries: int


_SUMMED = [name for name in TransformResult.__struct_fields__ if name in TRANSFORMED_SCHEMA.names]


def transform(  # noqa: PLR0913 - a run's settings
    extracted: Sequence[Path],
    out: RunFolder,
    *,
    landed: LedgerQuery = nothing,
    refused: LedgerQuery = nothing,
    since_us: int | None = None,
    until_us: int | None = None,
    options: ParseOptions | None = None,
    known_ids: KnownIds | None = None,
    layout: MemoryLayout = PLAIN,
    pinned: Mapping[str, Mapping[str, str]] | None = None,
) -> TransformResult:
    """
    Write ``messages/part-*.parquet`` and ``conversations.parquet`` (:data:`include.records.TRANSFORMED_SCHEMA`).

    Duplicates (same conversation and message id) leave the newest edit, in the place of the first. Milliseconds are
    made strictly increasing over all messages of a conversation before range and ledger are applied, so that they do
    not depend on what was loaded before. A message is counted once: as a duplicate, else out of range, else already
    loaded, else refused before.

    Both outputs appear complete or not at all; what an earlier try left is removed first. Memory does not grow with
    the number of messages but for one byte each.

    :param extracted: Folders as :mod:`include.extract` leaves them.
    :param landed: Queries what this target holds already.
    :param refused: Likewise, what it refused in earlier runs.
    :param since_us: Keep messages sent at or after this; Unix microseconds.
    :param until_us: Keep messages sent before this.
    :param options: Of the parsers: the template of ids, the selected conversations, whether private ones are imported.
        A conversation is private if any export shows it to be so.
    :param known_ids: Ids made in earlier runs; those made now are added. Default: none are remembered.
    :param layout: What makes a segment; it stands in the schema of ``conversations.parquet`` for the steps to come.
    :param pinned: Conversation id, then message id, to the segment of a call that has no outcome yet.
    :raises ConfigurationError: ``include`` or ``exclude`` has a name that matches no conversation; nothing was written.
    :raises LedgerError: the ledger cannot be read; nothing was written.
    :raises NotConserved: messages of a conversation that no ``conversations.parquet`` knows; nothing was written.
    """
    known_ids = known_ids or KnownIds()
    options = options or ParseOptions()
    id_template = options.id_template
    scratch = out.root / ".transform.partial"
    out.remove(scratch, out.messages, out.conversations, out.notes, out.restated)
    merged = merge_channels(extracted, id_template, known_ids.ids)
    channels = merged.channels
    check_names(options, merged.names, known_ids.ids.values() - channels.keys())
    private = (
        set() if options.include_private else {id_ for id_, channel in channels.items() if channel.conversation.private}
    )
    folders = restate_all(extracted, out.restated, merged.ids, private)
    private_folder(scratch)
    files = [file for folder in folders for file in files_in(folder, "messages-*.parquet")]
    with Staging(files, scratch / "spill") as staging, PartWriter(scratch / "messages") as parts:
        fates = staging.fates(landed, refused)
        whole = {id_ for id_, channel in channels.items() if channel.conversation.kind == "personal"}
        threads = staging.threads() if layout.segments == "thread-day" else None
        segmented = Segments(layout.segments, threads=threads, whole=whole, pinned=pinned)
        timeline = Timeline(fates, segmented, since_us=since_us, until_us=until_us)
        ordering, done = PeriodicLine(log, "Sorting: %s messages so far"), 0
        for batch in staging.sorted_batches():
            parts.write(timeline.feed(batch))
            done += batch.num_rows
            ordering.reached(done)
    _check_known(timeline.counts, channels)
    table = _table(channels, timeline.counts)
    known_ids.remember(merged.made)
    pq.write_table(_notes(merged, id_template), scratch / out.notes.name)
    pq.write_table(table.replace_schema_metadata(layout.metadata()), scratch / "conversations.parquet")
    make_private(scratch)
    (scratch / out.notes.name).rename(out.notes)
    (scratch / "messages").rename(out.messages)
    (scratch / "conversations.parquet").rename(out.conversations)
    out.remove(scratch)
    return TransformResult(conversations=len(channels), **{name: sum(table[name].to_pylist()) for name in _SUMMED})


def _check_known(counts: dict[str, TransformCounts], channels: dict[str, Channel]) -> None:
    unknown = sorted(counts.keys() - channels.keys())
    if unknown:
        raise NotConserved(
            f"{len(unknown)} conversations have messages but no entry in conversations.parquet, {unknown[0]!r} first; "
            "nothing was sent. Run the extract step again; if that does not help, it is a fault of the parser"
        )


def _table(channels: dict[str, Channel], counts: dict[str, TransformCounts]) -> Any:
    rows = [
        msgspec.to_builtins(channel.conversation)
        | {"entries": channel.entries, "imported": channel.imported}
        | msgspec.to_builtins(counts.get(conversation_id, TransformCounts()))
        for conversation_id, channel in sorted(channels.items())
    ]
    return pa.Table.from_pylist(rows, schema=TRANSFORMED_SCHEMA)


def _notes(merged: Merged, template: str) -> Any:
    """Name the channels whose id was made longer, since another channel has or wanted the plain one."""
    rows = [
        {"export": "", "code": "shared_name", "detail": id_, "count": 1}
        for id_ in sorted(merged.made.values())
        if is_longer_id(id_, merged.channels[id_].conversation, template)
    ]
    return pa.Table.from_pylist(rows[:MAX_NOTES], schema=NOTE_SCHEMA)
