"""Rules of a chunk's progress: what it says of segments, and what it does not say."""

import json
from typing import Any

from include.delivery.progress import MOST_STOPPED, MOST_UNDER_WAY, ChunkProgress
from include.records import Chunk, PlannedSegment

CHUNK = Chunk(number=0, fingerprint="f", label="", conversations=1, segments=3, batches=9, messages=90)


class Written:
    """Takes values as the checkpoint's writer does."""

    value: Any = None

    def put(self, key: str, value: Any) -> None:
        self.value = value()


def planned(place: int) -> PlannedSegment:
    name = f"slack_general.2026-03-01.thread-{1_700_000_000 + place}.000100"
    return PlannedSegment(
        conversation_id="slack_general",
        segment_id=name,
        chunk=0,
        rows=(0, 3),
        batches=3,
        messages=30,
        bytes=300,
        first_ms=0,
        last_ms=1,
    )


def progress(stored: Any = None) -> tuple[ChunkProgress, Written]:
    written = Written()
    return ChunkProgress(CHUNK, 3, stored, written, every_s=60), written  # type: ignore[arg-type]


def test_the_next_try_learns_what_was_done_under_way_and_not_begun() -> None:
    first, written = progress()
    for place in range(2):
        assert first.begin(place, planned(place)) == {}
        first.changed(place, {"next_batch": 2})
    first.ended(0, done=True)
    second, _ = progress(json.loads(json.dumps(written.value)))
    assert [second.begin(place, planned(place)) for place in range(3)] == [{"next_batch": 3}, {"next_batch": 2}, {}]


def test_a_segment_that_begins_after_a_later_one_is_not_taken_for_done() -> None:
    first, written = progress()
    first.begin(1, planned(1))
    first.ended(1, done=True)
    assert first.begin(0, planned(0)) == {}
    second, _ = progress(written.value)
    assert second.begin(0, planned(0)) == {}


def test_what_an_earlier_try_said_holds_until_this_one_speaks() -> None:
    first, written = progress()
    for place in range(3):
        first.begin(place, planned(place))
        first.ended(place, done=True)
    second, written = progress(written.value)
    second.begin(0, planned(0))
    second.changed(0, {"next_batch": 3})
    third, _ = progress(written.value)
    assert third.begin(2, planned(2)) == {"next_batch": 3}


def test_progress_of_another_plan_says_nothing() -> None:
    first, written = progress()
    first.begin(0, planned(0))
    first.ended(0, done=True)
    second, _ = progress(written.value | {"plan": "other"})
    assert second.begin(0, planned(0)) == {}


def test_it_stays_below_what_a_checkpoint_may_hold() -> None:
    many, written = progress()
    for place in range(MOST_STOPPED):
        many.begin(place, planned(place))
        entry = {"segment": planned(place).segment_id, "next_batch": 1, "batches": 3, "state": "pending"}
        many.changed(place, entry | {"in_flight": {"batch": 1, "key": "0" * 32, "task_id": "0" * 36}})
        many.ended(place, done=False)
    assert len(written.value["under_way"]) == MOST_UNDER_WAY
    assert len(json.dumps(written.value)) < 64 * 1024
    again, _ = progress(written.value)
    assert again.begin(0, planned(0)) == {}
    assert again.begin(MOST_STOPPED - 1, planned(0))["next_batch"] == 1
