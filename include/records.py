"""
The records that flow from exports to EverOS, and the one Arrow schema of each.

Records are frozen ``msgspec`` structs: a million of them cost about a tenth of a second, frozen
dataclasses twenty times that.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import pyarrow as pa

Role = Literal["user", "assistant"]
Kind = Literal["group", "personal"]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, thread, direct chat or personal history; its segments are the units that are loaded in order."""

    conversation_id: str
    """Unique in a run; the ``group_id`` of v1. The sessions of v2 are its segments."""

    source: str
    """``slack``, ``discord`` or ``everos``."""

    kind: Kind
    """``personal`` histories belong to one user and go to the personal endpoints."""

    workspace: str = ""
    """Slack team or Discord guild, by name where the export has one; empty when it does not say."""

    channel_id: str
    """The platform's own id: what tells two channels with one name apart."""

    name: str
    description: str = ""

    channel: str = ""
    """
    Fills ``{channel}`` when the id is made of a template; empty where the source gives the id itself.

    Ids are made once for all exports of a run (:mod:`include.transform.naming`); until then ``conversation_id`` is the
    id that this channel would have alone.
    """

    private: bool = False

    private_reason: str = ""
    """Why it counts as private; empty if it is public."""

    as_of_us: int | None = None
    """When the export was made, Unix microseconds: of two exports the later one names the conversation."""

    user_id: str | None = None
    """Owner of a ``personal`` conversation (EverOS ``user_id``)."""

    session_id: str | None = None
    """Session inside a ``personal`` conversation; ``None`` is the user's default session."""

    group_meta: str | None = None
    """JSON object handed to EverOS v1 as ``group_meta`` just as the source gave it."""

    segment_id: str = ""
    """The segment that is spoken of, where it is one and not the whole conversation; never stored with it."""

    def segment(self, segment_id: str) -> "Conversation":
        """Return this conversation as one of its segments."""
        return self if segment_id == self.segment_id else msgspec.structs.replace(self, segment_id=segment_id)

    @property
    def identity(self) -> tuple[str, ...]:
        """
        The channel or history itself, whatever its name: equal in all exports that hold it.

        Where an export knows no ids (the name stands for the id), the workspace is part of it.
        """
        workspace = self.workspace if self.channel_id in (self.name, self.channel) else ""
        return self.source, self.kind, workspace, self.channel_id, self.user_id or ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message somebody wrote, ready to be remembered."""

    source: str
    conversation_id: str

    message_id: str
    """Unique within ``conversation_id`` only: Slack's ``ts`` digit for digit, Discord's snowflake."""

    sent_at_us: int
    """What the source said: Unix time, **microseconds**, UTC."""

    timestamp_ms: int
    """What EverOS gets: Unix time, **milliseconds**; strictly increasing within a conversation after transform."""

    edited_at_us: int | None = None
    """Time of the last edit, microseconds: among duplicates the newest edit wins."""

    sender_id: str
    """Matches ``^[a-zA-Z0-9_.@+-]{1,128}$`` (see :func:`include.ids.sender_id_of`)."""

    sender_name: str
    role: Role
    text: str
    """Plain text, never empty; markup and mentions already resolved."""

    thread_id: str | None = None
    """``message_id`` of the thread's root, or of the message it replies to (Discord), in the same conversation."""

    origin: str
    """Where it stands in the export: ``general/2024-05-01.json[4]``."""


type Row = tuple[Any, ...]
"""The fields of a :class:`Message`, or of another record, in their order."""


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    """
    Messages of one conversation, as rows: columns are made of rows in 0.4 µs a message, of structs in 0.9.

    :func:`one_by_one` makes single records of them.
    """

    conversation_id: str
    rows: list[Row]

    def under(self, conversation_id: str) -> "Messages":
        """Return them under another conversation id."""
        place = Message.__struct_fields__.index("conversation_id")
        rows = [(*row[:place], conversation_id, *row[place + 1 :]) for row in self.rows]
        return Messages(conversation_id=conversation_id, rows=rows)


def message_of(row: Row) -> Message:
    """Return the message that a row is."""
    return Message(**dict(zip(Message.__struct_fields__, row, strict=True)))


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """An entry left out on purpose, for a reason from the closed list :data:`SKIP_REASONS` or a platform's subtype."""

    source: str
    conversation_id: str
    reason: str
    origin: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A broken entry: kept where a person can look at it, never fatal for its neighbours."""

    source: str
    conversation_id: str
    """Empty when the entry cannot be tied to a conversation."""

    reason: str
    """What was expected and what was found, in words; no message text."""

    origin: str
    message_id: str | None = None

    entry: dict[str, Any] | None = None
    """
    What could be read of it, for a person to correct (:mod:`include.redo`): ``message_id``, ``sender_id``,
    ``sender_name``, ``role``, ``timestamp`` and ``content`` as they were given.
    """


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many raw entries a parser has just decoded for a conversation.

    Counted where the file is read, not where entries are judged: the conservation check compares
    this figure with the sum of messages, skipped and rejected. A file that cannot be decoded counts as one entry.
    """

    conversation_id: str
    count: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something about an export that the counts do not show and a person should know; never text."""

    code: str
    """A key of :data:`NOTES`."""

    count: int
    """Of what the code's sentence speaks of."""

    detail: str = ""
    """A name that the platform gave, such as a message's subtype."""


Parsed = Conversation | Entries | Message | Skipped | Rejected | Note
"""
What parsers yield: a :class:`Conversation` before anything of it, then one outcome per raw entry; again when they
come back to it, since what follows one belongs to it. Messages come before or after what else a part of a file holds.
"""

ParsedMany = Parsed | Messages
"""The same, with many messages in one record."""


def one_by_one(records: Iterable[ParsedMany]) -> Iterator[Parsed]:
    """Yield the records with each message by itself."""
    for record in records:
        if isinstance(record, Messages):
            yield from map(message_of, record.rows)
        else:
            yield record


SKIP_REASONS = {
    "bot": "bots=skip",
    "private": "private channel or direct message, include_private is off",
    "excluded": "the conversation is not selected by include/exclude",
    "duplicate": "the same message stands elsewhere in the exports; the newest edit was kept",
    "empty": "nothing a person wrote: no text, no file, no attachment",
    "deleted": "deleted before the export was made",
    "event": "a record about another message (edit, deletion, reply notice)",
}
"""Reasons of our own. Platform subtypes (``channel_join``, ``GuildMemberJoin``, …) stand for themselves."""


NOTES = {
    "unknown_kind": "messages of a kind new to this project, imported because they say something",
    "unknown_author": "messages that name no author, imported under the sender id unknown",
    "no_entries": "conversations that the export lists and of which it holds nothing",
    "no_messages": "canvases, lists and huddle transcripts that an export names beside its messages, not imported",
    "maybe_private": "conversations of which the export does not say whether they are private, taken for public",
    "only_own": "conversations of which the export holds only what one person wrote, and no answers",
    "shared_name": "conversations whose id takes in the workspace or the channel's id, since several have one name",
    "webhook": "messages that came by a webhook (a bridge or a service), each of its names imported as a sender",
    "unknown_zone": "conversations whose time zone cannot be told, their times without an offset taken as UTC",
    "mostly_empty": "empty messages, more than half of the export: as when a bot without the message content intent "
    "made it; give it that intent and export again",
}
"""What a :class:`Note` can say: its code and what is counted. A closed list, in the order of a report."""


def _field(name: str, type_: pa.DataType, *, nullable: bool = False) -> "pa.Field[Any]":
    return pa.field(name, type_, nullable=nullable)


MESSAGE_SCHEMA = pa.schema(
    [
        _field("source", pa.string()),
        _field("conversation_id", pa.string()),
        _field("message_id", pa.string()),
        _field("sent_at_us", pa.int64()),
        _field("timestamp_ms", pa.int64()),
        _field("edited_at_us", pa.int64(), nullable=True),
        _field("sender_id", pa.string()),
        _field("sender_name", pa.string()),
        _field("role", pa.string()),
        _field("text", pa.string()),
        _field("thread_id", pa.string(), nullable=True),
        _field("origin", pa.string()),
    ]
)
"""Messages in ``extracted/`` as found."""

ORDERED_SCHEMA = MESSAGE_SCHEMA.append(_field("segment_id", pa.string()))
"""Messages in ``messages/``: deduplicated, sorted, in range, each with its segment (:mod:`include.transform`)."""

CONVERSATION_SCHEMA = pa.schema(
    [
        _field("conversation_id", pa.string()),
        _field("source", pa.string()),
        _field("kind", pa.string()),
        _field("workspace", pa.string()),
        _field("channel_id", pa.string()),
        _field("name", pa.string()),
        _field("description", pa.string()),
        _field("channel", pa.string()),
        _field("private", pa.bool_()),
        _field("private_reason", pa.string()),
        _field("as_of_us", pa.int64(), nullable=True),
        _field("user_id", pa.string(), nullable=True),
        _field("session_id", pa.string(), nullable=True),
        _field("group_meta", pa.string(), nullable=True),
        _field("entries", pa.int64()),
        _field("imported", pa.int64()),
    ]
)
"""
Conversations with ``entries``, the raw entries decoded for each (sum of :class:`Entries`), and ``imported``, the
messages among them.

``as_of_us`` is the time of the export's newest message where the export does not say when it was made.
"""

SKIPPED_SCHEMA = pa.schema([_field(name, pa.string()) for name in ("source", "conversation_id", "reason", "origin")])

REJECTED_SCHEMA = SKIPPED_SCHEMA.append(_field("message_id", pa.string(), nullable=True))

BROKEN_SCHEMA = pa.schema([_field(name, pa.string()) for name in ("conversation_id", "reason", "origin", "entry")])
"""``broken.parquet``: rejected entries that can be corrected, ``entry`` as JSON. Holds message text."""

REDACTED_SCHEMA = pa.schema(
    [_field("conversation_id", pa.string()), _field("kind", pa.string()), _field("count", pa.int64())]
)
"""``redacted.parquet``: how many credentials of which kind were taken out (:mod:`include.redact`)."""

NOTE_SCHEMA = pa.schema(
    [
        _field("export", pa.string()),
        _field("code", pa.string()),
        _field("detail", pa.string()),
        _field("count", pa.int64()),
    ]
)
"""Notes, each once per export and detail; ``export`` is the label of the export."""


TRANSFORMED_SCHEMA = pa.schema(
    [
        *CONVERSATION_SCHEMA,
        _field("duplicates", pa.int64()),
        _field("out_of_range", pa.int64()),
        _field("already_loaded", pa.int64()),
        _field("rejected_before", pa.int64()),
        _field("shifted_ms", pa.int64()),
        _field("messages", pa.int64()),
    ]
)
"""
``conversations.parquet`` of a run: one row per conversation, merged over exports, with what transform did to it.

``rejected_before`` counts messages that the target refused in an earlier run (the ledger remembers them),
``shifted_ms`` messages whose millisecond was moved, ``messages`` what is left to load.
"""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a target gets it: what is left of :class:`Message` once it is planned."""

    message_id: str
    timestamp_ms: int
    sender_id: str
    sender_name: str
    role: Role
    text: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """
    One API call: consecutive messages of one segment, cut once and stored.

    ``key`` names the content (conversation and message ids), so it is the same in every run and try.
    """

    conversation_id: str
    segment_id: str
    number: int
    """Position in the segment's plan, from 0."""

    key: str
    messages: tuple[Outgoing, ...]


BATCH_SCHEMA = pa.schema(
    [
        _field("conversation_id", pa.string()),
        _field("segment_id", pa.string()),
        _field("number", pa.int32()),
        _field("key", pa.string()),
        pa.field(
            "messages",
            pa.list_(
                pa.field(
                    "element",
                    pa.struct(
                        [
                            _field("message_id", pa.string()),
                            _field("timestamp_ms", pa.int64()),
                            _field("sender_id", pa.string()),
                            _field("sender_name", pa.string()),
                            _field("role", pa.string()),
                            _field("text", pa.string()),
                        ]
                    ),
                    nullable=False,
                )
            ),
            nullable=False,
        ),
    ]
)
"""A chunk file: one row per batch. A row group holds the batches of many segments."""


class PlannedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's part of the plan, and where its batches are: rows of one chunk file."""

    conversation_id: str
    segment_id: str
    chunk: int
    rows: tuple[int, ...]
    """First row and number of rows of each stretch of batches: ``first, count, first, count, …``."""

    batches: int
    messages: int
    bytes: int
    """UTF-8 bytes of text."""

    first_ms: int
    last_ms: int
    held: bool = False
    """Left for another run, since this one may make only so many calls of the language model."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """The work of one mapped load task; small enough for XCom, holds no text."""

    number: int
    """Of its file in the plan, too."""

    fingerprint: str
    """Digest of the chunk's batch keys in order: stored progress of another plan is refused by it."""

    label: str
    """Which conversations, for the task's name in the UI."""

    planned_ms: int = 0
    """When it was planned, Unix milliseconds; 0 where nobody has noted it."""

    conversations: int
    segments: int
    batches: int
    messages: int
