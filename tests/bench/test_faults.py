"""The most important scenarios of the fault matrix, with real processes; and the findings of the matrix itself."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.ledger import Call
from include.standin.faults import Fault
from include.standin.journal import Entry
from tests.bench.faults.__main__ import main
from tests.bench.faults.judging import Account, Claims, account
from tests.bench.faults.scenarios import Scenario, Times, scenarios
from tests.bench.faults.trial import Run, Trial, run_trial
from tests.bench.importing import INCOMPLETE

SIZES = (200, 60, 40, 20)
TIMES = Times(scale=0.05, settle_s=1.0)
IMPORTANT = (
    "500 after storing, half of all",
    "500 after, nothing to be seen",
    "SIGKILL at 45 %",
    "SIGKILL and half stored",
    "much waits: SIGKILL, 500 after",
)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Trial]:
    """Two at a time: they wait for processes."""
    folder = tmp_path_factory.mktemp("faults")

    def run(scenario: Scenario) -> Trial:
        place = folder / scenario.name.replace(" ", "-")
        return run_trial(scenario, scenario.write_chats(place.with_suffix(".json"), SIZES), place, TIMES)

    with ThreadPoolExecutor(2) as pool:
        return {
            trial.scenario.name: trial
            for trial in pool.map(run, [scenario for scenario in scenarios(TIMES) if scenario.name in IMPORTANT])
        }


@pytest.mark.parametrize("name", IMPORTANT)
def test_nothing_is_lost_doubled_or_out_of_order_whatever_happens_to_the_first_run(
    trials: Mapping[str, Trial], name: str
) -> None:
    assert trials[name].broken == []


def test_names_of_no_scenario_are_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["faults", "earthquake", "flood"])
    assert main() == 2
    out, err = capsys.readouterr()
    assert "guarantee" not in out
    assert "contains any of these words: earthquake, flood" in err


def test_a_batch_without_evidence_is_named_and_stops_only_its_conversation(trials: Mapping[str, Trial]) -> None:
    end = trials["500 after, nothing to be seen"].second
    assert [(attempt.conversation_id, len(attempt.message_ids)) for attempt in end.account.batches] == [("chat-00", 20)]
    assert (end.account.unknown, end.account.pending) == (20, 20)
    assert "existing=resend or existing=skip" in end.log


def test_the_matrix_has_every_row_once() -> None:
    names = [scenario.name for scenario in scenarios(Times())]
    assert len(names) == len(set(names)) >= 25


EXPECTED = {"a": ["1", "2", "3", "4"]}


def an_add(order: int, *ids: str, at_s: float | None = None) -> Entry:
    at_s = float(order) if at_s is None else at_s
    return Entry(
        seq=order, kind="add", conversation="a", arrived_s=at_s, ended_s=at_s + 0.5, order=order, stored_ids=ids
    )


def a_flush(order: int) -> Entry:
    return Entry(seq=order, kind="flush", conversation="a", arrived_s=order, ended_s=order + 0.5, order=order)


def some_claims(*left: str, unknown: tuple[Call, ...] = (), rejected: tuple[str, ...] = ()) -> Claims:
    landed = frozenset(EXPECTED["a"]) - set(left) - set(rejected)
    return Claims(landed=landed, rejected=frozenset(rejected), left=frozenset(left), unknown=unknown)


def a_call(*ids: str) -> Call:
    return Call(
        call_id="1", conversation_id="a", key="key1", run_id="first", message_ids=ids, timestamps_ms=(1,) * len(ids)
    )


def a_trial(done: Account, *, status: int | None = 0, log: str = "", **scenario: object) -> Trial:
    run = Run(account=done, status=status, missed=0, seconds=1, log=log)
    return Trial(scenario=Scenario(name="made up", **scenario), first=run, second=run)  # type: ignore[arg-type]


class TestJudging:
    def test_all_once_in_order_and_flushed_is_not_broken(self) -> None:
        done = account([an_add(1, "1", "2"), an_add(2, "3", "4"), a_flush(3)], EXPECTED, some_claims())
        assert a_trial(done).broken == []

    @pytest.mark.parametrize(
        ("journal", "promise"),
        [
            ([an_add(1, "1", "2"), an_add(2, "3"), a_flush(3)], "1 messages are lost"),
            ([an_add(1, "1", "2"), an_add(2, "2", "3", "4"), a_flush(3)], "1 messages are doubled"),
            ([an_add(1, "1", "3"), an_add(2, "2", "4"), a_flush(3)], "1 messages are out of order"),
            ([an_add(1, "1", "2", at_s=1.8), an_add(2, "3", "4"), a_flush(3)], "1 batches overlap"),
            ([an_add(1, "1", "2"), a_flush(2), an_add(3, "3", "4"), a_flush(4)], "1 flushes came too early"),
            ([an_add(1, "1", "2"), an_add(2, "3", "4")], "1 conversations are not flushed"),
        ],
    )
    def test_the_journal_is_compared_with_the_claims(self, journal: list[Entry], promise: str) -> None:
        assert f"second run: {promise}" in a_trial(account(journal, EXPECTED, some_claims())).broken

    def test_a_run_may_not_report_success_while_messages_are_left(self) -> None:
        done = account([an_add(1, "1", "2")], EXPECTED, some_claims("3", "4"))
        assert "first run: 2 messages are left, and the run reports success" in a_trial(done).broken
        assert not any("reports success" in promise for promise in a_trial(done, status=INCOMPLETE).broken)

    def test_unknown_batches_are_named_and_occur_only_without_evidence(self) -> None:
        words = some_claims("3", "4", unknown=(a_call("3", "4"),))
        done = account([an_add(1, "1", "2")], EXPECTED, words)
        assert a_trial(done, status=INCOMPLETE, log="a, batch key1", blind=True).broken == []
        assert "second run: unknown and not named: key1" in a_trial(done, status=INCOMPLETE, blind=True).broken
        assert any("the target can tell" in promise for promise in a_trial(done, status=INCOMPLETE, log="key1").broken)

    def test_a_scenario_in_which_nothing_happened_proves_nothing(self) -> None:
        done = account([an_add(1, "1", "2"), an_add(2, "3", "4"), a_flush(3)], EXPECTED, some_claims())
        assert a_trial(done, faults=(Fault(does="partial"),)).broken == [
            "the fault or event did not happen: this run proves nothing"
        ]
