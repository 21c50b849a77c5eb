"""A Slack conversation is public only where the export shows it; every other one is left out, with the reason."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.builders import slack_channel, slack_message, write_folder, write_zip
from tests.support.read_exports import read

DAY = [slack_message()]
GENERAL = [slack_channel("C1", "general")]


class Case(NamedTuple):
    files: dict[str, Any]
    public: set[str]
    private: dict[str, str]
    """Part of the reason, by conversation id."""


CASES = {
    "a list that cannot be read makes everything private": Case(
        {"channels.json": b"[{", "general/2026-01-01.json": DAY},
        set(),
        {"slack_general": "channels.json cannot be read"},
    ),
    "a list of private channels alone shows no channel to be public": Case(
        {
            "groups.json": [slack_channel("G1", "board")],
            "general/2026-01-01.json": DAY,
            "board/2026-01-01.json": DAY,
        },
        set(),
        {"slack_general": "not listed in groups.json", "slack_board": "listed in groups.json"},
    ),
    "a conversation that is listed as public and as private is private": Case(
        {"channels.json": GENERAL, "groups.json": GENERAL, "general/2026-01-01.json": DAY},
        set(),
        {"slack_general": "listed in groups.json"},
    ),
    "flags decide whatever the list is called": Case(
        {
            "channels.json": [
                slack_channel("C1", "general", is_channel=True, is_private=False),
                slack_channel("C2", "leads", is_channel=True, is_private=True),
                slack_channel("C3", "old", is_private="true"),
                slack_channel("G4", "legacy"),
                {"id": "D5", "user": "U2"},
                slack_channel("C6", "mpdm-ann--bob-1"),
                slack_channel("C7", "typed", type="private_channel"),
            ],
            **{
                f"{name}/2026-01-01.json": DAY
                for name in ("general", "leads", "old", "legacy", "D5", "mpdm-ann--bob-1", "typed")
            },
        },
        {"slack_general"},
        {
            "slack_leads": "is_private",
            "slack_old": "is_private",
            "slack_legacy": "private group by its id",
            "slack_D5": "direct message",
            "slack_mpdm-ann--bob-1": "direct message",
            "slack_typed": "type private_channel",
        },
    ),
    "a list that is none of Slack's own shows nothing without flags": Case(
        {
            "conversations.json": [slack_channel("C1", "general", is_private=False), slack_channel("C2", "leads")],
            "general/2026-01-01.json": DAY,
            "leads/2026-01-01.json": DAY,
        },
        {"slack_general"},
        {"slack_leads": "conversations.json does not say that it is public"},
    ),
    "lists may be answers of the API": Case(
        {
            "channels.json": {"ok": True, "channels": [slack_channel("C1", "general", is_private=False)]},
            "groups.json": {"ok": True, "groups": [slack_channel("C2", "board")]},
            "general/2026-01-01.json": DAY,
            "board/2026-01-01.json": DAY,
        },
        {"slack_general"},
        {"slack_board": "listed in groups.json"},
    ),
    "a name that fits two channels belongs to neither": Case(
        {
            "channels.json": [slack_channel("C1", "Team"), slack_channel("C2", "team")],
            "TEAM/2026-01-01.json": DAY,
            "team/2026-01-01.json": DAY,
        },
        {"slack_team"},
        {"slack_TEAM": "fits 2 listed conversations"},
    ),
    "accents may be written in two ways": Case(
        {"channels.json": [slack_channel("C1", "cafe\u0301")], "caf\u00e9/2026-01-01.json": DAY},
        {"slack_café"},
        {},
    ),
    "a channel's former name is its own": Case(
        {
            "channels.json": [slack_channel("C1", "lounge", previous_names=["lobby"])],
            "lobby/2026-01-01.json": DAY,
        },
        {"slack_lounge"},
        {},
    ),
    "a folder for a kind says what lies in it": Case(
        {
            "channels.json": [*GENERAL, slack_channel("C2", "twin")],
            "channels/general/2026-01-01.json": DAY,
            "Private Channels/twin/2026-01-01.json": DAY,
            "direct_messages/ann/2026-01-01.json": DAY,
        },
        {"slack_general"},
        {"slack_twin": "in the folder Private Channels/", "slack_ann": "in the folder direct_messages/"},
    ),
    "so it does without any list": Case(
        {"channels/general/2026-01-01.json": DAY, "groups/board/2026-01-01.json": DAY},
        {"slack_general"},
        {"slack_board": "in the folder groups/"},
    ),
    "a workspace of an organisation obeys the organisation's list": Case(
        {
            "channels.json": [slack_channel("C1", "all")],
            "org_users.json": [],
            "teams/acme/all/2026-01-01.json": DAY,
            "teams/acme/secret/2026-01-01.json": DAY,
        },
        {"slack_all"},
        {"slack_secret": "not listed in channels.json"},
    ),
    "folders further down obey the list above": Case(
        {"channels.json": GENERAL, "general/2026-01-01.json": DAY, "old/2019/hidden/2026-01-01.json": DAY},
        {"slack_general"},
        {"slack_hidden": "not listed in channels.json"},
    ),
    "files of messages obey the list beside them": Case(
        {
            "channels.json": [slack_channel("C1", "general"), slack_channel("C2", "leads", is_private=True)],
            "C1.json": DAY,
            "C2.json": {"ok": True, "messages": DAY},
            "C3.json": {"channel_id": "C3", "name": "x", "messages": DAY},
        },
        {"slack_general"},
        {"slack_leads": "is_private", "slack_x": "not listed in channels.json"},
    ),
    "a file of messages may say it itself": Case(
        {
            "a.json": {"id": "C9", "name": "a", "is_private": True, "messages": DAY},
            "b.json": {"channel": {"id": "D1", "is_im": True}, "messages": DAY},
            "c.json": [slack_message(channel="D7")],
            "d.json": [slack_message(channel_type="im")],
            "e.json": [slack_message(channel="C3")],
            "mpdm-ann--bob-1.json": DAY,
            "private/f.json": DAY,
        },
        {"slack_C3"},
        {
            "slack_a": "is_private",
            "slack_D1": "direct message",
            "slack_D7": "direct message",
            "slack_d": "type im",
            "slack_mpdm-ann--bob-1": "direct message",
            "slack_f": "in the folder private/",
        },
    ),
    "slackdump's chunks list conversations, too": Case(
        {
            "C1.json": b'{"t":0,"id":"C1","n":1,"m":[{"ts":"1767312000.000100","user":"U1","text":"a"}]}\n',
            "C2.json": b'{"t":5,"id":"C2","ci":{"id":"C2","name":"leads","is_private":true}}\n'
            b'{"t":0,"id":"C2","n":1,"m":[{"ts":"1767312000.000100","user":"U1","text":"b"}]}\n',
            "channels.json": b'{"t":4,"id":"lch","ch":[{"id":"C1","name":"general","is_private":false}]}\n',
        },
        {"slack_general"},
        {"slack_leads": "is_private"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_not_shown_to_be_public_is_private(tmp_path: Path, case: Case) -> None:
    result = read(write_folder(tmp_path / "e", case.files))
    assert {message.conversation_id for message in result.messages} == case.public
    reasons = {key: one.private_reason for key, one in result.conversations.items() if one.private}
    assert {key: reason in reasons.get(key, "") for key, reason in case.private.items()} == dict.fromkeys(
        case.private, True
    )
    assert reasons.keys() == case.private.keys()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_all_of_it_comes_when_private_conversations_are_asked_for(tmp_path: Path, case: Case) -> None:
    result = read(write_folder(tmp_path / "e", case.files), include_private=True)
    assert {message.conversation_id for message in result.messages} == {*case.public, *case.private}
    for wanted in case.private:
        only = read(tmp_path / "e", include_private=True, include=(wanted,))
        assert {message.conversation_id for message in only.messages} == {wanted}


def test_a_part_without_lists_obeys_those_of_the_other_part(tmp_path: Path) -> None:
    lists = {"channels.json": GENERAL, "users.json": [{"id": "U1", "name": "ann", "real_name": "Ann Lee"}]}
    (tmp_path / "in").mkdir()
    write_zip(tmp_path / "in" / "acme part 1.zip", lists | {"general/2026-01-01.json": DAY})
    second = {"general/2026-01-02.json": [slack_message("1767402000.000100")], "board/2026-01-02.json": DAY}
    write_zip(tmp_path / "in" / "acme part 2.zip", second)
    result = read(tmp_path / "in")
    assert [(message.conversation_id, message.sender_name) for message in result.messages] == [
        ("slack_general", "Ann Lee"),
        ("slack_general", "Ann Lee"),
    ]
    assert result.conversations["slack_board"].private_reason == "not listed in channels.json"


def test_two_exports_with_lists_of_their_own_do_not_share_them(tmp_path: Path) -> None:
    for name, listed in (("acme", "general"), ("globex", "sales")):
        files = {"channels.json": [slack_channel(f"C-{name}", listed)], "users.json": []}
        files |= {f"{folder}/2026-01-01.json": DAY for folder in ("general", "sales")}
        write_folder(tmp_path / "in" / name, files)
    public = read(tmp_path / "in").messages
    assert sorted(message.conversation_id for message in public) == ["slack_general", "slack_sales"]
