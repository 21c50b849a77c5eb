"""Rules of ids: valid for EverOS, the same every time, and senders' ids can be turned back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import ConfigurationError
from include.ids import check_id_template, conversation_id_of, platform_id_of, sender_id_of

VALID_SENDER = re.compile(r"^[a-zA-Z0-9_.@+-]{1,128}\Z")
"""The servers' own pattern."""

anything = st.text(st.characters(codec=None))


def id_of(channel: str, template: str = "{source}_{channel}", **fields: str) -> str:
    return conversation_id_of(
        template, **{"source": "slack", "workspace": "", "channel_id": "C1"} | fields, channel=channel
    )


@given(anything)
def test_a_sender_id_is_always_valid(platform_id: str) -> None:
    sender_id = sender_id_of(platform_id)
    assert VALID_SENDER.match(sender_id)
    assert sender_id not in (".", "..")
    assert not sender_id.startswith("gen_")


@given(anything.filter(lambda text: len(text.encode("utf-8", "surrogatepass")) <= 42))
def test_a_sender_id_can_be_turned_back(platform_id: str) -> None:
    assert platform_id_of(sender_id_of(platform_id)) == platform_id


@given(anything, anything)
def test_two_senders_never_share_an_id(one: str, other: str) -> None:
    assert (sender_id_of(one) == sender_id_of(other)) == (one == other)


@pytest.mark.parametrize("platform_id", ["U024BE7LH", "B0JL6RASU", "USLACKBOT", "81384788765712384", "ann@example.com"])
def test_ordinary_ids_stay_as_they_are(platform_id: str) -> None:
    assert sender_id_of(platform_id) == platform_id


@pytest.mark.parametrize(
    ("platform_id", "sender_id"),
    [
        ("gen_1", "+67en_1"),
        (".", "+2E"),
        ("..", "+2E."),
        ("", "+"),
        ("a b", "a+20b"),
        ("a+b", "a+2Bb"),
        ("é", "+C3+A9"),
    ],
)
def test_what_everos_refuses_is_escaped(platform_id: str, sender_id: str) -> None:
    assert sender_id_of(platform_id) == sender_id


def test_an_id_too_long_to_escape_becomes_a_digest_that_says_so() -> None:
    digest = sender_id_of("é" * 100)
    assert VALID_SENDER.match(digest)
    with pytest.raises(ValueError, match="is a digest"):
        platform_id_of(digest)


def test_the_template_names_the_conversation() -> None:
    template = "{source}-{workspace}-{channel}-{channel_id}"
    assert id_of("general", template, workspace="acme") == "slack-acme-general-C1"


def test_a_conversation_without_a_name_goes_by_its_id() -> None:
    assert id_of("", channel_id="D42") == "slack_D42"


def test_one_name_has_one_id_however_its_accents_are_written() -> None:
    """macOS stores folder names decomposed, zip files do not."""
    assert id_of("caf\u00e9") == id_of("cafe\u0301")


@given(anything)
def test_a_conversation_id_is_always_valid(channel: str) -> None:
    conversation_id = id_of(channel, "{channel}")
    assert 1 <= len(conversation_id) <= 128
    assert not conversation_id.startswith("gen_")
    assert not re.search(r"[\s/\x00]", conversation_id)
    conversation_id.encode()


def test_long_names_stay_apart() -> None:
    assert id_of("x" * 200 + "a") != id_of("x" * 200 + "b")


@pytest.mark.parametrize(
    "template", ["{source}", "{channel}{x}", "{channel.name}", "{channel!r}", "{channel", "plain", ""]
)
def test_a_template_that_cannot_name_conversations_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected \{channel\} or \{channel_id\}"):
        check_id_template(template)


@pytest.mark.parametrize("template", ["{source}_{channel}", "{channel_id}", "team-{workspace}_{channel}"])
def test_a_template_with_a_channel_is_fine(template: str) -> None:
    check_id_template(template)
