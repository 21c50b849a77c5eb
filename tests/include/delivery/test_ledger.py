"""Rules of the ledger: what it keeps, what it forgives, and what it refuses to guess."""

import asyncio
import resource
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.delivery import compaction, events, segment
from include.delivery.compaction import compact
from include.delivery.history import History
from include.delivery.lease import leased
from include.delivery.ledger import Ledger
from include.delivery.states import Attempt
from include.errors import ConversationBusy, LedgerError
from include.memory_api.contract import Target

TARGET = Target(base_url="https://api.example", api_version="v1", key_fingerprint="aaaa")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger", TARGET)


def intent(attempt: str, *ids: str, conversation: str = "slack_a", run: str = "run 1", key: str = "") -> events.Intent:
    times = tuple(int(message_id[1:]) for message_id in ids)
    return events.Intent(
        conversation=conversation, attempt=attempt, key=key or f"k{attempt}", run=run, ids=ids, ms=times, by=("U1",)
    )


def landed(attempt: str, conversation: str = "slack_a") -> events.Landed:
    return events.Landed(conversation=conversation, attempt=attempt)


def flushed(count: int, conversation: str = "slack_a", run: str = "run 1") -> events.Flushed:
    return events.Flushed(conversation=conversation, run=run, landed=count, status="extracted")


def write(ledger: Ledger, *lines: events.Line, run: str = "run 1") -> Path:
    """Write lines as a load task does, and end."""

    async def task() -> Path:
        async with ledger.segment(run, {line.conversation for line in lines}) as a_segment:
            await a_segment.write(*lines)
        return a_segment.path

    return asyncio.run(task())


def landed_rows(ledger: Ledger) -> list[tuple[str, str, str]]:
    with ledger.settled() as rows, rows.connect() as connection:
        return connection.sql("SELECT conversation_id, message_id, run_id FROM landed ORDER BY ALL").fetchall()


def open_attempts(ledger: Ledger) -> list[Attempt]:
    with ledger.settled() as rows:
        return list(rows.open)


class TestWriting:
    def test_a_line_is_on_disk_when_write_returns(self, ledger: Ledger) -> None:
        async def task() -> bytes:
            async with ledger.segment("run 1", ["slack_a"]) as a_segment:
                await a_segment.write(intent("a", "m1"))
                return a_segment.path.read_bytes()

        assert asyncio.run(task()).endswith(b'"ids":["m1"],"ms":[1],"by":["U1"]}\n')

    def test_conversations_that_wait_at_the_same_time_share_an_fsync(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        syncs: list[int] = []
        monkeypatch.setattr(segment, "_sync", syncs.append)

        async def task() -> None:
            async with ledger.segment("run 1", ["slack_a"]) as a_segment:
                await asyncio.gather(*(a_segment.write(intent(f"a{n}", "m1")) for n in range(100)))

        asyncio.run(task())
        assert len(syncs) <= 3
        assert len(open_attempts(ledger)) == 100

    def test_nothing_follows_half_a_line(self, ledger: Ledger) -> None:
        """A disk that fills up may take half a line; a line after it would make the file unreadable."""

        async def task() -> None:
            async with ledger.segment("run 1", ["slack_a"]) as a_segment:
                await a_segment.write(intent("a", "m1"))
                full = a_segment.path.stat().st_size + 20
                soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))
                try:
                    with pytest.raises(LedgerError, match=r"File too large.* MB free"):
                        await a_segment.write(landed("a"))
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                with pytest.raises(LedgerError, match="Nothing more is sent"):
                    await a_segment.write(landed("a"))

        asyncio.run(task())
        assert [attempt.name for attempt in open_attempts(ledger)] == ["a"]

    def test_a_segment_speaks_only_of_its_conversations(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.segment("run 1", ["slack_a"]) as a_segment:
                await a_segment.write(intent("a", "m1", conversation="slack_b"))

        with pytest.raises(ValueError, match="slack_b"):
            asyncio.run(task())

    def test_a_task_that_sends_nothing_leaves_no_file(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.segment("run 1", ["slack_a"]):
                pass

        asyncio.run(task())
        assert not list(ledger.folder.glob("*.jsonl"))


class TestReading:
    def test_a_crash_in_the_middle_of_the_last_line_is_forgiven(self, ledger: Ledger) -> None:
        path = write(ledger, intent("a", "m1"), landed("a"))
        path.write_bytes(path.read_bytes()[:-5])
        assert [attempt.name for attempt in open_attempts(ledger)] == ["a"]

    def test_a_damaged_line_is_an_error_that_names_file_and_line(self, ledger: Ledger) -> None:
        path = write(ledger, intent("a", "m1"), landed("a"))
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([lines[0], b"{]", lines[2], b""]))
        with pytest.raises(LedgerError, match=rf"{path.name}, line 2: .* Nothing was sent"):
            open_attempts(ledger)

    def test_a_file_that_is_no_segment_is_an_error(self, ledger: Ledger) -> None:
        (ledger.folder / "notes.jsonl").write_text('{"event": "landed", "conversation": "c", "attempt": "a"}\n')
        with pytest.raises(LedgerError, match=r"notes.jsonl, line 1"):
            open_attempts(ledger)

    def test_a_damaged_table_is_an_error(self, ledger: Ledger) -> None:
        write(ledger, intent("a", "m1"), landed("a"))
        compact(ledger)
        (table,) = ledger.folder.glob("landed-*.parquet")
        table.write_bytes(b"PAR1 and nothing else")
        with pytest.raises(LedgerError, match=table.name):
            landed_rows(Ledger(ledger.folder))

    def test_the_run_that_sent_a_message_owns_it_whichever_run_finds_it_landed(self, ledger: Ledger) -> None:
        write(ledger, intent("a", "m1", "m2", run="run 1"), run="run 1")
        write(ledger, landed("a"), run="run 2")
        assert landed_rows(ledger) == [("slack_a", "m1", "run 1"), ("slack_a", "m2", "run 1")]

    def test_what_landed_in_part_is_known_in_part(self, ledger: Ledger) -> None:
        write(ledger, intent("a", "m1", "m2"), events.Landed(conversation="slack_a", attempt="a", ids=("m2",)))
        assert landed_rows(ledger) == [("slack_a", "m2", "run 1")]

    def test_a_conversation_needs_a_flush_when_messages_landed_since_the_last(self, ledger: Ledger) -> None:
        write(ledger, intent("a", "m1", "m2"), landed("a"))
        assert ledger.summaries()["slack_a"].needs_flush
        write(ledger, flushed(2))
        assert not ledger.summaries()["slack_a"].needs_flush
        write(ledger, intent("b", "m3"), landed("b"))
        summary = ledger.summaries()["slack_a"]
        assert (summary.landed, summary.flushed, summary.last_ms, summary.needs_flush) == (3, 2, 3, True)


class TestAccounts:
    def test_a_home_that_cannot_be_written_is_said_so(self, tmp_path: Path) -> None:
        (tmp_path / "ledger").write_text("a file where a folder should be")
        with pytest.raises(LedgerError, match=r"Not a directory.* Nothing is sent without the ledger"):
            Ledger.open(tmp_path / "ledger", TARGET)

    def test_another_key_is_refused_with_the_two_ways_out(self, ledger: Ledger) -> None:
        other = Target(base_url="https://api.example", api_version="v1", key_fingerprint="bbbb")
        with pytest.raises(LedgerError, match=r'write "account": "default".*name of its own'):
            Ledger.open(ledger.folder.parent, other)

    def test_a_new_key_of_an_account_that_is_named_goes_on(self, ledger: Ledger) -> None:
        write(ledger, intent("a", "m1"), landed("a"))
        rotated = Target(base_url="https://api.example", api_version="v1", key_fingerprint="bbbb", account_named=True)
        assert landed_rows(Ledger.open(ledger.folder.parent, rotated)) == [("slack_a", "m1", "run 1")]

    @pytest.mark.parametrize(
        "other",
        [
            Target(base_url="https://api.example", api_version="v2", key_fingerprint="aaaa"),
            Target(base_url="https://api.elsewhere", api_version="v1", key_fingerprint="bbbb"),
            Target(base_url="https://api.example", api_version="v1", account="team b", account_named=True),
        ],
        ids=["version", "address", "account"],
    )
    def test_another_target_has_another_ledger(self, ledger: Ledger, other: Target) -> None:
        write(ledger, intent("a", "m1"), landed("a"))
        assert landed_rows(Ledger.open(ledger.folder.parent, other)) == []


def state(ledger: Ledger) -> object:
    """All that the ledger says, read afresh."""
    fresh = Ledger(ledger.folder)
    with fresh.settled() as rows:
        flushes = sorted({(row["run_id"], row["landed"]) for row in rows.flushed.to_pylist()})
        rejected = sorted({(row["message_id"], row["reason"]) for row in rows.rejected.to_pylist()})
    return landed_rows(fresh), open_attempts(fresh), flushes, rejected


def some_history(ledger: Ledger) -> None:
    write(
        ledger,
        intent("a", "m2", "m1"),
        landed("a"),
        intent("x", "m9"),
        events.Rejected(conversation="slack_a", attempt="x", reason="refused"),
        flushed(2),
    )
    write(ledger, intent("b", "m3"), events.Accepted(conversation="slack_a", attempt="b", task_id="t"))
    write(ledger, intent("c", "m4"), events.Failed(conversation="slack_a", attempt="c", reason="task failed"))


class TestCompaction:
    def test_it_changes_the_files_and_not_what_they_say(self, ledger: Ledger) -> None:
        some_history(ledger)
        before = state(ledger)
        assert compact(ledger)
        assert state(ledger) == before
        assert [path.name.rsplit("_", 1)[-1] for path in ledger.folder.glob("*.jsonl")] == ["carried.jsonl"]

    def test_landed_messages_are_sorted_so_that_a_question_reads_little(self, ledger: Ledger) -> None:
        write(ledger, intent("b", "m1", conversation="slack_b"), landed("b", "slack_b"), intent("a", "m2"), landed("a"))
        compact(ledger)
        (table,) = ledger.folder.glob("landed-*.parquet")
        assert pq.read_table(table)["conversation_id"].to_pylist() == ["slack_a", "slack_b"]

    def test_nothing_to_do_is_done_without_a_file(self, ledger: Ledger) -> None:
        some_history(ledger)
        compact(ledger)
        before = sorted(ledger.folder.iterdir())
        assert compact(ledger)
        assert sorted(ledger.folder.iterdir()) == before

    def test_a_crash_before_or_after_the_commit_is_harmless(self, ledger: Ledger, tmp_path: Path) -> None:
        """Every mixture of old and new files that a crash can leave says the same as before."""
        some_history(ledger)
        before = state(ledger)
        old = {path.name: path.read_bytes() for path in ledger.folder.glob("*.*") if path.is_file()}
        compact(ledger)
        new = {path.name: path.read_bytes() for path in ledger.folder.glob("*.*") if path.is_file()}
        made = sorted(new.keys() - old.keys(), key=lambda name: ("carried" not in name, "landed" in name))
        for written in range(len(made) + 1):
            folder = tmp_path / f"crash {written}"
            folder.mkdir()
            for name, content in [*old.items(), *((name, new[name]) for name in made[:written])]:
                (folder / name).write_bytes(content)
            (folder / ".scratch-left").mkdir()
            crashed = Ledger(folder)
            assert state(crashed) == before, made[:written]
            assert compact(crashed)
            assert state(crashed) == before
            assert not list(folder.glob(".scratch-*"))

    def test_a_segment_that_is_being_written_is_left_alone(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with ledger.segment("run 1", ["slack_a"]) as live:
                await live.write(intent("a", "m1"))
                assert not compact(ledger)
                await live.write(landed("a"))

        asyncio.run(task())
        assert compact(ledger)
        assert landed_rows(ledger) == [("slack_a", "m1", "run 1")]

    def test_it_does_not_disturb_a_reader(self, ledger: Ledger) -> None:
        some_history(ledger)
        with ledger.settled():
            assert not compact(ledger)

    def test_an_outcome_without_its_intent_shows_that_a_segment_is_missing(self, ledger: Ledger) -> None:
        lost = write(ledger, intent("a", "m1"))
        write(ledger, landed("a"))
        lost.unlink()
        with pytest.raises(LedgerError, match=r"segment .* of the ledger is missing"):
            compact(ledger)

    def test_many_tables_become_one(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compaction, "MERGE_ABOVE", 2)
        for number in range(4):
            write(ledger, intent(f"a{number}", f"m{number}"), landed(f"a{number}"), flushed(number + 1))
            compact(ledger)
        assert len(list(ledger.folder.glob("landed-*.parquet"))) == 1
        assert len(list(ledger.folder.glob("flushed-*.parquet"))) == 1
        assert len(landed_rows(ledger)) == 4
        assert ledger.summaries()["slack_a"].flushed == 4


class TestHistory:
    def test_segments_of_other_conversations_are_not_even_decoded(self, ledger: Ledger) -> None:
        path = write(ledger, intent("b", "m1", conversation="slack_b"))
        path.write_bytes(path.read_bytes() + b"{damaged}\n")
        history = History(ledger, ["slack_a"], None)
        history.refresh()
        assert history.open("slack_a") == []

    def test_what_another_process_adds_is_seen_on_refresh(self, ledger: Ledger) -> None:
        history = History(ledger, ["slack_a"], None)
        history.refresh()
        write(ledger, intent("a", "m1"))
        history.refresh()
        assert [attempt.name for attempt in history.open("slack_a")] == ["a"]
        write(ledger, landed("a"))
        history.refresh()
        assert history.open("slack_a") == []


class TestLease:
    def test_a_second_writer_is_told_who_the_first_one_is(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with leased(ledger.folder, "slack_a", holder="run 1", wait_s=0):
                with pytest.raises(ConversationBusy, match=r"slack_a .* by process \d+ on .*, run run 1"):
                    async with leased(ledger.folder, "slack_a", holder="run 2", wait_s=0.3):
                        pass

        asyncio.run(task())

    def test_it_waits_for_an_orphan_to_end(self, ledger: Ledger) -> None:
        async def task() -> None:
            async def orphan() -> None:
                async with leased(ledger.folder, "slack_a", holder="run 1", wait_s=0):
                    held.set()
                    await asyncio.sleep(0.1)

            held = asyncio.Event()
            running = asyncio.create_task(orphan())
            await held.wait()
            async with leased(ledger.folder, "slack_a", holder="run 1", wait_s=5):
                await running

        asyncio.run(task())

    def test_a_lease_whose_file_was_removed_guards_nothing_and_says_so(self, ledger: Ledger) -> None:
        async def task() -> None:
            async with leased(ledger.folder, "slack_a", holder="run 1", wait_s=0) as lease:
                lease.check()
                shutil.rmtree(ledger.folder / "leases")
                with pytest.raises(LedgerError, match="lease of slack_a was removed"):
                    lease.check()

        asyncio.run(task())
