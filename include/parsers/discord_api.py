"""
Messages as Discord's API returns them: a JSON array, or one message per line, usually newest first.

Scripts save them so (``GET /channels/{id}/messages``; docs.discord.com, "Message Object"). They name their channel
only by its id, and nothing tells a direct message from a channel: whoever hands over such a file has chosen it.
"""

import io
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of
from include.parsers.discord_message import SOURCE, Findings, Roster, to_message
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head, look
from include.parsers.json_stream import MAX_ENTRY_BYTES, BrokenJson, entries
from include.parsers.outcomes import left_out, outcomes, unreadable
from include.parsers.values import identifier
from include.records import Conversation, Note, Parsed


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """
    Yield file by file; a file may hold messages of several channels.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    conversations: dict[str, Conversation] = {}
    roster, findings = Roster({}), Findings()
    read_as = partial(to_message, roster=roster, findings=findings, skip_bots=options.bots == "skip")
    for name in archive.names():
        try:
            lines = look(archive, name).start == "{"
            with archive.open(name) as stream:
                found = _lines(stream) if lines else entries(stream, "item")
                for channel_id, run in groupby(_by_channel(found, PurePosixPath(name).stem), key=itemgetter(0)):
                    if channel_id not in conversations:
                        conversations[channel_id] = _conversation(channel_id, options)
                    yield conversations[channel_id]
                    yield from outcomes(
                        ((position, entry) for _, position, entry in run),
                        partial(read_as, conversation=conversations[channel_id]),
                        conversation=conversations[channel_id],
                        place=name,
                        leave_out=left_out(conversations[channel_id], options),
                    )
        except (BrokenJson, EntryUnreadable) as error:
            yield from unreadable(name, SOURCE, str(error))
    yield from findings.notes()
    yield Note(code="maybe_private", count=sum(not left_out(one, options) for one in conversations.values()))


def _by_channel(read: Iterator[Any], channel_id: str) -> Iterator[tuple[str, int, Any]]:
    """Yield channel, position and entry; an entry that names no channel belongs to that of the entry before it."""
    for position, entry in enumerate(read):
        if isinstance(entry, dict):
            channel_id = identifier(entry, "channel_id") or channel_id
        yield channel_id, position, entry


def _lines(stream: BinaryIO) -> Iterator[Any]:
    """Yield what each line holds; a line that is not JSON is its own error and costs only itself."""
    while line := stream.readline(MAX_ENTRY_BYTES):
        if line.strip(b"\xef\xbb\xbf \t\r\n"):
            try:
                yield from entries(io.BytesIO(line), "")
            except BrokenJson:
                yield BrokenJson("the line is not JSON")


def _conversation(channel_id: str, options: ParseOptions) -> Conversation:
    return Conversation(
        conversation_id=conversation_id_of(
            options.id_template, source=SOURCE, workspace="", channel=channel_id, channel_id=channel_id
        ),
        source=SOURCE,
        kind="group",
        channel_id=channel_id,
        name=channel_id,
    )


def owns(head: Head) -> bool:
    """Tell an array, or lines, of messages whose authors have a ``username``."""
    return any(
        head.has(place, "id", "timestamp", "author") and head.has(author, "username") for place, author in _PLACES
    )


_PLACES = (("", "author"), ("item", "item.author"))

FORMAT = Format(
    name="discord_api",
    looked_for='messages of Discord\'s API, as an array or one per line ("id", "timestamp", "author.username")',
    parse=parse,
    owns=owns,
)
