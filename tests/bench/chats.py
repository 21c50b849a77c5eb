"""Writes chats as EverOS JSON with known message ids, so that the content of a target can be checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from include.standin.journal import conversation_key

_FIRST_MS = 1_750_000_000_000
_STEP_MS = 20_000
_SILENCE_MS = 2 * 60 * 60 * 1000
_PEOPLE = ("ann", "bob", "cho")


@dataclass(frozen=True, kw_only=True)
class Chats:
    """An export and the message ids in it."""

    path: Path
    expected: Mapping[str, Sequence[str]]
    """Conversation, as the stand-in's journal names it, to its message ids, oldest first; ids are unique over all."""

    @property
    def messages(self) -> int:
        """How many there are."""
        return sum(len(ids) for ids in self.expected.values())


def write_chats(
    path: Path,
    sizes: Sequence[int],
    *,
    prefix: str = "chat",
    silence_every: int | None = 17,
    people: int = 3,
    own_people: bool = False,
) -> Chats:
    """
    Write one conversation of each size; the last of several is a personal one, with an assistant.

    :param prefix: Of the names of conversations, which are ``chat-00`` and so on.
    :param silence_every: A pause of two hours, which ends an episode, after every so many messages; ``None``: no pause.
    :param people: How many take turns in a group; at most three, unless these are ``own_people``.
    :param own_people: Groups share nobody.
    """
    documents, expected = [], {}
    for number, size in enumerate(sizes):
        personal = number == len(sizes) - 1 > 0
        name = f"{prefix}-{number:02}"
        owner = {"user_id": "ann", "session_id": name} if personal else {"group_id": name}
        names = [f"{name}-p{person}" for person in range(people)] if own_people else _PEOPLE[:people]
        messages = [
            _message(name, position, at_ms, personal=personal, people=names)
            for position, at_ms in enumerate(_times_ms(size, silence_every))
        ]
        documents.append({**owner, "messages": messages})
        expected[conversation_key(**owner)] = [message["message_id"] for message in messages]
    path.write_text(json.dumps(documents))
    return Chats(path=path, expected=expected)


def _times_ms(count: int, silence_every: int | None) -> list[int]:
    pauses = (_SILENCE_MS if silence_every and at % silence_every == 0 else _STEP_MS for at in range(1, count))
    return list(accumulate(pauses, initial=_FIRST_MS))


def _message(name: str, position: int, at_ms: int, *, personal: bool, people: Sequence[str]) -> dict[str, Any]:
    assistant = personal and position % 2 == 1
    sender = "assistant" if assistant else "ann" if personal else people[position % len(people)]
    return {
        "message_id": f"{name}.{position:05}",
        "sender_id": sender,
        "sender_name": sender.title(),
        "role": "assistant" if assistant else "user",
        "timestamp": at_ms,
        "content": f"{sender} has something to say about point {position} on the list, and says it.",
    }
