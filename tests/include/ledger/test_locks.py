"""Rules of the right to send: one writer per conversation, and none that has lost its lock or its database."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from include.errors import ConversationBusy, LedgerError, LedgerUnavailable
from include.ledger import Call, CallWriter, Ledger, key_of, ledger_url
from include.local.child_processes import own_environment
from include.memory_api.contract import Target
from tests.support.databases import Postgres

TARGET = Target(base_url="https://api.example", api_version="v1", key_fingerprint="aaaa")


def a_call(call_id: str, conversation: str = "slack_a", run: str = "run 1") -> Call:
    ids = (f"message of {call_id}",)
    return Call(
        call_id=call_id,
        conversation_id=conversation,
        key=key_of(conversation, ids),
        run_id=run,
        message_ids=ids,
        timestamps_ms=(1,),
    )


@pytest.fixture
def ledger(ledger_address: str) -> Ledger:
    return Ledger.open(ledger_address, TARGET)


def another(ledger: Ledger) -> Ledger:
    """The same ledger, as another process opens it."""
    return Ledger.open(ledger.database.url, ledger.target)


class TestOneWriter:
    def test_two_writers_never_hold_one_conversations_lock(self, ledger: Ledger) -> None:
        held: list[int] = []

        async def load(number: int) -> None:
            async with another(ledger).writer(f"run {number}") as writer:
                for _ in range(3):
                    async with writer.lock("slack_a", wait_s=60):
                        held.append(number)
                        await writer.record(a_call(next(writer.new_ids())))
                        await asyncio.sleep(0.02)
                        assert held.pop() == number
                        assert held == []
                    await asyncio.sleep(0.26)

        async def all_at_once() -> None:
            await asyncio.gather(*(load(number) for number in range(4)))

        asyncio.run(all_at_once())
        with ledger.snapshot() as snapshot:
            assert len(snapshot.open()) == 12

    def test_a_second_writer_is_told_whose_the_newest_call_is(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.writer("run 1") as first, another(ledger).writer("run 2") as second:
                async with first.lock("slack_a", wait_s=0):
                    await first.record(a_call("a"))
                    with pytest.raises(ConversationBusy, match=r"slack_a is being loaded .* of run run 1"):
                        async with second.lock("slack_a", wait_s=0):
                            pass
                    async with second.lock("slack_b", wait_s=0):
                        await second.record(a_call("b", "slack_b"))
                async with second.lock("slack_a", wait_s=0):
                    await second.record(a_call("c"))

        asyncio.run(task())

    def test_a_writer_waits_for_an_earlier_try_to_end(self, ledger: Ledger) -> None:
        async def task() -> None:
            held, order = asyncio.Event(), []

            async def earlier() -> None:
                async with another(ledger).writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                    held.set()
                    await asyncio.sleep(0.3)
                    order.append("earlier")

            async with asyncio.TaskGroup() as both:
                both.create_task(earlier())
                await held.wait()
                async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=30):
                    order.append("later")
            assert order == ["earlier", "later"]

        asyncio.run(task())

    def test_a_conversation_of_another_target_is_another_one(self, ledger: Ledger) -> None:
        other = Ledger.open(ledger.database.url, Target(base_url="https://other.example", api_version="v1"))

        async def task() -> None:
            async with (
                ledger.writer("run 1") as one,
                other.writer("run 1") as two,
                one.lock("slack_a", wait_s=0),
                two.lock("slack_a", wait_s=0),
            ):
                await one.record(a_call("a"))
                await two.record(a_call("b"))

        asyncio.run(task())

    def test_a_writer_that_is_cancelled_keeps_no_lock(self, ledger: Ledger) -> None:
        """Whenever that is: also while it is about to get the lock."""

        async def hold_for_ever(own: Ledger) -> None:
            async with own.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                await asyncio.sleep(60)

        async def task() -> None:
            own = another(ledger)
            for after_s in (0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05):
                holding = asyncio.create_task(hold_for_ever(own))
                await asyncio.sleep(after_s)
                holding.cancel()
                with suppress(asyncio.CancelledError):
                    await holding
                async with ledger.writer("run 2") as writer, writer.lock("slack_a", wait_s=0):
                    pass

        asyncio.run(task())

    def test_no_lock_files_are_left_behind(self, tmp_path: Path) -> None:
        ledger = Ledger.open(ledger_url(tmp_path), TARGET)

        async def task() -> None:
            async with ledger.writer("run 1") as writer:
                for number in range(20):
                    async with writer.lock(f"slack_{number}", wait_s=0):
                        pass

        asyncio.run(task())
        assert list((tmp_path / "ledger.db-locks").iterdir()) == []


HOLDER = """
import asyncio, sys
from include.ledger import Ledger
from include.memory_api.contract import Target
async def main(url):
    target = Target(base_url="https://api.example", api_version="v1", key_fingerprint="aaaa")
    async with Ledger.open(url, target).writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
        print("held", flush=True)
        await asyncio.sleep(600)
asyncio.run(main(sys.argv[1]))
"""


def test_a_lock_ends_with_the_process_that_holds_it(ledger: Ledger) -> None:
    argv = [sys.executable, "-c", HOLDER, ledger.database.url]
    with subprocess.Popen(argv, env=own_environment(), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"

        async def take(wait_s: float) -> None:
            async with ledger.writer("run 2") as writer, writer.lock("slack_a", wait_s=wait_s):
                await writer.record(a_call("a"))

        with pytest.raises(ConversationBusy):
            asyncio.run(take(0))
        os.kill(holder.pid, signal.SIGKILL)
        asyncio.run(take(30))  # a server notices that a connection is gone a moment later


Fault = Callable[[CallWriter, Ledger], None]


def sending_stops(ledger: Ledger, fault: Fault, match: str = "lost") -> None:
    """Let something happen to a writer in the middle of a load: it sends nothing more, whatever comes after."""

    async def load() -> None:
        async with (
            ledger.writer("run 1") as writer,
            writer.lock("slack_a", wait_s=0),
            writer.lock("slack_b", wait_s=0),
        ):
            await writer.record(a_call("a"))
            fault(writer, ledger)
            with pytest.raises(LedgerError, match=match):
                await writer.record(a_call("b"))
            with pytest.raises(LedgerError, match=match):
                await writer.record(a_call("c", "slack_b"))

    asyncio.run(load())


def calls_in(ledger: Ledger) -> set[str]:
    with another(ledger).snapshot() as snapshot:
        return {call.call_id for call in snapshot.open()}


class TestLostOnSQLite:
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Ledger:
        ledger = Ledger.open(ledger_url(tmp_path / "home"), TARGET)
        ledger.raise_generation(0)
        return ledger

    @staticmethod
    def path(ledger: Ledger) -> Path:
        assert ledger.database.path
        return ledger.database.path

    def test_its_lock_file_was_removed(self, ledger: Ledger) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            shutil.rmtree(f"{self.path(ledger)}-locks")

        sending_stops(ledger, fault)
        assert calls_in(ledger) == {"a"}

    def test_its_lock_file_was_made_anew_by_another_writer(self, ledger: Ledger) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            for file in Path(f"{self.path(ledger)}-locks").iterdir():
                file.unlink()
                file.touch()

        sending_stops(ledger, fault)
        assert calls_in(ledger) == {"a"}

    def test_the_database_was_renamed(self, ledger: Ledger) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            self.path(ledger).rename(self.path(ledger).with_name("elsewhere.db"))

        sending_stops(ledger, fault)

    def test_the_home_was_renamed(self, ledger: Ledger) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            home = self.path(ledger).parent
            home.rename(home.with_name("elsewhere"))

        sending_stops(ledger, fault)

    def test_the_database_was_removed(self, ledger: Ledger) -> None:
        sending_stops(ledger, lambda _, ledger: self.path(ledger).unlink())

    def test_the_database_was_replaced_by_a_copy_of_itself(self, ledger: Ledger) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            path = self.path(ledger)
            backup(path, path.with_name("copy.db"))
            path.with_name("copy.db").rename(path)

        sending_stops(ledger, fault)

    @pytest.mark.parametrize("by", ["renaming", "writing over it"])
    def test_an_older_copy_was_restored(self, ledger: Ledger, tmp_path: Path, by: str) -> None:
        older = tmp_path / "older.db"
        backup(self.path(ledger), older)  # before this task began to send
        ledger.raise_generation(1)

        def fault(_: CallWriter, ledger: Ledger) -> None:
            if by == "renaming":
                older.rename(self.path(ledger))
            else:
                backup(older, self.path(ledger))

        sending_stops(ledger, fault)

    def test_a_copy_was_restored_from_after_the_task_began_and_before_its_newest_call(
        self, ledger: Ledger, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy.db"
        backup(self.path(ledger), copy)
        sending_stops(ledger, lambda _, ledger: backup(copy, self.path(ledger)))
        assert calls_in(ledger) == set()


def backup(source: Path, to: Path) -> None:
    """Copy a database as ``sqlite3`` does with ``.backup`` and ``.restore``: into the file that is there."""
    one, two = sqlite3.connect(source), sqlite3.connect(to)
    one.backup(two)
    one.close()
    two.close()


class TestLostOnPostgreSQL:
    @pytest.fixture
    def ledger(self, postgres: Postgres) -> Ledger:
        return Ledger.open(postgres.new_database(), TARGET)

    @pytest.mark.parametrize("statement", ["DISCARD ALL", "SELECT pg_advisory_unlock_all()"])
    def test_a_pooler_gave_its_session_to_somebody_else(self, ledger: Ledger, statement: str) -> None:
        def fault(writer: CallWriter, _: Ledger) -> None:
            driver = writer.connection.connection.driver_connection
            assert driver
            driver.autocommit = True
            driver.cursor().execute(statement)
            driver.autocommit = False

        sending_stops(ledger, fault)
        assert calls_in(ledger) == {"a"}

    def test_its_connection_was_ended(self, ledger: Ledger, postgres: Postgres) -> None:
        def fault(_: CallWriter, ledger: Ledger) -> None:
            postgres.end_connections(ledger.database.url)

        sending_stops(ledger, fault, match="Bring the database server back")
        assert calls_in(ledger) == {"a"}

    def test_the_server_was_stopped(self, ledger: Ledger, postgres: Postgres) -> None:
        sending_stops(ledger, lambda *_: postgres.stop(), match="Bring the database server back")
        postgres.start()
        assert calls_in(ledger) == {"a"}

    def test_the_server_was_stopped_and_is_back(self, ledger: Ledger, postgres: Postgres) -> None:
        def fault(*_: object) -> None:
            with postgres.stopped():
                pass

        sending_stops(ledger, fault, match="Bring the database server back")
        assert calls_in(ledger) == {"a"}

    def test_a_loss_that_is_noticed_while_a_lock_is_asked_for_ends_the_sending_too(
        self, ledger: Ledger, postgres: Postgres
    ) -> None:

        async def load() -> None:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                with postgres.stopped(), pytest.raises(LedgerError):
                    async with writer.lock("slack_b", wait_s=0):
                        pass
                with pytest.raises(LedgerUnavailable):
                    await writer.record(a_call("a"))

        asyncio.run(load())
        assert calls_in(ledger) == set()

    def test_a_lock_ends_with_its_connection_and_a_new_one_is_no_right(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                writer.connection.invalidate()
                async with another(ledger).writer("run 2") as other, other.lock("slack_a", wait_s=30):
                    await other.record(a_call("a"))
                with pytest.raises(LedgerError):
                    await writer.record(a_call("b"))

        asyncio.run(task())
        assert calls_in(ledger) == {"a"}


def test_a_lock_on_a_server_is_not_seen_by_a_writer_of_another_session(ledger: Ledger) -> None:
    """The proof is of one's own locks: that somebody else holds one is none."""

    async def task() -> None:
        async with (
            ledger.writer("run 1") as holder,
            holder.lock("slack_a", wait_s=0),
            another(ledger).writer("run 2") as other,
        ):
            with pytest.raises(LedgerError, match="lost"):
                await other.record(a_call("a"))

    asyncio.run(task())
    assert calls_in(ledger) == set()
