"""
DiscordChatExporter's JSON: one file per channel, thread or direct message, or several parts of one.

Read from DiscordChatExporter's ``JsonMessageWriter`` and ``ExportRequest`` (commit 4f29fa6) and from exports of 2018
to 2026. Facts about its files:

- ``guild`` and ``channel`` come before ``messages``, so a file of any size is read in one pass.
- Names of files do not matter: parts (``[part 10]``), date ranges and re-exports belong together by ``channel.id``.
- An export that was interrupted ends in the middle; complete messages are imported, the cut is one rejected entry.
- A thread or forum post is a channel of its own whose ``category`` is the parent channel.
- Direct messages have no guild, or one with the id ``0``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of
from include.parsers.discord.message import SOURCE, ExportNotes, is_private_kind, to_message
from include.parsers.discord.replies import Replies
from include.parsers.discord.roster import Roster
from include.parsers.discord.written import MESSAGES, Reader, Written, correctable_of
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.json.head import Head
from include.parsers.json.stream import BrokenJson, documents, entries
from include.parsers.json.values import as_dict, as_str, identifier, microseconds
from include.parsers.outcomes import exclusion_reason, outcomes, reject_file
from include.records import Conversation, ParsedMany

_MESSAGES = "messages"
_MEMBERS = ("guild", "channel", "exportedAt", "dateRange")
_THREAD_KINDS = ("GuildPublicThread", "GuildPrivateThread", "GuildNewsThread", "10", "11", "12")
_PART = re.compile(r"\[part (\d+)\]")


class _File(NamedTuple):
    name: str
    guild: dict[str, Any]
    channel: dict[str, Any]
    exported_at: str
    after: str
    """Start of its date range; empty: from the beginning."""

    @property
    def order(self) -> tuple[str, int]:
        """Place among the files of a channel."""
        part = _PART.search(self.name)
        return self.after, int(part[1]) if part else 0


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield channel by channel, the parts of a channel one after the other; a message that is in two is yielded twice.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    channels: dict[str, list[_File]] = defaultdict(list)
    for name in archive.names():
        try:
            file = _read_header(archive, name)
        except (BrokenJson, EntryUnreadable) as error:
            yield from reject_file(name, SOURCE, str(error))
        else:
            channels[identifier(file.channel) or name].append(file)
    roster = Roster({channel_id: as_str(files[-1].channel.get("name")) for channel_id, files in channels.items()})
    export_notes = ExportNotes()
    for channel_id, files in channels.items():
        conversation = _conversation(channel_id, max(files, key=lambda file: file.exported_at), options)
        yield conversation
        context: Any = {
            "conversation": conversation,
            "roster": roster,
            "export_notes": export_notes,
            "replies": Replies(),
        }
        reader = Reader(partial(to_message, **context, skip_bots=options.bots == "skip"), **context)
        for file in sorted(files, key=lambda file: file.order):
            try:
                with archive.open(file.name) as stream:
                    yield from outcomes(
                        enumerate(entries(stream, f"{_MESSAGES}.item", usual=MESSAGES)),
                        reader.read,
                        conversation=conversation,
                        place=file.name,
                        correctable=correctable_of,
                        skip_reason=exclusion_reason(conversation, options),
                        usual=Written,
                    )
            except EntryUnreadable as error:
                yield from reject_file(file.name, SOURCE, str(error), conversation.conversation_id)
    yield from export_notes.notes()


def _read_header(archive: Archive, name: str) -> _File:
    """Read the members before the messages; the whole file if the channel is not among them."""
    for early in (True, False):
        with archive.open(name) as stream:
            found = documents(stream, members=_MEMBERS, lists=(_MESSAGES,), early=early)
            members = next((document.members for document in found), {})
        if isinstance(channel := members.get("channel"), dict):
            guild = members.get("guild")
            after = as_str(as_dict(members.get("dateRange")).get("after"))
            return _File(name, as_dict(guild), channel, as_str(members.get("exportedAt")), after)
    raise BrokenJson('expected the channel as an object in "channel", found none up to the end of the file')


def _conversation(channel_id: str, file: _File, options: ParseOptions) -> Conversation:
    channel = file.channel
    kind, name = str(channel.get("type")), as_str(channel.get("name")).strip() or channel_id
    workspace = as_str(file.guild.get("name"))
    direct = identifier(file.guild) in ("", "0")
    thread = kind in _THREAD_KINDS
    parent = as_str(channel.get("category")) if thread else ""
    described = (f"Thread in #{parent}" if parent else "", as_str(channel.get("topic")).strip())
    # Names of threads and of people do not identify a channel: several have the same name.
    label = f"{name}-{channel_id}" if thread or direct else name
    return Conversation(
        conversation_id=conversation_id_of(
            options.id_template, source=SOURCE, workspace=workspace, channel=label, channel_id=channel_id
        ),
        source=SOURCE,
        kind="group",
        workspace=workspace,
        channel_id=channel_id,
        name=name,
        description=". ".join(text for text in described if text),
        channel=label,
        private=direct or is_private_kind(kind),
        private_reason="a direct message" if direct else f"of the kind {kind}" if is_private_kind(kind) else "",
        as_of_us=microseconds(file.exported_at),
    )


def matches_file(head: Head) -> bool:
    """Return whether a file is the exporter's: guild, channel and messages, or a date range without messages."""
    return head.has("", "guild", "channel") and (head.has("", _MESSAGES) or head.has("", "dateRange"))


FORMAT = Format(
    name="discord",
    parse=parse,
    matches_file=matches_file,
)
