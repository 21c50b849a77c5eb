"""The sample exports that the demo imports and asks about; figures of the README come from here."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.read_exports import read

SAMPLES = Path(__file__).parents[2] / "include" / "samples"


def slack_entries():
    """Count the day files' entries without the parser."""
    return sum(len(json.loads(file.read_bytes())) for file in SAMPLES.glob("slack/*/*.json"))


def discord_entries():
    return sum(len(json.loads(file.read_bytes())["messages"]) for file in SAMPLES.glob("discord/*.json"))


def test_the_samples_are_one_slack_and_one_discord_export():
    result = read(SAMPLES)
    assert (result.formats, result.unknown) == (["slack", "discord"], [])
    assert result.outcomes() == result.entries
    assert result.entries.total() == slack_entries() + discord_entries() == 65 + 39


def test_the_slack_sample_shows_what_is_loaded_left_out_and_rejected():
    result = read(SAMPLES / "slack")
    assert Counter(m.conversation_id for m in result.messages) == {
        "slack_billing-migration": 21,
        "slack_general": 15,
        "slack_harbor-app": 12,
        "slack_incidents": 11,
    }
    assert result.reasons == {"private": 3, "channel_join": 1, "channel_leave": 1}
    assert [r.origin for r in result.rejected] == ["incidents/2026-03-16.json[0]"]
    assert {m.sender_name for m in result.messages if m.role == "assistant"} == {"Deploybot"}
    assert len({m.thread_id for m in result.messages} - {None}) == 6


def test_the_private_channel_of_the_slack_sample_is_read_when_asked_for():
    assert "slack_leads" in {m.conversation_id for m in read(SAMPLES / "slack", include_private=True).messages}


def test_the_discord_sample_has_two_channels_and_a_thread():
    result = read(SAMPLES / "discord")
    assert [c.name for c in result.conversations.values()] == [
        "general",
        "help",
        "Offline tickets missing in the office",
    ]
    assert [c.description for c in result.conversations.values()][2] == "Thread in #help"
    assert len(result.messages) == 34
    assert result.reasons == {
        "GuildMemberJoin": 2,
        "ChannelPinnedMessage": 1,
        "ThreadCreated": 1,
        "ThreadStarterMessage": 1,
    }
    assert "[sticker: Wave]" in result.texts


@pytest.mark.parametrize(
    ("conversation_id", "fact"),
    [
        ("slack_billing-migration", "I own the billing migration"),
        ("slack_billing-migration", "cutover on Tuesday, March 24 at 06:00 Pacific"),
        ("slack_harbor-app", "Launch date for Harbor 2.0 is April 14"),
        ("slack_general", "Astoria, June 9 to 11"),
        ("slack_incidents", "37 customers of the Orcas route were charged twice"),
        ("discord_general", "pilot on the Orcas route starts on March 30"),
    ],
)
def test_what_the_demo_and_the_readme_ask_for_is_said_once(conversation_id, fact):
    found = [m.conversation_id for m in read(SAMPLES).messages if fact in m.text]
    assert found == [conversation_id]


def test_times_of_the_discord_sample_agree_with_its_ids():
    for file in SAMPLES.glob("discord/*.json"):
        for message in json.loads(file.read_bytes())["messages"]:
            sent_ms = round(datetime.fromisoformat(message["timestamp"]).timestamp() * 1000)
            assert sent_ms == (int(message["id"]) >> 22) + 1_420_070_400_000
