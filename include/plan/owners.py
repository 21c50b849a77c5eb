"""
The owner of each message's memory: in the place of the sender; the speaker stays in the name.

v2 keeps memories by the ``sender_id`` of those with the role ``user``, and makes a copy for each of them. With an owner
that is no person there is one copy; the model reads who spoke from ``sender_name`` (server 1.5.1 puts it into its
prompts). Messages of bots are the owner's too, with the role ``user``: v2 makes no memories of a session in which only
the role ``assistant`` speaks. On the sample company that raised the share of questions that one query can answer from
95 to 100 % (``make recall``). With a memory per person bots keep their id and the role ``assistant``.

A private conversation is an owner of its own, never part of the workspace's memory; with a memory per person it is
remembered by those who were there. A personal history is its person's. The ids of conversations as owners begin with
``conversation_``: none is ever that of a workspace.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from include.ids import sender_id_of
from include.memory_layout import MemoryLayout
from include.records import Conversation


def owner_of(conversation: Conversation, layout: MemoryLayout) -> str | None:
    """
    Return the owner of a conversation's memory; ``None`` where each sender is one.

    >>> channel = Conversation(conversation_id="slack_ops", source="slack", kind="group", workspace="acme",
    ...     channel_id="C1", name="ops")
    >>> owner_of(channel, MemoryLayout(segments="thread-day", memory_of="workspace"))
    'slack_acme'
    """
    if conversation.kind == "personal" or layout.memory_of == "person":
        return None
    if conversation.private or layout.memory_of != "workspace":
        return sender_id_of(f"conversation_{conversation.conversation_id}")
    return sender_id_of("_".join(filter(None, (conversation.source, conversation.workspace))))


def owned(messages: pa.RecordBatch, owner: str | None, ambiguous: frozenset[str]) -> pa.RecordBatch:
    """
    Return the messages as their owner's.

    :param messages: Of one conversation.
    :param ambiguous: Names that several people have there; their ids are added, ``Ann (U123)``.
    """
    if owner is None:
        return messages
    columns: dict[str, Any] = {name: messages[name] for name in messages.schema.names}
    if ambiguous:
        is_shared = pc.is_in(columns["sender_name"], value_set=pa.array(sorted(ambiguous), pa.string()))
        longer = pc.binary_join_element_wise(columns["sender_name"], " (", columns["sender_id"], ")", "")
        columns["sender_name"] = pc.if_else(is_shared, longer, columns["sender_name"])
    columns["sender_id"] = pa.repeat(owner, messages.num_rows)
    columns["role"] = pa.repeat("user", messages.num_rows)
    return pa.RecordBatch.from_pydict(columns, schema=messages.schema)


def shared_names(parts: Sequence[Path]) -> dict[str, frozenset[str]]:
    """Return the names that several people of a conversation have, by conversation id."""
    found: dict[str, set[str]] = defaultdict(set)
    if parts:
        with duckdb.connect(config={"memory_limit": "256MB"}) as connection:
            connection.read_parquet([str(part) for part in parts]).create_view("messages")
            rows = connection.sql(
                """
                SELECT conversation_id, sender_name FROM messages
                GROUP BY ALL HAVING count(DISTINCT sender_id) > 1
                """
            )
            for conversation_id, name in rows.fetchall():
                found[conversation_id].add(name)
    return {conversation_id: frozenset(names) for conversation_id, names in found.items()}
