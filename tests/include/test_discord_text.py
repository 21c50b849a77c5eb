import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers.discord_text import text_of, to_plain_text

NAMES = {"11": "Ann", "2": "general", "5": "Crew"}

CASES = {
    "<@11>": "@Ann",
    "<@!11>": "@Ann",
    "<@12>": "@user-12",
    "<#2>": "#general",
    "<#3>": "#3",
    "<@&5>": "@Crew",
    "<@&6>": "@role-6",
    "<:kek:77>": ":kek:",
    "<a:dance:78>": ":dance:",
    "<t:1767312000>": "2026-01-02T00:00:00Z",
    "<t:1767312000:R>": "2026-01-02T00:00:00Z",
    "<t:-1>": "1969-12-31T23:59:59Z",
    "</ask:9>": "/ask",
    "</ask sub command:9>": "/ask sub command",
    "<id:customize>": "customize",
    "<https://a.example/x?y=1>": "https://a.example/x?y=1",
}


@pytest.mark.parametrize(("token", "plain"), CASES.items())
def test_every_token_of_the_grammar_becomes_plain_text(token, plain):
    assert to_plain_text(f"see {token}, please", NAMES) == f"see {plain}, please"


@pytest.mark.parametrize(
    "text", ["**bold** ||spoiler||", "> quote\n-# small", "@everyone", "a < b > c", "<3 <b>", "&lt;"]
)
def test_what_is_no_token_stays_as_it_is(text):
    assert to_plain_text(text, NAMES) == text


def test_a_time_that_no_calendar_holds_stays_as_it_is():
    assert to_plain_text("<t:99999999999999>", NAMES) == "<t:99999999999999>"


IDS = st.integers(0, 2**63).map(str)
TOKENS = st.one_of(
    st.builds("<{}{}>".format, st.sampled_from(["@", "@!", "@&", "#"]), IDS),
    st.builds(
        "<{}:{}:{}>".format, st.sampled_from(["", "a"]), st.from_regex(r"[A-Za-z0-9_]{2,32}", fullmatch=True), IDS
    ),
    st.builds("<t:{}{}>".format, st.integers(-62_000_000_000, 253_402_300_799), st.sampled_from(["", ":R", ":f"])),
    st.builds("</{}:{}>".format, st.from_regex(r"[a-z]{1,32}( [a-z]{1,32}){0,2}", fullmatch=True), IDS),
    st.sampled_from(["<id:customize>", "<id:browse>", "<https://a.example/?q=1#x>"]),
)
RAW_TOKEN = re.compile(r"<(@[!&]?|#)\d+>|<a?:\w+:\d+>|<t:-?\d+(:\w)?>|</[^>]+:\d+>|<id:\w+>|<https?://[^>]+>")


@given(
    st.lists(st.one_of(TOKENS, st.text(st.characters(exclude_characters="<>")))), st.dictionaries(IDS, st.just("Ann"))
)
def test_no_raw_token_is_left(parts, names):
    assert not RAW_TOKEN.search(to_plain_text("".join(parts), names))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PARTS = [
    "content",
    "forwardedMessage",
    "message_snapshots",
    "stickers",
    "sticker_items",
    "poll",
    "embeds",
    "attachments",
]
INNER = [*PARTS, "message", "name", "title", "fields", "value", "question", "answers", "poll_media", "text", "url"]
SHAPED = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner), max_leaves=12
)


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_plain_text_of_any_text_never_raises(text, names):
    to_plain_text(text, names)


@given(st.dictionaries(st.sampled_from(PARTS), SHAPED), st.booleans())
def test_text_of_any_message_never_raises(message, bot):
    assert isinstance(text_of(message, {}, bot=bot), str)


def said(bot=False, **message):
    return text_of(message, NAMES, bot=bot)


def test_words_come_first_then_stickers_then_files():
    message = {"attachments": [{"fileName": "plan.pdf"}], "stickers": [{"name": "Wave"}], "content": "hi <@11>"}
    assert said(**message) == "hi @Ann\n[sticker: Wave]\n[file: plan.pdf]"


def test_a_file_is_named_without_its_address_and_access_token():
    url = "https://cdn.discordapp.com/attachments/1/2/a.png?ex=66aa&hm=secret"
    assert said(attachments=[{"url": url}]) == "[file: a.png]"
    assert said(attachments=[{"url": "media\\b.mp4"}]) == "[file: b.mp4]"


def test_forwarded_words_are_marked_as_such():
    assert said(forwardedMessage={"content": "of <#2>"}) == "[forwarded] of #general"
    assert said(message_snapshots=[{"message": {"content": "x", "attachments": [{"filename": "y"}]}}]) == (
        "[forwarded] x\n[file: y]"
    )


def test_a_preview_of_a_link_is_not_what_the_person_wrote():
    preview = [{"title": "Page", "description": "words of the page"}]
    assert said(content="look https://a.example", embeds=preview) == "look https://a.example"


def test_a_bot_speaks_through_its_embeds():
    card = [{"title": "PR #7", "description": "merged", "fields": [{"name": "by", "value": "<@11>"}]}]
    assert said(content="New:", embeds=card, bot=True) == "New:\nPR #7\nmerged\nby: @Ann"
    assert said(content="PR #7\nmerged\nby: @Ann", embeds=card, bot=True) == "PR #7\nmerged\nby: @Ann"


def test_a_message_with_an_embed_only_says_what_the_embed_says():
    assert said(content="", embeds=[{"title": "PR #7", "description": "merged"}]) == "PR #7\nmerged"
    assert (
        said(content="", embeds=[{"url": "https://cdn.discordapp.com/x.gif?ex=1"}])
        == "https://cdn.discordapp.com/x.gif"
    )


def test_a_poll_and_its_result_are_told():
    answers = [{"poll_media": {"text": "Soup"}}, {"poll_media": {"emoji": {}}}]
    assert said(poll={"question": {"text": "Lunch?"}, "answers": answers}) == "[poll: Lunch? / Soup]"
    result = [{"name": "poll_question_text", "value": "Lunch?"}, {"name": "victor_answer_text", "value": "Soup"}]
    assert said(embeds=[{"fields": result}]) == "[poll result: Lunch? / Soup]"


def test_a_message_that_says_nothing_is_empty():
    assert said() == said(content="  \n", embeds=[{}], attachments=[], stickers=None) == ""
