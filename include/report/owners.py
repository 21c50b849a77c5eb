"""
``owners.json``: whose memory each conversation is part of, for access control in what asks EverOS.

``docs/asking.md`` describes its keys. Who could read along in a conversation and wrote nothing is not in a chat export.
On v1, which reads by conversation, there are no owners.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import StorageError
from include.files import write_private
from include.memory_api.contract import Target
from include.memory_layout import MemoryLayout
from include.plan import read_layout
from include.plan.chunk_file import conversations_of
from include.plan.owners import owner_of
from include.records import Conversation, Kind
from include.run_folder import RunFolder, files_of_runs


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who wrote in a conversation, under the newest of their names in the exports."""

    sender_id: str
    sender_name: str


class OwnedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of which a run imports something."""

    conversation_id: str
    name: str
    kind: Kind
    private: bool
    """Private where it was written, or a personal history."""

    as_of: str | None = None
    """The export's date, ISO 8601, UTC; ``None`` where it does not say."""

    user_id: str | None = None
    session_id: str | None = None
    """Of a personal history."""

    members: tuple[Member, ...] = ()

    def record(self) -> Conversation:
        """Return it in the form that a :class:`~include.memory_api.contract.MemoryAPI` takes."""
        names = {name: getattr(self, name) for name in ("conversation_id", "name", "kind", "user_id", "session_id")}
        return Conversation(source="", channel_id="", private=self.private, **names)


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """An owner on v2: the ``user_id`` to ask for."""

    owner: str
    private: bool
    """Whether any of its conversations is private."""

    conversations: tuple[str, ...]
    """Ids."""


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``owners.json``."""

    run_id: str
    written_at: str
    """ISO 8601, UTC."""

    target: str
    """:attr:`include.memory_api.contract.Target.name`."""

    layout: MemoryLayout
    owners: tuple[Owner, ...]
    conversations: tuple[OwnedConversation, ...]


def write_owners(run: RunFolder, run_id: str, target: Target) -> None:
    """Write ``owners.json`` of a run, over all conversations of which it imports something."""
    layout = read_layout(run)
    imported: Any = pq.read_table(run.conversations, columns=["conversation_id"], filters=pc.field("imported") > 0)
    conversations = conversations_of(run, imported["conversation_id"].to_pylist())
    members = _members(run)
    rows = [_row(conversation, members[name]) for name, conversation in sorted(conversations.items())]
    owned: dict[str, list[OwnedConversation]] = defaultdict(list)
    for row in rows if target.api_version == "v2" else ():
        owner = owner_of(conversations[row.conversation_id], layout)
        for name in [owner] if owner else sorted({member.sender_id for member in row.members}):
            owned[name].append(row)
    document = Owners(
        run_id=run_id,
        written_at=datetime.now(UTC).isoformat(),
        target=target.name,
        layout=layout,
        owners=tuple(
            Owner(
                owner=owner,
                private=any(row.private for row in of_owner),
                conversations=tuple(row.conversation_id for row in of_owner),
            )
            for owner, of_owner in sorted(owned.items())
        ),
        conversations=tuple(rows),
    )
    write_private(run.owners, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def read_owners(home: Path, target: Target) -> list[Owners]:
    """
    Return what the runs of a state folder wrote for a target, newest first.

    :raises StorageError: A file is damaged, or of another version of this project.
    """
    return sorted(
        (document for document in _documents(home) if document.target == target.name),
        key=lambda document: document.written_at,
        reverse=True,
    )


def _documents(home: Path) -> Iterable[Owners]:
    for path in files_of_runs(home, "owners.json"):
        try:
            yield msgspec.json.decode(path.read_bytes(), type=Owners)
        except msgspec.DecodeError as error:
            raise StorageError(
                f"{path} is not an owners.json of this version ({error}); nothing was asked.",
                remedy="Remove it, and import again to get a new one: messages that EverOS has are not sent again.",
            ) from None


def _row(conversation: Conversation, members: list[Member]) -> OwnedConversation:
    as_of_us = conversation.as_of_us
    return OwnedConversation(
        conversation_id=conversation.conversation_id,
        name=conversation.name,
        kind=conversation.kind,
        private=conversation.private or conversation.kind == "personal",
        as_of=datetime.fromtimestamp(as_of_us / 1_000_000, UTC).isoformat() if as_of_us else None,
        user_id=conversation.user_id,
        session_id=conversation.session_id,
        members=tuple(members),
    )


def _members(run: RunFolder) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = defaultdict(list)
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
                found[conversation_id].append(Member(sender_id=sender_id, sender_name=name))
    return found
