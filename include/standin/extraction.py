"""
How the stand-in makes memories: a cut at every long silence, and sentences that people really wrote.

EverOS asks a language model for both. Here nothing is invented, so that an answer found in the stand-in proves that the
messages arrived, and nothing more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

SILENCE_MS = 30 * 60 * 1000
"""A pause longer than this ends an episode."""

EPISODE_MESSAGES = 60
"""
Longest episode: a model sees a new topic every few dozen messages.

The reference server cuts by force at 500, so with a larger value more than the 100 messages that a
``raw_message`` search shows can be pending.
"""

_SUBJECT_CHARS = 80
_SUMMARY_CHARS = 200


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it lies in the store."""

    row: int
    sender_id: str
    sender_name: str
    timestamp_ms: int
    text: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An episode before it has an id."""

    subject: str
    summary: str
    episode: str
    participants: tuple[str, ...]
    sender_ids: tuple[str, ...]
    timestamp_ms: int
    """Of its last message, as in the reference server (``ConvMemCellExtractor``)."""


def cut(messages: Sequence[Stored], *, most: int = EPISODE_MESSAGES) -> list[list[Stored]]:
    """Split messages, in the order given, after every silence and after ``most`` messages."""
    pieces: list[list[Stored]] = []
    for message in messages:
        silent = bool(pieces) and message.timestamp_ms - pieces[-1][-1].timestamp_ms > SILENCE_MS
        if not pieces or silent or len(pieces[-1]) >= most:
            pieces.append([])
        pieces[-1].append(message)
    return pieces


def draft(messages: Sequence[Stored]) -> Draft:
    """Make an episode out of one piece of conversation: who said what, word for word."""
    lines = [f"{m.sender_name or m.sender_id}: {m.text}" for m in messages]
    names = tuple(dict.fromkeys(m.sender_name or m.sender_id for m in messages))
    day = datetime.fromtimestamp(messages[0].timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    return Draft(
        subject=_short(messages[0].text, _SUBJECT_CHARS),
        summary=_short(f"{day} UTC, {', '.join(names)}. {lines[0]}", _SUMMARY_CHARS),
        episode="\n".join([f"{day} UTC", *lines]),
        participants=names,
        sender_ids=tuple(dict.fromkeys(m.sender_id for m in messages)),
        timestamp_ms=messages[-1].timestamp_ms,
    )


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
