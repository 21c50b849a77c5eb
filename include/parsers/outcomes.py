"""Turns each entry of a list into exactly one outcome, and counts them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import astuple

from include.errors import EntryUnreadable
from include.parsers.formats import ParseOptions
from include.parsers.json.stream import BrokenJson
from include.records import Conversation, Entries, Message, Messages, Parsed, ParsedMany, Rejected, Row, Skipped

ToMessage = Callable[[Any, str], Message | Row]
"""Makes a message, or its row, of an object and its origin, or raises :class:`Skip` or :class:`Reject`."""

Correctable = Callable[[Any], dict[str, Any]]
"""
Returns the fields of a rejected entry that a user can correct, under the names of EverOS JSON: ``message_id``,
``sender_id``, ``sender_name``, ``role``, ``timestamp``, ``content``. Missing and empty values are dropped later.
"""


_AT_ONCE = 1_000
_CHARACTERS_AT_ONCE = 1 << 20
"""Of text. A record of messages has this many of them or characters, so memory stays bounded."""


_TEXT = Message.__struct_fields__.index("text")


class Skip(Exception):
    """The entry is left out on purpose; its argument is the reason."""


class Reject(Exception):
    """The entry is broken; its argument is the reason: what was expected and what was found."""


def exclusion_reason(conversation: Conversation, options: ParseOptions) -> str:
    """Return the reason to skip a whole conversation; empty if it is imported."""
    if not options.selects(conversation.conversation_id, conversation.name):
        return "excluded"
    return "private" if conversation.private and not options.include_private else ""


def outcomes(
    entries: Iterable[tuple[int, Any]],
    to_message: ToMessage,
    *,
    conversation: Conversation,
    place: str,
    correctable: Correctable | None = None,
    skip_reason: str = "",
    usual: type = dict,
) -> Iterator[ParsedMany]:
    """
    Yield one outcome per entry, the messages as rows, and then their number.

    Where the list breaks off, the rest counts as one rejected entry.

    :param entries: Positions and entries. An entry may be a :class:`BrokenJson`: one that could not be decoded.
    :param place: Prefix of the entries' positions: ``general.json`` gives ``general.json[7]``.
    :param correctable: Default: rejected entries cannot be corrected.
    :param skip_reason: Skip every entry for this reason.
    :param usual: Another form in which ``to_message`` and ``correctable`` take objects.
    """
    source, conversation_id = conversation.source, conversation.conversation_id
    rows: list[Row] = []
    count = characters = 0
    position = -1
    try:
        for position, entry in entries:
            count += 1
            origin = f"{place}[{position}]"
            try:
                if skip_reason or (type(entry) is not usual and type(entry) is not dict):
                    raise _no_message(entry, skip_reason)
                message = to_message(entry, origin)
                row = message if isinstance(message, tuple) else astuple(message)
                rows.append(row)
                characters += len(row[_TEXT])
            except Skip as skip:
                yield Skipped(source=source, conversation_id=conversation_id, reason=str(skip), origin=origin)
            except Reject as reject:
                yield Rejected(
                    source=source,
                    conversation_id=conversation_id,
                    reason=str(reject),
                    origin=origin,
                    entry=_given(correctable(entry)) if correctable and isinstance(entry, dict | usual) else None,
                )
            if len(rows) >= _AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
                yield Messages(conversation_id=conversation_id, rows=rows)
                rows, characters = [], 0
    except (BrokenJson, EntryUnreadable) as error:
        count += 1
        origin = f"{place}[{position + 1}]"
        yield Rejected(
            source=source,
            conversation_id=conversation_id,
            reason=str(error),
            origin=origin,
            unread=not skip_reason,
        )
    if rows:
        yield Messages(conversation_id=conversation_id, rows=rows)
    yield Entries(conversation_id=conversation_id, count=count)


def _no_message(entry: Any, skip_reason: str) -> Skip | Reject:
    """Return the outcome of an entry that cannot be a message."""
    if skip_reason:
        return Skip(skip_reason)
    if isinstance(entry, BrokenJson):
        return Reject(str(entry))
    return Reject(f"expected an object, found {_JSON_NAMES.get(type(entry), 'a number')}")


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value which a user can read and correct."""
    return {name: value for name, value in fields.items() if isinstance(value, str | int | float) and value != ""}


_JSON_NAMES = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}


def reject_file(origin: str, source: str, reason: str, conversation_id: str = "") -> Iterator[Parsed]:
    """Yield the outcome of a file, or a part of one, whose entries cannot be counted: one rejected entry."""
    yield Rejected(source=source, conversation_id=conversation_id, reason=reason, origin=origin, unread=True)
    yield Entries(conversation_id=conversation_id, count=1)
