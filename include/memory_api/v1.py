"""EverOS v1 as a :class:`~include.memory_api.contract.MemoryAPI`: the calls, and the meaning of their answers."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import batched
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
    fewest_first,
    milliseconds,
    read_back,
)
from include.memory_api.settings import Settings
from include.memory_api.v1_http import RETRIED, V1Http
from include.memory_api.v1_wire import (
    MOST_PENDING,
    AddResult,
    EpisodeItem,
    SearchResult,
    TaskResult,
    add_body,
    filters_by_writer,
    is_in,
    name_call,
    names_in,
    pending_filters,
    scope,
    validation_error,
)
from include.memory_api.wire import EpisodePage, FlushResult, best_first
from include.records import Conversation, Outgoing

_GROUPS_AT_ONCE = 50
"""Group ids in one search (reference server, ``MAX_GROUP_IDS_COUNT``)."""


class V1Client:
    """Client of one account of EverOS v1, for one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._target = settings.target
        self._http = V1Http(settings)

    @property
    def target(self) -> Target:
        """Server and account of this client."""
        return self._target

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    # -- writing

    def names_in(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Sequence[Name]:
        """Return the group's name; of a personal conversation, whose messages carry no names, those of its writers."""
        return names_in(conversation, messages)

    async def set_name(self, name: Name) -> None:
        """Create or rename the group or sender."""
        path, body = name_call(name)
        await self._http.post(path, body, object, f"name of {name.kind} {name.id}")

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        """Send one batch; errors as in the contract."""
        call = f"add of {counted(len(messages), 'message')} to {conversation.conversation_id}"
        path = "/api/v1/memories/group" if conversation.kind == "group" else "/api/v1/memories"
        if error := validation_error(conversation):
            raise Refused(f"{call}: {error}; nothing was sent.", status=422, reason=error)
        result = await self._http.post(path, add_body(conversation, messages), AddResult, call)
        if result.message_count not in (None, len(messages)):
            raise OutcomeUnknown(f"{call}: the server counted {result.message_count}; some may be stored and some not.")
        if is_task_id(result.task_id, (message.text for message in messages)):
            return Receipt(task_id=result.task_id, landed=False)
        if result.status in (
            "extracted",
            "accumulated",
        ):  # a server that stores synchronously although it was asked not to
            return Receipt(task_id=None, landed=True)
        raise OutcomeUnknown(f"{call}: accepted without a task id, so there is no way to learn when it is stored.")

    async def flush(self, conversation: Conversation) -> FlushStatus:
        """End the conversation's current episode."""
        path = "/api/v1/memories/group/flush" if conversation.kind == "group" else "/api/v1/memories/flush"
        call = f"flush of {conversation.conversation_id}"
        result = await self._http.post(path, scope(conversation), FlushResult, call)
        if result.status not in (FlushStatus.EXTRACTED, FlushStatus.NO_EXTRACTION):
            raise OutcomeUnknown(f"{call}: the server answered with a status that v1 does not have.")
        return FlushStatus(result.status)

    # -- reading

    async def task_state(self, task_id: str) -> TaskState:
        """
        Return the state of an accepted batch. An unknown status counts as not final.

        A failed task does not prove that the batch is absent: the reference server stores it before it extracts.
        """
        path, call = f"/api/v1/tasks/{quote(task_id, safe='')}", Question(f"question about task {task_id}")
        result = await self._http.get(path, TaskResult, call, missing=TaskResult(status=TaskState.MISSING))
        return TaskState(result.status) if result.status in set(TaskState) else TaskState.PROCESSING

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
        Look once for a batch among pending messages and episodes; the reasoning is in ``readback``.

        Where more messages are pending than one answer holds, the client asks for those of one writer at a time,
        beginning with the writer of the fewest known messages. Then it reads the conversation and its episodes again
        before it concludes: extraction may have taken the batch in the meantime.

        A batch in the server's queue is not visible, and one that is being extracted may be neither pending nor an
        episode yet: ``ABSENT`` has to hold for longer than an extraction takes.
        """
        call = Question(f"look for batch {batch_key} in {conversation.conversation_id}")
        sought = Sought(message_ids, timestamps_ms, writers, part)
        before: list[Pending] = []
        complete_of: set[str] = set()
        left: list[str] | None = None
        while True:
            pending, complete = await self._pending(conversation, call)
            episodes = await self._episodes(conversation, timestamps_ms[0], call)
            seen = Seen(
                pending=[*pending, *before],
                pending_complete=complete,
                episodes=episodes,
                complete_of=frozenset(complete_of),
            )
            evidence = conclude(sought, seen)
            first_round = left is None
            left = fewest_first(sought, pending) if left is None else left
            if evidence is not Evidence.UNPROVABLE or complete or not left:
                return evidence
            before += pending
            while left:
                writer = left.pop(0)
                shown, all_shown = await self._shown(conversation, filters_by_writer(conversation, writer), call)
                before += shown
                known = {message.message_id for message in pending if message.writer == writer}
                if all_shown and known <= {
                    message.message_id for message in shown
                }:  # else the server did not filter by writer
                    complete_of.add(writer)
                if first_round and sought.decided_by(before, complete_of):
                    break
            before = [replace(message, timestamp_ms=None) for message in before]

    async def readback(
        self,
        conversation: Conversation,
        senders: Sequence[str],
        *,
        since_ms: int,
        until_ms: int,
    ) -> Readback:
        """Read the pending messages and the episodes of a range of time."""
        call = Question(f"reading back {conversation.conversation_id}")
        pending, _ = await self._pending(conversation, call)
        episodes = await self._episodes(conversation, since_ms, call)
        waiting = len({message.message_id for message in pending})
        return read_back(waiting, episodes, since_ms=since_ms, until_ms=until_ms)

    async def search(
        self, query: str, owners: Sequence[str], conversations: Sequence[Conversation] = (), *, limit: int = 3
    ) -> list[Episode]:
        """Return the best matching episodes of the given conversations, best first."""
        groups = [c.conversation_id for c in conversations if c.kind == "group"]
        asked: list[tuple[str, dict[str, Any]]] = [
            ("", {"group_id": {"in": list(some)}}) for some in batched(groups, _GROUPS_AT_ONCE)
        ]
        asked += [(c.conversation_id, scope(c)) for c in conversations if c.kind == "personal"]
        found: list[Episode] = []
        for name, filters in asked:
            most = min(limit, MOST_EPISODES)
            body = {"filters": filters, "query": query, "memory_types": ["episodic_memory"], "top_k": most}
            call = Question("search")
            result = await self._http.post("/api/v1/memories/search", body, SearchResult, call, options=RETRIED)
            found += [item.episode_of(name or item.group_id) for item in result.episodes or []]
        return best_first(found, limit)

    async def episodes(self, segment: Conversation, owner: str, *, limit: int = MOST_EPISODES) -> list[Episode]:
        """Return the oldest episodes of a conversation, oldest first."""
        order = {"page": 1, "page_size": min(limit, MOST_EPISODES), "rank_by": "timestamp", "rank_order": "asc"}
        body = {"filters": scope(segment), "memory_type": "episodic_memory", **order}
        call = Question(f"episodes of {segment.conversation_id}")
        found = await self._http.post("/api/v1/memories/get", body, EpisodePage[EpisodeItem], call, options=RETRIED)
        return [item.episode_of(segment.conversation_id) for item in found.episodes or ()]

    async def check(self) -> str:
        """Check host and key by reading the account's settings."""
        call = Question(f"EverOS v1 at {self._target.base_url}")
        await self._http.get("/api/v1/settings", object, call, options=RETRIED)
        return f"EverOS v1 at {self._target.base_url} answers and accepts the API key."

    async def _pending(self, conversation: Conversation, call: str) -> tuple[list[Pending], bool]:
        """Return the messages that wait for extraction, and whether these are all."""
        pending: list[Pending] = []
        complete = True
        for filters in pending_filters(conversation):
            shown, all_shown = await self._shown(conversation, filters, call)
            pending += shown
            complete = complete and all_shown
        return pending, complete

    async def _shown(
        self, conversation: Conversation, filters: dict[str, Any], call: str
    ) -> tuple[list[Pending], bool]:
        """Return the pending messages that match the filters, and whether these are all."""
        asked = {"query": "*", "method": "keyword", "memory_types": ["raw_message"], "top_k": MOST_PENDING}
        body = {"filters": filters, **asked}
        result = await self._http.post("/api/v1/memories/search", body, SearchResult, call)
        found = result.raw_messages or []
        shown = [
            Pending(message_id=m.message_id, timestamp_ms=milliseconds(m.timestamp), writer=m.sender_id)
            for m in found
            if is_in(m, conversation)
        ]
        return shown, len(found) < MOST_PENDING

    async def _episodes(self, conversation: Conversation, since_ms: int, call: str) -> Episodes:
        by_id: dict[
            str, tuple[str | None, int | None]
        ] = {}  # an episode may move to the next page while pages are read, and is then read twice

        async def page(number: int) -> Page:
            order = {"page": number, "page_size": PAGE, "rank_by": "timestamp", "rank_order": "desc"}
            body = {"filters": scope(conversation), "memory_type": "episodic_memory", **order}
            found = await self._http.post("/api/v1/memories/get", body, EpisodePage[EpisodeItem], call)
            times_ms = [milliseconds(item.timestamp) for item in found.episodes or ()]
            for item, time_ms in zip(found.episodes or (), times_ms, strict=True):
                if item.id:
                    by_id[item.id] = item.user_id or None, time_ms
            return Page(times_ms=times_ms, total=found.total_count)

        episodes = await episodes_since(since_ms, page)
        of_owner: dict[str | None, list[int]] = {}  # of the group (None), and a copy for each person
        for user_id, time_ms in by_id.values():
            if time_ms is not None:
                of_owner.setdefault(user_id, []).append(time_ms)
        twice = [time_ms for times_ms in of_owner.values() for time_ms in doubled(times_ms)]
        return replace(episodes, doubled_ms=twice)
