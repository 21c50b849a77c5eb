"""
Replaces credentials in records before they are staged, and counts them by kind.

Credentials in addresses (``?token=…``, ``user:password@``) are always replaced, because people do not write them;
those in text are replaced if the run asks for it. A credential becomes ``[redacted <kind>]``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from include.credentials import ANYWHERE, BLOCKS, IN_ADDRESSES, LONG, WHERE_LONG, Kind
from include.records import Conversation, Message, Messages, ParsedMany, Rejected, Row

type _ByHint = tuple[tuple[str, tuple[tuple[int, Kind], ...]], ...]


def _by_hint(kinds: Sequence[Kind]) -> _ByHint:
    """Return the kinds by hint, each with its rank, so that each hint is searched once."""
    hints = sorted({hint for kind in kinds for hint in kind.hints})
    return tuple(
        (hint, tuple((place, kind) for place, kind in enumerate(kinds) if hint in kind.hints)) for hint in hints
    )


_ADDRESSES = _by_hint(IN_ADDRESSES)
_EVERYTHING = _by_hint((*IN_ADDRESSES, *BLOCKS, *WHERE_LONG, *ANYWHERE))
_WHERE_NOT_LONG = _by_hint((*IN_ADDRESSES, *BLOCKS, *ANYWHERE))

_TEXT = Message.__struct_fields__.index("text")
_NONE: Mapping[str, int] = {}


def redact(text: str, *, everything: bool) -> tuple[str, Mapping[str, int]]:
    """
    Return the text without credentials, and how many of each kind there were.

    :param everything: Look for all kinds; otherwise only for those in addresses.

    >>> redact("see https://a.example/x?id=7&token=s3cr3t-42", everything=False)
    ('see https://a.example/x?id=7&token=[redacted url token]', {'url token': 1})
    """
    lowered = text.lower()
    found: dict[str, int] = {}
    kinds = _ADDRESSES
    if everything:
        kinds = _EVERYTHING if LONG.search(text) else _WHERE_NOT_LONG
    possible = dict(each for hint, those in kinds if hint in lowered for each in those)
    for place in sorted(possible):
        text = _without(possible[place], text, found)
    return text, found or _NONE


def _without(kind: Kind, text: str, found: dict[str, int]) -> str:
    """Replace the credentials of a kind, keep the text around them, and count them."""

    def replaced(match: re.Match[str]) -> str:
        if kind.check and not kind.check(match):
            return match[0]
        found[kind.name] = found.get(kind.name, 0) + 1
        group = next((name for name in ("secret", "long") if match.re.groupindex.get(name) and match[name]), 0)
        start, end = (position - match.start() for position in match.span(group))
        return f"{match[0][:start]}[redacted {kind.name}]{match[0][end:]}"

    return kind.pattern.sub(replaced, text)


class Redactor:
    """
    Redacts the records of a parser: texts, descriptions, and rejected entries kept for correction.

    :param everything: As for :func:`redact`.
    """

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._conversations: dict[Conversation, Conversation] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """By conversation id and kind."""

    def redacted(self, records: Iterable[ParsedMany]) -> Iterator[ParsedMany]:
        """Yield the records without credentials; ids, names, times and origins stay."""
        for record in records:
            match record:
                case Messages():
                    yield self._messages(record)
                case Message():
                    text = self._text(record.text, record.conversation_id)
                    yield record if text is record.text else replace(record, text=text)
                case Conversation():
                    if record not in self._conversations:  # repeated by parsers; counted once
                        self._conversations[record] = self._conversation(record)
                    yield self._conversations[record]
                case Rejected(entry=dict(entry)):
                    yield replace(record, entry=self._json(entry, record.conversation_id))
                case _:
                    yield record

    def _messages(self, messages: Messages) -> Messages:
        rows = messages.rows
        suspects = rows if self._everything else [row for row in rows if "=" in row[_TEXT] or "://" in row[_TEXT]]
        changed: dict[int, Row] = {}
        for row in suspects:
            clean = self._text(row[_TEXT], messages.conversation_id)
            if clean is not row[_TEXT]:
                changed[id(row)] = (*row[:_TEXT], clean, *row[_TEXT + 1 :])
        if not changed:
            return messages
        return replace(messages, rows=[changed.get(id(row), row) for row in rows])

    def _text(self, text: str, conversation_id: str) -> str:
        if not self._everything and "=" not in text and "://" not in text:
            return text
        clean, found = redact(text, everything=self._everything)
        for kind, count in found.items():
            self.counts[conversation_id, kind] += count
        return clean if found else text

    def _conversation(self, conversation: Conversation) -> Conversation:
        name = conversation.conversation_id
        meta = conversation.group_meta
        if meta:
            meta = msgspec.json.encode(self._json(msgspec.json.decode(meta), name)).decode()
        return replace(conversation, description=self._text(conversation.description, name), group_meta=meta)

    def _json(self, value: Any, conversation_id: str) -> Any:
        if isinstance(value, str):
            return self._text(value, conversation_id)
        if isinstance(value, list):
            return [self._json(item, conversation_id) for item in value]
        if isinstance(value, dict):
            return {key: self._json(item, conversation_id) for key, item in value.items()}
        return value
