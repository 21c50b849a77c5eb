"""Reading back never lies: against a model of the server that stores, loses, cuts and forgets."""

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.memory_api.contract import Evidence
from include.memory_api.readback import Episodes, Pending, Seen, conclude, holds_all_since

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

    def seen(self) -> Seen:
        first = self.flushed_before
        total = first + self.older + self.stored
        ends = sorted({first, *(first + cut for cut in self.cuts if 0 < cut <= total - first)} - {0})
        pending = [Pending(message_id=f"m{n}", timestamp_ms=n) for n in range(ends[-1] if ends else 0, total)]
        times = [end - 1 for end in reversed(ends)]
        return Seen(
            pending=pending[:WINDOW],
            pending_complete=len(pending) < WINDOW,
            episodes=Episodes(times_ms=times, complete=True),
        )

    def conclude(self) -> Evidence:
        first = self.flushed_before + self.older
        ids = [f"m{n}" for n in range(first, first + self.batch)]
        return conclude(ids, first, first + self.batch - 1, self.seen())


@st.composite
def histories(draw: st.DrawFn) -> History:
    batch = draw(st.integers(1, 6))
    return History(
        older=draw(st.integers(0, 10)),
        batch=batch,
        stored=draw(st.sampled_from([0, batch, draw(st.integers(0, batch))])),
        cuts=tuple(draw(st.lists(st.integers(1, 16), max_size=3))),
        flushed_before=draw(st.integers(0, 3)),
    )


@given(histories())
@example(History(older=0, batch=3, stored=2, cuts=(2,)))
@example(History(older=2, batch=3, stored=3, cuts=(5,)))
@example(History(older=2, batch=3, stored=3, cuts=(4,)))
def test_present_is_only_said_of_a_batch_that_was_stored_whole(history: History) -> None:
    if history.conclude() == Evidence.PRESENT:
        assert history.stored == history.batch


@given(histories())
@example(History(older=0, batch=3, stored=1, cuts=(1,)))
@example(History(older=9, batch=3, stored=3, cuts=()))
def test_absent_is_only_said_of_a_batch_of_which_nothing_was_stored(history: History) -> None:
    if history.conclude() == Evidence.ABSENT:
        assert history.stored == 0


@given(histories().filter(lambda h: h.stored in (0, h.batch) and h.older + h.batch < WINDOW))
def test_a_batch_stored_whole_or_not_at_all_is_always_settled_while_the_window_holds_it(history: History) -> None:
    expected = Evidence.PRESENT if history.stored else Evidence.ABSENT
    assert history.conclude() == expected


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
    assert conclude(["a", "b"], 10, 20, what) == evidence


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
