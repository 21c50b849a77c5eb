"""
Slack exports: index files and one folder of day files per conversation, as a zip or a folder.

Format: https://slack.com/help/articles/220556107 (read November 2025), and the projects that read it. Its quirks:

- Day files are cut at midnight in Los Angeles, or in UTC: only ``ts`` gives the time of a message.
- Only ``YYYY-MM-DD.json`` are day files; canvases and attachments are beside them.
- An Enterprise Grid export nests workspaces in ``teams/<workspace>/`` and lists its people in ``org_users.json``.
- A reply is in the file of its own day and names its root by ``thread_ts``; the root may be missing.
- Private conversations look like public ones, only listed in another index file.
"""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import batched, count
from pathlib import Path

from include.archive import Archive, open_archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of
from include.parsers.formats import Export, Format, ParseOptions, Unit
from include.parsers.json.head import inspect_head
from include.parsers.outcomes import exclusion_reason, reject_file
from include.parsers.parts import holds
from include.parsers.slack import layout
from include.parsers.slack.entries import Defect, Slice, read_entries
from include.parsers.slack.index import Channel, Index, Lists, count_records, names_around
from include.parsers.slack.messages import SOURCE, Classifier, times_us
from include.parsers.slack.shapes import list_kind
from include.records import Conversation, Entries, Messages, Note, ParsedMany, Rejected, Row, Skipped

_AT_ONCE = 1_000
"""Messages in one record."""

_WORKSPACE = re.compile(r"(?:.*/)?teams/([^/]+)/")


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield every entry of the export: conversations by folder, days by date, entries in the order of the file.

    Without an index file that cannot be read, names are missing, not messages; the file is reported as ``Rejected``.
    """
    broken: set[str] = set()
    listed: set[str] = set()
    present: set[str] = set()
    unsure = 0
    workspaces = layout.workspaces(archive)
    first = export.part == 1
    """Whether what concerns the whole export is told here."""
    found = layout.lists_of(archive, {""})
    for prefix, folders in workspaces.items():
        lists = Lists()
        for name, kind in found.items():
            if name.rpartition("/")[0] in ("", prefix.rstrip("/")):
                lists.add(archive, name, kind)
        read_lists_beside(export, lists, options)
        index = lists.index()._replace(around=names_around(archive))
        for name in sorted(name for name in index.broken.keys() - broken if first and name in archive):
            yield from reject_file(export.root + name, SOURCE, index.broken[name])
        broken.update(index.broken)
        listed.update(index.listed)
        classifier = Classifier(index, options, partial(_every_day, archive, folders))
        workspace = _workspace(export.root + prefix, index)
        for folder in folders:
            channel = index.channel(folder.name or archive.wrapper or archive.stem, folder.kinds)
            present.add(channel.id)
            if not holds(export, folder.path, layout.reading_order):
                continue
            conversation = conversation_of(channel, workspace, options)
            yield conversation
            classifier.begin_conversation()
            reason = exclusion_reason(conversation, options)
            unsure += channel.unsure and not (channel.private or reason)
            for day in folder.days:
                slices = read_entries(archive, day)
                yield from outcomes(slices, conversation.conversation_id, export.root + day, classifier, reason)
        yield from classifier.notes()
        yield from named_without_entries(index, present, workspace, options)
    if first and not export.lists:  # else the missing ones are in another export
        yield Note(code="no_entries", count=len(listed - present))
    if first:
        yield Note(code="no_messages", count=count_records(archive))
    yield Note(code="maybe_private", count=unsure)


def named_without_entries(
    index: Index, present: Container[str], workspace: str, options: ParseOptions
) -> Iterator[Conversation]:
    """Yield the listed conversations without messages that a parameter names: such a name is not misspelt."""
    without = (channel for key, channel in index.listed.items() if key not in present)
    for conversation in (conversation_of(channel, workspace, options) for channel in without):
        if options.names(conversation.conversation_id, conversation.name):
            yield conversation


def read_lists_beside(export: Export, lists: Lists, options: ParseOptions) -> None:
    """Read the lists in other parts of the source: Slack and users split large exports into several zips."""
    for part in export.lists:
        beside = Lists()
        with open_archive(Path(part.path), options.limits, part.inside) as archive:
            for name in part.names:
                try:
                    beside.add(archive, name, list_kind(name, inspect_head(archive, name)))
                except EntryUnreadable as error:
                    beside.broken[name] = str(error)
        beside.broken = {f"{part.path}/{name}": reason for name, reason in beside.broken.items()}  # reported there
        lists.include(beside)


def _every_day(archive: Archive, folders: Sequence[layout.Folder]) -> Iterator[Iterator[Slice]]:
    """Yield the entries of each day file of a workspace."""
    return (read_entries(archive, day) for folder in folders for day in folder.days)


def _workspace(folder: str, index: Index) -> str:
    """Return the identity of a workspace: its folder in an organisation's export, else the id of its team."""
    nested = _WORKSPACE.fullmatch(folder)
    return nested[1] if nested else index.team


def conversation_of(channel: Channel, workspace: str, options: ParseOptions) -> Conversation:
    """Return the conversation that a channel becomes."""
    conversation_id = conversation_id_of(
        options.id_template, source=SOURCE, workspace=workspace, channel=channel.folder, channel_id=channel.id
    )
    return Conversation(
        conversation_id=conversation_id,
        source=SOURCE,
        kind="group",
        workspace=workspace,
        channel_id=channel.id,
        name=channel.name,
        description=channel.description,
        channel=channel.folder,
        private=channel.private != "",
        private_reason=channel.private,
    )


def outcomes(
    slices: Iterable[Slice],
    conversation_id: str,
    origin: str,
    classifier: Classifier,
    reason: str = "",
    positions: Iterable[int] | None = None,
) -> Iterator[ParsedMany]:
    """
    Yield one outcome per entry of a file, the messages as rows, and how many there are.

    :param reason: Why the whole conversation is skipped; its entries are only counted.
    :param positions: Of the entries in the file; default: from 0 on.
    """
    numbers = iter(positions or count())
    try:
        for part in slices:
            yield Entries(conversation_id=conversation_id, count=len(part))
            for some in batched(part, _AT_ONCE):
                rows: list[Row] = []
                for entry, sent_at_us, position in zip(some, times_us(some), numbers, strict=False):
                    where = f"{origin}[{position}]"
                    if isinstance(entry, Defect):
                        yield Rejected(
                            source=SOURCE,
                            conversation_id=conversation_id,
                            reason=entry.reason,
                            origin=where,
                            unread=entry.unread and not reason,
                        )
                    elif reason:
                        yield Skipped(source=SOURCE, conversation_id=conversation_id, reason=reason, origin=where)
                    elif isinstance(outcome := classifier.row(entry, conversation_id, where, sent_at_us), tuple):
                        rows.append(outcome)
                    else:
                        yield outcome
                if rows:
                    yield Messages(conversation_id=conversation_id, rows=rows)
    except EntryUnreadable as error:
        yield from reject_file(origin, SOURCE, str(error), conversation_id)


def units(archive: Archive) -> list[Unit]:
    """Return the folders of the conversations in the order in which they are read."""
    found = (folder for folders in layout.workspaces(archive).values() for folder in folders)
    return [Unit(folder.path, sum(map(archive.size_bytes, folder.days))) for folder in found]


FORMAT = Format(
    name="slack",
    parse=parse,
    find_roots=layout.find_roots,
    units=units,
)

TXT_FORMAT = Format(
    name="slack_txt",
    parse=parse,
    find_roots=layout.find_txt_roots,
    refusal=(
        "Slack's TXT export of a single user has no ids and no exact times, so it cannot be imported; "
        "ask an owner of the workspace for its JSON export"
    ),
)
