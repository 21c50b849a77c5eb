"""Rules of watching a load: what the page of a running import shows, and what is kept for the report."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from include.delivery import events
from include.delivery.ledger import Ledger
from include.layout import RunFolder, ledger_root
from include.memory_api.contract import Target
from include.report.loading import Landings, Loading, account_of, by_conversation, series_of, width_s
from include.report.progress import progress_of
from tests.support.delivery_runs import a_run

TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
RUN = "run 1"


def opened(home: Path) -> Ledger:
    return Ledger.open(ledger_root(home), TARGET)


def intent(name: str, count: int, *, conversation: str = "a") -> events.Intent:
    ids = tuple(f"{name}.{n}" for n in range(count))
    return events.Intent(
        conversation=conversation, attempt=name, key=name, run=RUN, ids=ids, ms=tuple(range(1, count + 1))
    )


def landed(name: str, *, ids: tuple[str, ...] | None = None, conversation: str = "a") -> events.Landed:
    return events.Landed(conversation=conversation, attempt=name, ids=ids)


def write(ledger: Ledger, lines: Sequence[events.Line], *, run_id: str = RUN) -> Path:
    """Write a segment as a load task does, and end."""

    async def task() -> Path:
        async with ledger.segment(run_id, {line.conversation for line in lines}) as segment:
            await segment.write(*lines)
            return segment.path

    return asyncio.run(task())


def test_what_landed_is_counted_as_it_is_written_and_only_once(tmp_path: Path) -> None:
    ledger, run = opened(tmp_path), RunFolder.of(RUN, tmp_path)
    loading = Loading(run, ledger_root(tmp_path), RUN)
    assert loading.read() == {}
    write(ledger, [intent("1", 10), landed("1"), intent("2", 5)])
    assert by_conversation(loading.read())[0] == {"a": 10}
    write(
        ledger,
        [landed("2", ids=("2.0", "2.1")), intent("3", 1), events.Rejected(conversation="a", attempt="3", reason="")],
    )
    for _ in range(2):
        arrived, rejected = by_conversation(loading.read())
        assert (arrived, rejected) == ({"a": 12}, {"a": 1})


def test_other_runs_are_not_counted(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    write(ledger, [intent("1", 10), landed("1")], run_id="another run")
    assert Loading(RunFolder.of(RUN, tmp_path), ledger_root(tmp_path), RUN).read() == {}


def test_looking_writes_nothing_to_the_ledger_and_is_in_nobodys_way(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    write(ledger, [intent("1", 10), landed("1")])
    before = {path: path.stat().st_mtime_ns for path in ledger.folder.rglob("*")}
    loading = Loading(RunFolder.of(RUN, tmp_path), ledger_root(tmp_path), RUN)
    with ledger.locked(exclusive=True) as alone:
        assert alone
        assert loading.read()
    assert {path: path.stat().st_mtime_ns for path in ledger.folder.rglob("*")} == before


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    path = write(ledger, [intent("1", 10)])
    line = events.encode(landed("1"))
    loading = Loading(RunFolder.of(RUN, tmp_path), ledger_root(tmp_path), RUN)
    for part, count in ((line[:9], 0), (line[9:], 10)):
        with path.open("ab") as file:
            file.write(part)
        assert by_conversation(loading.read())[0]["a"] == count


def test_what_was_kept_outlives_the_segments_and_keeping_twice_counts_once(tmp_path: Path) -> None:
    ledger, run = opened(tmp_path), RunFolder.of(RUN, tmp_path)
    run.root.mkdir(parents=True)
    path = write(ledger, [intent("1", 10), landed("1")])
    for _ in range(2):
        Loading(run, ledger_root(tmp_path), RUN).keep()
    path.unlink()
    write(
        ledger, [intent("2", 5), landed("2"), events.Flushed(conversation="a", run=RUN, landed=15, status="extracted")]
    )
    Loading(run, ledger_root(tmp_path), RUN).keep()
    segments = Loading(run, ledger_root(tmp_path), RUN).read()
    assert by_conversation(segments)[0] == {"a": 15}
    account = account_of(segments)
    assert account is not None
    assert (account["calls"], account["messages"]) == (2, 15)


@given(
    st.dictionaries(st.integers(1_700_000_000, 1_700_500_000), st.integers(1, 1000), min_size=1),
    st.integers(min_value=3, max_value=300),
)
def test_a_curve_keeps_every_message_in_so_many_even_steps(per_s: dict[int, int], most: int) -> None:
    series = series_of([Landings(per_s=per_s)], most)
    width = width_s(max(per_s) - min(per_s), most)
    assert sum(count for _, count in series) == sum(per_s.values())
    assert (series[-1][0] - series[0][0]) // width < most
    assert all((after - before) % width == 0 for (before, _), (after, _) in pairwise(series))


def test_the_page_of_a_running_import_knows_what_is_planned_and_what_has_landed(tmp_path: Path) -> None:
    run, _ = a_run(tmp_path, {"a": 30, "b": 20}, run_id=RUN)
    ledger, loading = opened(tmp_path), Loading(run, ledger_root(tmp_path), RUN)
    before = progress_of(run, loading, RUN)
    assert (before["step"], before["planned"], before["landed"], before["target"]) == ("Loading", 50, 0, None)
    write(ledger, [intent("1", 10), landed("1"), intent("2", 20, conversation="b"), landed("2", conversation="b")])
    now = progress_of(run, loading, RUN)
    assert (now["landed"], now["left"], now["target"]) == (30, 20, TARGET.base_url)
    rows = [(row["conversation_id"], row["loaded"], row["pending"]) for row in now["conversations"]]
    assert rows == [("a", 10, 20), ("b", 20, 0)]
    assert now["per_s"] > 0
    write(ledger, [intent("3", 20), landed("3")])
    assert progress_of(run, loading, RUN)["step"] == "Flushing"


def test_a_run_that_has_nothing_yet_is_starting(tmp_path: Path) -> None:
    run = RunFolder.of(RUN, tmp_path)
    progress = progress_of(run, Loading(run, ledger_root(tmp_path), RUN), RUN)
    assert (progress["step"], progress["conversations"], progress["loading"]) == ("Starting", [], None)
