"""Rules of what a load is thought to take."""

from pathlib import Path

import pytest

from include.plan import plan
from include.plan.estimate import Effort, Memories, effort_of, estimate, memories_of, read_estimate, write_estimate
from include.records import Message, PlannedSegment
from include.run_folder import RunFolder
from tests.support.make_tables import a_message, transformed


def planned(conversation_id: str = "a", *, messages: int = 100, batches: int = 2, chunk: int = 0) -> PlannedSegment:
    return PlannedSegment(
        conversation_id=conversation_id,
        chunk=chunk,
        segment_id=conversation_id,
        rows=(0, batches),
        batches=batches,
        messages=messages,
        bytes=messages * 40,
        first_ms=0,
        last_ms=1,
    )


def test_a_conversation_takes_its_batches_a_flush_and_a_language_model_that_grows_with_cells_and_owners() -> None:
    assert effort_of(planned(), Memories(cells=10, owners=30)) == Effort(
        messages=100,
        batches=2,
        calls=3,
        tokens=1000,
        llm_calls=2 + 1 + 10 + 2 * 30,
        segments=1,
        seconds=2 * 7.0 + 100 * 0.33,
    )


def test_bots_alone_make_no_memory() -> None:
    assert effort_of(planned(), Memories()).llm_calls == 2


HOUR_MS = 3_600_000
NOON_MS = 1_772_366_400_000


@pytest.mark.parametrize(
    ("times_ms", "cells"),
    [
        pytest.param([NOON_MS + n for n in range(10)], 1, id="ten messages are one"),
        pytest.param([NOON_MS + n for n in range(21)], 3, id="after ten messages the next one begins"),
        pytest.param([NOON_MS, NOON_MS + 4 * HOUR_MS], 1, id="four hours of silence"),
        pytest.param([NOON_MS, NOON_MS + 4 * HOUR_MS + 1], 2, id="a longer silence"),
        pytest.param([NOON_MS + 12 * HOUR_MS - 1, NOON_MS + 12 * HOUR_MS], 2, id="two days"),
        pytest.param([NOON_MS + n for n in range(9)] + [NOON_MS + 5 * HOUR_MS + n for n in range(10)], 2, id="anew"),
    ],
)
def test_a_cell_ends_with_the_day_after_a_long_silence_and_after_ten_messages(
    times_ms: list[int], cells: int, tmp_path: Path
) -> None:
    messages = [a_message(str(n), sent_at_us=ms * 1000, sender_id="U1") for n, ms in enumerate(times_ms)]
    assert memories(tmp_path, messages) == {"slack_general": Memories(cells=cells, owners=cells)}


def test_only_the_people_who_wrote_in_a_cell_own_it_and_bots_own_none(tmp_path: Path) -> None:
    senders = ["U1"] * 9 + ["U2"] + ["U3", "B1"] + ["B1"] * 9
    messages = [
        a_message(
            f"{n:02}",
            sent_at_us=(NOON_MS + n) * 1000,
            sender_id=sender,
            role="assistant" if sender == "B1" else "user",
        )
        for n, sender in enumerate(senders)
    ]
    assert memories(tmp_path, messages) == {"slack_general": Memories(cells=2, owners=3)}


def memories(folder: Path, messages: list[Message]) -> dict[str, Memories]:
    run = RunFolder(folder)
    transformed(run, messages)
    plan(run)
    return memories_of(run.chunks())


def test_one_conversation_takes_as_long_as_its_batches_one_after_the_other() -> None:
    alone = estimate([planned()], {"a": Memories(cells=1, owners=2)}, concurrency=64)
    assert alone.total.seconds == alone.conversations["a"].seconds


def test_many_conversations_share_the_time_and_none_ends_before_the_longest() -> None:
    many = [planned(f"c{n}", chunk=n % 2) for n in range(64)]
    shared = estimate(many, {}, concurrency=8)
    assert shared.concurrency == 16
    assert shared.total.seconds == pytest.approx(64 * shared.conversations["c0"].seconds / 16)
    longest = estimate([*many, planned("z", messages=100_000, batches=1000)], {}, concurrency=8)
    assert longest.total.seconds == longest.conversations["z"].seconds


def test_nothing_to_load_takes_nothing() -> None:
    assert estimate([], {}, concurrency=8).total == Effort()


def test_a_plan_is_estimated_from_its_own_texts_and_people(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    people = ["U1", "U2", "U2"]
    messages = [
        a_message(str(n), sent_at_us=(n + 1) * 1_000_000, sender_id=sender, text="déjà vu")
        for n, sender in enumerate(people)
    ]
    bot = a_message("9", sent_at_us=9_000_000, sender_id="B1", role="assistant", text="beep")
    transformed(run, [*messages, bot])
    plan(run)
    written = write_estimate(run, concurrency=8)
    assert read_estimate(run) == written
    text_bytes = 3 * len("déjà vu".encode()) + len("beep")
    assert written.conversations["slack_general"] == Effort(
        messages=4,
        batches=1,
        calls=2,
        tokens=-(-text_bytes // 4),
        llm_calls=1 + 1 + 1 + 2 * 1 * 2,
        segments=1,
        seconds=7.0 + 4 * 0.33,
    )
