"""
Loads a recall set into a store of its own: through the pipeline, or as a plain converter does.

:func:`load_deferred` is for a setting that the pipeline does not have: it sends the pipeline's plan itself.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path
from typing import Any

import httpx

from include import steps
from include.delivery.loader import LoadSettings
from include.memory_api import MemoryAPI, Settings, connect
from include.memory_api.contract import TaskState
from include.memory_api.v2_wire import messages_of
from include.memory_layout import MemoryLayout
from include.parsers import ParseOptions
from include.plan import chunk_name, plan, read_batches, read_plan
from include.plan.estimate import write_estimate
from include.records import Conversation, Outgoing
from include.run_folder import RunFolder
from include.window import Window
from tests.recall.questions import RecallSet
from tests.support.delivery_runs import QUICK, World

PATIENT: LoadSettings = replace(QUICK, give_up_after_s=120, task_deadline_s=600, settle_s=5, concurrency=8)
OPTIONS = ParseOptions(id_template="{source}_{workspace}_{channel}")
BATCH = 50
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message as the store was given it."""

    message_id: str
    session: str
    outgoing: Outgoing


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Everything that a store was given."""

    sent: tuple[Sent, ...]
    estimated_calls: int | None
    """Calls of the language model as the plan's estimate expects them; ``None`` where nobody estimates."""


def load_by_pipeline(recall_set: RecallSet, settings: Settings, home: Path, *, layout: MemoryLayout) -> Loaded:
    """Load as a run of the DAG does."""
    world, run = World(home, settings), _staged(recall_set, settings, home, layout)
    chunks = plan(run, max_chunks=1)
    estimate = write_estimate(run, PATIENT.concurrency)
    for chunk in chunks:
        world.load(run, chunk, settings=PATIENT, after_s=3600)
    world.flush(run, settings=PATIENT)
    return Loaded(sent=tuple(_planned(run)), estimated_calls=estimate.total.llm_calls)


def load_deferred(recall_set: RecallSet, settings: Settings, home: Path, *, layout: MemoryLayout) -> Loaded:
    """Load the same, and let the server ask its model only when a session is flushed (``defer_extraction``)."""
    run = _staged(recall_set, settings, home, layout)
    plan(run, max_chunks=1)
    sessions: dict[str, list[Sent]] = defaultdict(list)
    for each in _planned(run):
        sessions[each.session].append(each)
    asyncio.run(_load_sessions(settings, sessions, deferred=True))
    return Loaded(sent=tuple(each for sent in sessions.values() for each in sent), estimated_calls=None)


def _planned(run: RunFolder) -> Iterator[Sent]:
    for segment in read_plan(run):
        for batch in read_batches(run.plan / chunk_name(segment.chunk), segment):
            for message in batch.messages:
                yield Sent(message_id=message.message_id, session=segment.segment_id, outgoing=message)


def load_by_converter(recall_set: RecallSet, settings: Settings, home: Path) -> Loaded:
    """
    Load as a plain program does, after the vendor's guide: a session per channel, messages of people as they stand.

    It reads the newest export of each workspace, resolves no mention, knows no thread, leaves out subtypes.
    """
    sessions: dict[str, list[Sent]] = {}
    for export in recall_set.current:
        users = json.loads((export / "users.json").read_bytes())
        names = {user["id"]: user["real_name"] for user in users}
        for channel in json.loads((export / "channels.json").read_bytes()):
            session = f"slack_{export.name}_{channel['name']}"
            days = sorted((export / channel["name"]).glob("*.json"))
            entries = [entry for day in days for entry in json.loads(day.read_bytes())]
            found = [_converted(entry, session, names) for entry in entries if _is_plain(entry)]
            if found:
                sessions[session] = sorted(found, key=lambda sent: sent.outgoing.timestamp_ms)
    asyncio.run(_load_sessions(settings, sessions))
    return Loaded(sent=tuple(each for sent in sessions.values() for each in sent), estimated_calls=None)


def _is_plain(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("ts") and entry.get("user") and entry.get("text") and not entry.get("subtype"))


def _converted(entry: Mapping[str, Any], session: str, names: Mapping[str, str]) -> Sent:
    outgoing = Outgoing(
        message_id=entry["ts"],
        timestamp_ms=int(float(entry["ts"]) * 1000),
        sender_id=entry["user"],
        sender_name=names.get(entry["user"], entry["user"]),
        role="user",
        text=entry["text"],
    )
    return Sent(message_id=entry["ts"], session=session, outgoing=outgoing)


def _staged(recall_set: RecallSet, settings: Settings, home: Path, layout: MemoryLayout) -> RunFolder:
    """Extract and transform the set, for a target that has nothing yet."""
    run = RunFolder.of("run 1", home)
    for export in steps.discover(recall_set.folder, run):
        steps.extract(export, OPTIONS, run)
    steps.transform(run, Window(), World(home, settings).ledger, OPTIONS, layout=layout)
    return run


async def _load_sessions(settings: Settings, sessions: Mapping[str, Sequence[Sent]], *, deferred: bool = False) -> None:
    """Send each session's messages in order, then flush it; sessions go side by side."""
    api, http = connect(settings), httpx.AsyncClient(base_url=settings.address, trust_env=False, timeout=60)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def load(session: str, sent: Sequence[Sent]) -> None:
        conversation = Conversation(
            conversation_id=session, source="slack", kind="group", channel_id=session, name=session
        )
        async with at_once:
            for batch in batched(sent, BATCH):
                messages = [each.outgoing for each in batch]
                if deferred:
                    await _add_deferred(http, settings, session, messages)
                elif task_id := (await api.add(conversation, messages)).task_id:
                    await _landed(api, task_id)
            await api.flush(conversation)

    try:
        async with http, asyncio.TaskGroup() as group:
            for session, sent in sessions.items():
                group.create_task(load(session, sent))
    finally:
        await api.aclose()


async def _add_deferred(
    http: httpx.AsyncClient, settings: Settings, session: str, messages: Sequence[Outgoing]
) -> None:
    store = {"app_id": settings.target.app_id, "project_id": settings.target.project_id, "session_id": session}
    body = {**store, "messages": messages_of(messages), "defer_extraction": True}
    (await http.post("/api/v2/memory/add", json=body)).raise_for_status()


async def _landed(api: MemoryAPI, task_id: str) -> None:
    while (state := await api.task_state(task_id)) is TaskState.PROCESSING:  # noqa: ASYNC110 - nobody notifies
        await asyncio.sleep(0.05)
    if state is not TaskState.SUCCESS:
        raise RuntimeError(f"the task {task_id} ended as {state}")
