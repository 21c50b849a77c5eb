"""Reading back never lies: against a model of the server that stores, loses, cuts and forgets."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.memory_api.contract import WHOLE, Evidence
from include.memory_api.readback import Episodes, Pending, Seen, Sought, conclude, fewest_first, holds_all_since

WINDOW = 8


@dataclasses.dataclass(frozen=True)
class History:
    """What really happened to a conversation: messages one a second, extracted up to ``cuts``, oldest first."""

    older: int
    batch: int
    stored: int
    """Of the batch, from its oldest on."""

    cuts: tuple[int, ...]
    """How many messages lie before the end of each episode."""

    flushed_before: int = 0
    """Messages of earlier loads, all of them extracted."""

    turns: tuple[int, ...] = ()
    """Who writes, over and over, and is asked for; empty where nobody knows who wrote."""

    @property
    def first(self) -> int:
        return self.flushed_before + self.older

    def writer(self, number: int) -> str:
        return f"U{self.turns[number % len(self.turns)]}" if self.turns else ""

    def seen(self) -> Seen:
        before = self.flushed_before
        total = self.first + self.stored
        ends = sorted({before, *(before + cut for cut in self.cuts if 0 < cut <= total - before)} - {0})
        pending = range(ends[-1] if ends else 0, total)
        of_each = {f"U{who}": [n for n in pending if self.writer(n) == f"U{who}"] for who in self.turns}
        shown = {n for numbers in (list(pending), *of_each.values()) for n in numbers[:WINDOW]}
        return Seen(
            pending=[Pending(message_id=f"m{n}", timestamp_ms=n) for n in sorted(shown)],
            pending_complete=len(pending) < WINDOW,
            episodes=Episodes(times_ms=[end - 1 for end in reversed(ends)], complete=True),
            complete_of=frozenset(who for who, numbers in of_each.items() if len(numbers) < WINDOW),
        )

    def conclude(self, part: slice = WHOLE) -> Evidence:
        numbers = range(self.first, self.first + self.batch)
        writers = [self.writer(n) for n in numbers] if self.turns else []
        return conclude(Sought([f"m{n}" for n in numbers], numbers, writers, part), self.seen())


@st.composite
def histories(draw: st.DrawFn, *, most_older: int = 10) -> History:
    batch = draw(st.integers(1, 6))
    return History(
        older=draw(st.integers(0, most_older)),
        batch=batch,
        stored=draw(st.sampled_from([0, batch, draw(st.integers(0, batch))])),
        cuts=tuple(draw(st.lists(st.integers(1, 16), max_size=3))),
        flushed_before=draw(st.integers(0, 3)),
        turns=tuple(draw(st.lists(st.integers(0, 3), max_size=7))),
    )


@given(histories(most_older=30), st.data())
@example(History(older=0, batch=3, stored=2, cuts=(2,)), None)
@example(History(older=2, batch=3, stored=3, cuts=(5,)), None)
@example(History(older=2, batch=3, stored=3, cuts=(4,)), None)
@example(History(older=0, batch=3, stored=1, cuts=(1,)), None)
@example(History(older=9, batch=3, stored=3, cuts=()), None)
def test_what_is_concluded_of_a_batch_or_a_part_of_it_is_true(history: History, data: st.DataObject | None) -> None:
    first, end = 0, history.batch
    if data is not None:
        first = data.draw(st.integers(0, history.batch - 1), "first in question")
        end = data.draw(st.integers(first + 1, history.batch), "end")
    evidence = history.conclude(slice(first, end))
    if evidence == Evidence.PRESENT:
        assert history.stored >= end
    if evidence == Evidence.ABSENT:
        assert history.stored <= first


@given(histories().filter(lambda h: h.stored in (0, h.batch) and h.older + h.batch < WINDOW))
def test_a_batch_stored_whole_or_not_at_all_is_always_settled_while_the_window_holds_it(history: History) -> None:
    expected = Evidence.PRESENT if history.stored else Evidence.ABSENT
    assert history.conclude() == expected


def most_by_one(history: History) -> int:
    written = Counter(history.writer(n) for n in range(history.flushed_before, history.first + history.batch))
    return max(written.values())


@given(histories(most_older=30).filter(lambda h: h.turns and most_by_one(h) < WINDOW))
def test_where_the_window_holds_what_each_person_wrote_a_batch_is_always_settled(history: History) -> None:
    history = dataclasses.replace(history, cuts=())
    places = [history.conclude(slice(place, place + 1)) for place in range(history.batch)]
    assert places == [Evidence.PRESENT] * history.stored + [Evidence.ABSENT] * (history.batch - history.stored)


AB = ["a", "b", "c", "d"]
"""Written by Ada, Bo, Ada, Bo at 10, 20, 30 and 40."""


@pytest.mark.parametrize(
    ("shown", "complete_of", "evidence"),
    [
        (["b", "d"], {"Bo"}, Evidence.PRESENT),  # the last is there, so are those before it
        (["b"], {"Bo"}, Evidence.UNPROVABLE),  # stored as far as b; d is not; c nobody can tell
        ([], {"Bo"}, Evidence.UNPROVABLE),  # a may be stored alone
        ([], {"Ada"}, Evidence.ABSENT),  # the first was never stored, so none of those behind it
        (["a", "c"], {"Ada"}, Evidence.UNPROVABLE),  # d nobody can tell
        ([], set(), Evidence.UNPROVABLE),
    ],
)
def test_what_the_lists_of_some_people_do_not_show_follows_from_the_order(
    shown: list[str], complete_of: set[str], evidence: Evidence
) -> None:
    pending = [Pending(message_id="old", timestamp_ms=1)]
    pending += [Pending(message_id=name, timestamp_ms=None) for name in shown]
    what = Seen(
        pending=pending,
        pending_complete=False,
        episodes=Episodes(times_ms=[], complete=True),
        complete_of=frozenset(complete_of),
    )
    assert conclude(Sought(AB, [10, 20, 30, 40], ["Ada", "Bo"] * 2), what) == evidence


def test_a_message_that_extraction_may_have_taken_says_nothing_of_those_behind_it() -> None:
    """Ada's ``a`` is gone, and an episode ends there: it may have been stored and extracted, and ``b`` may wait."""
    what = Seen(
        pending=[],
        pending_complete=False,
        episodes=Episodes(times_ms=[10], complete=True),
        complete_of=frozenset({"Ada"}),
    )
    assert conclude(Sought(["a", "b"], [10, 20], ["Ada", "Bo"]), what) == Evidence.UNPROVABLE


def test_people_of_whom_least_is_known_to_wait_are_asked_for_first() -> None:
    pending = [Pending(message_id=f"m{n}", timestamp_ms=n, writer="Ada" if n % 9 else "Bo") for n in range(99)]
    assert fewest_first(Sought(AB, [10, 20, 30, 40], ["Ada", "Bo", "Cy", "Ada"]), pending) == ["Cy", "Bo", "Ada"]


def seen(pending: list[tuple[str, int | None]], times: list[int], *, complete: bool = True, all_: bool = True) -> Seen:
    return Seen(
        pending=[Pending(message_id=i, timestamp_ms=at) for i, at in pending],
        pending_complete=complete,
        episodes=Episodes(times_ms=times, complete=all_),
    )


@pytest.mark.parametrize(
    ("what", "evidence"),
    [
        (seen([("x", None)], [15]), Evidence.UNPROVABLE),  # a time that cannot be read is no proof of age
        (seen([], [15]), Evidence.UNPROVABLE),  # extraction has come into the batch: it may have taken it
        (seen([], [30]), Evidence.UNPROVABLE),  # or somebody else writes there too
        (seen([("x", 5)], [15]), Evidence.UNPROVABLE),  # an older message left behind, and still an episode
        (seen([("x", 5)], [30]), Evidence.ABSENT),  # an older load below newer episodes
        (seen([], [], all_=False), Evidence.UNPROVABLE),
        (seen([("x", 5)], [], complete=False), Evidence.UNPROVABLE),
        (seen([], [20], complete=False, all_=False), Evidence.PRESENT),  # an episode with the batch's last time
        (seen([("b", 20)], [10]), Evidence.PRESENT),  # its front was extracted, its end is pending
        (seen([("b", 20), ("x", 5)], [10]), Evidence.UNPROVABLE),  # not the front: something older is pending
        (seen([("b", 20)], []), Evidence.UNPROVABLE),  # the front is gone and no episode has it
        (seen([("a", 10)], [10]), Evidence.UNPROVABLE),  # the end is missing: stored in part
    ],
)
def test_evidence_that_is_not_enough_is_not_taken_for_proof(what: Seen, evidence: Evidence) -> None:
    assert conclude(Sought(["a", "b"], [10, 20]), what) == evidence


@pytest.mark.parametrize(
    ("times", "total", "complete"),
    [
        ([], 0, True),
        ([], None, False),  # an empty page and no total: nothing is said
        ([30, 20], 2, True),
        ([30, 20], 5, False),  # the three that are not shown may be as young as 20
        ([30, 9], 5, True),  # newest first: what is not shown is older than 9
        ([9, 30], 5, False),  # not in the order asked for: anything may be missing
        ([8, 9], 5, False),
        ([30, None], 2, False),
    ],
)
def test_a_page_of_episodes_is_enough_only_when_nothing_younger_can_be_missing(
    times: list[int | None], total: int | None, complete: bool
) -> None:
    assert holds_all_since(10, times, total=total) == complete
