"""
EverOS-shaped JSON: conversations already in the form of the memory API, one per object, in files of any size.

These shapes, alone or as the items of an array; entries may stand before or after what describes them:

- group (import guide): ``{"group_id", "group_meta", "messages": [{"role", "sender_id", "timestamp", "content"}]}``;
- personal (import guide): ``{"user_id", "session_id", "messages": [{"role", "timestamp", "content"}]}``;
- ``GroupChatFormat`` of the earlier open-source server (``data_format/group_chat``):
  ``{"conversation_meta": {"group_id", "user_details"}, "conversation_list": [{"create_time", "sender", "content"}]}``.
- corrections of this project (:mod:`include.redo`): ``{"conversation": {…}, "messages": […]}``, whatever conversation
  the rejected messages belong to.

Ids are taken as they are: no template. See :mod:`include.parsers.everos_message` for what is asked of an entry.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, tzinfo
from functools import partial
from itertools import islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import RESERVED_PREFIX, platform_id_of, sender_id_of
from include.parsers.everos_message import SOURCE, Description, Ordinals, to_message
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head
from include.parsers.json_stream import BrokenJson, Document, documents, entries
from include.parsers.outcomes import left_out, outcomes, unreadable
from include.parsers.values import identifier, mapping, string
from include.records import Conversation, Parsed

_LISTS = ("messages", "conversation_list")
_MEMBERS = ("group_id", "group_meta", "user_id", "session_id", "conversation_meta", "conversation")


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """
    Yield file by file, conversation by conversation, reading each file twice side by side: what describes, and entries.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    for name in archive.names():
        try:
            with ExitStack() as stack:
                yield from _File(archive, name, options, stack).parsed()
        except EntryUnreadable as error:
            yield from unreadable(name, SOURCE, str(error))


class _File:
    """Reads one file: ``documents`` runs ahead by one document, the lists follow by as many entries as it counted."""

    def __init__(self, archive: Archive, name: str, options: ParseOptions, stack: ExitStack) -> None:
        self._archive, self._name, self._options, self._stack = archive, name, options, stack
        self._lists: dict[str, Iterator[Any]] = {}
        self._ordinals = Ordinals()
        self._broken = ""
        self._at = name
        """Where the file would go on."""

    def parsed(self) -> Iterator[Parsed]:
        conversation_id = ""
        try:
            for document in documents(self._open(), members=_MEMBERS, lists=_LISTS):
                description = describe(document)
                conversation_id = description.conversation.conversation_id
                if not description.flaw:
                    yield description.conversation
                yield from self._entries(document, description)
                if self._broken:
                    break
        except BrokenJson as error:
            self._broken = str(error)
        if self._broken:
            yield from unreadable(self._at, SOURCE, self._broken, conversation_id)

    def _entries(self, document: Document, description: Description) -> Iterator[Parsed]:
        place = self._name if document.index is None else f"{self._name}[{document.index}]"
        if not document.lengths:
            reason = description.flaw or f"expected a list {' or '.join(_LISTS)}, found none"
            yield from unreadable(place, SOURCE, reason, description.conversation.conversation_id)
        for key, length in document.lengths.items():
            listed = place if document.index is None else f"{place}.{key}"
            yield from outcomes(
                self._numbered(islice(self._list(key, in_array=document.index is not None), length), listed),
                partial(to_message, description=description, ordinals=self._ordinals),
                conversation=description.conversation,
                place=listed,
                leave_out="" if description.flaw else left_out(description.conversation, self._options),
            )

    def _numbered(self, read: Iterator[Any], place: str) -> Iterator[tuple[int, Any]]:
        position = -1
        for position, entry in enumerate(read):
            yield position, entry
        self._at = f"{place}[{position + 1}]"

    def _open(self) -> BinaryIO:
        return self._stack.enter_context(self._archive.open(self._name))

    def _list(self, key: str, *, in_array: bool) -> Iterator[Any]:
        if key not in self._lists:
            path = f"item.{key}.item" if in_array else f"{key}.item"
            self._lists[key] = self._until_broken(entries(self._open(), path))
        return self._lists[key]

    def _until_broken(self, read: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from read
        except BrokenJson as error:
            self._broken = str(error)


def describe(document: Document) -> Description:
    """Return what a document says about its entries, and what is wrong with it; never raises."""
    members = document.members
    meta = mapping(members.get("conversation_meta"))
    group_id = identifier(members, "group_id") or identifier(meta, "group_id")
    user_id = identifier(members, "user_id")
    if told := mapping(members.get("conversation")):
        return _told(told)
    if group_id:
        return _group(group_id, mapping(members.get("group_meta")), meta)
    if user_id:
        return _personal(user_id, identifier(members, "session_id"))
    return _flawed("expected a group_id or a user_id, found neither")


def _told(told: dict[str, Any]) -> Description:
    try:
        conversation = msgspec.convert(told, Conversation)
        return Description(conversation=conversation, user_id=platform_id_of(conversation.user_id or ""))
    except ValueError as error:  # msgspec's ValidationError is one
        return _flawed(f"expected the conversation as corrections.json describes it: {error}")


def _group(group_id: str, group_meta: dict[str, Any], meta: dict[str, Any]) -> Description:
    if group_id.startswith(RESERVED_PREFIX):
        return _flawed(f"group_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    told = group_meta or meta
    return Description(
        conversation=Conversation(
            conversation_id=group_id,
            source=SOURCE,
            kind="group",
            channel_id=group_id,
            name=string(told.get("name")) or group_id,
            description=string(told.get("description")),
            group_meta=msgspec.json.encode(group_meta).decode() if group_meta else None,
        ),
        people=mapping(meta.get("user_details")),
        zone=_zone(meta.get("default_timezone")),
    )


def _personal(user_id: str, session_id: str) -> Description:
    if session_id == "-1":
        return _flawed("session_id is -1, which EverOS reserves")
    if user_id.startswith(RESERVED_PREFIX):
        return _flawed(f"user_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    return Description(
        conversation=Conversation(
            conversation_id=f"{user_id}_{session_id}" if session_id else user_id,
            source=SOURCE,
            kind="personal",
            channel_id=f"user {user_id}, session {session_id}" if session_id else f"user {user_id}",
            name=f"{user_id} ({session_id})" if session_id else user_id,
            user_id=sender_id_of(user_id),
            session_id=session_id or None,
        ),
        user_id=user_id,
    )


def _flawed(flaw: str) -> Description:
    nowhere = Conversation(conversation_id="", source=SOURCE, kind="group", channel_id="", name="")
    return Description(conversation=nowhere, flaw=flaw)


def _zone(name: object) -> tzinfo:
    try:
        return ZoneInfo(string(name)) if name else UTC
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def owns(head: Head) -> bool:
    """Tell a conversation in one of the three shapes, or an array of them."""
    return any(
        head.has(place, "conversation_list")
        or (head.has(place, "messages") and ({"group_id", "user_id"} & head.keys.get(place, frozenset())))
        or head.has(messages, "role", "content", "timestamp")
        for place, messages in (("", "messages.item"), ("item", "item.messages.item"))
    )


FORMAT = Format(
    name="everos_json",
    looked_for='EverOS JSON ("group_id" or "user_id" with "messages"; "conversation_meta" with "conversation_list")',
    parse=parse,
    owns=owns,
)
