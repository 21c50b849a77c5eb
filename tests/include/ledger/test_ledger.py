"""Rules of the ledger, on SQLite and on PostgreSQL: what it keeps, how it is written, and what it refuses."""

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
import sqlalchemy

from include.errors import LedgerError, LedgerUnavailable
from include.ledger import Call, CallState, CallWriter, Database, Flush, Ledger, ledger_url
from include.ledger.calls import key_of
from include.ledger.schema import CALLS, MIGRATIONS, TOLD_NAMES, VERSION
from include.memory_api.contract import Target
from include.memory_layout import MemoryLayout
from tests.support.databases import PASSWORD, Postgres

TARGET = Target(base_url="https://api.example", api_version="v1", key_fingerprint="aaaa")


@pytest.fixture
def ledger(ledger_address: str) -> Ledger:
    return Ledger.open(ledger_address, TARGET)


def a_call(call_id: str, *message_ids: str, conversation: str = "slack_a", run: str = "run 1") -> Call:
    """An intent; messages are named by their time, ``m7``."""
    return Call(
        call_id=call_id,
        conversation_id=conversation,
        key=key_of(conversation, message_ids),
        run_id=run,
        message_ids=message_ids,
        timestamps_ms=tuple(int(message_id[1:]) for message_id in message_ids),
        senders=("U1",),
        who=(0,),
    )


def settled(call: Call, state: CallState = CallState.LANDED, **fields: object) -> Call:
    return msgspec.structs.replace(call, state=state, **fields)


def a_flush(landed: int, *, flush_id: str = "f", status: str | None = "extracted") -> Flush:
    return Flush(flush_id=flush_id, conversation_id="slack_a", run_id="run 1", landed=landed, status=status)


def write(ledger: Ledger, *changes: Call | Flush, run: str = "run 1") -> None:
    """Write as a load task does, one change after the other, and end."""

    async def task() -> None:
        async with ledger.writer(run) as writer, AsyncExitStack() as locks:
            for name in {"slack_a", *(change.segment_id for change in changes)}:
                await locks.enter_async_context(writer.lock(name, wait_s=0))
            for change in changes:
                await writer.record(change)

    asyncio.run(task())


def landed_rows(ledger: Ledger) -> list[tuple[str, str, int, str]]:
    with ledger.snapshot() as snapshot:
        rows = snapshot.landed().read_all().to_pylist()
    return sorted((row["conversation_id"], row["message_id"], row["timestamp_ms"], row["run_id"]) for row in rows)


def open_calls(ledger: Ledger) -> list[Call]:
    with ledger.snapshot() as snapshot:
        return snapshot.open()


@contextmanager
def commits(ledger: Ledger) -> Iterator[Counter[str]]:
    """Count the commits of the block."""
    counted: Counter[str] = Counter()

    def count(_: sqlalchemy.Connection) -> None:
        counted["commit"] += 1

    sqlalchemy.event.listen(ledger.database.engine, "commit", count)
    try:
        yield counted
    finally:
        sqlalchemy.event.remove(ledger.database.engine, "commit", count)


class TestWriting:
    def test_an_intent_is_committed_before_record_returns(self, ledger: Ledger, ledger_address: str) -> None:
        async def task() -> None:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                await writer.record(a_call("a", "m1"))
                assert open_calls(Ledger.open(ledger_address, TARGET)) == [a_call("a", "m1")]

        asyncio.run(task())

    def test_callers_that_wait_at_the_same_time_share_a_commit(self, ledger: Ledger) -> None:
        async def task() -> int:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                with commits(ledger) as counted:
                    await asyncio.gather(*(writer.record(a_call(f"a{number}", f"m{number}")) for number in range(100)))
                return counted.total()

        assert 1 <= asyncio.run(task()) <= 3
        assert len(open_calls(ledger)) == 100

    def test_a_caller_that_is_cancelled_takes_nothing_away_from_the_others(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                cancelled = asyncio.create_task(writer.record(a_call("a", "m1")))
                other = asyncio.create_task(writer.record(a_call("b", "m2")))
                await asyncio.sleep(0)
                cancelled.cancel()
                await other

        asyncio.run(task())
        assert {call.call_id for call in open_calls(ledger)} == {"a", "b"}

    def test_of_a_name_that_is_told_again_the_latest_digest_stays(self, ledger: Ledger) -> None:
        async def task() -> dict[tuple[str, str], str]:
            async with ledger.writer("run 1") as writer:
                await writer.keep_told({("group", "slack_a"): "1", ("sender", "U1"): "2"})
                await writer.keep_told({("group", "slack_a"): "3"})
                return await writer.read(lambda known: known.told_names(["slack_a", "U1", "U2"]))

        assert asyncio.run(task()) == {("group", "slack_a"): "3", ("sender", "U1"): "2"}

    def test_locks_taken_at_the_same_time_tell_which_segments_have_calls(self, ledger: Ledger) -> None:
        write(ledger, a_call("a", "m1"))

        async def has_calls(writer: CallWriter, name: str) -> bool:
            async with writer.lock(name, wait_s=0) as known:
                return known

        async def task() -> list[bool]:
            async with ledger.writer("run 2") as writer:
                names = ["slack_a", *(f"slack_{number}" for number in range(20))]
                return await asyncio.gather(*(has_calls(writer, name) for name in names))

        assert asyncio.run(task()) == [True] + [False] * 20

    def test_a_call_goes_from_intent_to_task_to_outcome_in_one_row(self, ledger: Ledger) -> None:
        call = a_call("a", "m1", "m2")
        write(ledger, call, settled(call, CallState.ACCEPTED, task_id="t"), settled(call, task_id="t"))
        with ledger.database.read() as connection:
            [row] = connection.execute(sqlalchemy.select(CALLS)).mappings()
        assert (row["state"], row["task_id"], row["messages"]) == ("landed", "t", 2)
        assert 0 < row["asked_ms"] <= row["accepted_ms"] <= row["settled_ms"]
        assert open_calls(ledger) == []

    def test_an_outcome_for_a_call_that_is_settled_is_refused(self, ledger: Ledger) -> None:
        call = a_call("a", "m1")
        write(ledger, call, settled(call))
        for outcome in (CallState.NOT_STORED, CallState.UNKNOWN):
            with pytest.raises(LedgerError, match="slack_a"):
                write(ledger, settled(call, outcome))
        assert landed_rows(ledger) == [("slack_a", "m1", 1, "run 1")]

    def test_a_change_that_is_refused_takes_those_of_its_commit_with_it(self, ledger: Ledger) -> None:
        call = a_call("a", "m1")
        write(ledger, call, settled(call))

        async def task() -> None:
            async with ledger.writer("run 2") as writer, writer.lock("slack_a", wait_s=0):
                with pytest.raises(LedgerError):
                    await writer.record(a_call("b", "m2"), settled(call))

        asyncio.run(task())
        assert open_calls(ledger) == []

    def test_a_call_stored_in_part_becomes_two_rows(self, ledger: Ledger) -> None:
        call = a_call("a", "m1", "m2", "m3")
        stored = call.part(["m3", "m1"], CallState.LANDED, call_id="a")
        absent = call.part(["m2"], CallState.NOT_STORED, call_id="b", reason="looked for and absent")
        write(ledger, call)
        write(ledger, stored, absent)
        assert landed_rows(ledger) == [("slack_a", "m1", 1, "run 1"), ("slack_a", "m3", 3, "run 1")]
        assert [each.call_id for each in sorted(ledger.calls_of("slack_a", 0), key=lambda each: each.call_id)] == [
            "a",
            "b",
        ]

    def test_ids_of_calls_are_unique_among_writers(self, ledger: Ledger) -> None:
        ids = [next(ids) for ids in (ledger.writer("run 1").new_ids() for _ in range(50))]
        assert len(set(ids)) == 50


class TestReading:
    def test_a_call_is_read_as_it_was_written(self, ledger: Ledger) -> None:
        call = msgspec.structs.replace(
            a_call("a", "m1700000000001", "m1700000000000", "m1700000000000"),
            senders=("U1", "U☂"),
            bots=("B1",),
            who=(2, 0, 1),
            task_id="t",
            state=CallState.UNKNOWN,
            reason="no answer",
        )
        write(ledger, call)
        assert open_calls(ledger) == [call]
        assert ledger.calls_of("slack_a", 0) == [call]

    def test_the_run_that_sent_a_message_owns_it_whichever_run_finds_it_landed(self, ledger: Ledger) -> None:
        call = a_call("a", "m1")
        write(ledger, call)
        write(ledger, settled(call), run="run 2")
        assert landed_rows(ledger) == [("slack_a", "m1", 1, "run 1")]

    def test_what_is_open_landed_and_rejected_is_a_view(self, ledger: Ledger) -> None:
        calls = [a_call(name, f"m{number}") for number, name in enumerate("abcd")]
        write(
            ledger,
            calls[0],
            settled(calls[1]),
            settled(calls[2], CallState.REJECTED, reason="refused"),
            settled(calls[3], CallState.NOT_STORED),
        )
        with ledger.database.read() as connection:
            found = {
                query.split("FROM ")[1]: [name for (name,) in connection.exec_driver_sql(query)]
                for query in (
                    "SELECT call_id FROM open_calls",
                    "SELECT call_id FROM landed_calls",
                    "SELECT call_id FROM rejected_calls",
                )
            }
        assert found == {"open_calls": ["a"], "landed_calls": ["b"], "rejected_calls": ["c"]}

    def test_a_conversation_needs_a_flush_when_messages_landed_since_the_last(self, ledger: Ledger) -> None:
        def status() -> tuple[int, int, int | None, bool]:
            with ledger.snapshot() as snapshot:
                status = snapshot.statuses()["slack_a"]
            return status.landed, status.flushed, status.last_ms, status.needs_flush

        write(ledger, settled(a_call("a", "m1", "m2")))
        assert status() == (2, 0, 2, True)
        write(ledger, a_flush(2, status=None))
        assert status() == (2, 0, 2, True), "a flush without an answer is none"
        write(ledger, a_flush(2))
        assert status() == (2, 2, 2, False)
        write(ledger, settled(a_call("b", "m3")))
        assert status() == (3, 2, 3, True)

    def test_a_snapshot_does_not_see_what_is_written_after_it(self, ledger: Ledger) -> None:
        write(ledger, settled(a_call("a", "m1")))
        with ledger.snapshot() as snapshot:
            assert snapshot.statuses()["slack_a"].landed == 1
            write(ledger, settled(a_call("b", "m2")))
            assert snapshot.statuses()["slack_a"].landed == 1
            assert snapshot.landed().read_all().num_rows == 1
        assert ledger.landed() == 2

    def test_of_an_old_conversation_only_the_calls_about_the_times_at_hand_are_read(self, ledger: Ledger) -> None:
        day_ms = 86_400_000
        write(ledger, settled(a_call("old", "m1")), a_call("open", "m2"), settled(a_call("new", f"m{9 * day_ms}")))
        assert [call.call_id for call in ledger.calls_of("slack_a", 9 * day_ms)] == ["open", "new"]
        with ledger.snapshot() as snapshot:
            assert snapshot.landed({"slack_a": 9 * day_ms, "slack_b": 0}).read_all()["message_id"].to_pylist() == [
                f"m{9 * day_ms}"
            ]

    def test_a_target_sees_nothing_of_another_one(self, ledger: Ledger, ledger_address: str) -> None:
        write(ledger, settled(a_call("a", "m1")), a_call("b", "m2"), a_flush(1))
        other = Ledger.open(ledger_address, Target(base_url="https://other.example", api_version="v1"))
        with other.snapshot() as snapshot:
            assert (snapshot.statuses(), snapshot.open(), snapshot.flushes().num_rows) == ({}, [], 0)
            assert snapshot.landed().read_all().num_rows == 0
        assert other.calls_of("slack_a", 0) == []

    def test_ids_made_of_a_template_stay_when_others_add_theirs_at_the_same_moment(
        self, ledger: Ledger, ledger_address: str
    ) -> None:
        def remember(number: int) -> None:
            own = Ledger.open(ledger_address, TARGET)
            own.remember_ids("{name}", {("slack", "C1"): f"slack_{number}", ("slack", f"D{number}"): "slack_d"})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(remember, range(8)))
        known = ledger.conversation_ids("{name}")
        assert len(known) == 9
        first = known[("slack", "C1")]
        ledger.remember_ids("{name}", {("slack", "C1"): "slack_later"})
        assert ledger.conversation_ids("{name}")[("slack", "C1")] == first
        assert ledger.conversation_ids("{channel_id}") == {}


@contextmanager
def unchecked(ledger: Ledger) -> Iterator[sqlalchemy.Connection]:
    """A connection that may write what no writer would: a damaged disk does."""
    with ledger.database.write() as connection:
        if ledger.database.path:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        else:
            connection.exec_driver_sql("ALTER TABLE calls DROP CONSTRAINT known_state")
        yield connection


class TestDamage:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("message_ids", "replace(message_ids, 'm1', 'm2')"),
            ("message_ids", "replace(message_ids, '[', '{')"),
            ("key", "replace(key, 'a', 'b') || 'x'"),
            ("state", "'lanced'"),
            ("after_first_ms", "replace(after_first_ms, '[', '[7,')"),
            ("after_first_ms", "''"),
            ("messages", "3"),
            ("last_ms", "last_ms + 1"),
            ("writers", "replace(writers, ']', '')"),
        ],
    )
    def test_a_damaged_row_is_an_error_that_names_the_call(self, ledger: Ledger, name: str, value: str) -> None:
        write(ledger, a_call("the-call", "m1", "m5"))
        with unchecked(ledger) as connection:
            connection.execute(sqlalchemy.update(CALLS).values({name: sqlalchemy.text(value)}))
        for read in (lambda: open_calls(ledger), lambda: ledger.calls_of("slack_a", 0)):
            with pytest.raises(LedgerError, match=r"damaged: call the-call: .* Nothing was sent"):
                read()

    def test_a_state_that_is_none_cannot_be_written(self, ledger: Ledger) -> None:
        write(ledger, a_call("a", "m1"))
        with pytest.raises(LedgerError), ledger.database.write() as connection:
            connection.exec_driver_sql("UPDATE calls SET state = 'lanced'")


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


class TestOpening:
    def test_a_later_version_is_refused(self, ledger: Ledger, ledger_address: str) -> None:
        with ledger.database.write() as connection:
            connection.execute(VERSION.update().values(version=len(MIGRATIONS) + 1))
        with pytest.raises(LedgerError, match=r"a later version of the project has written it. Nothing was sent"):
            Ledger.open(ledger_address, TARGET)

    def test_a_database_of_the_first_version_gets_the_table_of_told_names(
        self, ledger: Ledger, ledger_address: str
    ) -> None:
        write(ledger, a_call("a", "m1"))
        with ledger.database.write() as connection:
            TOLD_NAMES.drop(connection)
            connection.execute(VERSION.update().values(version=1))
        opened = Ledger.open(ledger_address, TARGET)
        with opened.snapshot() as snapshot:
            assert snapshot.told_names(["slack_a"]) == {}
        assert len(open_calls(opened)) == 1

    def test_an_empty_database_is_created_once_by_many_openers_at_the_same_moment(self, ledger_address: str) -> None:
        with ThreadPoolExecutor(12) as pool:
            opened = list(pool.map(lambda _: Ledger.open(ledger_address, TARGET), range(12)))
        with opened[0].database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM targets").scalar() == 1
            assert connection.exec_driver_sql("SELECT version FROM ledger_version").scalars().all() == [len(MIGRATIONS)]
        write(opened[3], settled(a_call("a", "m1")))
        assert {ledger.landed() for ledger in opened} == {1}

    def test_who_only_looks_creates_nothing(self, tmp_path: Path) -> None:
        assert Database.existing(ledger_url(tmp_path / "home")) is None
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_the_files_are_their_owners_alone_whatever_the_umask(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        modes: dict[str, int] = {}

        async def task() -> None:
            ledger = Ledger.open(ledger_url(tmp_path), TARGET)
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                await writer.record(a_call("a", "m1"))
                modes.update(modes_in(tmp_path))

        try:
            asyncio.run(task())
        finally:
            os.umask(before)
        files = {name: mode for name, mode in modes.items() if name != "ledger.db-locks"}
        assert {"ledger.db", "ledger.db-wal", "ledger.db-shm"} < files.keys()
        assert set(files.values()) == {0o600}
        assert modes["ledger.db-locks"] == 0o700

    def test_a_home_with_a_ledger_of_files_is_refused_with_one_sentence(self, tmp_path: Path) -> None:
        old = tmp_path / "ledger" / "api.example-v1-default-0123abcd"
        old.mkdir(parents=True)
        (old / "target.json").write_text("{}")
        with pytest.raises(LedgerError, match=r"ledger of an earlier version.*nothing was sent\. Use a new") as caught:
            Ledger.open(ledger_url(tmp_path), TARGET)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "ledger.db").exists()

    def test_a_database_survives_a_copy_made_by_its_own_means(self, tmp_path: Path) -> None:
        ledger = Ledger.open(ledger_url(tmp_path), TARGET)
        write(ledger, settled(a_call("a", "m1")))
        (tmp_path / "backup").mkdir()
        with (
            sqlite3.connect(tmp_path / "ledger.db") as source,
            sqlite3.connect(tmp_path / "backup" / "ledger.db") as copy,
        ):
            source.backup(copy)
        assert landed_rows(Ledger.open(ledger_url(tmp_path / "backup"), TARGET)) == landed_rows(ledger)


def told(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """All that a log shows of an error, with what caused it."""
    return "".join(traceback.format_exception(caught.value))


class TestTrouble:
    """One error, whatever is wrong with the database: what happened, what is true now, what to do."""

    def test_no_database_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.db").write_bytes(b"This is a letter, and no database." * 40)
        with pytest.raises(LedgerError, match=r"file is not a database.* Nothing is sent without the ledger"):
            Ledger.open(ledger_url(tmp_path), TARGET)

    def test_a_damaged_database(self, tmp_path: Path) -> None:
        write(Ledger.open(ledger_url(tmp_path), TARGET), *(settled(a_call(f"a{n}", f"m{n}")) for n in range(50)))
        path = tmp_path / "ledger.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.close()
        content = path.read_bytes()
        path.write_bytes(content[:page_bytes] + b"\xff" * (len(content) - page_bytes))
        with pytest.raises(LedgerError, match=r"malformed.* restore it"):
            landed_rows(Ledger.open(ledger_url(tmp_path), TARGET))

    @pytest.mark.parametrize("home", ["a-file", "a-file/home"])
    def test_a_home_that_is_no_folder(self, tmp_path: Path, home: str) -> None:
        (tmp_path / "a-file").write_text("")
        with pytest.raises(LedgerError, match=r"Not a directory|File exists") as caught:
            Ledger.open(ledger_url(tmp_path / home), TARGET)
        assert "Nothing is sent without the ledger" in str(caught.value)

    def test_a_file_that_cannot_grow(self, tmp_path: Path) -> None:
        """As on a full disk; what was committed before stays, and nothing is sent after."""
        ledger = Ledger.open(ledger_url(tmp_path), TARGET)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

        async def task() -> LedgerError:
            async with ledger.writer("run 1") as writer, writer.lock("slack_a", wait_s=0):
                await writer.record(a_call("a", "m1"))
                resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "ledger.db-wal").stat().st_size, hard))
                try:
                    with pytest.raises(LedgerError, match=r"MB free.* Make room there") as caught:
                        await writer.record(a_call("b", "m2"))
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                assert "INSERT" not in str(caught.value)
                assert "slack_a" not in told(caught)
                with pytest.raises(LedgerError, match="MB free"):
                    await writer.record(a_call("c", "m3"))
            return caught.value

        asyncio.run(task())
        assert [call.call_id for call in open_calls(ledger)] == ["a"]

    def test_a_file_that_may_only_be_read(self, tmp_path: Path) -> None:
        write(Ledger.open(ledger_url(tmp_path), TARGET), a_call("a", "m1"))
        url = f"sqlite:///file:{tmp_path / 'ledger.db'}?mode=ro&uri=true"
        engine = sqlalchemy.create_engine(url)
        ledger = Ledger.open(ledger_url(tmp_path), TARGET)
        ledger.database.engine = engine  # root may write everywhere
        with pytest.raises(LedgerError, match=r"readonly database.* mend its permissions") as caught:
            ledger.raise_generation(0)
        assert "UPDATE" not in str(caught.value)

    def test_a_server_that_does_not_answer(self, postgres: Postgres) -> None:
        ledger = Ledger.open(postgres.new_database(), TARGET)
        write(ledger, settled(a_call("a", "m1")))
        with postgres.stopped():
            for work in (
                lambda: landed_rows(ledger),
                lambda: write(ledger, a_call("b", "m2")),
                lambda: ledger.raise_generation(0),
            ):
                with pytest.raises(LedgerUnavailable, match=r"refused.* Bring the database server back") as caught:
                    work()
                assert PASSWORD not in told(caught)
        assert landed_rows(ledger) == [("slack_a", "m1", 1, "run 1")], "it goes on when the server is back"

    @pytest.mark.parametrize(
        ("of", "to"),
        [("/ledger", "/nowhere"), ("127.0.0.1", "nowhere.invalid"), ("airflow:", "nobody:")],
        ids=["database", "host", "user"],
    )
    def test_an_address_that_leads_nowhere_is_told_without_its_password(
        self, postgres: Postgres, of: str, to: str
    ) -> None:
        url = postgres.new_database().replace(of, to, 1)
        with pytest.raises(LedgerError, match="Nothing is sent without the ledger") as caught:
            Ledger.open(url, TARGET)
        assert PASSWORD not in told(caught)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://me:{PASSWORD}@host:port/db",
            f"nodb://me:{PASSWORD}@host/db",
            f"mysql://me:{PASSWORD}@h/d",
            f"postgresql+none://me:{PASSWORD}@h/d",
        ],
        ids=["port", "database", "other database", "driver"],
    )
    def test_an_address_that_is_none_is_told_without_its_password(self, url: str) -> None:
        for use in (lambda: Ledger.open(url, TARGET), lambda: Database.existing(url)):
            with pytest.raises(LedgerError, match="EVEROS_IMPORT_LEDGER") as caught:
                use()
            assert PASSWORD not in told(caught)

    def test_an_error_of_the_server_names_no_parameters(self, postgres: Postgres) -> None:
        ledger = Ledger.open(postgres.new_database(), TARGET)
        with pytest.raises(LedgerError) as caught, ledger.database.write() as connection:
            connection.execute(CALLS.insert().values(call_id="a", conversation_id="slack_secret-plans"))
        assert "slack_secret-plans" not in str(caught.value)
        assert "INSERT" not in str(caught.value)


def test_the_ledger_holds_ids_times_and_counts_and_no_text(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        columns = sqlalchemy.inspect(connection).get_columns("calls")
    assert {column["name"] for column in columns} == {
        "call_id",
        "target_id",
        "conversation_id",
        "segment_id",
        "key",
        "run_id",
        "state",
        "task_id",
        "reason",
        "messages",
        "first_ms",
        "last_ms",
        "message_ids",
        "after_first_ms",
        "writers",
        "asked_ms",
        "accepted_ms",
        "settled_ms",
    }


def test_a_backup_is_restored_by_putting_it_back(tmp_path: Path) -> None:
    """With nobody at work: the file without what SQLite keeps beside it."""
    ledger = Ledger.open(ledger_url(tmp_path), TARGET)
    write(ledger, settled(a_call("a", "m1")))
    with sqlite3.connect(tmp_path / "ledger.db") as source, sqlite3.connect(tmp_path / "backup.db") as copy:
        source.backup(copy)
    write(ledger, settled(a_call("b", "m2")))
    for left in tmp_path.glob("ledger.db*"):
        if left.is_file():
            left.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "ledger.db")
    assert landed_rows(Ledger.open(ledger_url(tmp_path), TARGET)) == [("slack_a", "m1", 1, "run 1")]


def test_segments_are_flushed_each_for_itself_and_add_up_to_their_conversation(ledger: Ledger) -> None:
    first, second = (
        msgspec.structs.replace(a_call(name, *ids), segment_id=f"slack_a.{name}", state=CallState.LANDED)
        for name, ids in (("monday", ("m1", "m2")), ("tuesday", ("m3",)))
    )
    flush = Flush(
        flush_id="f-1",
        conversation_id="slack_a",
        segment_id="slack_a.monday",
        run_id="run 1",
        landed=2,
        status="extracted",
    )
    write(ledger, first, second, flush)
    with ledger.snapshot() as snapshot:
        waiting = snapshot.segments(needs_flush=True)
        assert {name: (status.conversation_id, status.landed) for name, status in waiting.items()} == {
            "slack_a.tuesday": ("slack_a", 1)
        }
        assert set(snapshot.segments(conversation_id="slack_a")) == {"slack_a.monday", "slack_a.tuesday"}
        whole = snapshot.statuses()["slack_a"]
        assert (whole.landed, whole.flushed, whole.needs_flush) == (3, 2, True)
        assert [call.call_id for call in snapshot.calls_of("slack_a.tuesday", 0)] == ["tuesday"]
        assert [call.call_id for call in snapshot.calls_since(0, without_run="run 2")] == ["monday", "tuesday"]
        assert list(snapshot.calls_since(0, without_run="run 1")) == []


def test_a_target_keeps_the_layout_that_it_was_loaded_in(ledger: Ledger) -> None:
    one, other = MemoryLayout(), MemoryLayout(segments="thread-day", memory_of="workspace")
    ledger.keep_layout(other)
    ledger.keep_layout(one)  # nothing was sent yet
    write(ledger, msgspec.structs.replace(a_call("a-1", "m1"), state=CallState.LANDED))
    ledger.keep_layout(one)
    with pytest.raises(LedgerError, match=r"segments=conversation.*segments=thread-day.*Nothing was sent"):
        ledger.keep_layout(other)
    with pytest.raises(LedgerError, match="project_id"):
        ledger.check_layout(other)
