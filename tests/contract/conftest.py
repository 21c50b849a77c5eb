"""The targets of the contract tests."""

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from include.local.everos import SelfHosted
from include.memory_api import MemoryAPI, Settings, connect
from include.records import Conversation
from include.standin import StandIn
from tests.support.memory_api_calls import landed, messages, run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A running server and its settings."""

    settings: Settings
    checks_key: bool
    """Whether a wrong key is refused."""

    @contextlib.asynccontextmanager
    async def client(self, **changes: object) -> AsyncIterator[MemoryAPI]:
        """Connect, with some settings changed."""
        api = connect(dataclasses.replace(self.settings, **changes))  # type: ignore[arg-type]
        try:
            yield api
        finally:
            await api.aclose()

    @staticmethod
    def conversation(kind: str = "group", session_id: str | None = None) -> Conversation:
        """Return a new conversation."""
        name = f"contract_{uuid.uuid4().hex[:12]}"
        user_id = f"user_{name}" if kind == "personal" else None
        return Conversation(
            conversation_id=name,
            source="slack",
            kind=kind,  # type: ignore[arg-type]
            channel_id=name,
            name=name,
            description="made by a test",
            user_id=user_id,
            session_id=session_id,
            group_meta='{"topic": "tests"}' if kind == "group" else None,
        )


@pytest.fixture(scope="session", params=["stand-in for v1", "self-hosted EverOS"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Start each target once, for the first test that needs it."""
    if request.param == "stand-in for v1":
        with StandIn.running(tmp_path_factory.mktemp("standin"), key="right") as server:
            settings = Settings(base_url=server.base_url, api_key="right")
            yield Target(settings=settings, checks_key=True)
    else:
        with SelfHosted.running(tmp_path_factory.mktemp("selfhosted")) as server:
            settings = Settings(api_version="v2", base_url=server.base_url)
            yield Target(settings=settings, checks_key=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """Conversations that are loaded into a target when it is started."""

    keys: Conversation
    odd: Conversation
    personal: Conversation
    threads: Conversation
    """A conversation with one thread, :attr:`root`, and late replies in its continuation."""

    root: Conversation
    shorter: Conversation
    """Never loaded; the id of :attr:`threads` begins with its id."""

    other: Conversation
    """Never loaded."""


@pytest.fixture(scope="session", autouse=True)
def loaded(target: Target) -> Loaded:
    """Load and flush before all other tests: it can take the self-hosted server a minute until search finds it."""
    threads = target.conversation()
    root = threads.segment(f"{threads.conversation_id}.2026-01-01.thread-1767225600.000100")
    loaded = Loaded(
        keys=target.conversation(),
        odd=target.conversation(),
        personal=target.conversation("personal"),
        threads=threads,
        root=root,
        shorter=msgspec.structs.replace(threads, conversation_id=threads.conversation_id[:-1]),
        other=target.conversation(),
    )
    nine_days = 9 * 86_400
    texts = [
        (loaded.keys, "U01", 0, "We keep the spare keys of the lab with Ngozi"),
        (loaded.odd, "U01", 0, 'Ünïcode 🦊 "quotes" \\ back\u2028slash,\ttab\nand a second line'),
        (loaded.personal, str(loaded.personal.user_id), 0, "about the harbour"),
        (root, "U01", 0, "Who paints the lighthouse?"),
        (threads.segment(f"{root.segment_id}.2"), "U01", nine_days, "Me, nine days later"),
    ]

    async def load() -> None:
        async with target.client() as api:
            for conversation, sender, first, text in texts:
                await landed(api, conversation, messages(3, first=first, text=text, by=sender))
            await asyncio.gather(*(api.flush(conversation) for conversation, *_ in texts))

    run(load())
    return loaded
