"""
EverOS v2, EverOS Cloud's or a self-hosted server's, as a :class:`~include.memory_api.contract.MemoryAPI`.

Differences from v1: conversations have no name, description or ``group_meta``; these are not sent. Messages have no
ids; their times identify them, since the milliseconds of a conversation are unique. Memories have owners, the senders
with the role ``user``, and can be read by owner only. Deletion and deferred extraction are not used.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from include.errors import OutcomeUnknown, Refused
from include.logs import counted
from include.memory_api.contract import (
    MOST_EPISODES,
    WHOLE,
    Episode,
    Evidence,
    FlushStatus,
    Name,
    Readback,
    Receipt,
    Target,
    TaskState,
)
from include.memory_api.failures import Question, is_task_id
from include.memory_api.readback import (
    PAGE,
    Episodes,
    Page,
    Pending,
    Seen,
    Sought,
    conclude,
    doubled,
    episodes_since,
    milliseconds,
    read_back,
)
from include.memory_api.settings import Settings
from include.memory_api.v2_http import V2Http
from include.memory_api.v2_wire import (
    MOST_TASKS,
    SearchResult,
    TaskItem,
    TaskList,
    beginning_with,
    messages_of,
    session_of,
    sessions_of,
    validation_error,
)
from include.memory_api.wire import AddResult, EpisodeItem, EpisodePage, FlushResult, best_first
from include.records import Conversation, Outgoing

MOST_OWNERS = 20
"""``readback`` reads the memories of at most so many people."""

_NOBODY = "-"
"""A search must name an owner; unprocessed messages have none yet, and any name returns them."""


class V2Client:
    """Client of one store (``app_id``, ``project_id``) of an account of EverOS v2, for one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._target = settings.target
        self._store = {"app_id": self._target.app_id, "project_id": self._target.project_id}
        self._has_key = bool(settings.api_key)
        self._http = V2Http(settings)
        self._queued_flushes: dict[str, str] = {}
        """Task id of a flush that is queued behind unfinished batches, by session."""

    @property
    def target(self) -> Target:
        """Server, account and store of this client."""
        return self._target

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    # -- writing

    def names_in(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Sequence[Name]:
        """Return nothing: conversations have no names in v2, and those of people are part of the messages."""
        return ()

    async def set_name(self, name: Name) -> None:
        """Do nothing."""

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """Send one batch; errors as in the contract."""
        call = f"add of {counted(len(messages), 'message')} to {conversation.conversation_id}"
        if error := validation_error(session_of(conversation), messages):
            raise Refused(f"{call}: {error}; nothing was sent.", status=422, reason=error)
        body = {**self._session(conversation), "messages": messages_of(messages), "async_mode": True}
        answer = await self._http.post("/api/v2/memory/add", body, AddResult, call)
        status, count = answer.data.status, answer.data.message_count
        if count not in (None, len(messages)):
            raise OutcomeUnknown(f"{call}: the server counted {count}; some may be stored and some not.")
        if status in ("accumulated", "extracted"):  # a server that stores synchronously although it was asked not to
            return Receipt(task_id=None, landed=True)
        if is_task_id(answer.request_id, (message.text for message in messages)):
            return Receipt(task_id=answer.request_id, landed=False)
        raise OutcomeUnknown(f"{call}: accepted without a request id, so there is no way to learn when it is stored.")

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """
        End the conversation's current episode.

        A flush that was queued behind unfinished batches is not sent again before it is done.
        """
        session, call = session_of(conversation), f"flush of {conversation.conversation_id}"
        if task_id := self._queued_flushes.get(session):
            if not (await self._task(task_id, call)).finished:
                return FlushStatus.QUEUED
            del self._queued_flushes[session]
        answer = await self._http.post("/api/v2/memory/flush", self._session(conversation), FlushResult, call)
        if answer.data.status not in set(FlushStatus):
            raise OutcomeUnknown(f"{call}: the server answered with a status that v2 does not have.")
        status = FlushStatus(answer.data.status)
        if status is FlushStatus.QUEUED and answer.request_id:
            self._queued_flushes[session] = answer.request_id
        return status

    # -- reading

    async def task_state(self, task_id: str) -> TaskState:
        """
        Return the state of an accepted batch.

        A failed task does not prove that the batch is absent: the server may have failed after it made memories of it.
        """
        task = await self._task(task_id, Question(f"question about task {task_id}"))
        if task.status == TaskState.MISSING:
            return TaskState.MISSING
        if not task.finished:
            return TaskState.PROCESSING
        return TaskState.SUCCESS if task.status == "success" else TaskState.FAILED

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
        Look once for a batch among unprocessed messages and its senders' episodes; the reasoning is in ``readback``.

        :raises OutcomeUnknown: requests for the conversation are unfinished, and the batch may be in one of them.
        """
        call = Question(f"look for batch {batch_key} in {conversation.conversation_id}")
        query = {"session_id": session_of(conversation), "page_size": MOST_TASKS, **self._store}
        tasks = await self._http.get("/api/v2/tasks", TaskList, call, query=query)
        if working := sum(not task.finished for task in tasks.items):
            raise OutcomeUnknown(f"{call}: the server still works on {working} of the conversation's requests.")
        message_ids, timestamps_ms = message_ids[part], timestamps_ms[part]
        names = dict(zip(timestamps_ms, message_ids, strict=True))
        times = await self._unprocessed(conversation, call)
        seen = Seen(
            pending=[Pending(message_id=names.get(ms) if ms else None, timestamp_ms=ms) for ms in times],
            # Server 1.5.1 returns all of them. Of the cloud it is not documented: a multiple of 100 may be a limit.
            pending_complete=not times or len(times) % 100 > 0,
            episodes=await self._episodes(conversation, senders, timestamps_ms[0], call),
        )
        return conclude(Sought(message_ids, timestamps_ms), seen)

    async def readback(
        self, conversation: Conversation, senders: Sequence[str], *, since_ms: int, until_ms: int
    ) -> Readback:
        """
        Read the pending messages and the episodes of a range of time.

        :param senders: only the first :data:`MOST_OWNERS` are read; put those with the most messages first.
        """
        call = Question(f"reading back {conversation.conversation_id}")
        waiting = await self._unprocessed(conversation, call)
        if not senders:
            return Readback(unprocessed=len(waiting), episodes=None)
        episodes = await self._episodes(conversation, senders[:MOST_OWNERS], since_ms, call)
        return read_back(len(waiting), episodes, since_ms=since_ms, until_ms=until_ms)

    async def search(
        self, query: str, owners: Sequence[str], conversations: Sequence[Conversation] = (), *, limit: int = 3
    ) -> list[Episode]:
        """Return the best matching episodes, best first: one call for each owner."""
        asked: dict[str, Any] = {"query": query, "method": "keyword", "top_k": min(limit, MOST_EPISODES)}
        if conversations:
            asked["filters"] = {"OR": [each for conversation in conversations for each in sessions_of(conversation)]}
        answers = await asyncio.gather(*(self._search(owner, asked, Question("search")) for owner in owners))
        found = (
            item.episode_of(item.session_id, owner)
            for owner, answer in zip(owners, answers, strict=True)
            for item in answer.episodes or ()
        )
        return best_first(found, limit)

    async def episodes(self, segment: Conversation, owner: str, *, limit: int = MOST_EPISODES) -> list[Episode]:
        """Return the oldest episodes of a segment and of its numbered continuations, oldest first."""
        body = {
            **self._store,
            "user_id": owner,
            "memory_type": "episode",
            "filters": {"OR": [{"session_id": session_of(segment)}, beginning_with(f"{session_of(segment)}.")]},
            "page_size": min(limit, MOST_EPISODES),
            "sort_by": "timestamp",
            "sort_order": "asc",
        }
        call = Question(f"episodes of {session_of(segment)}")
        found = (await self._http.post("/api/v2/memory/get", body, EpisodePage[EpisodeItem], call)).data
        return [item.episode_of(item.session_id, owner) for item in found.episodes or ()]

    async def check(self) -> str:
        """Check host and key by reading the newest task."""
        query = {"page_size": 1, **self._store}
        await self._http.get("/api/v2/tasks", TaskList, Question(f"EverOS v2 at {self._target.base_url}"), query=query)
        key = "accepts the API key" if self._has_key else "requires no API key"
        return f"EverOS v2 at {self._target.base_url} answers and {key}."

    def _session(self, conversation: Conversation) -> dict[str, Any]:
        return {**self._store, "session_id": session_of(conversation)}

    async def _task(self, task_id: str, call: str) -> TaskItem:
        nothing = TaskItem(status=TaskState.MISSING, finished_at="")
        return await self._http.get(f"/api/v2/tasks/{quote(task_id, safe='')}", TaskItem, call, missing=nothing)

    async def _unprocessed(self, conversation: Conversation, call: str) -> list[int | None]:
        """Return the times of all messages of the conversation that wait for extraction."""
        filters = {"session_id": session_of(conversation)}
        asked = {"query": "*", "method": "keyword", "top_k": 1, "filters": filters}
        found = await self._search(conversation.user_id or _NOBODY, asked, call)
        return [milliseconds(message.timestamp) for message in found.unprocessed_messages or ()]

    async def _search(self, owner: str, asked: dict[str, Any], call: str) -> SearchResult:
        body = {**self._store, "user_id": owner, **asked}
        return (await self._http.post("/api/v2/memory/search", body, SearchResult, call)).data

    async def _episodes(self, conversation: Conversation, owners: Sequence[str], since_ms: int, call: str) -> Episodes:
        """Return the episodes that these people have of the conversation; incomplete if ``owners`` is empty."""
        asked = {
            "memory_type": "episode",
            "filters": {"session_id": session_of(conversation)},
            "page_size": PAGE,
            "sort_by": "timestamp",
            "sort_order": "desc",
        }

        async def of_owner(owner: str) -> Episodes:
            by_id: dict[
                str, int | None
            ] = {}  # an episode may move to the next page while pages are read, and is then read twice

            async def page(number: int) -> Page:
                body = {**self._store, "user_id": owner, "page": number, **asked}
                found = (await self._http.post("/api/v2/memory/get", body, EpisodePage[EpisodeItem], call)).data
                times_ms = [milliseconds(item.timestamp) for item in found.episodes or ()]
                by_id.update(zip((item.id for item in found.episodes or ()), times_ms, strict=True))
                return Page(times_ms=times_ms, total=found.total_count)

            episodes = await episodes_since(since_ms, page)
            twice = doubled(time_ms for time_ms in by_id.values() if time_ms is not None)
            return replace(episodes, doubled_ms=twice)

        each = [await of_owner(owner) for owner in owners]
        times_ms = sorted({time_ms for episodes in each for time_ms in episodes.times_ms})
        return Episodes(
            times_ms=times_ms,
            complete=bool(each) and all(episodes.complete for episodes in each),
            doubled_ms=[time_ms for episodes in each for time_ms in episodes.doubled_ms],
        )
