"""
Gives each message its segment, the unit of order, lock and flush, and the session of API v2.

::

    thread-day     slack_general.2026-03-01                            the messages of one day (UTC) outside threads
                   slack_general.2026-03-01.thread-1772355600.000100   a Slack thread: the root and its replies
                   slack_general.2026-03-01.2                          what does not fit in the one before
    conversation   slack_general                                       the whole conversation

Discord's threads are conversations of their own already, and its replies make none: there are days only. A personal
history is one segment, the session as it was given.

Pieces are numbered over all messages of a segment that the exports show, also those that have landed or are out of
range, so that a number does not depend on what was loaded before. A message of a call without an outcome stays in the
segment that the call was made for.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.columns import text_bytes
from include.ids import MAX_ID_CHARACTERS
from include.memory_layout import Segmentation

MAX_MESSAGES = 400
MAX_BYTES = 128_000
"""
Of a segment, the bytes those of 32,000 tokens: a flush of more than 499 messages or 65,536 tokens is cut blindly
(server 1.5.1).
"""

_DAY_US = 86_400_000_000
_TIME_ID = re.compile(r"[0-9]{9,11}([.][0-9]{1,9})?")
"""A Slack ``ts``: seconds since 1970."""

_SEGMENT = re.compile(
    r"(?P<start>.+)[.](?P<name>\d{4}-\d\d-\d\d([.]thread-\d{9,11}([.]\d{3,9})?)?|thread-[0-9a-f]{16})([.]\d+)?"
)
"""An id of :func:`segment_id_of`: what is left of the conversation's, the name, and the number of a continuation."""

Numbers = npt.NDArray[np.int64]
Choice = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Threads:
    """Facts about Slack's threads that a single pass over the messages cannot know."""

    roots: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows, ascending, of messages that do not name a thread, and that others name as theirs."""

    large: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By conversation id, the threads that may not fit in one segment."""


@dataclass
class _Piece:
    """The last piece of a segment so far."""

    number: int = 1
    messages: int = 0
    bytes: int = 0


class Segments:
    """
    Feed it the messages in order; carries its state over batch edges, within a conversation.

    :param whole: Conversations that are one segment: personal histories.
    :param pinned: Conversation id, then message id, to the segment that it must stay in.
    """

    def __init__(
        self,
        kind: Segmentation = "conversation",
        *,
        threads: Threads | None = None,
        whole: Collection[str] = (),
        pinned: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._by_day = kind == "thread-day"
        self._threads = threads or Threads()
        self._whole = whole
        self._pinned = pinned or {}
        self._conversation_id: str | None = None
        self._pieces: dict[str, _Piece] = {}
        """Of segments that may go on: the last day, and large threads."""

    def assign(self, conversation_id: str, run: pa.RecordBatch, counted: Choice) -> Any:
        """
        Return the segment of each message of a stretch of one conversation.

        :param counted: Which of them exist: a duplicate fills no segment.
        """
        if conversation_id != self._conversation_id:
            self._conversation_id, self._pieces = conversation_id, {}
        if not self._by_day or conversation_id in self._whole:
            segments: Any = pa.repeat(conversation_id, run.num_rows)
        else:
            names, codes, may_go_on = self._named(run)
            numbers = self._numbered(names, codes, may_go_on, text_bytes(run), counted)
            segments = _ids(conversation_id, names, codes, numbers)
        pinned = self._pinned.get(conversation_id, {})
        if not pinned:
            return segments
        ids: Any = zip(run["message_id"].to_pylist(), segments.to_pylist(), strict=True)
        return pa.array([pinned.get(message_id, segment) for message_id, segment in ids], pa.string())

    def _named(self, run: pa.RecordBatch) -> tuple[list[str], Numbers, set[str]]:
        """Return the names of days and threads, the place of each message's among them, and which may go on."""
        days, day_codes = np.unique(run["sent_at_us"].to_numpy() // _DAY_US, return_inverse=True)
        names = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
        may_go_on = {names[-1]}
        if run["source"][0].as_py() != "slack":
            return names, day_codes, may_go_on
        is_root = pa.array(np.isin(run["row"].to_numpy(), self._threads.roots))
        threads: Any = pc.if_else(is_root, run["message_id"], run["thread_id"])
        if threads.null_count == len(threads):
            return names, day_codes, may_go_on
        encoded = pc.dictionary_encode(threads)
        in_thread = threads.is_valid().to_numpy(zero_copy_only=False)
        thread_codes = encoded.indices.fill_null(0).to_numpy().astype(np.int64)
        ids = encoded.dictionary.to_pylist()
        large = self._threads.large.get(str(self._conversation_id), ())
        may_go_on |= {_thread(id_) for id_ in ids if id_ in large} if large else set()
        return (
            names + [_thread(id_) for id_ in ids],
            np.where(in_thread, len(names) + thread_codes, day_codes),
            may_go_on,
        )

    def _numbered(
        self, names: list[str], codes: Numbers, may_go_on: set[str], sizes: npt.NDArray[np.int64], counted: Choice
    ) -> Numbers:
        """Return the number of each message's piece; few segments need more than one."""
        numbers = np.ones(len(codes), dtype=np.int64)
        messages = np.bincount(codes[counted], minlength=len(names))
        size = np.bincount(codes[counted], weights=sizes[counted], minlength=len(names))
        is_full = (messages > MAX_MESSAGES) | (size > MAX_BYTES)
        before = self._pieces
        self._pieces = {name: before[name] for name in before if "thread" in name or name in may_go_on}
        for code, name in enumerate(names):
            if messages[code] and (is_full[code] or name in may_go_on or name in before):
                piece = before.get(name) or _Piece()
                here = np.flatnonzero((codes == code) & counted)
                numbers[here] = _pieces(piece, sizes[here])
                if name in may_go_on:
                    self._pieces[name] = piece
        return numbers


def segment_id_of(conversation_id: str, name: str, number: int = 1) -> str:
    """
    Return the id of a segment, at most 128 characters; a conversation id too long for that is cut, with a digest.

    :param name: Of the day or thread within the conversation.

    >>> segment_id_of("slack_general", "2026-03-01", 2)
    'slack_general.2026-03-01.2'
    """
    tail = f".{name}" if number == 1 else f".{name}.{number}"
    if len(conversation_id) + len(tail) > MAX_ID_CHARACTERS:
        kept = MAX_ID_CHARACTERS - len(tail) - 17
        conversation_id = f"{conversation_id[:kept]}_{_digest(conversation_id)}"
    return conversation_id + tail


def conversation_of(segment_id: str, known: Collection[str]) -> str | None:
    """
    Return the one of these conversations that a segment is of; ``None`` if it is of none of them.

    >>> conversation_of("slack_general.2026-03-01.2", {"slack_general", "slack"})
    'slack_general'
    """
    if segment_id in known:
        return segment_id
    named = _SEGMENT.fullmatch(segment_id)
    start = named["start"] if named else ""
    if not start or start in known:
        return start or None
    kept, _, digest = start.rpartition("_")
    return next((name for name in known if name.startswith(kept) and _digest(name) == digest), None)


def thread_of(segment_id: str) -> str | None:
    """
    Return the first segment of a thread, which its numbered continuations follow; ``None`` outside threads.

    >>> thread_of("slack_general.2026-03-01.thread-1772355600.000100.2")
    'slack_general.2026-03-01.thread-1772355600.000100'
    """
    named = _SEGMENT.fullmatch(segment_id)
    return f"{named['start']}.{named['name']}" if named and "thread-" in named["name"] else None


def _thread(thread_id: str) -> str:
    """Return the name of a thread: the day of its root, as the id says, and the id."""
    if not _TIME_ID.fullmatch(thread_id):
        return f"thread-{_digest(thread_id)}"
    return f"{datetime.fromtimestamp(int(thread_id.partition('.')[0]), UTC):%Y-%m-%d}.thread-{thread_id}"


def _pieces(piece: _Piece, sizes: npt.NDArray[np.int64]) -> Numbers:
    """Return the number of the piece that each message goes to, and move ``piece`` to the last."""
    numbers = np.empty(len(sizes), dtype=np.int64)
    for place, size in enumerate(sizes.tolist()):
        if piece.messages and (piece.messages == MAX_MESSAGES or piece.bytes + size > MAX_BYTES):
            piece.number, piece.messages, piece.bytes = piece.number + 1, 0, 0
        piece.messages += 1
        piece.bytes += size
        numbers[place] = piece.number
    return numbers


def _ids(conversation_id: str, names: list[str], codes: Numbers, numbers: Numbers) -> Any:
    most = int(numbers.max(initial=1)) + 1
    pairs, places = np.unique(codes * most + numbers, return_inverse=True)
    ids = [segment_id_of(conversation_id, names[pair // most], pair % most) for pair in pairs.tolist()]
    return pa.array(ids, pa.string()).take(pa.array(places, pa.int64()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
