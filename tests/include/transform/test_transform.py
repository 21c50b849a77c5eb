"""Order, identity, time and counts of what is left to load, held against a slow and obvious version of the same."""

import doctest
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import include.columns
from include.errors import NotConserved
from include.parsers import ParseOptions
from include.records import ORDERED_SCHEMA, TRANSFORMED_SCHEMA, Message
from include.run_folder import RunFolder
from include.transform import KnownIds, TransformResult, parts, staging, timeline, transform
from include.transform.timeline import strictly_increasing
from tests.support.make_tables import a_conversation, a_message, extracted, ledger_table, table_of, with_segments

DAY_US = 86_400_000_000
Key = tuple[str, str]


@pytest.fixture(autouse=True, scope="module")
def _small_pieces() -> Iterator[None]:
    """Cut everything small, so that few messages cross every edge there is: slices, batches, row groups, parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "SLICE_BYTES", 900)
        patch.setattr(staging, "BATCH_ROWS", 3)
        patch.setattr(parts, "GROUP_ROWS", 4)
        patch.setattr(parts, "GROUP_BYTES", 60)
        patch.setattr(parts, "PART_GROUPS", 2)
        yield


# --- the slow and obvious version -----------------------------------------------------------------------------------


class Expected(NamedTuple):
    """``choices`` are the copies among which edits and times do not decide."""

    timestamp_ms: int
    choices: list[Message]


def slow_transform(
    messages: Sequence[Message],
    landed: set[Key] = frozenset(),
    refused: set[Key] = frozenset(),
    since_us: int | None = None,
    until_us: int | None = None,
) -> tuple[list[Expected], dict[str, Counter[str]]]:
    copies: dict[Key, list[Message]] = defaultdict(list)
    first: dict[Key, int] = {}
    for position, message in enumerate(messages):
        copies[message.conversation_id, message.message_id].append(message)
        first.setdefault((message.conversation_id, message.message_id), position)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    unique = []
    for (conversation_id, _), same in copies.items():
        counts[conversation_id]["duplicates"] += len(same) - 1
        best = max(by_preference(message) for message in same)
        unique.append([message for message in same if by_preference(message) == best])
    left = []
    previous: dict[str, int] = {}

    def by_order(choices: Sequence[Message]) -> tuple[bytes, int, int]:
        message = choices[0]
        return message.conversation_id.encode(), message.sent_at_us, first[message.conversation_id, message.message_id]

    for choices in sorted(unique, key=by_order):
        conversation_id, sent_at_us = choices[0].conversation_id, choices[0].sent_at_us
        timestamp_ms = max(sent_at_us // 1000, previous.get(conversation_id, -(10**18)) + 1)
        previous[conversation_id] = timestamp_ms
        key = (conversation_id, choices[0].message_id)
        count = counts[conversation_id]
        count["shifted_ms"] += timestamp_ms != sent_at_us // 1000
        if (since_us is not None and sent_at_us < since_us) or (until_us is not None and sent_at_us >= until_us):
            count["out_of_range"] += 1
        elif key in landed:
            count["already_loaded"] += 1
        elif key in refused:
            count["rejected_before"] += 1
        else:
            count["messages"] += 1
            left.append(Expected(timestamp_ms, choices))
    return left, counts


def by_preference(message: Message) -> tuple[float, int, int]:
    edited = message.edited_at_us
    return (float("-inf") if edited is None else edited, -message.sent_at_us, len(message.text.encode()))


# --- what goes in ---------------------------------------------------------------------------------------------------

moments = st.builds(
    lambda day, offset: day * DAY_US + offset,
    st.sampled_from([-1, 0, 1, 19_700]),
    st.sampled_from([0, 0, 1, 999, 1_000, 1_001, 2_500, DAY_US - 1]),
)
"""Few, so that times are often equal, or in one millisecond."""

messages_strategy = st.lists(
    st.builds(
        a_message,
        conversation_id=st.sampled_from(["slack_general", "slack_général", "discord_a'b", "slack_general2"]),
        message_id=st.sampled_from([f"{number}.{number % 3:06d}" for number in range(15)]),
        sent_at_us=moments,
        edited_at_us=st.none() | st.integers(0, 3),
        text=st.sampled_from(["one", "two", "größer" * 3, "x" * 70]),
        sender_name=st.sampled_from(["Ann", "Bob"]),
        thread_id=st.none() | st.just("1.000001"),
    ),
    max_size=40,
)
keys_strategy = st.sets(
    st.tuples(
        st.sampled_from(["slack_general", "slack_général", "slack_other"]),
        st.sampled_from([f"{number}.{number % 3:06d}" for number in range(15)]),
    ),
    max_size=15,
)


class Run(NamedTuple):
    result: TransformResult
    messages: list[Message]
    counts: dict[str, dict[str, Any]]
    files: dict[str, bytes]


def run_transform(folder: Path, *exports: Sequence[Sequence[Message]], row_group: int = 1000, **arguments: Any) -> Run:
    known = sorted({message.conversation_id for export in exports for file in export for message in file})
    folders = [
        extracted(
            folder / "extracted" / f"{number}",
            *files,
            conversations=[a_conversation(conversation_id) for conversation_id in known],
            row_group=row_group,
        )
        for number, files in enumerate(exports)
    ]
    return run_folders(folder, folders, **arguments)


def run_folders(folder: Path, folders: Sequence[Path], **arguments: Any) -> Run:
    run = RunFolder(folder)
    result = transform(folders, run, **arguments)
    files = sorted(run.messages.glob("part-*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    counts = {row.pop("conversation_id"): row for row in pq.read_table(run.conversations).to_pylist()}
    written = {file.name: file.read_bytes() for file in (*files, run.conversations)}
    return Run(result, msgspec.convert(rows, list[Message]), counts, written)


def compare(run: Run, expected: Sequence[Expected], counts: Mapping[str, Counter[str]]) -> None:
    assert [message.timestamp_ms for message in run.messages] == [each.timestamp_ms for each in expected]
    for message, (timestamp_ms, choices) in zip(run.messages, expected, strict=True):
        assert message in [msgspec.structs.replace(choice, timestamp_ms=timestamp_ms) for choice in choices]
    for conversation_id, row in run.counts.items():
        for name in ("duplicates", "out_of_range", "already_loaded", "rejected_before", "shifted_ms", "messages"):
            assert row[name] == counts[conversation_id][name], name


# --- properties -----------------------------------------------------------------------------------------------------


@settings(max_examples=min(30, settings().max_examples))
@given(
    messages=messages_strategy,
    landed=keys_strategy,
    refused=keys_strategy,
    since_us=st.none() | moments,
    until_us=st.none() | moments,
)
def test_it_does_what_the_slow_and_obvious_version_does(
    messages: list[Message], landed: set[Key], refused: set[Key], since_us: int | None, until_us: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = run_transform(
            Path(folder),
            [messages],
            row_group=5,
            landed=lambda _: ledger_table(landed),
            refused=lambda _: ledger_table(refused),
            since_us=since_us,
            until_us=until_us,
        )
    compare(run, *slow_transform(messages, landed, refused, since_us, until_us))


@settings(max_examples=min(15, settings().max_examples))
@given(messages=messages_strategy, data=st.data())
def test_how_messages_are_spread_over_files_and_exports_changes_no_byte(
    messages: list[Message], data: st.DataObject
) -> None:
    """Number of files, row groups, exports: none of it is a property of the chat."""
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(messages))] * 2)))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together = run_transform(Path(one), [messages])
        apart = run_transform(
            Path(other), [messages[:first], messages[first:second]], [messages[second:]], [], row_group=3
        )
    assert apart.files == together.files
    assert apart.result == together.result


@settings(max_examples=min(15, settings().max_examples))
@given(messages=messages_strategy, data=st.data())
def test_running_again_leaves_out_exactly_what_landed(messages: list[Message], data: st.DataObject) -> None:
    """And what is left has the times it had before: they do not depend on what was loaded."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        before = run_transform(Path(one), [messages])
        keys = [(message.conversation_id, message.message_id) for message in before.messages]
        landed = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
        after = run_transform(Path(other), [messages], landed=lambda _: ledger_table(landed))
    assert after.messages == [message for message, key in zip(before.messages, keys, strict=True) if key not in landed]
    assert after.result.already_loaded == len(landed)
    assert after.result.messages + len(landed) == before.result.messages


@given(st.lists(st.integers(-20, 20)), st.none() | st.integers(-25, 25))
def test_times_only_rise_and_never_by_more_than_they_must(times: list[int], after: int | None) -> None:
    expected: list[int] = []
    for time in times:
        previous = expected[-1] if expected else after
        expected.append(time if previous is None else max(time, previous + 1))
    assert strictly_increasing(np.array(times, dtype=np.int64), after=after).tolist() == expected


@given(texts=st.lists(st.sampled_from(["a", "ü" * 9, "x" * 70]), max_size=40), data=st.data())
def test_row_groups_and_parts_do_not_depend_on_how_messages_arrive(texts: list[str], data: st.DataObject) -> None:
    table = with_segments(table_of(a_message(f"{number}", text=text) for number, text in enumerate(texts)))
    edges = sorted({0, len(texts), *data.draw(st.lists(st.integers(0, len(texts))))})
    with tempfile.TemporaryDirectory() as folder:
        whole, portions = Path(folder) / "whole", Path(folder) / "portions"
        with parts.PartWriter(whole) as writer:
            writer.write(pa.RecordBatch.from_pylist(table.to_pylist(), schema=table.schema))
        with parts.PartWriter(portions) as writer:
            for start, end in pairwise(edges):
                writer.write(table.slice(start, end - start).to_batches()[0])
        assert {file.name: file.read_bytes() for file in portions.iterdir()} == {
            file.name: file.read_bytes() for file in whole.iterdir()
        }
        groups = [pq.read_metadata(file) for file in sorted(whole.iterdir())]
    assert all(metadata.num_row_groups <= parts.PART_GROUPS for metadata in groups)
    assert sum(metadata.num_rows for metadata in groups) == len(texts)


# --- rules by example -----------------------------------------------------------------------------------------------


def test_the_newest_edit_wins_wherever_the_copies_stand(tmp_path: Path) -> None:
    """EverOS JSON may give two copies of a message times that are days apart."""
    between = [a_message(f"m{day}", sent_at_us=day * DAY_US) for day in range(1, 9)]
    old = a_message("same", sent_at_us=0, edited_at_us=5, text="older edit")
    new = a_message("same", sent_at_us=9 * DAY_US, edited_at_us=6, text="newer edit")
    never = a_message("same", sent_at_us=5 * DAY_US, text="never edited")
    run = run_transform(tmp_path, [[old, *between, never, new]])
    assert [message.text for message in run.messages if message.message_id == "same"] == ["newer edit"]
    assert run.messages[-1].message_id == "same"
    assert run.result.duplicates == 2


def test_which_of_two_copies_is_kept_does_not_depend_on_which_came_first(tmp_path: Path) -> None:
    """Two exports of one message may differ without an edit: its author has a new name."""
    copies = [a_message("1", sender_name=name) for name in ("Ann", "Ann Lee")]
    kept = [
        run_transform(tmp_path / name, *exports).messages
        for name, exports in (("a", [[copies], []]), ("b", [[copies[::-1]]]), ("c", [[copies[1:]], [copies[:1]]]))
    ]
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == 1


def test_one_millisecond_is_shared_out_in_order_and_the_moves_are_counted(tmp_path: Path) -> None:
    """EverOS v2 keeps one of two messages with the same millisecond."""
    run = run_transform(tmp_path, [[a_message(f"{number}", sent_at_us=7_000 + number) for number in range(9)]])
    assert [message.timestamp_ms for message in run.messages] == list(range(7, 16))
    assert [message.sent_at_us for message in run.messages] == list(range(7_000, 7_009))
    assert run.result.shifted_ms == 8


def test_the_same_message_id_in_two_conversations_is_two_messages(tmp_path: Path) -> None:
    run = run_transform(tmp_path, [[a_message("1"), a_message("1", conversation_id="slack_random")]])
    assert run.result.messages == 2
    assert run.result.duplicates == 0


def test_since_is_part_of_the_range_and_until_is_not(tmp_path: Path) -> None:
    run = run_transform(
        tmp_path, [[a_message(f"{us}", sent_at_us=us) for us in (9, 10, 19, 20)]], since_us=10, until_us=20
    )
    assert [message.message_id for message in run.messages] == ["10", "19"]
    assert run.result.out_of_range == 2


def test_a_message_out_of_range_counts_as_that_even_if_it_landed(tmp_path: Path) -> None:
    run = run_transform(
        tmp_path, [[a_message("1")]], until_us=0, landed=lambda _: ledger_table([("slack_general", "1")])
    )
    assert (run.result.out_of_range, run.result.already_loaded) == (1, 0)


def test_the_ledger_is_asked_only_for_conversations_and_times_at_hand(tmp_path: Path) -> None:
    asked: list[Mapping[str, int]] = []

    def landed(since: Mapping[str, int]) -> pa.Table:
        asked.append(since)
        return ledger_table([("slack_general", "1"), ("slack_general", "1"), ("slack_gone", "9")])

    messages = [a_message("1", sent_at_us=5_000_000), a_message("2", sent_at_us=7_000_000)]
    result = run_transform(tmp_path, [messages], landed=landed).result
    assert (result.already_loaded, result.messages) == (1, 1)
    assert asked == [{"slack_general": 5_000}]


def test_folders_may_have_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "it's [a] *=1"
    assert run_transform(odd, [[a_message("1")]]).result.messages == 1


def test_conversations_without_messages_are_still_accounted_for(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "export", conversations=[a_conversation("slack_empty")])
    run = run_folders(tmp_path, [folder])
    assert run.messages == []
    assert run.counts["slack_empty"]["messages"] == 0
    assert run.result.conversations == 1


def test_entries_of_no_conversation_make_no_conversation(tmp_path: Path) -> None:
    folders = [
        extracted(tmp_path / source, conversations=[a_conversation("", source=source, channel_id="")])
        for source in ("slack", "discord")
    ]
    assert run_folders(tmp_path, folders).counts == {}


def test_messages_of_an_unknown_conversation_are_not_lost_quietly(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "export", [a_message("1")], conversations=[])
    with pytest.raises(NotConserved, match="slack_general"):
        transform([folder], RunFolder(tmp_path))
    assert not RunFolder(tmp_path).messages.exists()


def test_a_second_try_starts_clean(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run_transform(tmp_path, [[a_message(f"{number}", sent_at_us=number) for number in range(30)]])
    (run.root / ".transform.partial" / "messages").mkdir(parents=True)
    (run.root / ".transform.partial" / "messages" / "part-00000.parquet").write_bytes(b"half a file")
    folder = extracted(tmp_path / "smaller", [a_message("1")])
    assert len(run_folders(tmp_path, [folder]).messages) == 1
    assert sorted(path.name for path in run.root.iterdir()) == [
        "conversations.parquet",
        "extracted",
        "messages",
        "notes.parquet",
        "smaller",
    ]


def test_a_failure_leaves_no_older_output_to_be_taken_for_its_own(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run_transform(tmp_path, [[a_message("1")]])
    broken = extracted(tmp_path / "broken", [a_message("1")], conversations=[])
    with pytest.raises(NotConserved):
        transform([broken], run)
    assert not run.messages.exists()
    assert not run.conversations.exists()


def test_parts_hold_the_one_schema(tmp_path: Path) -> None:
    run_transform(tmp_path, [[a_message(f"{number}", sent_at_us=number) for number in range(9)]])
    run = RunFolder(tmp_path)
    assert {pq.read_schema(file).equals(ORDERED_SCHEMA) for file in run.messages.iterdir()} == {True}
    assert pq.read_schema(run.conversations).equals(TRANSFORMED_SCHEMA)


# --- channels -------------------------------------------------------------------------------------------------------


def merge(tmp_path: Path, *described: Mapping[str, Any]) -> dict[str, Any]:
    folders = [
        extracted(tmp_path / f"{number}", [a_message(f"{number}")], conversations=[a_conversation(**fields)])
        for number, fields in enumerate(described)
    ]
    return run_folders(tmp_path, folders).counts["slack_general"]


def test_entries_of_one_channel_in_two_exports_are_summed(tmp_path: Path) -> None:
    assert merge(tmp_path, {}, {})["entries"] == 2


def test_of_two_descriptions_the_later_counts_where_it_says_something(tmp_path: Path) -> None:
    merged = merge(tmp_path, {"name": "general", "description": "all of us"}, {"name": "everyone", "description": ""})
    assert (merged["name"], merged["description"]) == ("everyone", "all of us")


def test_a_channel_that_is_private_in_one_export_is_private(tmp_path: Path) -> None:
    assert merge(tmp_path, {"private": True}, {"private": False})["private"]


def test_a_renamed_workspace_makes_no_second_channel(tmp_path: Path) -> None:
    """Discord guilds get renamed, and a shared Slack channel stands in several workspaces of a grid."""
    assert merge(tmp_path, {"workspace": "Acme"}, {"workspace": "Acme Inc"})["entries"] == 2


GENERAL = {"name": "general", "channel": "general"}


def channels_of(tmp_path: Path, *described: Mapping[str, Any], **arguments: Any) -> dict[str, dict[str, Any]]:
    """Transform exports of one channel each, all of which want the id slack_general, and return the conversations."""
    folders = [
        extracted(
            tmp_path / f"{number}",
            [a_message(f"{number}", source=fields.get("source", "slack"))],
            conversations=[a_conversation(**(GENERAL | fields))],
        )
        for number, fields in enumerate(described)
    ]
    return run_folders(tmp_path, folders, **arguments).counts


@pytest.mark.parametrize(
    ("one", "other", "ids"),
    [
        ({"workspace": "Acme"}, {"workspace": "Globex"}, ["slack_Acme_general", "slack_Globex_general"]),
        ({}, {}, ["slack_general_C1", "slack_general_C2"]),
        ({"workspace": "Acme"}, {"workspace": "Acme"}, ["slack_general_C1", "slack_general_C2"]),
        ({"workspace": "Acme"}, {}, ["slack_Acme_general", "slack_general_C2"]),
    ],
)
def test_two_channels_of_one_name_are_two_conversations(
    tmp_path: Path, one: dict[str, str], other: dict[str, str], ids: list[str]
) -> None:
    counts = channels_of(tmp_path, {"channel_id": "C1"} | one, {"channel_id": "C2"} | other)
    assert sorted(counts) == ids
    assert [row["messages"] for row in counts.values()] == [1, 1]
    notes = pq.read_table(RunFolder(tmp_path).notes).to_pylist()
    assert [(note["code"], note["detail"]) for note in notes] == [("shared_name", name) for name in ids]


def test_an_id_that_the_source_gives_is_kept_and_others_make_way(tmp_path: Path) -> None:
    counts = channels_of(
        tmp_path, {"channel_id": "C1"}, {"source": "everos", "channel": "", "channel_id": "slack_general"}
    )
    assert {name: row["source"] for name, row in counts.items()} == {
        "slack_general": "everos",
        "slack_general_C1": "slack",
    }


def test_two_given_ids_that_are_equal_stay_two_conversations(tmp_path: Path) -> None:
    """A group and a person may have one id in EverOS JSON."""
    given = {"source": "everos", "channel": "", "channel_id": "x"}
    counts = channels_of(tmp_path, given, given | {"kind": "personal", "user_id": "slack_general"})
    assert [row["kind"] for row in counts.values()] == ["group", "personal"]
    assert next(iter(counts)) == "slack_general"


def test_a_longer_id_is_told_also_in_a_run_without_the_other_channel(tmp_path: Path) -> None:
    known: dict[tuple[str, ...], str] = {}
    ids = KnownIds(ids=known, remember=known.update)
    notes = []
    for number, workspace in enumerate(["Red", "Blue", "Blue", "Red"]):
        channel = a_conversation(**GENERAL, workspace=workspace, channel_id=f"C{workspace}")
        folder = extracted(tmp_path / f"x{number}", [a_message(workspace)], conversations=[channel])
        run_folders(tmp_path / f"run{number}", [folder], known_ids=ids)
        notes.append(pq.read_table(RunFolder(tmp_path / f"run{number}").notes)["detail"].to_pylist())
    assert notes == [[], ["slack_Blue_general"], ["slack_Blue_general"], []]


def test_a_channel_of_two_names_is_one_conversation_named_by_the_newest_export(tmp_path: Path) -> None:
    old = extracted(
        tmp_path / "old",
        [a_message("1", conversation_id="slack_lobby"), a_message("2", conversation_id="slack_lobby")],
        conversations=[a_conversation("slack_lobby", channel="lobby", channel_id="C1", as_of_us=1)],
    )
    new = extracted(
        tmp_path / "new",
        [a_message("2", conversation_id="slack_lounge", sent_at_us=9), a_message("3", conversation_id="slack_lounge")],
        conversations=[a_conversation("slack_lounge", channel="lounge", channel_id="C1", as_of_us=2)],
    )
    run = run_folders(tmp_path, [new, old])
    assert {name: (row["name"], row["messages"]) for name, row in run.counts.items()} == {"slack_lounge": ("lounge", 3)}
    assert run.result.duplicates == 1


def test_an_id_made_once_stays_when_a_name_is_shared_or_changed_later(tmp_path: Path) -> None:
    known: dict[tuple[str, ...], str] = {}

    def ids(run: str, *described: dict[str, Any], known_ids: KnownIds | None = None) -> list[str]:
        known_ids = known_ids or KnownIds(ids=dict(known), remember=known.update)
        return sorted(channels_of(tmp_path / run, *described, known_ids=known_ids))

    first, second = {"channel_id": "C1", "workspace": "Acme"}, {"channel_id": "C2", "workspace": "Globex"}
    assert ids("dry", second, known_ids=KnownIds()) == ["slack_general"]
    assert ids("1", first) == ["slack_general"]
    assert ids("2", first, second) == ["slack_Globex_general", "slack_general"]
    assert ids("3", second) == ["slack_Globex_general"]
    assert ids("4", first | {"name": "everyone", "channel": "everyone"}) == ["slack_general"]


@pytest.mark.parametrize("include_private", [False, True])
def test_a_channel_that_became_private_is_left_out_of_older_exports_too(tmp_path: Path, include_private: bool) -> None:
    public = extracted(
        tmp_path / "public", [a_message("1"), a_message("2")], conversations=[a_conversation(channel_id="C1")]
    )
    became = a_conversation(channel_id="C1", private=True, private_reason="listed in groups.json")
    private = extracted(tmp_path / "private", conversations=[became])
    run = run_folders(tmp_path, [public, private], options=ParseOptions(include_private=include_private))
    assert run.result.messages == (2 if include_private else 0)
    assert run.counts["slack_general"]["private_reason"] == "listed in groups.json"
    counting = {folder.name: folder for folder in RunFolder(tmp_path).restated.glob("*")}
    assert set(counting) == (set() if include_private else {"public"})


@pytest.mark.parametrize("silent", [0, 1])
def test_a_channel_of_which_nothing_is_imported_stands_in_nobodys_way(tmp_path: Path, silent: int) -> None:
    """It is private or excluded, or nobody said anything in it: the other one gives the conversation its name."""
    described = [a_conversation(channel_id="C1", name="general"), a_conversation(channel_id="C2", name="allgemein")]
    said: list[list[Message]] = [[a_message("1")], [a_message("2")]]
    said[silent] = []
    folders = [
        extracted(tmp_path / f"{number}", said[number], conversations=[described[number]]) for number in range(2)
    ]
    row = run_folders(tmp_path, folders).counts["slack_general"]
    assert (row["channel_id"], row["messages"]) == (described[1 - silent].channel_id, 1)


def test_where_names_stand_in_for_ids_workspaces_tell_channels_apart(tmp_path: Path) -> None:
    named = {"channel_id": "general"}
    counts = channels_of(tmp_path, named | {"workspace": "Acme"}, named | {"workspace": "Globex"})
    assert sorted(counts) == ["slack_Acme_general", "slack_Globex_general"]


# --- ids that do not tell messages apart ------------------------------------------------------------------------


def everos(message_id: str, **fields: object) -> Message:
    return a_message(message_id, source="everos", **fields)


HOUR_US = 3_600_000_000
LEDGER_SCHEMA = pa.schema([("conversation_id", pa.string()), ("message_id", pa.string()), ("timestamp_ms", pa.int64())])


def landed_of(run: Run) -> pa.Table:
    rows = [
        {"conversation_id": one.conversation_id, "message_id": one.message_id, "timestamp_ms": one.timestamp_ms}
        for one in run.messages
    ]
    return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "everos", "message_id": "msg_001"},
        {"source": "slack", "message_id": "1700000000"},
        {"source": "discord", "message_id": "100000000000000001"},
    ],
)
@pytest.mark.parametrize("other", [{"text": "other"}, {"sender_id": "U2"}])
def test_a_weak_id_with_another_sender_or_text_is_another_message(
    tmp_path: Path, fields: dict[str, str], other: dict[str, str]
) -> None:
    one = a_message(fields.pop("message_id"), **fields) if "message_id" in fields else everos("x")
    second = msgspec.structs.replace(one, **other)
    run = run_transform(tmp_path, [[one, second]], [[second, one]])
    assert [(message.sender_id, message.text) for message in run.messages] == [
        (one.sender_id, one.text),
        (second.sender_id, second.text),
    ]
    assert run.messages[0].message_id == one.message_id != run.messages[1].message_id
    assert run.result.duplicates == 2


def test_an_id_of_the_platform_stays_the_same_message_whatever_its_text(tmp_path: Path) -> None:
    one = a_message("1700000000.000100")
    run = run_transform(tmp_path, [[one, msgspec.structs.replace(one, text="edited", edited_at_us=1)]])
    assert [message.text for message in run.messages] == ["edited"]


@pytest.mark.parametrize("first", [0, 1])
def test_ids_that_restart_in_each_file_lose_nothing_over_several_runs(tmp_path: Path, first: int) -> None:
    """Whichever file is imported first, alone or with the other, each message is loaded once."""
    days = [
        [everos(f"msg_{n}", sent_at_us=day * DAY_US + n * HOUR_US, text=f"day {day}") for n in range(3)]
        for day in (19_700, 19_701)
    ]
    landed: list[pa.Table] = [LEDGER_SCHEMA.empty_table()]
    texts: list[str] = []
    for number, files in enumerate([[days[first]], [days[1 - first]], days, days[::-1], [days[0]], [days[1]]]):
        run = run_transform(tmp_path / f"{number}", files, landed=lambda _, rows=tuple(landed): pa.concat_tables(rows))
        landed.append(landed_of(run))
        texts += [message.text for message in run.messages]
    assert sorted(texts) == ["day 19700"] * 3 + ["day 19701"] * 3
    keys = pa.concat_tables(landed).to_pylist()
    assert len({(row["conversation_id"], row["message_id"]) for row in keys}) == len(keys) == 6


def test_many_equal_times_are_known_again_although_each_was_moved(tmp_path: Path) -> None:
    messages = [everos(f"m{n}", text=f"{n}") for n in range(50)]
    first = run_transform(tmp_path / "1", [messages])
    again = run_transform(tmp_path / "2", [messages], landed=lambda _: landed_of(first))
    assert (again.result.messages, again.result.already_loaded) == (0, 50)


@pytest.mark.parametrize("earlier_ms", [1, 10, 40])
def test_an_id_used_again_shortly_before_is_another_message_however_large_the_conversation(
    tmp_path: Path, earlier_ms: int
) -> None:
    """Only as far as equal times moved messages can a time in the ledger be that of an earlier one."""
    messages = [everos(f"m{n}", sent_at_us=DAY_US + n * 1_000_000) for n in range(50)]
    first = run_transform(tmp_path / "1", [messages])
    other = everos("m7", sent_at_us=messages[7].sent_at_us - earlier_ms * 1_000, text="before")
    again = run_transform(tmp_path / "2", [[*messages, other]], landed=lambda _: landed_of(first))
    assert ([message.text for message in again.messages], again.result.already_loaded) == (["before"], 50)


# --- messages of one time -------------------------------------------------------------------------------------------


def test_messages_of_one_time_keep_the_order_of_the_source(tmp_path: Path) -> None:
    ids = ["msg_9", "msg_10", "msg_11", "a", "Z"]
    run = run_transform(tmp_path, [[a_message(id_) for id_ in ids[:2]], [a_message(id_) for id_ in ids[2:]]])
    assert [message.message_id for message in run.messages] == ids


def test_a_newer_copy_takes_the_place_of_the_first(tmp_path: Path) -> None:
    question, answer = a_message("q"), a_message("a")
    edited = a_message("q", edited_at_us=5, text="edited")
    run = run_transform(tmp_path, [[question, answer]], [[edited]])
    assert [message.text for message in run.messages] == ["edited", "hello"]


def test_of_two_copies_without_an_edit_the_longer_text_is_kept(tmp_path: Path) -> None:
    """A copy without its attachments says less, and nothing that somebody wrote is lost."""
    run = run_transform(tmp_path, [[a_message("1", text="see this\nand this")]], [[a_message("1", text="see this")]])
    assert [message.text for message in run.messages] == ["see this\nand this"]


def test_a_snowflake_orders_messages_of_its_own_second_and_no_others(tmp_path: Path) -> None:
    """Ids that an anonymised export made up say nothing about time."""
    sent_at_us = 1_709_283_600_000_000  # 2024-03-01 09:00 UTC
    real = [(sent_at_us // 1000 - 1_420_070_400_000) << 22 | number for number in (2, 1)]
    made_up = [100_000_000_000_000_002, 100_000_000_000_000_001]
    messages = [
        a_message(f"{id_}", source="discord", sent_at_us=sent_at_us, conversation_id=name)
        for name, ids in (("discord_a", real), ("discord_b", made_up))
        for id_ in ids
    ]
    assert [message.message_id for message in run_transform(tmp_path, [messages]).messages] == [
        *map(str, sorted(real)),
        *map(str, made_up),
    ]


def test_the_examples_in_docstrings_hold() -> None:
    for module in (timeline, include.columns):
        assert doctest.testmod(module).failed == 0
