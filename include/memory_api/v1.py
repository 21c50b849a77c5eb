"""
EverOS v1 through the SDK ``everos`` 0.4: one call in, one answer or one exception of ours out.

Bodies are encoded here and go through the SDK client's public ``post``: the typed methods spend about 180 µs of CPU on
each message. The SDK's own retries are off for writes, since EverOS stores a repeated batch twice.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

import everos
import httpx
import msgspec

from include.errors import OutcomeUnknown, Refused
from include.memory_api import failures
from include.memory_api.contract import Episode, Evidence, FlushStatus, Receipt, Target, TaskState
from include.memory_api.readback import Pending, Seen, conclude
from include.memory_api.settings import Settings
from include.memory_api.v1_wire import (
    MOST_PENDING,
    PAGE,
    AddResult,
    Envelope,
    EpisodeItem,
    FlushResult,
    GetResult,
    SearchResult,
    TaskResult,
    add_body,
    belongs,
    milliseconds,
    owner,
    pending_filters,
)
from include.records import Conversation, Outgoing

_READ_RETRIES = 2
_REGISTER_AT_ONCE = 8
_GROUPS_AT_ONCE = 50
"""Group ids in one search (reference server, ``MAX_GROUP_IDS_COUNT``)."""


class V1Client:
    """:class:`~include.memory_api.contract.MemoryAPI` on EverOS v1. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        timeout = httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
        # Idle connections are dropped before a server's usual 5 s: a call on one that the server closes in the
        # same moment would be an unknown outcome.
        limits = httpx.Limits(max_connections=settings.connections, keepalive_expiry=4.0)
        self._target = settings.target
        self._http = httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
        self._sdk = everos.AsyncEverOS(
            api_key=settings.api_key,
            base_url=self._target.base_url,
            timeout=timeout,
            max_retries=0,
            http_client=self._http,
        )
        self._registered: set[tuple[str, str]] = set()
        # At DEBUG the SDK logs whole request bodies: chat text.
        logging.getLogger("everos._base_client").setLevel(logging.WARNING)

    @property
    def target(self) -> Target:
        """Which server and account this client talks to."""
        return self._target

    # -- writing

    async def register(self, conversation: Conversation, senders: Mapping[str, str]) -> None:
        """Create or rename the group and its senders. Upserts: repeating one changes nothing, so they are retried."""
        bodies: list[tuple[str, dict[str, Any]]] = []
        if conversation.kind == "group":
            group = {"name": conversation.name, "description": conversation.description}
            bodies.append(("/api/v1/groups", {**owner(conversation), **group}))
        new = [sender for sender in senders.items() if sender not in self._registered]
        bodies += [("/api/v1/senders", {"sender_id": sender_id, "name": name}) for sender_id, name in new]
        gate = asyncio.Semaphore(_REGISTER_AT_ONCE)

        async def upsert(path: str, body: dict[str, Any]) -> None:
            async with gate:
                await self._post(path, body, Any, f"names for {_name(conversation)}", retries=_READ_RETRIES)

        try:
            async with asyncio.TaskGroup() as calls:
                for path, body in bodies:
                    calls.create_task(upsert(path, body))
        except ExceptionGroup as failed:  # one cause is enough: the others were cancelled or failed alike
            raise failed.exceptions[0] from None
        self._registered.update(new)

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """Hand over one batch; see :meth:`~include.memory_api.contract.MemoryAPI.add`."""
        what = f"add of {len(messages)} messages to {_name(conversation)}"
        path = "/api/v1/memories/group" if conversation.kind == "group" else "/api/v1/memories"
        texts = [message.text for message in messages]
        result = await self._post(path, add_body(conversation, messages), AddResult, what, texts=texts)
        if result.message_count not in (None, len(messages)):
            raise OutcomeUnknown(f"{what}: the server counted {result.message_count}; some may be stored and some not.")
        if result.task_id:
            return Receipt(task_id=result.task_id, landed=False)
        if result.status in ("extracted", "accumulated"):
            return Receipt(task_id=None, landed=True)
        raise OutcomeUnknown(f"{what}: accepted without a task id; nothing tells when it is stored.")

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """Cut the conversation where it stands."""
        path = "/api/v1/memories/group/flush" if conversation.kind == "group" else "/api/v1/memories/flush"
        what = f"flush of {_name(conversation)}"
        result = await self._post(path, owner(conversation), FlushResult, what)
        if result.status not in (FlushStatus.EXTRACTED, FlushStatus.NO_EXTRACTION):
            raise OutcomeUnknown(f"{what}: the server answered an unknown status.")
        return FlushStatus(result.status)

    # -- reading

    async def task_state(self, task_id: str) -> TaskState:
        """Ask for an accepted batch. A status that is not known is not final."""
        what = f"question about task {task_id}"
        try:
            response = await self._sdk.get(
                f"/api/v1/tasks/{quote(task_id, safe='')}",
                cast_to=httpx.Response,
                options={"max_retries": _READ_RETRIES},
            )
        except everos.NotFoundError:
            return TaskState.MISSING
        except everos.APIError as error:
            raise _translated(what, error) from None
        status = _decoded(response, TaskResult, what).status
        return TaskState(status) if status in (TaskState.SUCCESS, TaskState.FAILED) else TaskState.PROCESSING

    async def find(
        self, conversation: Conversation, message_ids: Sequence[str], *, batch_key: str, first_ms: int, last_ms: int
    ) -> Evidence:
        """
        Look once for a batch among pending messages and episodes; the reasoning is in ``readback``.

        A batch that was accepted but waits in the server's queue is seen nowhere, and one that is being extracted
        may be neither pending nor an episode yet: ``ABSENT`` has to hold for longer than an extraction takes.
        """
        what = f"look for batch {batch_key} in {_name(conversation)}"
        pending, complete = await self._pending(conversation, what)
        page = await self._episodes(conversation, what)
        times = [time_ms for item in page.episodes or () if (time_ms := milliseconds(item.timestamp)) is not None]
        seen = Seen(
            pending=pending,
            pending_complete=complete,
            episode_times_ms=times,
            episodes_complete=_holds_all_since(first_ms, page, times),
        )
        return conclude(message_ids, first_ms, last_ms, seen)

    async def episode_count(self, conversation: Conversation) -> int:
        """How many episodes EverOS holds for the conversation."""
        what = f"count of episodes of {_name(conversation)}"
        page = await self._episodes(conversation, what, size=1)
        if page.total_count is None:
            raise OutcomeUnknown(f"{what}: the answer names no total.")
        return page.total_count

    async def search(self, conversations: Sequence[Conversation], query: str, *, limit: int = 3) -> list[Episode]:
        """Best matching episodes over the given conversations, best first."""
        groups = [c.conversation_id for c in conversations if c.kind == "group"]
        filters: list[dict[str, Any]] = [
            {"group_id": {"in": groups[at : at + _GROUPS_AT_ONCE]}} for at in range(0, len(groups), _GROUPS_AT_ONCE)
        ]
        filters += [owner(c) for c in conversations if c.kind == "personal"]
        found: list[EpisodeItem] = []
        for one in filters:
            body = {"filters": one, "query": query, "memory_types": ["episodic_memory"], "top_k": min(limit, 100)}
            found += (await self._read("/api/v1/memories/search", body, SearchResult, "search")).episodes or []
        found.sort(key=lambda item: item.score or 0.0, reverse=True)
        return [_episode(item) for item in found[:limit]]

    async def check(self) -> str:
        """Prove host and key by reading the account's settings."""
        what = f"check of {self._target.base_url}"
        try:
            response = await self._sdk.get(
                "/api/v1/settings", cast_to=httpx.Response, options={"max_retries": _READ_RETRIES}
            )
        except everos.APIError as error:
            raise _translated(what, error) from None
        _decoded(response, Any, what)
        return f"EverOS v1 at {self._target.base_url} answers and takes the API key."

    async def aclose(self) -> None:
        """Close connections."""
        await self._sdk.close()

    # -- one call

    async def _pending(self, conversation: Conversation, what: str) -> tuple[list[Pending], bool]:
        pending: list[Pending] = []
        complete = True
        for filters in pending_filters(conversation):
            body = {"filters": filters, "query": "*", "method": "keyword", "memory_types": ["raw_message"]}
            result = await self._read("/api/v1/memories/search", {**body, "top_k": MOST_PENDING}, SearchResult, what)
            found = result.raw_messages or []
            complete = complete and len(found) < MOST_PENDING
            pending += [
                Pending(message_id=m.message_id, timestamp_ms=milliseconds(m.timestamp))
                for m in found
                if belongs(m, conversation)
            ]
        return pending, complete

    async def _episodes(self, conversation: Conversation, what: str, *, size: int = PAGE) -> GetResult:
        """Newest first."""
        order = {"page": 1, "page_size": size, "rank_by": "timestamp", "rank_order": "desc"}
        body = {"filters": owner(conversation), "memory_type": "episodic_memory", **order}
        return await self._read("/api/v1/memories/get", body, GetResult, what)

    async def _read[T](self, path: str, body: object, type_: type[T], what: str) -> T:
        return await self._post(path, body, type_, what, retries=_READ_RETRIES)

    async def _post[T](
        self, path: str, body: object, type_: type[T], what: str, *, texts: Sequence[str] = (), retries: int = 0
    ) -> T:
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError:
            reason = "text or a name holds half a surrogate pair, which UTF-8 cannot carry"
            raise Refused(f"{what}: {reason}; nothing was sent.", status=422, reason=reason) from None
        try:
            response = await self._sdk.post(
                path, cast_to=httpx.Response, content=content, options={"max_retries": retries}
            )
        except everos.APIError as error:
            raise _translated(what, error, texts) from None
        return _decoded(response, type_, what)


def _translated(what: str, error: everos.APIError, texts: Sequence[str] = ()) -> Exception:
    if isinstance(error, everos.APIStatusError):
        return failures.from_status(what, error.response, texts=texts)
    return failures.from_transport(what, error.__cause__)


def _decoded[T](response: httpx.Response, type_: type[T], what: str) -> T:
    try:
        envelope = msgspec.json.decode(response.content, type=Envelope[type_])  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = f"HTTP {response.status_code} with an answer that is not EverOS v1"
        raise OutcomeUnknown(f"{what}: {told}; it may or may not have been carried out.") from None
    return cast("T", envelope.data)


def _holds_all_since(first_ms: int, page: GetResult, times: Sequence[int]) -> bool:
    """Whether no episode from ``first_ms`` on is missing from a page that was asked for newest first."""
    count = len(page.episodes or ())
    if count != len(times):
        return False
    if page.total_count is not None and page.total_count <= count:
        return True
    return bool(times) and times[-1] < first_ms and list(times) == sorted(times, reverse=True)


def _episode(item: EpisodeItem) -> Episode:
    return Episode(
        conversation_id=item.group_id or item.user_id or "",
        title=item.subject or "",
        text=item.episode or item.summary or "",
        timestamp_ms=milliseconds(item.timestamp),
        score=item.score,
    )


def _name(conversation: Conversation) -> str:
    return conversation.conversation_id
