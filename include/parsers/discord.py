"""
DiscordChatExporter's JSON: one file per channel, thread or direct message, or several parts of one.

Read from DiscordChatExporter's ``JsonMessageWriter`` and ``ExportRequest`` (commit 4f29fa6) and from exports of 2018
to 2026. What its files are like:

- ``guild`` and ``channel`` come before ``messages``, so a file of any size is read in one pass.
- Names of files say nothing: parts (``[part 10]``), date ranges and re-exports belong together by ``channel.id``.
- An export that was interrupted ends in the middle; what is complete is imported, the cut is one rejected entry.
- A thread or forum post is a channel of its own whose ``category`` is the parent channel.
- Direct messages have no guild, or one with the id ``0``.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of
from include.parsers.discord_message import SOURCE, Findings, Roster, to_message
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head
from include.parsers.json_stream import BrokenJson, documents, entries
from include.parsers.outcomes import left_out, outcomes, unreadable
from include.parsers.values import identifier, string
from include.records import Conversation, Parsed

_MESSAGES = "messages"
_THREAD_KINDS = ("GuildPublicThread", "GuildPrivateThread", "GuildNewsThread", "10", "11", "12")
_PRIVATE_KINDS = ("GuildPrivateThread", "DirectTextChat", "DirectGroupTextChat", "DirectMessage", "1", "3", "12")


class _File(NamedTuple):
    name: str
    guild: dict[str, Any]
    channel: dict[str, Any]
    exported_at: str


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """
    Yield channel by channel, the parts of a channel one after the other; a message that stands in two is yielded twice.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    channels: dict[str, list[_File]] = defaultdict(list)
    for name in archive.names():
        try:
            file = _look(archive, name)
        except (BrokenJson, EntryUnreadable) as error:
            yield from unreadable(name, SOURCE, str(error))
        else:
            channels[identifier(file.channel) or name].append(file)
    roster = Roster({channel_id: string(files[-1].channel.get("name")) for channel_id, files in channels.items()})
    findings = Findings()
    for channel_id, files in channels.items():
        conversation = _conversation(channel_id, max(files, key=lambda file: file.exported_at), options)
        yield conversation
        read = partial(
            to_message,
            conversation=conversation,
            roster=roster,
            findings=findings,
            skip_bots=options.bots == "skip",
        )
        for file in files:
            with archive.open(file.name) as stream:
                yield from outcomes(
                    enumerate(entries(stream, f"{_MESSAGES}.item")),
                    read,
                    conversation=conversation,
                    place=file.name,
                    leave_out=left_out(conversation, options),
                )
    yield from findings.notes()


def _look(archive: Archive, name: str) -> _File:
    """Read what stands before the messages; the whole file if the channel is not among it."""
    for early in (True, False):
        with archive.open(name) as stream:
            found = documents(stream, members=("guild", "channel", "exportedAt"), lists=(_MESSAGES,), early=early)
            members = next((document.members for document in found), {})
        if isinstance(channel := members.get("channel"), dict):
            guild = members.get("guild")
            exported_at = string(members.get("exportedAt"))
            return _File(name, guild if isinstance(guild, dict) else {}, channel, exported_at)
    raise BrokenJson("the file ends, or is broken, before it names its channel")


def _conversation(channel_id: str, file: _File, options: ParseOptions) -> Conversation:
    channel = file.channel
    kind, name = str(channel.get("type")), string(channel.get("name")).strip() or channel_id
    workspace = string(file.guild.get("name"))
    direct = identifier(file.guild) in ("", "0")
    thread = kind in _THREAD_KINDS
    parent = string(channel.get("category")) if thread else ""
    described = (f"Thread in #{parent}" if parent else "", string(channel.get("topic")).strip())
    return Conversation(
        conversation_id=conversation_id_of(
            options.id_template,
            source=SOURCE,
            workspace=workspace,
            # Names of threads and of people are no identities: several bear the same one.
            channel=f"{name}-{channel_id}" if thread or direct else name,
            channel_id=channel_id,
        ),
        source=SOURCE,
        kind="group",
        workspace=workspace,
        channel_id=channel_id,
        name=name,
        description=". ".join(text for text in described if text),
        private=direct or kind in _PRIVATE_KINDS,
    )


def owns(head: Head) -> bool:
    """Tell an exporter's file: a guild, a channel and messages, or their date range if there are none yet."""
    return head.has("", "guild", "channel") and (head.has("", _MESSAGES) or head.has("", "dateRange"))


FORMAT = Format(
    name="discord",
    looked_for='a DiscordChatExporter file ("guild", "channel", "messages")',
    parse=parse,
    owns=owns,
)
