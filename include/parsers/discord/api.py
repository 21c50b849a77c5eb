"""
Messages as Discord's API returns them, usually newest first, in any form that scripts save.

Scripts save them (``GET /channels/{id}/messages``; docs.discord.com, "Message Object") as an array, an array of pages,
one message or page per line, one message per file, or as a list in an object (``{"channel_id", "messages"}``, the
answer to a search ``{"total_results", "messages": [[…]]}``, ``{"data": {"messages"}}``). Messages name their channel
only by its id; the kind of a channel is known only if the object around them, or a message, has it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

from include.archive import Archive
from include.errors import EntryUnreadable
from include.ids import conversation_id_of
from include.parsers.discord.message import SOURCE, ExportNotes, correctable, is_private_kind, to_message
from include.parsers.discord.replies import CLOSE_MESSAGES, Replies
from include.parsers.discord.roster import Roster
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.json.head import HEAD_BYTES, Head, head_of
from include.parsers.json.stream import BrokenJson, documents, entries, in_lines
from include.parsers.json.values import as_dict, as_str, identifier
from include.parsers.outcomes import exclusion_reason, outcomes, reject_file
from include.records import Conversation, Note, ParsedMany

_PLACE = re.compile(r"(?:(?:(?:item|messages|data|results?|items|hits|response|body)\.)*item)?")
"""Places of messages in a file (:class:`include.parsers.json.head.Head`); empty: the file, or a line of it, is one."""

_LISTS = ("messages", "data", "results", "result", "items", "hits", "response", "body")
"""Members of an object around messages that hold them."""

_ABOUT = ("channel", "channel_id", "channel_type")
"""Members of a message, or of the object around messages, that name the channel."""

_NESTED = 5
"""Lists and objects around a message at most."""


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield file by file; a file may hold messages of several channels.

    :raises LimitExceeded: if the archive as a whole is too big; single files and entries never raise.
    """
    conversations: dict[str, Conversation] = {}
    kinds_unknown: set[str] = set()
    ahead: deque[Any] = deque()
    read_as = partial(
        to_message,
        roster=Roster({}),
        export_notes=(export_notes := ExportNotes()),
        replies=Replies(ahead),
        skip_bots=options.bots == "skip",
    )
    outlines: dict[str, tuple[dict[str, Any], str]] = {}
    for name in archive.names():
        try:
            outlines[name] = _outline(archive, name)
        except EntryUnreadable as error:
            yield from reject_file(name, SOURCE, str(error))
    # Before any message: a channel is private if it is private in one of its files.
    described = {_channel_id(around): around for around, _ in outlines.values() if _kind(around)}
    for name, (around, place) in outlines.items():
        default = _channel_id(around) or PurePosixPath(name).stem
        try:
            with archive.open(name) as stream:
                found = _by_channel(_with_ahead(entries(stream, place), ahead), default)
                for channel_id, run in groupby(found, key=itemgetter(0)):
                    first = next(run)
                    if channel_id not in conversations:
                        own = around if channel_id == default else {}
                        known = (as_dict(first[2]), described.get(channel_id, {}), own)
                        about = next((one for one in known if _kind(one)), {})
                        conversations[channel_id] = _conversation(channel_id, about or own, options)
                        if not (about or exclusion_reason(conversations[channel_id], options)):
                            kinds_unknown.add(channel_id)
                    yield conversations[channel_id]
                    yield from outcomes(
                        ((position, entry) for _, position, entry in chain((first,), run)),
                        partial(read_as, conversation=conversations[channel_id]),
                        conversation=conversations[channel_id],
                        place=name,
                        correctable=correctable,
                        skip_reason=exclusion_reason(conversations[channel_id], options),
                    )
        except (BrokenJson, EntryUnreadable) as error:
            yield from reject_file(name, SOURCE, str(error))
    yield from export_notes.notes()
    yield Note(code="maybe_private", count=len(kinds_unknown))


def _outline(archive: Archive, name: str) -> tuple[dict[str, Any], str]:
    """Return the channel's members of the object around the messages, and the path of the list; empty for lines."""
    with archive.open(name) as stream:
        data = stream.read(HEAD_BYTES)
    head = head_of(data)
    place = _place(head) or ""
    if head.start == "[" and not in_lines(data):
        return {}, "item"
    if head.start == "{" and place and not in_lines(data):
        return _around(archive, name), f"{place.partition('item')[0]}item"
    return {}, ""


def _around(archive: Archive, name: str) -> dict[str, Any]:
    """Read the members around the messages; and those after them if the kind of channel is not before them."""
    members: dict[str, Any] = {}
    for early in (True, False):
        try:
            with archive.open(name) as stream:
                for document in documents(stream, members=_ABOUT, lists=_LISTS, early=early):
                    members = document.members
        except BrokenJson:
            pass  # reported where the messages are read
        if _kind(members):
            break
    return members


def _flat(value: Any, around: Mapping[str, Any] | None = None, depth: int = 0) -> Iterator[Any]:
    """Yield the messages of a page, or of an object around messages; anything else as it is."""
    inner = value if isinstance(value, list) else None
    if isinstance(value, dict) and "author" not in value and "id" not in value:
        inner = next((value[key] for key in _LISTS if isinstance(value.get(key), list | dict)), None)
        around = {key: value[key] for key in _ABOUT if key in value}
    if inner is None or depth > _NESTED:
        if around and isinstance(value, dict):
            value = {**around, **value}
        yield value
        return
    for one in inner if isinstance(inner, list) else (inner,):
        yield from _flat(one, around, depth + 1)


def _with_ahead(values: Iterator[Any], ahead: deque[Any]) -> Iterator[Any]:
    """Yield entries, with the next ones in ``ahead``: the message that a reply answers may come later."""
    ahead.clear()
    broken: Exception | None = None
    try:
        for value in values:
            if isinstance(value, dict) and "author" in value:
                ahead.append(value)
            else:
                ahead.extend(_flat(value))
            while len(ahead) > CLOSE_MESSAGES:
                yield ahead.popleft()
    except (BrokenJson, EntryUnreadable) as error:
        broken = error  # raised after the entries before it
    while ahead:
        yield ahead.popleft()
    if broken:
        raise broken


def _by_channel(read: Iterable[Any], channel_id: str) -> Iterator[tuple[str, int, Any]]:
    """Yield channel, position and entry; an entry that names no channel belongs to that of the entry before it."""
    for position, entry in enumerate(read):
        if isinstance(entry, dict):
            channel_id = _channel_id(entry) or channel_id
        yield channel_id, position, entry


def _channel_id(about: Mapping[str, Any]) -> str:
    return identifier(about, "channel_id") or identifier(about, "channel") or identifier(as_dict(about.get("channel")))


def _kind(about: Mapping[str, Any]) -> str:
    """Return the kind of channel, a name or a number, as text; empty if it is not given."""
    kind = about.get("channel_type", as_dict(about.get("channel")).get("type"))
    return str(kind) if isinstance(kind, int | str) else ""


def _conversation(channel_id: str, about: Mapping[str, Any], options: ParseOptions) -> Conversation:
    return Conversation(
        conversation_id=conversation_id_of(
            options.id_template, source=SOURCE, workspace="", channel=channel_id, channel_id=channel_id
        ),
        source=SOURCE,
        kind="group",
        channel_id=channel_id,
        name=as_str(as_dict(about.get("channel")).get("name")).strip() or channel_id,
        channel=channel_id,
        private=is_private_kind(_kind(about)),
        private_reason=f"of the kind {_kind(about)}" if is_private_kind(_kind(about)) else "",
    )


def _place(head: Head) -> str | None:
    """Return the place of messages whose authors have a ``username``; none if there are none."""
    for place in head.keys:
        author = f"{place}.author" if place else "author"
        if _PLACE.fullmatch(place) and head.has(place, "id", "timestamp", "author") and head.has(author, "username"):
            return place
    return None


def matches_file(head: Head) -> bool:
    """Return whether a file has messages of the API, in any lists and objects around them."""
    return _place(head) is not None


FORMAT = Format(
    name="discord_api",
    parse=parse,
    matches_file=matches_file,
)
