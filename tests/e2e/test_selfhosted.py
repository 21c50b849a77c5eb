"""The sample exports in a real EverOS that is killed on the way: what people can read there is the measure."""

import asyncio
import contextlib
import dataclasses
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import psutil
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from include import steps
from include.errors import ChatImportError
from include.local.everos import ENVIRONMENT, SelfHosted
from include.local.state_folder import free_port
from include.memory_api import Settings
from include.parsers import ParseOptions
from include.plan import chunk_name, read_batches, read_plan
from include.plan.chunk_file import conversations_of
from include.records import Chunk
from include.run_folder import PROJECT, RunFolder
from include.standin_model.answers import boundaries
from include.standin_model.app import app
from include.standin_model.prompts import PromptMessage, Question
from include.window import Window
from tests.support.delivery_runs import QUICK, World
from tests.support.memory_api_calls import PATIENCE_S

PATIENT = dataclasses.replace(QUICK, give_up_after_s=60, task_deadline_s=120, settle_s=2)
IMPATIENT = dataclasses.replace(PATIENT, give_up_after_s=2, concurrency=1)


class DeadlyModel:
    """The stand-in for a model; asked for the boundaries of a certain batch it kills whom it is told to instead."""

    def __init__(self) -> None:
        self._answers: ASGIApp = app()
        self._victim: psutil.Process | None = None
        self._questions = 0
        self.has_killed = threading.Event()

    def kill(self, victim: psutil.Process, *, at: int) -> None:
        self._victim, self._questions = victim, at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._victim is None:
            return await self._answers(scope, receive, send)
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part.get("more_body"):
                break
        self._questions -= Question.BOUNDARIES.value.encode() in body
        if self._questions == 0:
            self._victim.kill()
            self._victim = None
            self.has_killed.set()

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return await self._answers(scope, again, send)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(self, port=port, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.should_exit = True
            thread.join()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imported:
    """A finished import into a server that still runs."""

    world: World
    server: SelfHosted
    run: RunFolder


def staged(world: World, run_id: str) -> tuple[RunFolder, list[Chunk]]:
    run, ledger = RunFolder.of(run_id, world.home), world.ledger
    for export in steps.discover(PROJECT / "include" / "samples", run):
        steps.extract(export, ParseOptions(), run)
    steps.transform(run, Window(since_us=None, until_us=None), ledger)
    return run, steps.plan(run, batch_size=5)


def process_of(server: SelfHosted) -> psutil.Process:
    command = [str(ENVIRONMENT / "bin" / "everos"), "server", "start"]
    [found] = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.cmdline()[1:] == command and process.environ().get("EVEROS_ROOT") == str(server.data)
    ]
    return found


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """The samples, loaded in two tries: the server is killed while it works on the sixth batch of the first one."""
    folder, model = tmp_path_factory.mktemp("selfhosted"), DeadlyModel()
    with model.running() as model_url:
        with SelfHosted.running(folder / "server", model_base_url=model_url) as server:
            world = World(folder / "home", Settings(api_version="v2", base_url=server.base_url))
            run, chunks = staged(world, "run 1")
            model.kill(process_of(server), at=6)
            with pytest.raises(ChatImportError):
                for chunk in chunks:
                    world.load(run, chunk, settings=IMPATIENT, after_s=600)
            assert model.has_killed.is_set()
        with SelfHosted.running(folder / "server", model_base_url=model_url) as server:
            for chunk in chunks:
                world.load(run, chunk, settings=PATIENT, after_s=600)
            world.flush(run, settings=PATIENT)
            yield Imported(world=world, server=server, run=run)


def episodes(server: SelfHosted) -> dict[str, dict[str, dict[str, list[str]]]]:
    """What the Markdown files hold: the lines of each segment, piece of it, and owner whose memory it is."""
    found: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in sorted(server.markdown.glob("*/episodes/*.md")):
        for entry in re.findall(r"<!-- entry:.*?<!-- /entry:", path.read_text(encoding="utf-8"), re.DOTALL):
            session, ends_at, piece = (field(entry, name) for name in ("session_id", "timestamp", "parent_id"))
            _, _, text = entry.partition("### Content\n")
            found[session][f"{ends_at} {piece}"][path.parts[-3]] += text.strip().splitlines()[2:-1]
    return found


def field(entry: str, name: str) -> str:
    [value] = re.findall(rf"^\*\*{name}\*\*: (.+)$", entry, re.MULTILINE)
    return value


def messages(run: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """What was to be loaded, by segment and in order, as its owner's."""
    return {
        segment.segment_id: [
            msgspec.to_builtins(message) | {"conversation_id": segment.conversation_id}
            for batch in read_batches(run.plan / chunk_name(segment.chunk), segment)
            for message in batch.messages
        ]
        for segment in read_plan(run)
    }


def line(message: dict[str, Any]) -> str:
    return f"{message['sender_name']}: {' '.join(message['text'].split())}"


def pieces_of(messages: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cut as the model does."""
    said = [
        PromptMessage(number=n, at=datetime.fromtimestamp(message["timestamp_ms"] // 1000, UTC), speaker="", text="")
        for n, message in enumerate(messages, start=1)
    ]
    cuts = boundaries(said)["boundaries"]
    return (list(messages[start:end]) for start, end in pairwise([0, *cuts, len(messages)]))


def test_a_server_killed_in_the_middle_ends_with_every_message_once_and_in_order(imported: Imported) -> None:
    """EverOS makes no episode of a piece in which nobody but bots wrote: it would belong to nobody."""
    found = episodes(imported.server)
    for segment, sent in messages(imported.run).items():
        remembered = [next(iter(owners.values())) for _, owners in sorted(found[segment].items())]
        with_people = [piece for piece in pieces_of(sent) if any(message["role"] == "user" for message in piece)]
        assert remembered == [[line(message) for message in piece] for piece in with_people]
    assert {outcome.flushed for outcome in imported.world.outcomes(imported.run).values()} == {"extracted"}


def test_the_owner_has_each_piece_of_a_segment_once(imported: Imported) -> None:
    sent = messages(imported.run)
    for segment, pieces in episodes(imported.server).items():
        writers = {line(message): message["sender_id"] for message in sent[segment] if message["role"] == "user"}
        for owners in pieces.values():
            [text] = {tuple(lines) for lines in owners.values()}
            assert owners.keys() == {writers[said] for said in text if said in writers}


def test_the_owner_finds_the_longest_message_of_each_segment_by_its_words(imported: Imported) -> None:
    """The search index lags behind what is written."""

    async def find(segment_id: str, message: dict[str, Any]) -> None:
        segment, words = known[message["conversation_id"]].segment(segment_id), message["text"][:200]
        api = imported.world.connect()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not any(  # noqa: ASYNC110
                    line(message) in episode.text
                    for episode in await api.search(words, [message["sender_id"]], [segment], limit=10)
                ):
                    await asyncio.sleep(1)
        finally:
            await api.aclose()

    known = conversations_of(imported.run)
    for segment_id, sent in messages(imported.run).items():
        by_people = [message for message in sent if message["role"] == "user"]
        if by_people:
            asyncio.run(find(segment_id, max(by_people, key=lambda message: len(message["text"]))))


def test_a_second_run_adds_nothing(imported: Imported) -> None:
    before = episodes(imported.server)
    run, chunks = staged(imported.world, "run 2")
    assert chunks == []
    imported.world.flush(run, run_id="run 2", settings=PATIENT)
    assert episodes(imported.server) == before
