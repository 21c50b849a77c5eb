"""Every message in one batch, every conversation in one chunk: held against a slow and obvious version of the same."""

import doctest
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched, groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import include.plan
from include.errors import ConfigurationError, NotConserved
from include.plan import batches, chunk_name, chunks, plan, read_batches, read_plan, store
from include.plan.chunks import WORTHWHILE, assign, label_of
from include.records import BATCH_SCHEMA, Batch, Chunk, Message, Outgoing, PlannedSegment
from include.run_folder import RunFolder
from tests.support.make_tables import a_message, transformed

GROUP_MESSAGES = 12


@pytest.fixture(autouse=True, scope="module")
def _small_pieces() -> Iterator[None]:
    """Make few messages cross the edges of what is read and written at a time, and few of them worth a chunk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(include.plan, "READ_ROWS", 5)
        patch.setattr(store, "GROUP_MESSAGES", GROUP_MESSAGES)
        patch.setattr(store, "GROUP_BYTES", 4_000)
        patch.setattr(batches, "SLICE_BYTES", 3_000)
        yield


# --- the slow and obvious version -----------------------------------------------------------------------------------


def slow_batches(messages: Sequence[Message], size: int, most_bytes: int) -> list[Batch]:
    """Cut one conversation."""
    cut: list[list[Message]] = []
    for message in messages:
        weight = sum(len(each.text.encode()) for each in (cut[-1] if cut else [])) + len(message.text.encode())
        if cut and len(cut[-1]) < size and weight <= most_bytes:
            cut[-1].append(message)
        else:
            cut.append([message])
    return [
        Batch(
            conversation_id=batch[0].conversation_id,
            segment_id=batch[0].conversation_id,
            number=number,
            key=slow_key(batch),
            messages=tuple(outgoing(message) for message in batch),
        )
        for number, batch in enumerate(cut)
    ]


def slow_key(batch: Sequence[Message]) -> str:
    parts = [batch[0].conversation_id, *(message.message_id for message in batch)]
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def outgoing(message: Message) -> Outgoing:
    return Outgoing(**{name: getattr(message, name) for name in Outgoing.__struct_fields__})


# --- what goes in ---------------------------------------------------------------------------------------------------


def conversation_of(texts: Sequence[str], conversation_id: str) -> list[Message]:
    """Messages with these texts, one after the other."""
    return [
        a_message(f"{number}.{number:06d}", conversation_id=conversation_id, text=text, sent_at_us=number * 1000)
        for number, text in enumerate(texts)
    ]


texts = st.sampled_from(["a", "zwölf", "x" * 30, "y" * 200])
limits = st.sampled_from([1, 2, 5, 6, 7, 31, 36, 60, 230, 300, 9_999])
histories = st.dictionaries(
    st.sampled_from(["slack_a", "slack_b", "slack_ü", "discord_c"]),
    st.lists(texts, min_size=1, max_size=40),
    max_size=4,
).map(
    lambda texts: [
        message
        for conversation_id in sorted(texts, key=str.encode)
        for message in conversation_of(texts[conversation_id], conversation_id)
    ]
)
sizes_of_conversations = st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 20_000), max_size=30)


class Planned(NamedTuple):
    chunks: list[Chunk]
    conversations: list[PlannedSegment]
    batches: dict[str, list[Batch]]
    files: dict[str, bytes]


def run_plan(
    folder: Path, messages: Sequence[Message], *, per_part: int = 1000, row_group: int = 1000, **arguments: int
) -> Planned:
    run = RunFolder(folder)
    transformed(run, messages, per_part=per_part, row_group=row_group)
    return plan_again(run, **arguments)


def plan_again(run: RunFolder, **arguments: int) -> Planned:
    made = plan(run, **arguments)
    conversations = read_plan(run)
    read = {each.conversation_id: list(read_batches(run.plan / chunk_name(each.chunk), each)) for each in conversations}
    return Planned(made, conversations, read, {file.name: file.read_bytes() for file in run.plan.iterdir()})


# --- properties -----------------------------------------------------------------------------------------------------


@settings(max_examples=min(60, settings().max_examples))
@given(
    messages=histories,
    batch_size=st.integers(1, 15),
    batch_bytes=limits,
    max_chunks=st.integers(1, 5),
)
def test_it_does_what_the_slow_and_obvious_version_does(
    messages: list[Message], batch_size: int, batch_bytes: int, max_chunks: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        planned = run_plan(
            Path(folder), messages, batch_size=batch_size, batch_bytes=batch_bytes, max_chunks=max_chunks
        )
    expected = {
        conversation_id: slow_batches(list(conversation), batch_size, batch_bytes)
        for conversation_id, conversation in groupby(messages, key=lambda message: message.conversation_id)
    }
    assert planned.batches == expected


@settings(max_examples=min(40, settings().max_examples))
@given(messages=histories, batch_size=st.integers(1, 15), batch_bytes=limits)
def test_every_message_goes_once_in_order_and_within_the_limits(
    messages: list[Message], batch_size: int, batch_bytes: int
) -> None:
    """Said again without an algorithm: what holds of any good cut."""
    with tempfile.TemporaryDirectory() as folder:
        planned = run_plan(Path(folder), messages, batch_size=batch_size, batch_bytes=batch_bytes)
    sent = [
        (batch.conversation_id, message)
        for conversation in planned.conversations
        for batch in planned.batches[conversation.conversation_id]
        for message in batch.messages
    ]
    assert sent == [(message.conversation_id, outgoing(message)) for message in messages]
    for batch in (batch for cut in planned.batches.values() for batch in cut):
        assert 1 <= len(batch.messages) <= batch_size
        assert len(batch.messages) == 1 or sum(len(each.text.encode()) for each in batch.messages) <= batch_bytes
    keys = [batch.key for cut in planned.batches.values() for batch in cut]
    assert len(set(keys)) == len(keys)


@settings(max_examples=min(40, settings().max_examples))
@given(messages=histories, per_part=st.integers(1, 30), row_group=st.integers(1, 30), batch_size=st.integers(1, 9))
def test_how_the_messages_lie_in_files_changes_no_byte(
    messages: list[Message], per_part: int, row_group: int, batch_size: int
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together = run_plan(Path(one), messages, batch_size=batch_size)
        apart = run_plan(Path(other), messages, per_part=per_part, row_group=row_group, batch_size=batch_size)
    assert apart.files == together.files
    assert [chunk.fingerprint for chunk in apart.chunks] == [chunk.fingerprint for chunk in together.chunks]


@settings(max_examples=min(40, settings().max_examples))
@given(messages=histories, batch_size=st.integers(1, 15), batch_bytes=limits, max_chunks=st.integers(1, 5))
def test_the_table_of_contents_says_what_is_in_the_files(
    messages: list[Message], batch_size: int, batch_bytes: int, max_chunks: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        planned = run_plan(
            Path(folder), messages, batch_size=batch_size, batch_bytes=batch_bytes, max_chunks=max_chunks
        )
        for chunk in planned.chunks:
            within = [each for each in planned.conversations if each.chunk == chunk.number]
            file = pq.ParquetFile(RunFolder(Path(folder)).plan / chunk_name(chunk.number))
            assert file.schema_arrow.equals(BATCH_SCHEMA)
            rows = [
                row for each in within for first, count in batched(each.rows, 2) for row in range(first, first + count)
            ]
            assert sorted(rows) == list(range(chunk.batches))
            assert file.metadata.num_rows == chunk.batches == sum(each.batches for each in within)
            assert chunk.messages == sum(each.messages for each in within)
            assert chunk.conversations == len(within) > 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                assert sum(len(each) for each in table["messages"]) <= max(GROUP_MESSAGES, batch_size)
    for each in planned.conversations:
        texts = [message for message in messages if message.conversation_id == each.conversation_id]
        assert each.batches == len(planned.batches[each.conversation_id])
        assert each.messages == len(texts)
        assert each.bytes == sum(len(message.text.encode()) for message in texts)
        assert (each.first_ms, each.last_ms) == (texts[0].timestamp_ms, texts[-1].timestamp_ms)


@settings(max_examples=min(40, settings().max_examples))
@given(
    messages=histories,
    places=st.lists(st.integers(0, 4), min_size=160, max_size=160),
    batch_size=st.integers(1, 9),
    slice_bytes=st.sampled_from([400, 1_500, 1_000_000]),
)
def test_segments_lie_interleaved_and_each_is_cut_whole_and_in_order(
    messages: list[Message], places: list[int], batch_size: int, slice_bytes: int
) -> None:
    segment_of = {
        (message.conversation_id, message.message_id): f"{message.conversation_id}.{place}"
        for message, place in zip(messages, places, strict=False)
    }
    expected: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        expected[segment_of[message.conversation_id, message.message_id]].append(message)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "SLICE_BYTES", slice_bytes)
        patch.setattr(chunks, "WORTHWHILE", 10)
        run = RunFolder(Path(folder))
        transformed(run, messages, segments=segment_of)
        made = plan(run, batch_size=batch_size, max_chunks=3)
        planned = read_plan(run)
        read = {each.segment_id: list(read_batches(run.plan / chunk_name(each.chunk), each)) for each in planned}
    assert read.keys() == expected.keys()
    for each in planned:
        some = read[each.segment_id]
        assert [message for batch in some for message in batch.messages] == [
            outgoing(message) for message in expected[each.segment_id]
        ]
        assert [batch.number for batch in some] == list(range(each.batches))
        assert {batch.segment_id for batch in some} == {each.segment_id}
        assert [batch.key for batch in some] == [
            slow_key([message for message in expected[each.segment_id] if message.message_id in ids])
            for ids in ({message.message_id for message in batch.messages} for batch in some)
        ]
        assert all(1 <= len(batch.messages) <= batch_size for batch in some)
        if slice_bytes == 1_000_000:
            assert [len(batch.messages) for batch in some[:-1]] == [batch_size] * (len(some) - 1)
    assert sum(chunk.segments for chunk in made) == len(planned)
    assert sum(chunk.messages for chunk in made) == len(messages)


@given(sizes=sizes_of_conversations, max_chunks=st.integers(1, 64))
def test_conversations_are_spread_whole_and_evenly(sizes: Mapping[str, int], max_chunks: int) -> None:
    spread = assign(sizes, max_chunks)
    assert {name: size for chunk in spread for name, size in chunk.items()} == sizes
    assert sum(len(chunk) for chunk in spread) == len(sizes)
    assert all(spread)
    assert len(spread) <= max_chunks
    loads = [sum(chunk.values()) for chunk in spread]
    for load, chunk in zip(loads, spread, strict=True):
        assert load - min(chunk.values()) <= min(loads)


@given(sizes=sizes_of_conversations, max_chunks=st.integers(2, 64))
def test_there_are_no_more_chunks_than_are_worth_a_task(sizes: Mapping[str, int], max_chunks: int) -> None:
    number = len(assign(sizes, max_chunks))
    if number > 2:
        assert sum(sizes.values()) / number >= WORTHWHILE
        assert (number - 1) * max(sizes.values()) < sum(sizes.values())
    else:
        assert number == min(2, len(sizes))


# --- rules by example -----------------------------------------------------------------------------------------------


def test_a_small_import_of_two_conversations_takes_two_chunks() -> None:
    assert assign({"a": 3, "b": 1}, 64) == [{"a": 3}, {"b": 1}]


def test_one_huge_channel_gets_a_chunk_and_the_rest_shares_another() -> None:
    """Nothing ends before the huge one does, so more chunks would gain nothing."""
    spread = assign({"huge": 600_000} | {f"c{number}": 2_000 for number in range(200)}, 64)
    assert [sum(chunk.values()) for chunk in spread] == [600_000, 400_000]


def test_many_equal_channels_are_spread_over_as_many_chunks_as_may_be() -> None:
    spread = assign({f"c{number:03d}": 5_000 for number in range(200)}, 64)
    assert len(spread) == 64
    assert {len(chunk) for chunk in spread} == {3, 4}


@pytest.mark.parametrize(
    ("conversations", "label"),
    [
        (
            {"slack_general": 1_000, "slack_a": 100, "slack_b": 100, "slack_c": 40},
            "slack_general (+3 more), 1,240 messages",
        ),
        ({"slack_general": 1}, "slack_general, 1 message"),
        ({"b": 5, "a": 5}, "a (+1 more), 10 messages"),
        ({"x" * 200: 5}, "x" * 79 + "…, 5 messages"),
    ],
)
def test_a_label_names_the_largest_conversation(conversations: Mapping[str, int], label: str) -> None:
    assert label_of(conversations) == label


@pytest.mark.parametrize(("messages", "size"), [(10_000, 50), (10_001, 100)])
def test_batches_are_larger_in_large_conversations(tmp_path: Path, messages: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(include.plan, "READ_ROWS", 5_000)
        patch.setattr(store, "GROUP_MESSAGES", 5_000)
        planned = run_plan(tmp_path, conversation_of(["a"] * messages, "slack_a"))
    assert Counter(len(batch.messages) for batch in planned.batches["slack_a"]) == Counter(
        {size: messages // size} | ({1: 1} if messages % size else {})
    )


def test_a_message_larger_than_a_batch_may_be_goes_alone(tmp_path: Path) -> None:
    planned = run_plan(tmp_path, conversation_of(["a", "b", "x" * 100, "c", "d"], "slack_a"), batch_bytes=10)
    assert ["".join(message.text[0] for message in batch.messages) for batch in planned.batches["slack_a"]] == [
        "ab",
        "x",
        "cd",
    ]


def test_a_batch_may_be_filled_to_the_last_byte(tmp_path: Path) -> None:
    planned = run_plan(tmp_path, conversation_of(["aaaaa", "bbbbb", "c"], "slack_a"), batch_bytes=10)
    assert [len(batch.messages) for batch in planned.batches["slack_a"]] == [2, 1]


def test_bytes_are_counted_as_they_are_sent_not_as_characters(tmp_path: Path) -> None:
    planned = run_plan(tmp_path, conversation_of(["üüüüü", "a"], "slack_a"), batch_bytes=10)
    assert planned.chunks[0].batches == 2


def test_a_fingerprint_changes_with_any_batch(tmp_path: Path) -> None:
    messages = conversation_of(["a"] * 10, "slack_a")
    fingerprints = {
        run_plan(tmp_path / name, given, batch_size=size).chunks[0].fingerprint
        for name, given, size in (("whole", messages, 5), ("shorter", messages[:-1], 5), ("cut otherwise", messages, 4))
    }
    assert len(fingerprints) == 3


def test_nothing_to_load_is_a_plan_without_chunks(tmp_path: Path) -> None:
    planned = run_plan(tmp_path, [])
    assert planned.chunks == []
    assert planned.conversations == []


def test_a_second_try_starts_clean(tmp_path: Path) -> None:
    first = run_plan(tmp_path, conversation_of(["a"] * 10, "slack_a"))
    run = RunFolder(tmp_path)
    (run.plan / "chunk-007.parquet").write_bytes(b"of an older plan")
    (run.root / ".plan.partial").mkdir()
    (run.root / ".plan.partial" / "chunk-000.parquet").write_bytes(b"half a file")
    assert plan_again(run).files == first.files
    assert not (run.root / ".plan.partial").exists()


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"batch_size": 501}, {"batch_bytes": 0}, {"max_chunks": 0}])
def test_a_setting_out_of_bounds_is_named(tmp_path: Path, setting: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        run_plan(tmp_path, [], **setting)


@pytest.mark.parametrize("kept", [0, 1, 5, 9])
def test_messages_missing_from_the_files_are_not_overlooked(tmp_path: Path, kept: int) -> None:
    run = RunFolder(tmp_path)
    messages = conversation_of(["a"] * 5, "slack_a") + conversation_of(["a"] * 5, "slack_b")
    transformed(run, messages)
    conversations = run.conversations.read_bytes()
    transformed(RunFolder(tmp_path / "other"), messages[:kept])
    for file in run.messages.iterdir():
        file.unlink()
    for file in (tmp_path / "other" / "messages").iterdir():
        file.rename(run.messages / file.name)
    run.conversations.write_bytes(conversations)
    with pytest.raises(NotConserved, match="slack_"):
        plan(run)
    assert not run.plan.exists()


def test_the_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(chunks).failed == 0
