"""Rules of watching a load: what the page of a running import shows, and what is kept for the report."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from include.ledger import CallState, Flush, Ledger, ledger_url
from include.memory_api.contract import Target
from include.report.live import progress_of
from include.report.speed import LoadHistory, history_of, series_of, speed_of, width_s
from include.run_folder import RunFolder
from tests.support.delivery_runs import a_run
from tests.support.ledgers import a_call, numbered, write

TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
RUN = "run 1"


def opened(home: Path) -> Ledger:
    return Ledger.open(ledger_url(home), TARGET)


def history(ledger: Ledger) -> LoadHistory:
    with ledger.database.read() as connection:
        return history_of(connection, RUN)


def test_calls_are_counted_by_their_outcome(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    assert history(ledger) == LoadHistory()
    write(ledger, a_call("1", *numbered("1", 10)), a_call("2", *numbered("2", 5), state=CallState.INTENT))
    assert history(ledger).landed == {"a": 10}
    write(ledger, a_call("2", *numbered("2", 5)), a_call("3", "m", state=CallState.REJECTED))
    write(ledger, Flush(flush_id="f", conversation_id="a", run_id=RUN, landed=15, status="extracted"))
    found = history(ledger)
    assert (found.calls, found.landed, found.rejected, found.flushed) == (3, {"a": 15}, {"a": 1}, {"a": "extracted"})
    assert sum(found.per_s.values()) == 15
    account = speed_of(found)
    assert account is not None
    assert (account["calls"], account["messages"]) == (3, 15)
    assert account["began_ms"] <= account["ended_ms"]


def test_other_runs_are_not_counted(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    write(ledger, a_call("1", "m", run_id="another run"))
    assert history(ledger) == LoadHistory()


@given(
    st.dictionaries(st.integers(1_700_000_000, 1_700_500_000), st.integers(1, 1000), min_size=1),
    st.integers(min_value=3, max_value=300),
)
def test_a_curve_keeps_every_message_in_so_many_even_steps(per_s: dict[int, int], most: int) -> None:
    series = series_of(per_s, most)
    width = width_s(max(per_s) - min(per_s), most)
    assert sum(count for _, count in series) == sum(per_s.values())
    assert (series[-1][0] - series[0][0]) // width < most
    assert all((after - before) % width == 0 for (before, _), (after, _) in pairwise(series))


def test_the_page_of_a_running_import_knows_what_is_planned_and_what_has_landed(tmp_path: Path) -> None:
    run, _ = a_run(tmp_path, {"a": 30, "b": 20}, run_id=RUN)
    ledger = opened(tmp_path)
    before = progress_of(run, history(ledger), None, RUN)
    assert (before["step"], before["planned"], before["landed"], before["target"]) == ("Loading", 50, 0, None)
    write(ledger, a_call("1", *numbered("1", 10)), a_call("2", *numbered("2", 20), conversation_id="b"))
    now = progress_of(run, history(ledger), None, RUN)
    assert (now["landed"], now["left"], now["target"]) == (30, 20, TARGET.base_url)
    rows = [(row["conversation_id"], row["loaded"], row["pending"]) for row in now["conversations"]]
    assert rows == [("a", 10, 20), ("b", 20, 0)]
    assert now["per_s"] > 0
    write(ledger, a_call("3", *numbered("3", 20)))
    assert progress_of(run, history(ledger), None, RUN)["step"] == "Flushing"


def test_a_run_that_has_nothing_yet_is_starting(tmp_path: Path) -> None:
    run = RunFolder.of(RUN, tmp_path)
    progress = progress_of(run, LoadHistory(), None, RUN)
    assert (progress["step"], progress["conversations"], progress["loading"]) == ("Starting", [], None)
