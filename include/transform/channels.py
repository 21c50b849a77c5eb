"""Merges the channels of all exports: one description, one conversation id and one count for each channel."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from include.ids import without_provision
from include.records import Conversation
from include.run_folder import export_of
from include.transform.naming import Identity, make_ids


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as all exports together describe it, and the entries they hold of it."""

    conversation: Conversation
    entries: int
    imported: int
    """Messages among the entries; none of a channel that is private or excluded."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The channels of all exports."""

    channels: dict[str, Channel]
    """By their final conversation id."""

    ids: dict[str, dict[str, str]]
    """By folder name, then conversation id in that folder: the final conversation id."""

    made: dict[Identity, str]
    """The final id of each channel of which something is imported."""

    names: frozenset[str]
    """Ids and names of the channels as the parsers know them."""


def merge_channels(extracted: Sequence[Path], template: str, known: Mapping[Identity, str]) -> Merged:
    """
    Return the channels of all exports.

    A channel that several exports hold (equal :attr:`include.records.Conversation.identity`) is one conversation. The
    newest export that says something names and describes it; it is private if any export says so. Entries that belong
    to no conversation (id empty) are not among them.

    :param extracted: Folders as :mod:`include.extract` leaves them.
    :param known: Ids made in earlier runs.
    """
    rows = _read(extracted)
    by_identity: dict[Identity, list[Channel]] = defaultdict(list)
    for channel in _joined_parts(rows):
        by_identity[channel.conversation.identity].append(channel)
    merged = {identity: _merge(channels) for identity, channels in by_identity.items()}
    made = make_ids(merged, template, known)
    ids: dict[str, dict[str, str]] = defaultdict(dict)
    for folder, id_there, channel in rows:
        ids[folder.name][id_there] = made[channel.conversation.identity]
    return Merged(
        channels={
            made[identity]: msgspec.structs.replace(
                channel, conversation=_with_id(channel.conversation, made[identity])
            )
            for identity, channel in merged.items()
        },
        ids=dict(ids),
        made={identity: made[identity] for identity, channel in merged.items() if channel.imported},
        names=frozenset(name for _, _, each in rows for name in _names(each.conversation)),
    )


def _read(extracted: Sequence[Path]) -> list[tuple[Path, str, Channel]]:
    """Return each channel of each folder with the id that it has there, which may be provisional."""
    rows = []
    for folder in extracted:
        for row in pq.read_table(folder / "conversations.parquet").to_pylist():
            if row["conversation_id"]:
                counts = {name: row.pop(name) for name in ("entries", "imported")}
                there = msgspec.convert(row, Conversation)
                plain = without_provision(there.conversation_id, there.identity)
                channel = Channel(conversation=msgspec.structs.replace(there, conversation_id=plain), **counts)
                rows.append((folder, there.conversation_id, channel))
    return rows


def _names(conversation: Conversation) -> tuple[str, str]:
    return conversation.conversation_id, conversation.name


def _joined_parts(rows: Sequence[tuple[Path, str, Channel]]) -> Iterator[Channel]:
    """
    Yield the channels of each export as if it had not been read in parts.

    A channel of several parts is described by the first of them; its time is that of the whole export.
    """
    found: dict[tuple[str, ...], list[Channel]] = defaultdict(list)
    newest: dict[str, int] = {}
    for folder, id_there, channel in rows:
        export = export_of(folder)
        found[export, id_there, *channel.conversation.identity].append(channel)
        if export != folder.name:
            newest[export] = max(newest.get(export, 0), _age(channel.conversation))
    for (export, *_), channels in found.items():
        first = channels[0].conversation
        if export in newest:
            first = msgspec.structs.replace(first, as_of_us=newest[export] or None)
        yield _sum(first, channels)


def _sum(conversation: Conversation, channels: Sequence[Channel]) -> Channel:
    return Channel(
        conversation=conversation,
        entries=sum(channel.entries for channel in channels),
        imported=sum(channel.imported for channel in channels),
    )


def _merge(channels: Sequence[Channel]) -> Channel:
    described = sorted((channel.conversation for channel in channels), key=_age)
    said: dict[str, object] = {}
    for conversation in described:
        fields = msgspec.structs.asdict(conversation)
        if conversation.name == conversation.channel_id:  # a name that only repeats the id says nothing
            del fields["name"], fields["channel"]
        said |= {name: value for name, value in fields.items() if value not in (None, "")}
    newest = described[-1]
    private = next((one for one in reversed(described) if one.private), newest)
    conversation = msgspec.structs.replace(
        newest, **(said | {"private": private.private, "private_reason": private.private_reason})
    )
    return _sum(conversation, channels)


def _age(conversation: Conversation) -> int:
    return conversation.as_of_us or 0


def _with_id(conversation: Conversation, conversation_id: str) -> Conversation:
    """Return the conversation under its final id; a session that bears the conversation's name follows it."""
    same = conversation.session_id == conversation.conversation_id
    return msgspec.structs.replace(
        conversation,
        conversation_id=conversation_id,
        session_id=conversation_id if same else conversation.session_id,
    )
