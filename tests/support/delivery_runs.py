"""Makes planned runs, and loads and flushes them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.delivery.flush import FlushOutcome, flush_conversations
from include.delivery.loader import LoadOutcome, LoadSettings, load_chunk
from include.delivery.outcomes import Outcome, outcomes_of
from include.ledger import Ledger, ledger_url
from include.memory_api import Settings, connect
from include.memory_api.contract import Evidence, FlushStatus, MemoryAPI, Name, Receipt, Target, TaskState
from include.plan import plan
from include.records import ORDERED_SCHEMA, TRANSFORMED_SCHEMA, Chunk, Conversation, Message, Outgoing
from include.run_folder import RunFolder

FIRST_MS = 1_700_000_000_000

QUICK = LoadSettings(
    give_up_after_s=5,
    backoff_base_s=0.01,
    backoff_cap_s=0.05,
    poll_min_s=0.01,
    poll_max_s=0.05,
    task_deadline_s=10,
    settle_s=0.3,
    lock_wait_s=5,
)
"""Times for a server on this machine."""


def message_ids(conversation_id: str, count: int, start: int = 0) -> list[str]:
    return [f"{conversation_id}.{number:06d}" for number in range(start, start + count)]


def a_run(
    home: Path,
    conversations: Mapping[str, int],
    *,
    run_id: str = "run 1",
    batch_size: int = 10,
    max_chunks: int = 1,
    start: int = 0,
    name: str | None = None,
) -> tuple[RunFolder, list[Chunk]]:
    """
    Plan a run of conversations with so many messages each, numbered from ``start``.

    :param name: Of all of them, default: their ids.
    """
    run = RunFolder.of(run_id, home)
    run.messages.mkdir(parents=True)
    messages, known = [], []
    for id_, count in sorted(conversations.items()):
        conversation = Conversation(
            conversation_id=id_, source="slack", kind="group", channel_id=f"C-{id_}", name=name or id_
        )
        counts = {field.name: 0 for field in TRANSFORMED_SCHEMA if field.type == pa.int64()}
        said = {"entries": count, "messages": count, "imported": max(count, 1)}
        known.append(msgspec.to_builtins(conversation) | counts | said)
        messages += [_message(id_, number) for number in range(start, start + count)]
    pq.write_table(pa.Table.from_pylist(messages, schema=ORDERED_SCHEMA), run.messages / "part-00000.parquet")
    pq.write_table(pa.Table.from_pylist(known, schema=TRANSFORMED_SCHEMA), run.conversations)
    return run, plan(run, batch_size=batch_size, max_chunks=max_chunks)


def _message(conversation_id: str, number: int) -> dict[str, Any]:
    message = Message(
        source="slack",
        conversation_id=conversation_id,
        message_id=message_ids(conversation_id, 1, number)[0],
        sent_at_us=(FIRST_MS + number * 1_000) * 1_000,
        timestamp_ms=FIRST_MS + number * 1_000,
        sender_id=f"U{number % 3}",
        sender_name=f"Person {number % 3}",
        role="user",
        text=f"words {number}",
        origin="day.json[0]",
    )
    return {**msgspec.to_builtins(message), "segment_id": conversation_id}


class Notes:
    """A checkpoint in memory; ``delay_s`` makes it as slow as a database behind an API."""

    def __init__(self, delay_s: float = 0) -> None:
        self.values: dict[str, Any] = {}
        self.writes = 0
        self._delay_s = delay_s

    async def get(self, key: str) -> Any:
        return self.values.get(key)

    async def set(self, key: str, value: Any) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        self.writes += 1
        self.values[key] = msgspec.json.decode(msgspec.json.encode(value))


class PromptMemory:
    """A memory API that does everything at once, in this process."""

    target = Target(base_url="https://prompt.example", api_version="v1")

    def __init__(self) -> None:
        self.stored: dict[str, list[str]] = {}
        self.flushes: list[str] = []
        self.names: list[Name] = []

    def names_in(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Sequence[Name]:
        return [Name(kind="group", id=conversation.conversation_id, name=conversation.name)]

    async def set_name(self, name: Name) -> None:
        self.names.append(name)

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        held = self.stored.setdefault(conversation.conversation_id, [])
        held += [message.message_id for message in messages]
        return Receipt(task_id=None, landed=True)

    async def task_state(self, task_id: str) -> TaskState:
        return TaskState.MISSING

    async def find(self, conversation: Conversation, message_ids: Sequence[str], **_: object) -> Evidence:
        held = set(self.stored.get(conversation.conversation_id, ()))
        found = [message_id in held for message_id in message_ids]
        return Evidence.PRESENT if all(found) else Evidence.UNPROVABLE if any(found) else Evidence.ABSENT

    async def flush(self, conversation: Conversation) -> FlushStatus:
        self.flushes.append(conversation.conversation_id)
        return FlushStatus.EXTRACTED

    async def aclose(self) -> None:
        pass


class Blindfold:
    """A client whose reading back shows nothing, so that no evidence settles an unknown outcome."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def find(self, *args: object, **kwargs: object) -> Evidence:
        return Evidence.UNPROVABLE


class World:
    """A home folder and a target: runs are loaded and flushed into it as the tasks of the DAG do."""

    def __init__(self, home: Path, api: MemoryAPI | PromptMemory | Settings | str) -> None:
        self.home = home
        self.through: Callable[[Any], Any] = lambda api: api
        """Put between the load and the client."""
        self._api = api
        self.notes: dict[tuple[str, int], Notes] = {}

    def connect(self) -> Any:
        if isinstance(self._api, Settings):
            return self.through(connect(self._api))
        if isinstance(self._api, str):
            return self.through(connect(Settings(base_url=self._api, api_key="test", read_timeout_s=2)))
        return self.through(self._api)

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(ledger_url(self.home), self.connect().target)

    def load(
        self,
        run: RunFolder,
        chunk: Chunk,
        *,
        run_id: str = "run 1",
        settings: LoadSettings = QUICK,
        after_s: float = 60,
    ) -> LoadOutcome:
        """One try of one load task, cancelled when it takes longer than ``after_s``."""
        notes = self.notes.setdefault((run_id, chunk.number), Notes())
        return asyncio.run(self._load(run, chunk, notes, run_id, settings, after_s))

    async def _load(
        self, run: RunFolder, chunk: Chunk, notes: Notes, run_id: str, settings: LoadSettings, after_s: float
    ) -> LoadOutcome:
        api = self.connect()
        try:
            async with asyncio.timeout(after_s):
                return await load_chunk(chunk, run, api, self.ledger, notes, settings, run_id)
        finally:
            await api.aclose()

    def flush(self, run: RunFolder, *, run_id: str = "run 1", settings: LoadSettings = QUICK) -> FlushOutcome:
        """One try of the flush task."""

        async def task() -> FlushOutcome:
            api = self.connect()
            try:
                return await flush_conversations(run, api, self.ledger, settings, run_id)
            finally:
                await api.aclose()

        return asyncio.run(task())

    def outcomes(self, run: RunFolder, *, run_id: str = "run 1") -> dict[str, Outcome]:
        with self.ledger.snapshot() as snapshot:
            return outcomes_of(run, snapshot, run_id)
