"""
What delivery needs of a memory API: a small asynchronous interface that every target's client offers.

Errors are those of :mod:`include.errors`: ``NotSent``, ``Throttled``, ``QuotaExhausted``, ``Refused`` and
``OutcomeUnknown``. A client never retries a write by itself; reads may be retried.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from include.memory_api.address import normal_address
from include.records import Conversation, Outgoing

MAX_MESSAGES_PER_ADD = 500
"""Both APIs refuse more (SDK ``everos`` 0.4.0, ``GroupAddParams``; server 1.5.1)."""

DEFAULT_BASE_URL = "https://api.evermind.ai"
"""EverOS Cloud, from the vendor's batch-processing guide."""


WHOLE = slice(None)
"""All messages of a batch."""


class TaskState(StrEnum):
    """What a server says of an accepted batch."""

    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    """Its processing failed on the way, after the batch was stored, or a part of it, or before."""
    MISSING = "missing"
    """404: expired or never known. No proof of anything."""


class Evidence(StrEnum):
    """What reading back says about a batch whose outcome is unknown."""

    PRESENT = "present"
    ABSENT = "absent"
    UNPROVABLE = "unprovable"


class FlushStatus(StrEnum):
    """The server's answer to a flush; ``QUEUED`` (v2, 202) means that it runs behind unfinished batches."""

    EXTRACTED = "extracted"
    NO_EXTRACTION = "no_extraction"
    QUEUED = "queued"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Answer to an accepted batch. ``task_id`` is ``None`` when the server did the work at once."""

    task_id: str | None
    landed: bool
    """Whether the batch is stored already; otherwise its task tells."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One memory the target made; its text is for people who ask, never for logs."""

    conversation_id: str
    title: str
    text: str
    timestamp_ms: int | None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Readback:
    """What a target shows of a stretch of a conversation; ``None`` where it gives no evidence."""

    unprocessed: int | None
    """Messages of the conversation that are stored and not yet made into memory; at least so many."""

    episodes: int | None
    """Episodes that end within the stretch, each counted once, whoever it belongs to; at least so many."""

    first_ms: int | None = None
    last_ms: int | None = None
    """When the oldest and the newest of them end: each bears the time of its last message."""

    doubled: int = 0
    """Episodes of which somebody has another that ends at the same message: the target made them twice."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where messages go; names the ledger. Holds no secret."""

    base_url: str
    """In its normal form (:func:`include.memory_api.address.normal_address`), however it was given."""

    api_version: str
    account: str = "default"
    """Name of the account's ledger; set it when several accounts live behind one base URL."""

    key_fingerprint: str = ""
    """First characters of a digest of the API key: tells a changed key from the same one, reveals neither."""

    account_named: bool = False
    """Whether a person wrote ``account`` down; then the key may change without the account being another one."""

    app_id: str = "default"
    project_id: str = "default"
    """v2: each pair is a store of its own."""

    new_ledger: str = ""
    """A :attr:`name` that a person has confirmed as another store than those of the same server or key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", normal_address(self.base_url))

    @property
    def name(self) -> str:
        """A short name, safe for files: of base URL, API version, account and store, the same for good."""
        store = () if (self.app_id, self.project_id) == ("default", "default") else (self.app_id, self.project_id)
        return target_name(self.base_url, self.api_version, self.account, *store)


def target_name(base_url: str, *more: str) -> str:
    """Return the name that an address, an API version, an account and, unless it is the default, a store make."""
    parts = [base_url.rstrip("/").lower(), *more]
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]
    host = parts[0].split("://")[-1]
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", " ".join([host, *parts[1:]])).strip("-.")
    return f"{slug[:64]}-{digest}"


class MemoryAPI(Protocol):
    """One target, from one event loop. Close it with :meth:`aclose`."""

    @property
    def target(self) -> Target:
        """Which server and account this client talks to."""
        ...

    async def name_conversation(self, conversation: Conversation) -> None:
        """Make a conversation's name known: an upsert in v1; v2 has no names for conversations."""
        ...

    async def name_sender(self, sender_id: str, name: str) -> None:
        """Make a person's name known: an upsert in v1; v2 takes names with messages."""
        ...

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """
        Hand over one batch, 1 to 500 messages, oldest first.

        :raises NotSent: the server never had it.
        :raises Throttled: nothing stored; wait.
        :raises QuotaExhausted: nothing stored; stop.
        :raises Refused: nothing stored; the same batch will be refused again.
        :raises OutcomeUnknown: it may be stored or not.
        """
        ...

    async def task_state(self, task_id: str) -> TaskState:
        """Ask for an accepted batch. ``NotSent``, ``Throttled`` and ``OutcomeUnknown`` mean: ask again."""
        ...

    async def find(
        self,
        conversation: Conversation,
        message_ids: Sequence[str],
        *,
        batch_key: str,
        timestamps_ms: Sequence[int],
        senders: Sequence[str],
        writers: Sequence[str] = (),
        part: slice = WHOLE,
    ) -> Evidence:
        """
        Look once for a batch whose outcome is unknown, without sending anything; raises as a read.

        ``PRESENT`` is final. ``ABSENT`` is true of this moment: a server may still be working on the batch, so it
        counts only when it holds for a settling time. The target may have extracted messages and forgotten their ids
        (v1) or never have taken ids (v2), and may show memories only by whose they are (v2): keep times and senders
        beside the ids in whatever outlives a run.

        :param message_ids: the batch's ids, in its order.
        :param timestamps_ms: ``timestamp_ms`` of each.
        :param senders: who wrote in it, messages with the role ``user`` only; empty when that is not known.
        :param writers: writer of each message, of whatever role; empty when that is not known.
        :param part: the messages in question, where they are only some of the batch.
        """
        ...

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """Cut the conversation where it stands; errors as for :meth:`add`."""
        ...

    async def readback(
        self, conversation: Conversation, senders: Sequence[str], *, since_ms: int, until_ms: int
    ) -> Readback:
        """
        Look once at what became of the messages of a stretch of time, without sending anything; raises as a read.

        Reading may lag behind a flush (v2: by some 15 s).

        :param senders: who wrote in the conversation, messages with the role ``user`` only; a target that keeps
            memories by person (v2) asks for each.
        """
        ...

    async def search(
        self, conversations: Sequence[Conversation], query: str, *, senders: Sequence[str] = (), limit: int = 3
    ) -> list[Episode]:
        """
        Best matching episodes over the given conversations, best first.

        :param senders: whose memories to search (v2, which keeps them by person); v1 searches everybody's.
        """
        ...

    async def check(self) -> str:
        """Prove host and key with a call that writes nothing; returns a sentence for people."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
