"""Writes extracted folders and ledgers for the tests of transform and plan."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.records import (
    CONVERSATION_SCHEMA,
    MESSAGE_SCHEMA,
    ORDERED_SCHEMA,
    TRANSFORMED_SCHEMA,
    Conversation,
    Message,
)
from include.run_folder import RunFolder


def a_message(message_id: str = "1", **fields: object) -> Message:
    given: dict[str, Any] = {
        "source": "slack",
        "conversation_id": "slack_general",
        "message_id": message_id,
        "sent_at_us": 1_700_000_000_000_000,
        "sender_id": "U1",
        "sender_name": "Ann",
        "role": "user",
        "text": "hello",
        "origin": "general/2024-05-01.json[0]",
    } | fields
    return msgspec.convert({"timestamp_ms": given["sent_at_us"] // 1000} | given, Message)


def a_conversation(conversation_id: str = "slack_general", **fields: object) -> Conversation:
    given = {
        "conversation_id": conversation_id,
        "source": "slack",
        "kind": "group",
        "channel_id": f"C-{conversation_id}",
        "name": conversation_id.removeprefix("slack_"),
    }
    return msgspec.convert(given | fields, Conversation)


def table_of(messages: Iterable[Message]) -> pa.Table:
    return pa.Table.from_pylist([msgspec.to_builtins(message) for message in messages], schema=MESSAGE_SCHEMA)


def extracted(
    folder: Path,
    *files: Sequence[Message],
    conversations: Sequence[Conversation] | None = None,
    row_group: int = 1000,
) -> Path:
    """Write one export's folder as ``include.extract`` leaves it, each argument of messages a file."""
    folder.mkdir(parents=True)
    for number, messages in enumerate(files):
        pq.write_table(table_of(messages), folder / f"messages-{number:03d}.parquet", row_group_size=row_group)
    entries = Counter(message.conversation_id for messages in files for message in messages)
    if conversations is None:
        conversations = [a_conversation(conversation_id) for conversation_id in sorted(entries)]
    rows = [
        msgspec.to_builtins(conversation)
        | dict.fromkeys(["entries", "imported"], entries[conversation.conversation_id])
        for conversation in conversations
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=CONVERSATION_SCHEMA), folder / "conversations.parquet")
    return folder


def ledger_table(keys: Iterable[tuple[str, str]]) -> pa.Table:
    names = ("conversation_id", "message_id")
    return pa.Table.from_pylist(
        [dict(zip(names, key, strict=True)) for key in keys], schema=pa.schema([(name, pa.string()) for name in names])
    )


def with_segments(table: pa.Table, segments: Mapping[tuple[str, str], str] | None = None) -> pa.Table:
    """Add the segment of each message: by conversation and message id, else the conversation."""
    ids: Any = zip(table["conversation_id"].to_pylist(), table["message_id"].to_pylist(), strict=True)
    column = pa.array([(segments or {}).get(key, key[0]) for key in ids], pa.string())
    return table.append_column(ORDERED_SCHEMA.field("segment_id"), column)


def transformed(
    run: RunFolder,
    messages: Sequence[Message],
    *,
    per_part: int = 1000,
    row_group: int = 1000,
    segments: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Write sorted messages as ``include.transform`` leaves them."""
    run.messages.mkdir(parents=True)
    for number, start in enumerate(range(0, len(messages), per_part)):
        part = with_segments(table_of(messages[start : start + per_part]), segments)
        pq.write_table(part, run.messages / f"part-{number:05d}.parquet", row_group_size=row_group)
    counted = Counter(message.conversation_id for message in messages)
    nothing = dict.fromkeys(["duplicates", "out_of_range", "already_loaded", "rejected_before", "shifted_ms"], 0)
    rows = [
        msgspec.to_builtins(a_conversation(conversation_id))
        | nothing
        | dict.fromkeys(["entries", "imported", "messages"], count)
        for conversation_id, count in counted.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=TRANSFORMED_SCHEMA), run.conversations)
