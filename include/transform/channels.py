"""Conversations merged over exports, and the refusal to let two channels become one conversation."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from include.errors import IdCollision
from include.records import Conversation


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as all exports together describe it, and the entries they hold of it."""

    conversation: Conversation
    entries: int
    imported: int
    """Messages among the entries; none of what is private or excluded."""


def merge_channels(extracted: Sequence[Path]) -> dict[str, Channel]:
    """
    Return the conversations of all exports by id.

    Where two exports describe a channel, the later one's word counts unless it says nothing; it is private if either
    says so. Two channels with one id are no harm as long as nothing is imported from one of them (it is private or
    excluded, or nobody said anything there): the other gives the name, and the row counts the entries of both.
    Entries that belong to no conversation (id empty) are not among them.

    :raises IdCollision: naming both channels.
    """
    merged: dict[str, Channel] = {}
    for channel in _read(extracted):
        conversation_id = channel.conversation.conversation_id
        known = merged.get(conversation_id)
        merged[conversation_id] = _merge(known, channel) if known else channel
    return merged


def _read(extracted: Iterable[Path]) -> Iterator[Channel]:
    for folder in extracted:
        for row in pq.read_table(folder / "conversations.parquet").to_pylist():
            if row["conversation_id"]:
                counts = {name: row.pop(name) for name in ("entries", "imported")}
                yield Channel(conversation=msgspec.convert(row, Conversation), **counts)


def _merge(known: Channel, later: Channel) -> Channel:
    if _same_channel(known.conversation, later.conversation):
        conversation = _merged(known.conversation, later.conversation)
    elif known.imported and later.imported:
        raise IdCollision(_refusal(known.conversation, later.conversation))
    else:
        conversation = max(known, later, key=lambda channel: channel.imported).conversation
    return Channel(
        conversation=conversation,
        entries=known.entries + later.entries,
        imported=known.imported + later.imported,
    )


def _merged(one: Conversation, other: Conversation) -> Conversation:
    said = {name: value for name, value in msgspec.structs.asdict(other).items() if value not in (None, "")}
    return msgspec.structs.replace(one, **(said | {"private": one.private or other.private}))


def _same_channel(one: Conversation, other: Conversation) -> bool:
    """
    Go by the platform's id: workspaces get renamed, and a shared channel stands in several of them.

    Only where an export knows no ids and the name stands in for one, workspaces tell channels apart.
    """
    if _identity(one) != _identity(other):
        return False
    named_only = one.channel_id == one.name
    return not (named_only and one.workspace and other.workspace and one.workspace != other.workspace)


def _identity(conversation: Conversation) -> tuple[Any, ...]:
    return (
        conversation.source,
        conversation.kind,
        conversation.channel_id,
        conversation.user_id,
        conversation.session_id,
    )


def _described(conversation: Conversation) -> str:
    workspace = f" in {conversation.workspace!r}" if conversation.workspace else ""
    return f"{conversation.source} {conversation.name!r} ({conversation.channel_id}){workspace}"


def _refusal(one: Conversation, other: Conversation) -> str:
    return (
        f"conversation id {one.conversation_id!r} would join two channels: {_described(one)} and {_described(other)}; "
        "nothing was sent. Give each its own id with the parameter conversation_id, for example "
        f"{_remedy(one, other)}. It names every conversation of the run anew: where some were loaded under their old "
        "ids, import one of the two in a run of its own."
    )


def _remedy(one: Conversation, other: Conversation) -> str:
    by_id = "{source}_{channel_id}"
    return "{source}_{workspace}_{channel} or " + by_id if one.workspace != other.workspace else by_id
