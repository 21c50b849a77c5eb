"""
``owners.json``: whose memory each conversation is part of, for access control in what asks EverOS (API v2).

``run_id``, ``layout`` and ``owners[]``: ``owner`` (the ``user_id`` to ask for), ``private`` (whether anything of it was
private where it was written) and ``conversations[]`` with ``conversation_id, name, private, as_of`` (ISO 8601, UTC: the
export's date, null where it does not say) and ``members[]``, who wrote there in the exports:
``sender_id, sender_name``. Who could read along and wrote nothing is not in a chat export.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.files import write_private
from include.plan import read_layout
from include.plan.chunk_file import conversations_of
from include.plan.owners import owner_of
from include.records import Conversation
from include.run_folder import RunFolder


def write_owners(run: RunFolder, run_id: str) -> None:
    """Write ``owners.json`` of a run, over all conversations of which it imports something."""
    layout = read_layout(run)
    imported: Any = pq.read_table(run.conversations, columns=["conversation_id"], filters=pc.field("imported") > 0)
    conversations = conversations_of(run, imported["conversation_id"].to_pylist())
    members = _members(run)
    owned: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for conversation_id, conversation in sorted(conversations.items()):
        row = _row(conversation, members[conversation_id])
        owner = owner_of(conversation, layout)
        for name in [owner] if owner else sorted({member["sender_id"] for member in row["members"]}):
            owned[name].append(row)
    document = {
        "run_id": run_id,
        "layout": layout,
        "owners": [
            {"owner": owner, "private": any(row["private"] for row in rows), "conversations": rows}
            for owner, rows in sorted(owned.items())
        ],
    }
    write_private(run.owners, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _row(conversation: Conversation, members: list[dict[str, str]]) -> dict[str, Any]:
    as_of_us = conversation.as_of_us
    return {
        "conversation_id": conversation.conversation_id,
        "name": conversation.name,
        "private": conversation.private or conversation.kind == "personal",
        "as_of": datetime.fromtimestamp(as_of_us / 1_000_000, UTC).isoformat() if as_of_us else None,
        "members": members,
    }


def _members(run: RunFolder) -> dict[str, list[dict[str, str]]]:
    """Return who wrote in each conversation, under the newest of each one's names."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    files = [str(path) for path in run.extracted_files("messages-*.parquet")]
    if files:
        with duckdb.connect(config={"memory_limit": "256MB"}) as connection:
            connection.read_parquet(files).create_view("messages")
            rows = connection.sql(
                """
                SELECT conversation_id, sender_id, arg_max(sender_name, (sent_at_us, sender_name)) FROM messages
                WHERE role = 'user' GROUP BY conversation_id, sender_id ORDER BY conversation_id, sender_id
                """
            )
            for conversation_id, sender_id, name in rows.fetchall():
                found[conversation_id].append({"sender_id": sender_id, "sender_name": name})
    return found
