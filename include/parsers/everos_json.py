"""
EverOS-shaped JSON: conversations already in the form of the memory API, one per object, in files of any size.

These shapes, alone, as the items of an array, or one after the other (JSON Lines, or printed over several lines);
entries may stand before or after what describes them:

- group (import guide): ``{"group_id", "group_meta", "messages": [{"role", "sender_id", "timestamp", "content"}]}``;
- personal (import guide): ``{"user_id", "session_id", "messages": [{"role", "timestamp", "content"}]}``;
- ``GroupChatFormat`` of the earlier open-source server (``data_format/group_chat``):
  ``{"conversation_meta": {"group_id", "user_details"}, "conversation_list": [{"create_time", "sender", "content"}]}``;
  later versions write ``session_meta``. With the ``scene`` ``solo`` or ``assistant`` it is a personal history.
- a message of the guide's two shapes that has the ``group_id`` or ``user_id`` itself;
- corrections of this project (:mod:`include.redo`): ``{"format", "conversation": {…}, "messages": […]}``, whatever
  conversation the rejected messages belong to. The ``format`` is :data:`CORRECTIONS`.

Members of other names, and members of these names with a value of another type, are ignored.

Ids are taken as they are: no template. See :mod:`include.parsers.everos_message` for what is asked of an entry.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import RESERVED_PREFIX, platform_id_of, sender_id_of
from include.parsers.everos_message import SOURCE, Description, Ordinals, role_of_person, to_message
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head
from include.parsers.json_stream import Document, documents, listed
from include.parsers.outcomes import left_out, outcomes, unreadable
from include.parsers.values import identifier, in_natural_order, mapping, string
from include.parsers.zones import UnknownZone, zone_of
from include.records import Conversation, Note, ParsedMany

CORRECTIONS = "chat-history-to-everos/corrections/1"
"""Member ``format`` of each conversation in a file of corrections: the format's name and version."""

_LISTS = ("messages", "conversation_list")
_ENTRY_MEMBERS = (
    "role",
    "sender_id",
    "sender_name",
    "timestamp",
    "create_time",
    "content",
    "message_id",
    "type",
    "extra",
    "refer_list",
)
"""Of a message that names its conversation itself."""
_METAS = ("conversation_meta", "session_meta")
_MEMBERS = ("group_id", "group_meta", "user_id", "session_id", *_METAS, "format", "conversation", *_ENTRY_MEMBERS)
_PERSONAL_SCENES = ("solo", "assistant")


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield file by file, conversation by conversation, reading each file twice side by side: what describes, and entries.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    unknown_zones: dict[str, set[str]] = defaultdict(set)
    for name in sorted(archive.names(), key=in_natural_order):
        try:
            with ExitStack() as stack:
                yield from _File(archive, name, options, stack, unknown_zones).parsed()
        except EntryUnreadable as error:
            yield from unreadable(name, SOURCE, str(error))
    for zone, conversations in unknown_zones.items():
        yield Note(code="unknown_zone", count=len(conversations), detail=zone)


class _File:
    """Reads one file: ``documents`` runs ahead by one document, the entries follow by as many as it counted."""

    def __init__(
        self,
        archive: Archive,
        name: str,
        options: ParseOptions,
        stack: ExitStack,
        unknown_zones: dict[str, set[str]],
    ) -> None:
        self._name, self._options = name, options
        self._unknown_zones = unknown_zones
        """Conversation ids by the name of their zone."""
        streams = [stack.enter_context(archive.open(name)) for _ in range(2)]
        self._documents = documents(streams[0], members=_MEMBERS, lists=_LISTS)
        self._listed = listed(streams[1], members=_MEMBERS, lists=_LISTS)
        self._ordinals = Ordinals()
        """Of messages that stand alone; each list has its own, so that a copy of a list says nothing twice."""
        self._at = ""
        """Where the document would go on."""

    def parsed(self) -> Iterator[ParsedMany]:
        before: Conversation | None = None
        for document in self._documents:
            description = describe(document)
            conversation = description.conversation
            if not description.flaw and conversation != before:
                yield conversation
                before = conversation
            yield from self._outcomes(document, description)
            if document.flaw:
                yield from unreadable(self._at, SOURCE, document.flaw, conversation.conversation_id)
            if isinstance(description.zone, UnknownZone) and description.zone.used:
                self._unknown_zones[description.zone.label].add(conversation.conversation_id)

    def _outcomes(self, document: Document, description: Description) -> Iterator[ParsedMany]:
        index = document.index
        value = f"{self._name}#{document.value + 1}" if document.value else self._name
        self._at = place = value if index is None else f"{value}[{index}]"
        if document.lengths:
            for key, length in document.lengths.items():
                listed_at = place if index is None else f"{place}.{key}"
                read = self._numbered(islice(self._listed, length), listed_at)
                yield from self._judged(read, listed_at, description, Ordinals())
        elif "role" in document.members and "content" in document.members:
            at = (self._name, document.value) if index is None else (value, index)
            yield from self._judged([(at[1], document.members)], at[0], description, self._ordinals)
        elif not document.flaw:
            reason = description.flaw or f"expected a list {' or '.join(_LISTS)}, found none"
            yield from unreadable(place, SOURCE, reason, description.conversation.conversation_id)

    def _judged(
        self, read: Iterable[tuple[int, Any]], place: str, description: Description, ordinals: Ordinals
    ) -> Iterator[ParsedMany]:
        return outcomes(
            read,
            partial(to_message, description=description, ordinals=ordinals),
            conversation=description.conversation,
            place=place,
            leave_out="" if description.flaw else left_out(description.conversation, self._options),
        )

    def _numbered(self, read: Iterator[Any], place: str) -> Iterator[tuple[int, Any]]:
        position = -1
        for position, entry in enumerate(read):
            yield position, entry
        self._at = f"{place}[{position + 1}]"


def describe(document: Document) -> Description:
    """Return what a document says about its entries, and what is wrong with it; never raises."""
    members = document.members
    if corrections := _corrections(members):
        return corrections
    meta = next(filter(None, (mapping(members.get(key)) for key in _METAS)), {})
    group_id = identifier(members, "group_id") or identifier(meta, "group_id")
    user_id = identifier(members, "user_id")
    if string(meta.get("scene")).strip().lower() in _PERSONAL_SCENES:
        owner = user_id or _owner(meta)
        if owner:
            return _personal(owner, group_id or identifier(members, "session_id"), meta)
    if group_id:
        return _group(group_id, mapping(members.get("group_meta")), meta)
    if user_id:
        return _personal(user_id, identifier(members, "session_id"), meta)
    return _flawed("expected a group_id or a user_id, found neither")


def _corrections(members: dict[str, Any]) -> Description | None:
    """Return what a file of corrections says; ``None`` if the document is none."""
    marked = members.get("format") == CORRECTIONS
    named = identifier(members, "group_id") or identifier(members, "user_id")
    given = members.get("conversation")
    if not marked and (named or not isinstance(given, dict)):
        return None
    try:
        conversation = msgspec.convert(given, Conversation)
        if conversation.group_meta is not None:
            msgspec.json.decode(conversation.group_meta, type=dict[str, Any])
        return Description(conversation=conversation, user_id=platform_id_of(conversation.user_id or ""))
    except (ValueError, RecursionError) as error:  # msgspec's errors are of the first kind
        # Files written before the mark existed have all members of a conversation, or are not ours.
        return _flawed(f"expected the conversation as corrections.json describes it: {error}") if marked else None


def _owner(meta: dict[str, Any]) -> str:
    """Return the only person in ``user_details`` who is no assistant; of several, the only one with the role user."""
    people = {key: mapping(person) for key, person in mapping(meta.get("user_details")).items()}
    persons = [key for key, person in people.items() if role_of_person(person) == "user"]
    users = [key for key in persons if string(people[key].get("role")).strip().lower() == "user"]
    found = users or persons
    return found[0].strip() if len(found) == 1 else identifier(meta, "user_id")


def _group(group_id: str, group_meta: dict[str, Any], meta: dict[str, Any]) -> Description:
    if group_id.startswith(RESERVED_PREFIX):
        return _flawed(f"group_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    told = group_meta or meta
    try:
        kept_meta = msgspec.json.encode(group_meta).decode() if group_meta else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return _flawed(
            "group_meta holds a number or a character that JSON cannot carry to EverOS, or is nested too deep"
        )
    return Description(
        conversation=Conversation(
            conversation_id=group_id,
            source=SOURCE,
            kind="group",
            channel_id=group_id,
            name=string(told.get("name")) or group_id,
            description=string(told.get("description")),
            group_meta=kept_meta,
        ),
        people=mapping(meta.get("user_details")),
        zone=zone_of(meta.get("default_timezone")),
    )


def _personal(user_id: str, session_id: str, meta: dict[str, Any]) -> Description:
    if session_id == "-1":
        return _flawed("session_id is -1, which EverOS reserves")
    if user_id.startswith(RESERVED_PREFIX):
        return _flawed(f"user_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    name = f"{user_id} ({session_id})" if session_id else user_id
    return Description(
        conversation=Conversation(
            conversation_id=f"{user_id}_{session_id}" if session_id else user_id,
            source=SOURCE,
            kind="personal",
            channel_id=f"user {user_id}, session {session_id}" if session_id else f"user {user_id}",
            name=string(meta.get("name")) or name,
            description=string(meta.get("description")),
            user_id=sender_id_of(user_id),
            session_id=session_id or None,
        ),
        user_id=user_id,
        people=mapping(meta.get("user_details")),
        zone=zone_of(meta.get("default_timezone")),
    )


def _flawed(flaw: str) -> Description:
    nowhere = Conversation(conversation_id="", source=SOURCE, kind="group", channel_id="", name="")
    return Description(conversation=nowhere, flaw=flaw)


def owns(head: Head) -> bool:
    """Tell a conversation or message in one of the shapes, or an array of them."""
    return any(
        head.has(place, "conversation_list")
        or (head.has(place, "messages") and ({"group_id", "user_id"} & head.keys.get(place, frozenset())))
        or head.has(messages, "role", "content", "timestamp")
        or (head.has(place, "role", "content") and ({"group_id", "user_id"} & head.keys.get(place, frozenset())))
        for place, messages in (("", "messages.item"), ("item", "item.messages.item"))
    )


FORMAT = Format(
    name="everos_json",
    looked_for='EverOS JSON ("group_id" or "user_id" with "messages"; "conversation_meta" with "conversation_list")',
    parse=parse,
    owns=owns,
)
