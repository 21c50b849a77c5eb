"""The JSON that v1 and v2 have in common: shapes of answers, fields of a message, encoding and decoding."""

from collections.abc import Iterable
from typing import Any

import msgspec

from include.errors import Refused
from include.memory_api import failures
from include.memory_api.contract import Episode
from include.memory_api.readback import milliseconds
from include.records import Outgoing


class Envelope[T](msgspec.Struct):
    """Every answer is under ``data``. Fields that are not declared here are not decoded."""

    data: T


class AddResult(msgspec.Struct):
    """Answer to an add: ``queued``, or ``accumulated`` or ``extracted`` when the work is done already."""

    status: str | None = None
    message_count: int | None = None


class FlushResult(msgspec.Struct):
    """Answer to a flush: ``extracted``, ``no_extraction`` or, in v2, ``queued``."""

    status: str


class EpisodeItem(msgspec.Struct):
    """An episode. ``timestamp`` is ISO 8601."""

    id: str = ""
    session_id: str | None = None
    subject: str | None = None
    summary: str | None = None
    episode: str | None = None
    timestamp: str | None = None
    score: float | None = None

    def episode_of(self, segment_id: str | None, owner: str = "") -> Episode:
        """Return the contract's form of the episode."""
        return Episode(
            segment_id=segment_id or "",
            owner=owner,
            title=self.subject or "",
            text=self.episode or self.summary or "",
            timestamp_ms=milliseconds(self.timestamp),
            score=self.score,
        )


class EpisodePage[E: EpisodeItem](msgspec.Struct):
    """One page of episodes."""

    episodes: list[E] | None = None
    total_count: int | None = None


def best_first(episodes: Iterable[Episode], limit: int) -> list[Episode]:
    """Return the episodes with the highest scores; of the copies that several owners hold, one."""
    unique: dict[tuple[str, int | None, str], Episode] = {}
    for episode in sorted(episodes, key=lambda episode: episode.score or 0.0, reverse=True):
        unique.setdefault((episode.segment_id, episode.timestamp_ms, episode.text), episode)
    return list(unique.values())[:limit]


def message_fields(message: Outgoing) -> dict[str, Any]:
    """Return the fields of a message that both versions take."""
    return {
        "sender_id": message.sender_id,
        "sender_name": message.sender_name,
        "role": message.role,
        "timestamp": message.timestamp_ms,
        "content": message.text,
    }


def encode(body: object, call: str) -> bytes:
    """
    Return a body as JSON.

    :param call: description of the call, without chat text: ``add of 50 messages to slack_general``.
    :raises Refused: a text or a name is not valid Unicode; nothing was sent.
    """
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        reason = "text or a name holds half a surrogate pair, which UTF-8 cannot carry"
        raise Refused(f"{call}: {reason}; nothing was sent.", status=422, reason=reason) from None


def decode[T](reply: failures.Reply, type_: type[T], call: str, *, api_version: str) -> T:
    """
    Return the body of an answer with a status of 2xx.

    :param type_: type of the whole body, with its envelope.
    :param call: description of the call, as for :func:`encode`.
    :raises OutcomeUnknown: the body is not JSON of this type.
    :raises ChatImportError: the status is not 2xx; see :func:`include.memory_api.failures.from_status`.
    """
    if not 200 <= reply.status < 300:
        raise failures.from_status(call, reply)
    try:
        return msgspec.json.decode(reply.body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = f"HTTP {reply.status} with an answer that is not EverOS {api_version}"
        raise failures.unknown(call, detail) from None
