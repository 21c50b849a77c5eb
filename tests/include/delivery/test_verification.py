"""Rules of reading back what a run has loaded: against the stand-in, and against clients that see something else."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.delivery import verification
from include.delivery.verification import Checked, Loaded, mismatch_of, verify
from include.errors import ConfigurationError, OutcomeUnknown, Throttled
from include.memory_api.contract import Readback
from include.records import Conversation
from include.report.document import build_report
from include.run_folder import RunFolder
from include.standin.server import StandIn
from tests.support.delivery_runs import FIRST_MS, World, a_run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with StandIn.running(tmp_path / "server") as server:
        yield World(tmp_path / "home", server.base_url)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_AGAIN_S", 0.01)


class Watching:
    """A client that reads back what a test wants, one answer after the other, then what is there."""

    def __init__(self, api: Any, answers: Sequence[Readback | Exception] = ()) -> None:
        self._api = api
        self._answers = list(answers)
        self.asked: list[tuple[str, tuple[str, ...], int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def readback(
        self, conversation: Conversation, senders: Sequence[str], *, since_ms: int, until_ms: int
    ) -> Readback:
        self.asked.append((conversation.conversation_id, tuple(senders), since_ms, until_ms))
        if self._answers:
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        found: Readback = await self._api.readback(conversation, senders, since_ms=since_ms, until_ms=until_ms)
        return found


def verified(
    world: World, run: RunFolder, *answers: Readback | Exception, run_id: str = "run 1", lag_s: float = 5
) -> tuple[dict[str, Checked], Watching]:
    watching: list[Watching] = []

    async def look() -> dict[str, Checked]:
        api = world.connect()
        try:
            watching.append(Watching(api, answers))
            return await verify(run, world.ledger, watching[0], run_id, concurrency=1, lag_s=lag_s)  # type: ignore[arg-type]
        finally:
            await api.aclose()

    return asyncio.run(look()), watching[0]


NOTHING_YET = Readback(unprocessed=0, episodes=0)


def test_what_became_memory_is_verified(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25, "slack_b": 5})
    world.load(run, chunk)
    world.flush(run)
    checked, _ = verified(world, run)
    assert {name: each.verified for name, each in checked.items()} == {"slack_a": True, "slack_b": True}
    found = checked["slack_a"].readback
    assert found
    assert (found.unprocessed, found.last_ms) == (0, FIRST_MS + 24_000)
    assert found.episodes


def test_what_was_not_flushed_is_not_read_back(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 25})
    world.load(run, chunk)
    checked, watching = verified(world, run)
    assert (checked, watching.asked) == ({}, [])


def test_only_what_this_run_has_loaded_is_read_back(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 10})
    world.load(run, chunk)
    world.flush(run)
    later, (chunk,) = a_run(world.home, {"slack_a": 5, "slack_b": 5}, run_id="run 2", start=10)
    world.load(later, chunk, run_id="run 2")
    world.flush(later, run_id="run 2")
    _, watching = verified(world, later, run_id="run 2")
    span = (FIRST_MS + 10_000, FIRST_MS + 14_000)
    assert [(name, *times) for name, _, *times in watching.asked] == [("slack_a", *span), ("slack_b", *span)]


def test_whoever_spoke_last_is_asked_for_first_and_then_who_wrote_most(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5})  # by U0, U1, U2, U0, U1
    world.load(run, chunk)
    world.flush(run)
    _, watching = verified(world, run)
    assert watching.asked[0][1] == ("U1", "U0", "U2")


@pytest.mark.parametrize("first", [NOTHING_YET, OutcomeUnknown("timeout")])
def test_a_target_that_lags_behind_is_asked_again(world: World, first: Readback | Exception) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5})
    world.load(run, chunk)
    world.flush(run)
    checked, watching = verified(world, run, first, first)
    assert checked["slack_a"].verified is True
    assert len(watching.asked) == 3


def test_a_target_that_asks_to_slow_down_is_left_alone_for_as_long(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5, "slack_b": 5})
    world.load(run, chunk)
    world.flush(run)
    began_s = time.monotonic()
    checked, watching = verified(world, run, Throttled("429", retry_after_s=1))
    assert time.monotonic() - began_s >= 1
    assert [checked[name].verified for name in sorted(checked)] == [True, True]
    assert len(watching.asked) == 3


def test_what_does_not_match_in_the_end_is_a_mismatch(world: World) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5, "slack_b": 5})
    world.load(run, chunk)
    world.flush(run)
    checked, _ = verified(world, run, NOTHING_YET, lag_s=0)
    assert {name: each.verified for name, each in checked.items()} == {"slack_a": False, "slack_b": True}


@pytest.mark.parametrize("error", [OutcomeUnknown("timeout"), ConfigurationError("no such route")])
def test_a_target_that_cannot_be_asked_is_neither_right_nor_wrong(world: World, error: Exception) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5})
    world.load(run, chunk)
    world.flush(run)
    checked, _ = verified(world, run, error, lag_s=0)
    assert (checked["slack_a"].verified, checked["slack_a"].mismatch) == (None, None)


@pytest.mark.parametrize(
    ("spoken_ms", "found", "told"),
    [
        (5_000, Readback(unprocessed=0, episodes=2, first_ms=1_000, last_ms=5_000), None),
        (5_000, Readback(unprocessed=3, episodes=2, first_ms=1_000, last_ms=5_000), "3 messages are not made"),
        (5_000, Readback(unprocessed=0, episodes=0), "no episode"),
        (5_000, Readback(unprocessed=0, episodes=2, last_ms=5_000, doubled=1), "1 episode is there twice"),
        (5_000, Readback(unprocessed=0, episodes=1, first_ms=3_000, last_ms=3_000), "ends at 1970-01-01 00:00:03"),
        (5_999, Readback(unprocessed=0, episodes=1, first_ms=5_000, last_ms=5_000), None),  # times in whole seconds
        (None, Readback(unprocessed=0, episodes=0), None),  # of bots alone
        (5_000, Readback(unprocessed=0, episodes=None), None),  # no evidence
        (5_000, Readback(unprocessed=None, episodes=None), None),
    ],
)
def test_a_mismatch_is_said_in_words(spoken_ms: int | None, found: Readback, told: str | None) -> None:
    conversation = Conversation(conversation_id="c", source="slack", kind="group", channel_id="c", name="c")
    loaded = Loaded(conversation=conversation, senders=("U1",), since_ms=0, until_ms=9_000, spoken_ms=spoken_ms)
    mismatch = mismatch_of(loaded, found)
    assert mismatch is None if told is None else told in (mismatch or "")


@pytest.mark.parametrize(
    ("second", "together"),
    [
        (Checked(readback=Readback(unprocessed=0, episodes=2)), True),
        (Checked(readback=NOTHING_YET, mismatch="there is no episode"), False),
        (Checked(), None),
    ],
)
def test_the_report_says_what_was_seen_and_what_does_not_match(world: World, second: Checked, together: Any) -> None:
    run, (chunk,) = a_run(world.home, {"slack_a": 5, "slack_b": 5})
    world.load(run, chunk)
    world.flush(run)
    checked = {"slack_a": Checked(readback=Readback(unprocessed=0, episodes=1)), "slack_b": second}
    report = build_report(
        run,
        world.outcomes(run),
        run_id="run 1",
        target=world.connect().target,
        started_at=datetime.now(UTC),
        dry_run=False,
        checked=checked,
    )
    assert report["verified"] is together
    assert [row["episodes"] for row in report["conversations"]] == [1, second.readback and second.readback.episodes]
    assert report["complete"] is (together is not False)
    assert [problem for problem in report["problems"] if "slack_b (there is no episode)" in problem] == report[
        "problems"
    ]
