"""
The asynchronous interface through which delivery uses a memory API. Each target's client implements it.

Errors are those of :mod:`include.errors`: ``NotSent``, ``Throttled``, ``QuotaExhausted``, ``Refused`` and
``OutcomeUnknown``. A client never retries a write; it may retry reads.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from include.memory_api.address import normal_address
from include.records import Conversation, Outgoing

MAX_MESSAGES_PER_ADD = 500
"""Both APIs refuse more (SDK ``everos`` 0.4.0, ``GroupAddParams``; server 1.5.1)."""

DEFAULT_BASE_URL = "https://api.evermind.ai"
"""EverOS Cloud, from the vendor's batch-processing guide."""


MOST_EPISODES = 100
"""Both APIs return at most so many in one answer."""

WHOLE = slice(None)
"""All messages of a batch."""


class TaskState(StrEnum):
    """State of an accepted batch, as the server reports it."""

    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    """Processing failed: before the batch was stored, or after all or a part of it was stored."""
    MISSING = "missing"
    """404: the task expired or was never known. It proves nothing about the batch."""


class Evidence(StrEnum):
    """Result of reading back a batch whose outcome is unknown."""

    PRESENT = "present"
    ABSENT = "absent"
    UNPROVABLE = "unprovable"


class FlushStatus(StrEnum):
    """The server's answer to a flush; ``QUEUED`` (v2, 202): it runs after batches that are still unfinished."""

    EXTRACTED = "extracted"
    NO_EXTRACTION = "no_extraction"
    QUEUED = "queued"


@dataclass(frozen=True, kw_only=True)
class Name:
    """The name of a conversation or of a person, to be told in a call of its own."""

    kind: Literal["group", "sender"]
    id: str
    """``conversation_id`` or ``sender_id``."""

    name: str = field(repr=False)
    description: str = field(repr=False, default="")

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell whether the name has changed."""
        return hashlib.sha256("\x00".join((self.name, self.description)).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Answer to an accepted batch. ``task_id`` is ``None`` when the server stored it synchronously."""

    task_id: str | None
    landed: bool
    """Whether the batch is stored already; if not, :meth:`MemoryAPI.task_state` reports when it is."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One memory that the target made. Its text must not be logged."""

    segment_id: str
    """v2: the session; v1: the ``conversation_id``, since there a segment is the conversation."""

    owner: str = ""
    """v2: whose memory it was found in."""

    title: str
    text: str
    timestamp_ms: int | None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Readback:
    """Counts of what a target holds of a range of a conversation; ``None`` without evidence."""

    unprocessed: int | None
    """Messages of the conversation that are stored and not yet extracted: a lower bound."""

    episodes: int | None
    """Episodes that end within the range, each counted once however many owners it has: a lower bound."""

    first_ms: int | None = None
    last_ms: int | None = None
    """End of the oldest and of the newest of these episodes. An episode has the time of its last message."""

    doubled: int = 0
    """Episodes that the target made twice: one owner has two that end at the same message."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The server, account and store that messages are sent to. Identifies the ledger. Holds no secret."""

    base_url: str
    """In normal form (:func:`include.memory_api.address.normal_address`)."""

    api_version: str
    account: str = "default"
    """Name of the account's ledger; set it when several accounts share one base URL."""

    key_fingerprint: str = ""
    """First characters of a digest of the API key: shows that the key has changed without revealing it."""

    account_named: bool = False
    """Whether the user has set ``account``; then a changed key does not mean another account."""

    app_id: str = "default"
    project_id: str = "default"
    """v2: each pair of ``app_id`` and ``project_id`` is a separate store."""

    new_ledger: str = ""
    """A :attr:`name` that the user has confirmed as a separate store from those of the same server or key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", normal_address(self.base_url))

    @property
    def name(self) -> str:
        """A short name, valid as a file name, made of base URL, API version, account and store. It never changes."""
        store = () if (self.app_id, self.project_id) == ("default", "default") else (self.app_id, self.project_id)
        return target_name(self.base_url, self.api_version, self.account, *store)


def target_name(base_url: str, *more: str) -> str:
    """Return :attr:`Target.name` for an address, an API version, an account and, unless it is the default, a store."""
    parts = [base_url.rstrip("/").lower(), *more]
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]
    host = parts[0].split("://")[-1]
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", " ".join([host, *parts[1:]])).strip("-.")
    return f"{slug[:64]}-{digest}"


class MemoryAPI(Protocol):
    """Client of one target, for one event loop. Close it with :meth:`aclose`."""

    @property
    def target(self) -> Target:
        """Server, account and store of this client."""
        ...

    def names_in(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Sequence[Name]:
        """Return the names that the target does not take from these messages of a conversation; it makes no call."""
        ...

    async def set_name(self, name: Name) -> None:
        """Tell a name; telling it again changes nothing. Errors as for :meth:`add`."""
        ...

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """
        Send one batch, 1 to 500 messages, oldest first.

        :raises NotSent: the server did not receive it.
        :raises Throttled: nothing was stored; wait.
        :raises QuotaExhausted: nothing was stored; stop.
        :raises Refused: nothing was stored; the same batch will be refused again.
        :raises OutcomeUnknown: it may or may not be stored.
        """
        ...

    async def task_state(self, task_id: str) -> TaskState:
        """Return the state of an accepted batch. After ``NotSent``, ``Throttled`` and ``OutcomeUnknown``, ask again."""
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
        Look once for a batch whose outcome is unknown. It writes nothing; errors as of a read.

        ``PRESENT`` is final. ``ABSENT`` holds for this moment only: the server may still be working on the batch, so
        it counts only when it is repeated for a settling time. v1 forgets message ids when it extracts messages, v2
        has none, and v2 lists memories by owner only: so times and senders have to be stored beside the ids.

        :param message_ids: ids of the batch, in its order.
        :param timestamps_ms: ``timestamp_ms`` of each message.
        :param senders: senders of the messages with the role ``user``; empty when they are not known.
        :param writers: sender of each message, of any role; empty when they are not known.
        :param part: the messages in question, if these are only a part of the batch.
        """
        ...

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """End the conversation's current episode; errors as for :meth:`add`."""
        ...

    async def readback(
        self, conversation: Conversation, senders: Sequence[str], *, since_ms: int, until_ms: int
    ) -> Readback:
        """
        Read once what the target has made of the messages of a range of time. It writes nothing; errors as of a read.

        The result may lag behind a flush (v2: by some 15 s).

        :param senders: senders of the conversation's messages with the role ``user``; v2 stores memories by owner and
            reads those of each.
        """
        ...

    async def search(
        self, query: str, owners: Sequence[str], conversations: Sequence[Conversation] = (), *, limit: int = 3
    ) -> list[Episode]:
        """
        Return the best matching episodes, best first. What several owners hold is returned once.

        :param owners: v2: owners whose memories are searched, one call each; v1 ignores them.
        :param conversations: v1: the groups and histories to search. v2: only sessions of these conversations, or of
            these segments; none: all that the owners have. Of a conversation id of more than 64 characters, sessions
            of another that begins alike may be among them.
        :param limit: at most :data:`MOST_EPISODES`.
        """
        ...

    async def episodes(self, segment: Conversation, owner: str, *, limit: int = MOST_EPISODES) -> list[Episode]:
        """
        Return the oldest episodes of a segment and of those that continue it under a number, oldest first.

        :param owner: v2: whose memory is read; v1 ignores it.
        :param limit: at most :data:`MOST_EPISODES`.
        """
        ...

    async def check(self) -> str:
        """Check host and key with a call that writes nothing; return a sentence for the user."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
