"""Files of EverOS JSON from discovery to transform, in one run or night by night with a ledger that grows."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.extract import extract
from include.parsers import ParseOptions, discover
from include.records import Message
from include.run_folder import RunFolder
from include.transform import KnownIds, transform
from tests.support.builders import write_folder, write_zip

AT_S = 1_772_445_600
LEDGER = pa.schema([("conversation_id", pa.string()), ("message_id", pa.string()), ("timestamp_ms", pa.int64())])


class Night(NamedTuple):
    messages: list[Message]
    """What this run would load."""
    duplicates: int
    already_loaded: int
    shared_names: list[str]


class Nights:
    """Imports into one target; everything that a run would load counts as landed in the next one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._landed = LEDGER.empty_table()
        self._ids: dict[tuple[str, ...], str] = {}
        self._runs = 0
        self.messages: list[Message] = []
        """Of all runs."""

    def run(self, *exports: Mapping[str, Any]) -> Night:
        """Import exports, each the files of a zip; the only one is a folder."""
        self._runs += 1
        source = self._folder / f"source-{self._runs}"
        source.mkdir()
        if len(exports) == 1:
            write_folder(source, exports[0])
        else:
            for number, files in enumerate(exports):
                write_zip(source / f"export-{number}.zip", files)
        run = RunFolder(self._folder / f"run-{self._runs}")
        for export in discover(source)[0]:
            extract(export, ParseOptions(), run.extracted(export.key))
        ids = KnownIds(ids=dict(self._ids), remember=self._ids.update)
        result = transform(run.all_extracted(), run, landed=lambda _: self._landed, known_ids=ids)
        rows = [row for file in sorted(run.messages.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
        landed = [{name: row[name] for name in LEDGER.names} for row in rows]
        self._landed = pa.concat_tables([self._landed, pa.Table.from_pylist(landed, schema=LEDGER)])
        messages = msgspec.convert(rows, list[Message])
        self.messages += messages
        notes = pq.read_table(run.notes).to_pylist()
        shared = [note["detail"] for note in notes if note["code"] == "shared_name"]
        return Night(messages, result.duplicates, result.already_loaded, shared)


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def said(text: str, at_s: int = AT_S, sender: str = "ann", **fields: Any) -> dict[str, Any]:
    return {"role": "user", "sender_id": sender, "timestamp": at_s, "content": text, **fields}


def group(*messages: Any, group_id: str = "g") -> dict[str, Any]:
    return {"group_id": group_id, "messages": list(messages)}


GROUP = group(said("in the group"), group_id="x")
HISTORY = {"user_id": "x", "messages": [said("in the history", sender="x")]}


@pytest.mark.parametrize(
    ("runs", "plain"),
    [
        ([[GROUP, HISTORY]], "in the group"),
        ([[HISTORY, GROUP], [HISTORY]], "in the group"),
        ([[GROUP], [HISTORY], [HISTORY, GROUP]], "in the group"),
        ([[HISTORY], [GROUP], [HISTORY, GROUP]], "in the history"),
    ],
)
def test_a_group_and_a_person_of_one_id_are_two_conversations_and_the_second_id_can_be_read(
    nights: Nights, runs: Sequence[Sequence[Any]], plain: str
) -> None:
    last = [nights.run({"a.json": documents}) for documents in runs][-1]
    texts = {message.conversation_id: message.text for message in nights.messages}
    assert len(nights.messages) == 2
    assert texts.pop("x") == plain
    (longer,) = texts
    assert re.fullmatch("x_[0-9a-f]{12}", longer)
    assert last.shared_names == [longer]


# --- order and copies in one run ------------------------------------------------------------------------------------


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


def test_files_are_read_in_the_order_in_which_people_number_them(nights: Nights) -> None:
    files = {f"part-{number}.json": group(said(f"{number}")) for number in (1, 2, 3, 10, 11)}
    assert texts(nights.run(files).messages) == ["1", "2", "3", "10", "11"]


@pytest.mark.parametrize("form", ["array", "lines", "files"])
def test_a_conversation_that_is_there_twice_is_said_once_and_equal_messages_in_it_stay(
    nights: Nights, form: str
) -> None:
    first, longer = (
        group(said("ok"), said("ok"), said("done")),
        group(said("ok"), said("ok"), said("done"), said("bye")),
    )
    lines = "\n".join(json.dumps(document) for document in (first, longer))
    files: dict[str, Any] = {
        "array": {"a.json": [first, longer]},
        "lines": {"a.jsonl": lines.encode()},
        "files": {"a.json": first, "b.json": longer},
    }[form]
    night = nights.run(files)
    assert (texts(night.messages), night.duplicates) == (["ok", "ok", "done", "bye"], 3)


def test_ids_may_be_numbers_of_any_kind(nights: Nights) -> None:
    """Tools for tables write ``7.0`` for an id in a column with gaps."""
    ids: list[Any] = [7, "7", 7.0]
    night = nights.run({"a.json": [group(said("a", sender=id_, message_id=id_), group_id=id_) for id_ in ids]})
    assert [(m.conversation_id, m.sender_id, m.message_id) for m in night.messages] == [("7", "7", "7")]


# --- properties -----------------------------------------------------------------------------------------------------


class Chat(NamedTuple):
    """A conversation in true order."""

    entries: list[dict[str, Any]]

    def part(self, start: int, end: int) -> dict[str, Any]:
        """Return what an export of these messages holds."""
        return group(*self.entries[start:end])


@st.composite
def chats(draw: st.DrawFn, *, steps_s: Sequence[int], ids: Sequence[str] = ("none", "given", "restart")) -> Chat:
    """
    Make a chat of few times, senders and texts.

    Messages that agree in everything come only with ids: without, nobody can tell copies from repetitions.
    """
    habit = draw(st.sampled_from(ids))
    steps = draw(st.lists(st.sampled_from(steps_s), min_size=1, max_size=25))
    entries: list[dict[str, Any]] = []
    at_s = AT_S
    for number, seconds in enumerate(steps):
        at_s += seconds
        text = draw(st.sampled_from(["ok", "yes"])) if habit == "given" else f"{number}"
        sender = draw(st.sampled_from(["ann", "bob"]))
        id_ = {"none": None, "given": f"m{len(steps) - number}", "restart": number % 4}[habit]
        entries.append(said(text, at_s, sender, message_id=id_))
    return Chat(entries)


def as_written(chat: Chat) -> list[tuple[str, str]]:
    return [(entry["sender_id"], entry["content"]) for entry in chat.entries]


def as_loaded(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.sender_id, message.text) for message in messages]


@settings(max_examples=min(25, settings().max_examples), deadline=None)
@given(chat=chats(steps_s=[0, 0, 0, 1]), data=st.data())
def test_parts_that_overlap_give_every_message_once_in_the_order_of_the_source(chat: Chat, data: st.DataObject) -> None:
    """Over two files and two exports; most times are equal, and they have whole seconds."""
    size = len(chat.entries)
    ends = sorted(data.draw(st.tuples(*[st.integers(0, size)] * 3)))
    starts = [data.draw(st.integers(0, end)) for end in ends]
    parts = [chat.part(start, end) for start, end in zip([0, *starts], [*ends, size], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        night = Nights(Path(folder)).run(
            {"part-9.json": parts[0], "part-10.json": parts[1]}, {"a.json": [parts[2], parts[3]]}
        )
    assert as_loaded(night.messages) == as_written(chat)
    assert night.duplicates == sum(len(part["messages"]) for part in parts) - size
    times = [message.timestamp_ms for message in night.messages]
    assert times == sorted(set(times))
    assert len({message.message_id for message in night.messages}) == size


@settings(max_examples=min(15, settings().max_examples), deadline=None)
@given(
    chat=st.one_of(chats(steps_s=[0, 0, 0, 60], ids=["none", "given"]), chats(steps_s=[1, 60], ids=["restart"])),
    data=st.data(),
)
def test_over_several_runs_every_message_is_loaded_once(chat: Chat, data: st.DataObject) -> None:
    """
    Whatever part of the conversation each run holds.

    Where ids restart, times tell messages of different runs apart: the ledger holds no text.
    """
    size = len(chat.entries)
    windows = data.draw(st.lists(st.tuples(st.integers(0, size), st.integers(0, size)), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        nights = Nights(Path(folder))
        for one, other in [*windows, (0, size)]:
            nights.run({"a.json": chat.part(min(one, other), max(one, other))})
        again = nights.run({"a.json": chat.part(0, size)})
    assert Counter(as_loaded(nights.messages)) == Counter(as_written(chat))
    assert len({message.message_id for message in nights.messages}) == size
    assert not again.messages
