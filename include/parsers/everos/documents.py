"""
EverOS-shaped JSON: conversations already in the form of the memory API, one per object, in files of any size.

These shapes, alone, as the items of an array, or one after the other (JSON Lines, or printed over several lines);
entries may come before or after the members that describe them:

- group (import guide): ``{"group_id", "group_meta", "messages": [{"role", "sender_id", "timestamp", "content"}]}``;
- personal (import guide): ``{"user_id", "session_id", "messages": [{"role", "timestamp", "content"}]}``;
- ``GroupChatFormat`` of the earlier open-source server (``data_format/group_chat``):
  ``{"conversation_meta": {"group_id", "user_details"}, "conversation_list": [{"create_time", "sender", "content"}]}``;
  later versions write ``session_meta``. With the ``scene`` ``solo`` or ``assistant`` it is a personal history.
- a message of the guide's two shapes that has the ``group_id`` or ``user_id`` itself;
- corrections of this project (:mod:`include.corrections`): ``{"format", "conversation": {…}, "messages": […]}``,
  for rejected messages of any conversation. The ``format`` is :data:`CORRECTIONS`.

Members of other names, and members of these names with a value of another type, are ignored.

Ids are taken as they are: no template. See :mod:`include.parsers.everos.message` for the requirements on an entry.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import RESERVED_PREFIX, platform_id_of, sender_id_of
from include.parsers.everos.message import SOURCE, Description, Ordinals, correctable, role_of_person, to_message
from include.parsers.everos.zones import UnknownZone, name_of, zone_of
from include.parsers.formats import Export, Format, ParseOptions, Unit
from include.parsers.json.head import Head
from include.parsers.json.stream import Document, documents, listed
from include.parsers.json.values import as_dict, as_str, identifier, in_natural_order
from include.parsers.outcomes import exclusion_reason, outcomes, reject_file
from include.parsers.parts import holds
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
"""Members of a message that names its conversation itself."""
_METAS = ("conversation_meta", "session_meta")
_MEMBERS = ("group_id", "group_meta", "user_id", "session_id", *_METAS, "format", "conversation", *_ENTRY_MEMBERS)
_PERSONAL_SCENES = ("solo", "assistant")


class _List(NamedTuple):
    """A list of entries that the first pass found and the second reads."""

    description: Description
    place: str
    length: int


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield file by file, in two passes over each: first documents and single messages, then the entries of lists.

    A list may come before the members that describe its entries, so it is read when its whole document is known.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    unknown_zones: dict[str, set[str]] = defaultdict(set)
    for name in sorted(archive.names(), key=in_natural_order):
        if not holds(export, name, in_natural_order):
            continue
        file = _File(name, options, unknown_zones)
        try:
            with archive.open(name) as stream:
                yield from file.read_documents(documents(stream, members=_MEMBERS, lists=_LISTS))
            if file.lists:
                with archive.open(name) as stream:
                    yield from file.read_lists(listed(stream, members=_MEMBERS, lists=_LISTS))
        except EntryUnreadable as error:
            yield from reject_file(name, SOURCE, str(error))
    for zone, conversations in unknown_zones.items():
        yield Note(code="unknown_zone", count=len(conversations), detail=zone)


class _File:
    """Reads one file: first :meth:`read_documents`, then :meth:`read_lists`."""

    def __init__(self, name: str, options: ParseOptions, unknown_zones: dict[str, set[str]]) -> None:
        self._name, self._options = name, options
        self._unknown_zones = unknown_zones
        """Conversation ids by the name of their zone."""
        self.lists: list[_List] = []
        """In the order of the file."""

    def read_documents(self, found: Iterable[Document]) -> Iterator[ParsedMany]:
        """Yield conversations, single messages, and rejections of other documents; keep the lists in :attr:`lists`."""
        ordinals = Ordinals()  # each list has its own: a message that is in two lists is the same message
        before: Conversation | None = None
        for document in found:
            description = parse_header(document)
            conversation = description.conversation
            if not description.flaw and conversation != before:
                yield conversation
                before = conversation
            index = document.index
            value = f"{self._name}#{document.value + 1}" if document.value else self._name
            place = end = value if index is None else f"{value}[{index}]"
            if document.lengths:
                for key, length in document.lengths.items():
                    at = place if index is None else f"{place}.{key}"
                    self.lists.append(_List(description, at, length))
                    end = f"{at}[{length}]"
            elif "role" in document.members and "content" in document.members:
                at, position = (self._name, document.value) if index is None else (value, index)
                yield from self._outcomes([(position, document.members)], at, description, ordinals)
            elif not document.flaw:
                reason = description.flaw or f"expected a list {' or '.join(_LISTS)}, found none"
                yield from reject_file(place, SOURCE, reason, conversation.conversation_id)
            if document.flaw:
                yield from reject_file(end, SOURCE, document.flaw, conversation.conversation_id)

    def read_lists(self, entries: Iterator[Any]) -> Iterator[ParsedMany]:
        """
        Yield the outcomes of the entries of all lists, each after its conversation.

        :param entries: Of all lists, one list after the other.
        """
        before: Conversation | None = None
        for description, place, length in self.lists:
            if not description.flaw and description.conversation != before:
                yield description.conversation
                before = description.conversation
            yield from self._outcomes(enumerate(islice(entries, length)), place, description, Ordinals())

    def _outcomes(
        self, entries: Iterable[tuple[int, Any]], place: str, description: Description, ordinals: Ordinals
    ) -> Iterator[ParsedMany]:
        conversation, zone = description.conversation, description.zone
        yield from outcomes(
            entries,
            partial(to_message, description=description, ordinals=ordinals),
            conversation=conversation,
            place=place,
            correctable=correctable,
            skip_reason="" if description.flaw else exclusion_reason(conversation, self._options),
        )
        if isinstance(zone, UnknownZone) and zone.used:
            self._unknown_zones[zone.label].add(conversation.conversation_id)


def parse_header(document: Document) -> Description:
    """Return the description of a document's entries, with the flaw if there is one; never raises."""
    members = document.members
    if corrections := _parse_correction(members):
        return corrections
    meta = next(filter(None, (as_dict(members.get(key)) for key in _METAS)), {})
    group_id = identifier(members, "group_id") or identifier(meta, "group_id")
    user_id = identifier(members, "user_id")
    if as_str(meta.get("scene")).strip().lower() in _PERSONAL_SCENES:
        owner = user_id or _only_person(meta)
        if owner:
            return _personal(owner, group_id or identifier(members, "session_id"), meta)
    if group_id:
        return _group(group_id, as_dict(members.get("group_meta")), meta)
    if user_id:
        return _personal(user_id, identifier(members, "session_id"), meta)
    return _flawed("expected a group_id or a user_id, found neither")


def _parse_correction(members: dict[str, Any]) -> Description | None:
    """Return the description in a document of corrections; ``None`` if it is none."""
    marked = members.get("format") == CORRECTIONS
    named = identifier(members, "group_id") or identifier(members, "user_id")
    given = members.get("conversation")
    if not marked and (named or not isinstance(given, dict)):
        return None
    try:
        conversation = msgspec.convert(given, Conversation)
        if conversation.group_meta is not None:
            msgspec.json.decode(conversation.group_meta, type=dict[str, Any])
        return Description(
            conversation=conversation,
            user_id=platform_id_of(conversation.user_id or ""),
            zone=zone_of(conversation.time_zone),
        )
    except (ValueError, RecursionError) as error:  # msgspec's errors are of the first kind
        # Older corrections have no "format" and all members of a conversation; anything else is no correction.
        return _flawed(f"expected the conversation as corrections.json describes it: {error}") if marked else None


def _only_person(meta: dict[str, Any]) -> str:
    """Return the one person in ``user_details`` that is no assistant; of several, the one with the role user."""
    people = {key: as_dict(person) for key, person in as_dict(meta.get("user_details")).items()}
    persons = [key for key, person in people.items() if role_of_person(person) == "user"]
    users = [key for key in persons if as_str(people[key].get("role")).strip().lower() == "user"]
    found = users or persons
    return found[0].strip() if len(found) == 1 else identifier(meta, "user_id")


def _group(group_id: str, group_meta: dict[str, Any], meta: dict[str, Any]) -> Description:
    if group_id.startswith(RESERVED_PREFIX):
        return _flawed(f"group_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    described = group_meta or meta
    zone = zone_of(meta.get("default_timezone"))
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
            name=as_str(described.get("name")) or group_id,
            description=as_str(described.get("description")),
            group_meta=kept_meta,
            time_zone=name_of(zone),
        ),
        people=as_dict(meta.get("user_details")),
        zone=zone,
    )


def _personal(user_id: str, session_id: str, meta: dict[str, Any]) -> Description:
    if session_id == "-1":
        return _flawed("session_id is -1, which EverOS reserves")
    if user_id.startswith(RESERVED_PREFIX):
        return _flawed(f"user_id starts with {RESERVED_PREFIX}, which EverOS reserves")
    name = f"{user_id} ({session_id})" if session_id else user_id
    zone = zone_of(meta.get("default_timezone"))
    return Description(
        conversation=Conversation(
            conversation_id=f"{user_id}_{session_id}" if session_id else user_id,
            source=SOURCE,
            kind="personal",
            channel_id=f"user {user_id}, session {session_id}" if session_id else f"user {user_id}",
            name=as_str(meta.get("name")) or name,
            description=as_str(meta.get("description")),
            user_id=sender_id_of(user_id),
            session_id=session_id or None,
            time_zone=name_of(zone),
        ),
        user_id=user_id,
        people=as_dict(meta.get("user_details")),
        zone=zone,
    )


def _flawed(flaw: str) -> Description:
    nowhere = Conversation(conversation_id="", source=SOURCE, kind="group", channel_id="", name="")
    return Description(conversation=nowhere, flaw=flaw)


def matches_file(head: Head) -> bool:
    """Return whether a file has a conversation or message in one of the shapes, or an array of them."""
    return any(
        head.has(place, "conversation_list")
        or (head.has(place, "messages") and ({"group_id", "user_id"} & head.keys.get(place, frozenset())))
        or head.has(messages, "role", "content", "timestamp")
        or (head.has(place, "role", "content") and ({"group_id", "user_id"} & head.keys.get(place, frozenset())))
        for place, messages in (("", "messages.item"), ("item", "item.messages.item"))
    )


def units(archive: Archive) -> list[Unit]:
    """Return the files in the order in which they are read."""
    return [Unit(name, archive.size_bytes(name)) for name in sorted(archive.names(), key=in_natural_order)]


FORMAT = Format(
    name="everos_json",
    parse=parse,
    matches_file=matches_file,
    units=units,
)
