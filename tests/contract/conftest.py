"""The targets that the contract of a memory API is checked against."""

import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from include.memory_api import MemoryAPI, Settings, connect
from include.records import Conversation
from include.standin import StandIn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A running server and how to talk to it."""

    settings: Settings
    checks_key: bool
    """Whether a wrong key is refused."""

    has_personal: bool
    """Whether personal conversations have endpoints of their own."""

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
        """A conversation that nobody has used before."""
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


@pytest.fixture(scope="session", params=["standin"])
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Every target that can be reached from here."""
    with StandIn.running(tmp_path_factory.mktemp("standin"), key="right") as server:
        settings = Settings(base_url=server.base_url, api_key="right")
        yield Target(settings=settings, checks_key=True, has_personal=True)
