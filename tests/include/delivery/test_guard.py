"""Rules of a ledger that is older than what was sent, and of a server that has lost what it held."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from include import steps
from include.delivery.verification import verify
from include.delivery.witnesses import Witness, check_not_emptied
from include.errors import LedgerError
from include.ledger import Ledger
from include.memory_api import Settings, connect
from include.memory_api.contract import Target
from include.run_folder import HOME_VARIABLE, RunFolder
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
        with ledger.snapshot() as snapshot:
            assert snapshot.statuses()[ONE].landed == 35

    def test_one_conversation_that_is_gone_stops_nothing(self, server: StandIn, home: Path) -> None:
        ledger = import_into(server, home, "first", {ONE: 30, TWO: 20})
        witnesses = ledger.witnesses(Witness)
        assert {witness.conversation_id for witness in witnesses} == {ONE, TWO}
        ledger.keep_witnesses(
            [replace(each, conversation_id=each.conversation_id.replace(ONE, "slack_gone")) for each in witnesses]
        )
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
            await check_not_emptied(ledger, api)
        finally:
            await api.aclose()


class TestAnOlderLedger:
    @pytest.fixture
    def ledger(self, ledger_address: str) -> Ledger:
        return Ledger.open(ledger_address, TARGET)

    def test_a_ledger_restored_from_before_a_load_is_refused(self, tmp_path: Path, home: Path) -> None:
        ledger = steps.open_ledger(TARGET)
        noted = ledger.raise_generation(0)
        copied(home / "ledger.db", tmp_path / "backup.db")
        noted = ledger.raise_generation(noted)  # a load that never came to its report
        copied(tmp_path / "backup.db", home / "ledger.db")
        with pytest.raises(LedgerError, match=r"at generation 1, Airflow's asset state at 2\..* Nothing was sent"):
            steps.open_ledger(TARGET, generation=noted)
        with pytest.raises(LedgerError, match="older than what was sent"):
            ledger.raise_generation(noted)
        assert ledger.raise_generation(1) == 2, "what was refused has changed nothing"

    def test_a_ledger_that_is_ahead_of_what_was_noted_goes_on(self, ledger: Ledger) -> None:
        for _ in range(3):
            ledger.check_generation(0)
            ledger.raise_generation(0)
        ledger.check_generation(3)
        with pytest.raises(LedgerError):
            ledger.check_generation(4)

    def test_many_tasks_that_begin_at_once_each_raise_it(self, ledger: Ledger) -> None:
        with ThreadPoolExecutor(20) as tasks:
            raised = list(tasks.map(lambda _: ledger.raise_generation(0), range(20)))
        assert sorted(raised) == list(range(1, 21))

    def test_a_target_has_a_generation_of_its_own(self, ledger: Ledger) -> None:
        ledger.raise_generation(0)
        other = Ledger.open(ledger.database.url, another_account())
        assert other.raise_generation(0) == 1


def another_account() -> Target:
    return Settings(base_url="http://127.0.0.1:9", api_key="other", account="other").target


def copied(source: Path, to: Path) -> None:
    """Copy a database over another one."""
    one, two = sqlite3.connect(source), sqlite3.connect(to)
    one.backup(two)
    one.close()
    two.close()
