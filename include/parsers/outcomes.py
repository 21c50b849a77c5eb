"""One entry in, one outcome out: the counting and bookkeeping that every list of messages needs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import astuple

from include.errors import EntryUnreadable
from include.parsers.formats import ParseOptions
from include.parsers.json_stream import BrokenJson
from include.parsers.values import identifier, mapping, objects, string
from include.records import Conversation, Entries, Message, Messages, Parsed, ParsedMany, Rejected, Row, Skipped

ToMessage = Callable[[dict[str, Any], str], Message]
"""Makes a message of an object and its origin, or raises :class:`Skip` or :class:`Reject`."""


_AT_ONCE = 1_000
_CHARACTERS_AT_ONCE = 1 << 20
"""Of text. A record of messages has this many of them or characters, so memory stays bounded."""


class Skip(Exception):
    """The entry is left out on purpose; its argument is the reason."""


class Reject(Exception):
    """The entry is broken; its argument says what was expected and what was found."""


def left_out(conversation: Conversation, options: ParseOptions) -> str:
    """Return why a conversation is not imported at all; empty if it is."""
    if not options.selects(conversation.conversation_id, conversation.name):
        return "excluded"
    return "private" if conversation.private and not options.include_private else ""


def outcomes(
    entries: Iterable[tuple[int, Any]],
    to_message: ToMessage,
    *,
    conversation: Conversation,
    place: str,
    leave_out: str = "",
) -> Iterator[ParsedMany]:
    """
    Yield one outcome per entry, the messages as rows, and then their number.

    Where the list breaks off, the rest counts as one rejected entry.

    :param entries: Positions and entries. An entry may be a :class:`BrokenJson`: one that could not be read by itself.
    :param place: What the entries' positions are appended to: ``general.json`` gives ``general.json[7]``.
    :param leave_out: Skip every entry for this reason.
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
                if leave_out or type(entry) is not dict:
                    raise _no_message(entry, leave_out)
                message = to_message(entry, origin)
                rows.append(astuple(message))
                characters += len(message.text)
            except Skip as skip:
                yield Skipped(source=source, conversation_id=conversation_id, reason=str(skip), origin=origin)
            except Reject as reject:
                yield Rejected(
                    source=source,
                    conversation_id=conversation_id,
                    reason=str(reject),
                    origin=origin,
                    entry=_correctable(entry) if isinstance(entry, dict) else None,
                )
            if len(rows) >= _AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
                yield Messages(conversation_id=conversation_id, rows=rows)
                rows, characters = [], 0
    except (BrokenJson, EntryUnreadable) as error:
        count += 1
        origin = f"{place}[{position + 1}]"
        yield Rejected(source=source, conversation_id=conversation_id, reason=str(error), origin=origin)
    if rows:
        yield Messages(conversation_id=conversation_id, rows=rows)
    yield Entries(conversation_id=conversation_id, count=count)


def _no_message(entry: Any, leave_out: str) -> Skip | Reject:
    """Return why an entry is no message, whatever it says."""
    if leave_out:
        return Skip(leave_out)
    if isinstance(entry, BrokenJson):
        return Reject(str(entry))
    return Reject(f"expected an object, found {_JSON_NAMES.get(type(entry), 'a number')}")


def _correctable(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a person needs to mend an entry, in EverOS's words, as far as it is there."""
    author, content, time = mapping(entry.get("author")), entry.get("content"), entry.get("timestamp")
    if isinstance(content, list):
        content = "\n".join(string(part.get("text")) for part in objects(content))
    given = {
        "message_id": identifier(entry, "message_id") or identifier(entry),
        "sender_id": identifier(entry, "sender_id") or identifier(entry, "sender") or identifier(author),
        "sender_name": entry.get("sender_name") or author.get("name") or author.get("username"),
        "role": entry.get("role"),
        "timestamp": entry.get("create_time") if time is None else time,
        "content": content,
    }
    return {name: value for name, value in given.items() if isinstance(value, str | int | float) and value != ""}


_JSON_NAMES = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}


def unreadable(origin: str, source: str, reason: str, conversation_id: str = "") -> Iterator[Parsed]:
    """Yield the outcome of a file, or a part of one, whose entries cannot be told: one entry, rejected."""
    yield Rejected(source=source, conversation_id=conversation_id, reason=reason, origin=origin)
    yield Entries(conversation_id=conversation_id, count=1)
