"""Rules of messages in the exporter's own form: however a message is decoded, the record is the same."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers.discord import exporter
from include.parsers.discord.written import MESSAGES, Written
from tests.support.discord_generator import FIRST, HEAD, _message
from tests.support.read_exports import Reading, read

CONTENTS = ("", " ", "\u200b", "hi", " hi\n", "<@1000> and <@7>", "<:kek:77>", "<t:1767312000>", "~ <x>", "@Ann Lee hi")
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 7, 1.5, "", "x", "Reply", "7", [], {}, [7], {"id": "5"}, {"messageId": "1"}),
    {"id": "1000", "name": "ann", "isBot": True},
    [{"id": "1001", "name": "Ann Lee"}, {"id": "1002", "nickname": "Ann Lee", "name": "anna"}],
    [{"description": "words of an embed", "author": {"name": "Bo \u21a9"}}],
    {"type": "Forward", "channelId": "200", "messageId": "1"},
)
KEYS = (
    *(key for key in _message(random.Random(1), FIRST, "0")),
    "reference",
    "interaction",
    "forwardedMessage",
    "poll",
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A message of the exporter, with a few members that it does not write so."""
    message = _message(random.Random(draw(st.integers(0, 99))), FIRST, draw(st.sampled_from(["0", "7"])))
    message["id"] = str(int(message["id"]) + draw(st.integers(0, 30)))
    message["content"] = draw(st.sampled_from(CONTENTS))
    message |= draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2))
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=1)):
        message.pop(key, None)
    return message


def written(path: Path, texts: list[bytes]) -> Path:
    head = msgspec.json.encode(HEAD).removesuffix(b"}")
    path.write_bytes(head + b', "messages": [' + b",".join(texts) + b"]}")
    return path


def in_both_forms(path: Path, **options: Any) -> tuple[Reading, Reading]:
    usual = read(path, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "MESSAGES", None)
        return usual, read(path, **options)


@given(said=st.lists(messages(), min_size=1, max_size=6), bots=st.sampled_from(["assistant", "skip"]))
def test_a_message_is_the_same_in_both_forms(
    tmp_path_factory: pytest.TempPathFactory, said: list[dict[str, Any]], bots: str
) -> None:
    path = tmp_path_factory.mktemp("written") / "general.json"
    usual, general = in_both_forms(written(path, [msgspec.json.encode(message) for message in said]), bots=bots)
    assert usual == general


def is_taken(message: dict[str, Any]) -> bool:
    try:
        MESSAGES.decode(msgspec.json.encode([message]))
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("content", CONTENTS)
def test_any_member_may_hold_anything(tmp_path: Path, content: str) -> None:
    """All messages that the faster form takes, one after the other; those it refuses would take others with them."""
    plain = _message(random.Random(1), FIRST, "0") | {"content": content}
    said = [plain | {key: value, "content": content} for key in KEYS for value in VALUES]
    taken = [msgspec.json.encode(message) for message in said if is_taken(message)]
    assert len(taken) > 200
    usual, general = in_both_forms(written(tmp_path / "general.json", taken))
    assert usual == general


BROKEN = (
    b'"content": "\\ud83d"',
    b'"content": "\\x"',
    b'"content": "a\nb"',
    b'"content": NaN',
    b'"content": "\xff"',
    b'"author": {"id": "1000", "name": "\\ud83d"}',
    b'"author": {"id": "1000", "name": "\xff"}',
    b'"embeds": [{"description": "\\x"}]',
    b'"embeds": [{"description": NaN}]',
    b'"mentions": [{"id": "1000", "name": "\\ud83d"}]',
    b'"content": "hi",',
)


@pytest.mark.parametrize("member", BROKEN)
def test_a_broken_message_is_the_same_in_both_forms(tmp_path: Path, member: bytes) -> None:
    message = msgspec.json.encode(_message(random.Random(1), FIRST, "0"))
    broken = message.replace(b'"isPinned":false', member)
    usual, general = in_both_forms(written(tmp_path / "general.json", [message, broken, message]))
    assert usual == general


def test_ordinary_words_are_read_without_making_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects: list[dict[str, Any]] = []
    as_object = Written.as_object

    def counted(message: Written) -> Any:
        objects.append(as_object(message))
        return objects[-1]

    monkeypatch.setattr(Written, "as_object", counted)
    said = [_message(random.Random(seed), FIRST, "0") for seed in range(100)]
    read(written(tmp_path / "general.json", [msgspec.json.encode(message) for message in said]))
    assert len(objects) == sum(message["attachments"] != [] for message in said[:-1]) < 20
