"""
The records that flow from exports to EverOS. The Arrow schema of each is derived from its fields.

Records are frozen ``msgspec`` structs: a million of them cost about a tenth of a second, frozen
dataclasses twenty times that.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import msgspec.inspect
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
    """Name or id of the Slack team or Discord guild; empty if the export does not have it."""

    channel_id: str
    """The platform's id; it differs for two channels with one name."""

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
    """The reason why it counts as private; empty if it is public."""

    as_of_us: int | None = None
    """Time of the export, Unix microseconds. The name of a conversation is that in its latest export."""

    user_id: str | None = None
    """Owner of a ``personal`` conversation (EverOS ``user_id``)."""

    session_id: str | None = None
    """Session inside a ``personal`` conversation; ``None`` is the user's default session."""

    group_meta: str | None = None
    """JSON object for EverOS v1's ``group_meta``, unchanged from the source."""

    time_zone: str = ""
    """Zone of the source's times without an offset: ``Asia/Shanghai``, ``UTC+08:00``; empty: UTC, or none is known."""

    segment_id: str = ""
    """The segment that is spoken of, where it is one and not the whole conversation; never stored with it."""

    def segment(self, segment_id: str) -> "Conversation":
        """Return this conversation as one of its segments."""
        return self if segment_id == self.segment_id else msgspec.structs.replace(self, segment_id=segment_id)

    @property
    def identity(self) -> tuple[str, ...]:
        """
        Key of the channel or history, independent of its name: equal in all exports that hold it.

        Where an export has no ids (the name is used as the id), the workspace is part of it.
        """
        workspace = self.workspace if self.channel_id in (self.name, self.channel) else ""
        return self.source, self.kind, workspace, self.channel_id, self.user_id or ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, as EverOS will get it."""

    source: str
    conversation_id: str

    message_id: str
    """Unique within ``conversation_id`` only: Slack's ``ts`` digit for digit, Discord's snowflake."""

    sent_at_us: int
    """Time in the export: Unix time, **microseconds**, UTC."""

    timestamp_ms: int
    """Time for EverOS: Unix time, **milliseconds**; strictly increasing within a conversation after transform."""

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
    """Position in the export: ``general/2024-05-01.json[4]``."""


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
    """An entry that is not imported, on purpose. The reason is in :data:`SKIP_REASONS` or a platform's subtype."""

    source: str
    conversation_id: str
    reason: str
    origin: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A broken entry. It is reported, and does not stop the import of other entries."""

    source: str
    conversation_id: str
    """Empty when the entry cannot be tied to a conversation."""

    reason: str
    """A sentence with the expected and the found value; no message text."""

    origin: str
    message_id: str | None = None

    unread: bool = False
    """Whether it stands for a file, or the rest of one, that could not be read: it may hold any number of messages."""

    entry: dict[str, Any] | None = None
    """
    The readable part of it, for correction (:mod:`include.corrections`): ``message_id``, ``sender_id``,
    ``sender_name``, ``role``, ``timestamp`` and ``content`` as the export has them.
    """


def named_files(rejected: Sequence[Rejected], most: int = 3) -> str:
    """Return the first of these files, each with the reason for which it cannot be read, in one line."""
    more = f" and {len(rejected) - most} more" if len(rejected) > most else ""
    return ", ".join(f"{each.origin} ({each.reason.rstrip('.')})" for each in rejected[:most]) + more


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """
    The number of raw entries that a parser has just decoded for a conversation.

    Parsers count where they read the file, not where they classify entries: the conservation check compares this
    number with the sum of messages, skipped and rejected. A file that cannot be decoded counts as one entry.
    """

    conversation_id: str
    count: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A property of an export that the counts do not show and the user should know; never text."""

    code: str
    """A key of :data:`NOTES`."""

    count: int
    """Number of the things that the code's description names."""

    detail: str = ""
    """A name from the platform, such as a message's subtype."""


Parsed = Conversation | Entries | Message | Skipped | Rejected | Note
"""
The records that parsers yield: a :class:`Conversation`, then one outcome for each of its raw entries. A parser that
returns to a conversation yields it again. Within a part of a file, messages may come before or after other outcomes.
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
    "bot": "messages of bots and apps, with bots=skip",
    "private": "messages of private channels and direct messages, without include_private",
    "excluded": "messages of conversations that include and exclude do not select",
    "duplicate": "further copies of a message in the exports; the newest edit is imported",
    "empty": "entries without text, file and attachment",
    "deleted": "messages that were deleted before the export was made",
    "event": "records about another message: edit, deletion, notice of a reply",
    "system": "notices of the system",
    "unreadable subtype": "notices whose subtype is no valid name",
}
"""The project's own reasons to skip an entry, each with a description. Other reasons are subtypes of the platform."""

PLATFORM_NOTICE = "notice of the platform"
"""Describes every reason that is a subtype: ``channel_join``, ``GuildMemberJoin`` …."""


NOTES = {
    "unknown_kind": "messages of a kind that this project does not know, imported because they have text",
    "unknown_author": "messages without an author, imported with the sender id unknown",
    "no_entries": "conversations that the export lists without any messages",
    "no_messages": "canvases, lists and huddle transcripts that an export lists beside its messages, not imported",
    "maybe_private": "conversations that may be private, which the export does not tell, imported as public",
    "only_own": "conversations of which the export has the messages of one person only",
    "shared_name": "conversations whose id includes the workspace or the channel's id, because several have one name",
    "webhook": "messages of webhooks (a bridge or a service), with each name imported as one sender",
    "unknown_zone": "conversations with an unknown time zone, their times without an offset read as UTC",
    "mostly_empty": "empty messages, more than half of the export; if a bot made the export, give it the message "
    "content intent and export again",
}
"""All codes of a :class:`Note`, each with a description of what is counted, in the order of the report."""


_ARROW_TYPES: dict[type, pa.DataType] = {
    msgspec.inspect.StrType: pa.string(),
    msgspec.inspect.LiteralType: pa.string(),
    msgspec.inspect.IntType: pa.int64(),
    msgspec.inspect.BoolType: pa.bool_(),
}


def schema_of(record: type[msgspec.Struct], *, without: Sequence[str] = (), **more: type) -> pa.Schema:
    """
    Return the Arrow schema of a record: one column per field. A field that may be ``None`` is a nullable column.

    :param without: Fields that are no columns.
    :param more: Further columns by name, none of them nullable.
    """
    types = {field.name: field.type for field in msgspec.structs.fields(record) if field.name not in without}
    return pa.schema([_column(name, msgspec.inspect.type_info(kind)) for name, kind in {**types, **more}.items()])


def _column(name: str, kind: msgspec.inspect.Type) -> "pa.Field[Any]":
    nullable = isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none
    if isinstance(kind, msgspec.inspect.UnionType):
        [kind] = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return pa.field(name, pa.list_(_column("element", kind.item_type)), nullable=nullable)
    if isinstance(kind, msgspec.inspect.StructType):
        return pa.field(name, pa.struct(list(schema_of(kind.cls))), nullable=nullable)
    return pa.field(name, _ARROW_TYPES[type(kind)], nullable=nullable)


_REPEATED = {"source", "conversation_id", "sender_id", "sender_name", "role", "thread_id", "segment_id", "reason"}


def repeated_columns(schema: pa.Schema) -> list[str]:
    """Return the columns in which the same values come again and again: Parquet stores these as dictionaries."""
    return [name for name in schema.names if name in _REPEATED]


MESSAGE_SCHEMA = schema_of(Message)
"""Messages in ``extracted/`` as found."""

ORDERED_SCHEMA = schema_of(Message, segment_id=str)
"""Messages in ``messages/``: deduplicated, sorted, in range, each with its segment (:mod:`include.transform`)."""

CONVERSATION_SCHEMA = schema_of(Conversation, without=["segment_id"], entries=int, imported=int)
"""
Conversations with ``entries``, the raw entries decoded for each (sum of :class:`Entries`), and ``imported``, the
messages among them.

``as_of_us`` is the time of the export's newest message where the export does not say when it was made.
"""

SKIPPED_SCHEMA = schema_of(Skipped)

REJECTED_SCHEMA = schema_of(Rejected, without=["entry"])

BROKEN_SCHEMA = schema_of(Rejected, without=["source", "message_id", "unread", "entry"], entry=str)
"""``broken.parquet``: rejected entries that can be corrected, ``entry`` as JSON. Holds message text."""


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """The number of credentials of one kind that were removed from a conversation (:mod:`include.redact`)."""

    conversation_id: str
    kind: str
    count: int


REDACTED_SCHEMA = schema_of(Redacted)
"""``redacted.parquet``."""


class ExportNote(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`Note` with the label of its export."""

    export: str
    code: str
    detail: str
    count: int


NOTE_SCHEMA = schema_of(ExportNote)
"""``notes.parquet``: each note once per export and detail."""


class TransformCounts(msgspec.Struct, kw_only=True):
    """The number of a conversation's messages by what transform did with them."""

    duplicates: int = 0
    out_of_range: int = 0
    already_loaded: int = 0

    rejected_before: int = 0
    """Rejected by the target in an earlier run, as the ledger shows."""

    shifted_ms: int = 0
    """Messages whose millisecond was changed."""

    messages: int = 0
    """Left to load."""


TRANSFORMED_SCHEMA = pa.schema([*CONVERSATION_SCHEMA, *schema_of(TransformCounts)])
"""``conversations.parquet`` of a run: one row per conversation, merged over exports, with :class:`TransformCounts`."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a target gets it: the fields of :class:`Message` that are sent."""

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


BATCH_SCHEMA = schema_of(Batch)
"""A chunk file: one row per batch. A row group has batches of many segments."""


class PlannedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's part of the plan, and the position of its batches: rows of one chunk file."""

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
    """Number of the chunk, and of its file in the plan."""

    fingerprint: str
    """Digest of the chunk's batch keys in order. Stored progress with another fingerprint is not used."""

    label: str
    """Names of its conversations, for the task's name in the UI."""

    planned_ms: int = 0
    """Time of the plan, Unix milliseconds; 0 if it is not known."""

    conversations: int
    segments: int
    batches: int
    messages: int
