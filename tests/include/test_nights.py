"""Files of EverOS JSON from discovery to transform, in one run or night by night with a ledger that grows."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_folder, write_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from include.extract import extract
from include.ids import DEFAULT_ID_TEMPLATE
from include.layout import RunFolder
from include.parsers import ParseOptions, discover
from include.records import Message
from include.transform import KnownIds, transform

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
        ids = KnownIds(self._folder / "ids.json", DEFAULT_ID_TEMPLATE)
        result = transform(run.all_extracted(), run, landed=self._landed, known_ids=ids)
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
    nights: Nights, runs: Sequence[Any], plain: str
) -> None:
    last = [nights.run({"a.json": documents}) for documents in runs][-1]
    texts = {message.conversation_id: message.text for message in nights.messages}
    assert len(nights.messages) == 2
    assert texts.pop("x") == plain
    (longer,) = texts
    assert re.fullmatch("x_[0-9a-f]{12}", longer)
    assert last.shared_names == [longer]
