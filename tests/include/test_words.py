"""
The words that went in are the words that come out: each once, each with its author, counted by other means.

``pytest tests/include/test_words.py --samples DIR`` does the same with each file and folder in ``DIR``.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from include.records import Message
from tests.support import discord_generator
from tests.support.builders import rich_text, slack_export, slack_message, write_folder
from tests.support.read_exports import Reading, read
from tests.support.slack_contents import BODIES, Combination
from tests.support.slack_generator import generate
from tests.support.words import SYSTEM, Written, differences, words_of, written

HERE = Path(__file__).parents[1]
OURS = [
    *(path for path in sorted((HERE / "fixtures").glob("*/*")) if path.parent.name != "cases"),
    *sorted((HERE / "fixtures" / "cases").glob("*/*")),
    *sorted((HERE.parent / "include" / "samples").iterdir()),
]

_FILE = re.compile(r"(.*\.(?:jsonl?|ndjson|csv))[^/]*$")
_DIGEST = re.compile(r"-[0-9a-f]{12}$")
ON_PURPOSE = re.compile(
    rf"{SYSTEM.pattern}|deleted|event|duplicate|bot|[A-Z]\w+|system|unknown"  # names in capitals are Discord's notices
)
"""Reasons for which an entry with words may be left out although private conversations are asked for."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    samples = metafunc.config.getoption("--samples")
    if "source" in metafunc.fixturenames:
        sources = [*OURS, *(sorted(samples.iterdir()) if samples else ())]
        metafunc.parametrize("source", sources, ids=lambda path: f"{path.parent.name}/{path.name}")


class Found(NamedTuple):
    """What is wrong with the words of a source, one line per entry."""

    without_message: list[str]
    """Entries with words that became neither a message nor something left out on purpose."""

    lost: list[str]
    repeated: list[str]
    noise: list[str]
    of_others: list[str]
    """Messages with another author than their entry names."""


NOTHING = Found([], [], [], [], [])


def compare(source: Path, reading: Reading) -> Found:
    """
    Compare the words of each entry with the message that came of it.

    An entry and a message belong together by the name of their file and the platform's id; where several have both in
    common, by the rest of the path and then by order. Entries without id are compared with what is left in the file.
    """
    entries = list(written(source))
    ids = {(entry.file.rpartition("/")[2], entry.key) for entry in entries}
    messages: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in reading.messages:
        name = _path(message.origin).rpartition("/")[2]
        given = (message.message_id, _DIGEST.sub("", message.message_id))  # an id that is none gets a digest
        messages[name, next((key for key in given if (name, key) in ids), "")].append(message)
    left_out = defaultdict(list)
    for skipped in reading.skipped:
        if ON_PURPOSE.fullmatch(skipped.reason):
            left_out[_path(skipped.origin).rpartition("/")[2]].append(skipped.reason)
    unread = {Path(record.origin).name for record in reading.unknown}
    broken = {_path(record.origin).rpartition("/")[2] for record in reading.rejected}
    found = Found([], [], [], [], [])
    for entry in entries:
        name = entry.file.rpartition("/")[2]
        message = _message_of(entry, messages[name, entry.key])
        if message is None:
            if entry.pieces and not left_out[name] and name not in broken and name not in unread:
                found.without_message.append(_shown(entry, entry.pieces))
            elif entry.pieces and left_out[name]:
                left_out[name].pop()
            continue
        for name, pieces in differences(entry, message.text)._asdict().items():
            getattr(found, name).extend([_shown(entry, pieces)] if pieces else [])
        if entry.author and message.sender_id != entry.author:
            found.of_others.append(f"{entry.file} {entry.key}: {entry.author} became {message.sender_id}")
    return found


def _message_of(entry: Written, candidates: list[Message]) -> Message | None:
    """Take the message of an entry out of those that have its id; the nearest path first."""
    if not entry.key:
        candidates = [message for message in candidates if not differences(entry, message.text).lost][:1]
        return candidates[0] if candidates else None
    best = max(candidates, key=lambda message: _in_common(entry.file, _path(message.origin)), default=None)
    if best is not None:
        candidates.remove(best)
    return best


def _path(origin: str) -> str:
    match = _FILE.match(origin)
    return match[1] if match else origin


def _in_common(one: str, other: str) -> int:
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), 99)


def _shown(entry: Written, pieces: object) -> str:
    return f"{entry.file} {entry.key}: {pieces}"


@pytest.mark.parametrize("include_private", [True, False])
def test_every_word_comes_out_once_in_its_message_with_its_author(source: Path, include_private: bool) -> None:
    reading = read(source, include_private=include_private)
    found = compare(source, reading)
    if not include_private and reading.reasons["private"]:
        found.without_message.clear()
    assert found == NOTHING


def test_no_mention_is_left_as_an_id_that_the_export_gives_a_name() -> None:
    for source in OURS:
        reading = read(source, include_private=True)
        assert not [message.message_id for message in reading.messages if re.search(r"<[@#!]\w+", message.text)]


@pytest.mark.parametrize("seed", range(3))
def test_words_of_generated_exports_come_out_once(tmp_path: Path, seed: int) -> None:
    source = tmp_path / ("export.zip" if seed % 2 else "export")
    generate(source, messages=1_500, channels=5, days=8, seed=seed, keep=False)
    assert compare(source, read(source, include_private=True)) == NOTHING


@pytest.mark.parametrize("shape", ["official", *BODIES])
def test_words_of_every_kind_of_content_come_out_once(tmp_path: Path, shape: str) -> None:
    source = Combination("folder", shape).write(tmp_path)
    reading = read(source, include_private=True)
    assert (reading.unknown, reading.rejected) == ([], [])
    assert compare(source, reading) == NOTHING


def test_words_of_a_generated_discord_file_come_out_once(tmp_path: Path) -> None:
    source = tmp_path / "general.json"
    discord_generator.generate(source, size_bytes=200_000)
    assert compare(source, read(source)) == NOTHING


# --- the counter itself -------------------------------------------------------------------------------------------


def test_the_counter_sees_a_lost_word() -> None:
    entry = words_of("a.json", slack_message(text="one two three", blocks=rich_text("one two three")))
    assert differences(entry, "one two") == ([" one two three "], [], [])
    assert differences(entry, "one two three") == ([], [], [])


def test_the_counter_sees_words_that_are_said_twice() -> None:
    entry = words_of("a.json", slack_message(text="one two three", blocks=rich_text("one two three")))
    assert differences(entry, "one two three\none two three") == ([], [" one two three "], [])


def test_the_counter_sees_words_that_nobody_wrote() -> None:
    preview = {"from_url": "https://x.example", "text": "words of the page", "fallback": "[no preview available]"}
    entry = words_of("a.json", slack_message(text="look at this", attachments=[preview]))
    assert differences(entry, "look at this\nwords of the page").noise == [" words of the page "]


def test_the_counter_lets_a_mention_come_out_in_other_words() -> None:
    entry = words_of("a.json", slack_message(text="ask <@U1> and see <https://x.example/a|the plan> &lt;now&gt;"))
    assert differences(entry, "ask @Ann Lee and see the plan (https://x.example/a) <now>") == ([], [], [])
    assert differences(entry, "ask @Ann Lee and see <now>").lost


def test_the_counter_sees_an_entry_that_became_nothing(tmp_path: Path) -> None:
    source = write_folder(tmp_path, slack_export(slack_message("1767312000.000100", "hello there"), slack_message()))
    reading = read(source)
    reading.messages.pop()
    assert len(compare(source, reading).without_message) == 1


def test_the_counter_sees_a_message_of_somebody_else(tmp_path: Path) -> None:
    reading = read(write_folder(tmp_path / "one", slack_export(slack_message(user="U1"))))
    other = write_folder(tmp_path / "other", slack_export(slack_message(user="U2")))
    assert len(compare(other, reading).of_others) == 1
