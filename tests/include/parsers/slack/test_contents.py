"""Every kind of content of a Slack message, in every shape of an export: exactly, in order, once, by its author."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from include.records import Message
from tests.support.builders import write_folder
from tests.support.read_exports import Reading, read
from tests.support.slack_contents import (
    COMBINATIONS,
    CONTENTS,
    USERS,
    WORDS,
    Combination,
    Content,
    Index,
    day_folders,
    ts_of,
)

PLAIN = Combination("folder", "official")


@cache
def plain() -> list[Message]:
    """Return the messages of the public channel as Slack itself exports it."""
    with TemporaryDirectory() as folder:
        return public(read(PLAIN.write(Path(folder))))


def public(reading: Reading) -> list[Message]:
    """Return what is not private in the order of time."""
    messages = [message for message in reading.messages if message.text not in WORDS.values()]
    return sorted(messages, key=lambda message: message.sent_at_us)


def private(reading: Reading) -> list[str]:
    return sorted(message.text for message in reading.messages if message.text in WORDS.values())


def said(messages: list[Message]) -> list[tuple[str, str, str, str | None]]:
    return [(message.message_id, message.sender_name, message.text, message.thread_id) for message in messages]


@pytest.mark.parametrize(("position", "content"), list(enumerate(CONTENTS)), ids=[content.name for content in CONTENTS])
def test_a_message_says_what_its_kind_of_content_says(position: int, content: Content) -> None:
    messages = [message for message in plain() if message.message_id == ts_of(position)]
    if content.comes_out is None:
        assert messages == []
        return
    [message] = messages
    assert message.sender_name == content.author
    assert not [piece for piece in content.never if piece in message.text]
    assert {piece: message.text.count(piece) for piece in content.times} == content.times
    if isinstance(content.comes_out, str):
        assert message.text == content.comes_out
    else:
        assert [message.text.count(piece) for piece in content.comes_out] == [1] * len(content.comes_out), message.text
        places = [message.text.index(piece) for piece in content.comes_out]
        assert places == sorted(places), message.text


@pytest.mark.parametrize("combination", COMBINATIONS, ids=", ".join)
def test_the_public_channel_is_the_same_in_every_shape(combination: Combination, tmp_path: Path) -> None:
    """In order, once, with authors and threads."""
    reading = read(combination.write(tmp_path))
    assert said(public(reading)) == said(plain())
    assert len({message.conversation_id for message in public(reading)}) == 1


@pytest.mark.parametrize("combination", COMBINATIONS, ids=", ".join)
def test_what_is_not_known_to_be_public_comes_only_when_asked_for(combination: Combination, tmp_path: Path) -> None:
    source = combination.write(tmp_path)
    without, with_private = read(source), read(source, include_private=True)
    assert private(without) == []
    assert without.reasons["private"] == len(WORDS)
    assert private(with_private) == sorted(WORDS.values())
    assert said(public(with_private)) == said(public(without))


def test_where_no_conversation_is_listed_at_all_the_report_says_what_cannot_be_told(tmp_path: Path) -> None:
    """Names still tell direct messages; the rest stays importable."""
    files = day_folders(Index({"users.json": USERS}))
    reading = read(write_folder(tmp_path, files))
    assert said(public(reading)) == said(plain())
    assert private(reading) == sorted([WORDS["C4"], WORDS["C9"]])
    assert reading.reasons["private"] == 2
    assert reading.notes["maybe_private", ""] == 3
