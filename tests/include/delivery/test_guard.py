"""Rules of a ledger that is older than what was sent, and of a server that has lost what it held."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from include import steps
from include.delivery.guard import check_not_emptied, generation_of, raise_generation
from include.delivery.ledger import Ledger
from include.delivery.verification import verify
from include.errors import LedgerError
from include.layout import HOME_VARIABLE, RunFolder
from include.memory_api import Settings, connect
from include.standin import StandIn
from include.standin.faults import Fault
from tests.support.delivery_runs import World, a_run

TARGET = Settings(base_url="http://127.0.0.1:9", api_key="test").target
ONE, TWO = "slack_one", "slack_two"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "standin") as running:
        yield running


def settings_of(server: StandIn) -> Settings:
    return Settings(base_url=server.base_url, api_key="test", read_timeout_s=2)


def import_into(server: StandIn, home: Path, run_id: str, conversations: dict[str, int], *, start: int = 0) -> Ledger:
    """Load, flush and verify, as the tasks of a run do."""
    world = World(home, settings_of(server))
    run, chunks = a_run(home, conversations, run_id=run_id, start=start)
    for chunk in chunks:
        world.load(run, chunk, run_id=run_id)
    world.flush(run, run_id=run_id)
    asyncio.run(read_back(run, world.ledger, settings_of(server), run_id))
    return world.ledger


async def read_back(run: RunFolder, ledger: Ledger, settings: Settings, run_id: str) -> None:
    api = connect(settings)
    try:
        await verify(run, ledger, api, run_id, lag_s=0)
    finally:
        await api.aclose()


def adds(server: StandIn) -> int:
    return sum(entry.kind == "add" for entry in server.journal())


class TestAnEmptiedServer:
    def test_nothing_is_sent_to_a_server_that_has_lost_what_it_held(self, tmp_path: Path, home: Path) -> None:
        with StandIn.running(tmp_path / "full") as full:
            port = int(full.base_url.rpartition(":")[2])
            import_into(full, home, "first", {ONE: 30, TWO: 20})
        with StandIn.running(tmp_path / "empty", port=port) as empty:
            assert empty.base_url == full.base_url
            with pytest.raises(LedgerError, match="shows nothing of what the ledger says it holds") as caught:
                import_into(empty, home, "second", {ONE: 5}, start=30)
            assert adds(empty) == 0
        assert "give this store a new account" in str(caught.value)

    def test_it_is_noticed_too_when_only_new_conversations_are_to_be_loaded(self, tmp_path: Path, home: Path) -> None:
        with StandIn.running(tmp_path / "full") as full:
            port = int(full.base_url.rpartition(":")[2])
            import_into(full, home, "first", {ONE: 30})
        with StandIn.running(tmp_path / "empty", port=port) as empty:
            with pytest.raises(LedgerError, match=ONE):
                import_into(empty, home, "second", {"slack_new": 5})
            assert adds(empty) == 0

    def test_a_server_that_still_has_it_is_loaded_into(self, server: StandIn, home: Path) -> None:
        import_into(server, home, "first", {ONE: 30, TWO: 20})
        before = adds(server)
        ledger = import_into(server, home, "second", {ONE: 5}, start=30)
        assert adds(server) > before
        assert ledger.summaries()[ONE].landed == 35

    def test_one_conversation_that_is_gone_stops_nothing(self, server: StandIn, home: Path) -> None:
        ledger = import_into(server, home, "first", {ONE: 30, TWO: 20})
        path = ledger.folder / "guard.json"
        path.write_bytes(path.read_bytes().replace(b'"slack_one"', b'"slack_gone"'))
        import_into(server, home, "second", {ONE: 5}, start=30)
        assert adds(server) > 0

    def test_an_answer_that_proves_nothing_stops_nothing(self, server: StandIn, home: Path) -> None:
        ledger = import_into(server, home, "first", {ONE: 30})
        server.set_faults(Fault(does="status", status=503, kind="get"), Fault(does="status", status=503, kind="search"))
        asyncio.run(self.look(ledger, server))

    def test_a_server_that_nothing_was_verified_of_is_not_asked(self, server: StandIn, home: Path) -> None:
        ledger = World(home, settings_of(server)).ledger
        asyncio.run(self.look(ledger, server))
        assert server.journal() == []

    async def look(self, ledger: Ledger, server: StandIn) -> None:
        api = connect(settings_of(server))
        try:
            await check_not_emptied(ledger.folder, api)
        finally:
            await api.aclose()


class TestAnOlderLedger:
    def test_a_ledger_restored_from_before_a_load_is_refused(self, home: Path) -> None:
        ledger = steps.open_ledger(TARGET)
        noted = raise_generation(ledger.folder, 0, TARGET)
        shutil.copytree(ledger.folder, home / "backup")
        noted = raise_generation(ledger.folder, noted, TARGET)  # a load that never came to its report
        shutil.rmtree(ledger.folder)
        (home / "backup").rename(ledger.folder)
        with pytest.raises(LedgerError, match=r"at generation 1, Airflow's asset state at 2\..* Nothing was sent"):
            steps.open_ledger(TARGET, generation=noted)
        with pytest.raises(LedgerError, match="older than what was sent"):
            raise_generation(ledger.folder, noted, TARGET)
        assert generation_of(ledger.folder) == 1

    def test_a_ledger_that_is_ahead_of_what_was_noted_goes_on(self, home: Path) -> None:
        ledger = steps.open_ledger(TARGET)
        for _ in range(3):
            raise_generation(ledger.folder, 1 if generation_of(ledger.folder) else 0, TARGET)
        assert generation_of(ledger.folder) == 3

    def test_many_tasks_that_begin_at_once_each_raise_it(self, home: Path) -> None:
        ledger = steps.open_ledger(TARGET)

        async def begin() -> list[int]:
            return await asyncio.gather(
                *(asyncio.to_thread(raise_generation, ledger.folder, 0, TARGET) for _ in range(20))
            )

        assert sorted(asyncio.run(begin())) == list(range(1, 21))

    def test_a_damaged_note_is_not_taken_for_none(self, home: Path) -> None:
        ledger = steps.open_ledger(TARGET)
        (ledger.folder / "guard.json").write_bytes(b"{")
        with pytest.raises(LedgerError, match="is damaged"):
            raise_generation(ledger.folder, 0, TARGET)
