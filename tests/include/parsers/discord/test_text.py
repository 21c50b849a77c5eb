import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers.discord.text import text_of, to_plain_text

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
    "components",
    "checklist",
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


def card(**embed):
    return said(embeds=[embed], bot=True)


def test_a_card_of_a_service_is_told_with_author_title_address_fields_and_footer_without_its_provider():
    assert card(
        provider={"name": "GitHub"},
        author={"name": "rowan-k", "url": "https://a.example/rowan-k"},
        title="#12 Faster search",
        url="https://a.example/12?tab=1",
        description="Now **fast**",
        fields=[{"name": "Reviewers", "value": "<@11>"}, {"name": "Lines", "value": 7}, {"name": "Labels"}],
        footer={"text": "club/site"},
        image={"url": "https://a.example/x.png"},
    ) == (
        "rowan-k\n#12 Faster search (https://a.example/12?tab=1)\nNow **fast**\n"
        "Reviewers: @Ann\nLines: 7\nLabels\nclub/site"
    )


def test_an_embed_with_only_fields_is_told():
    assert card(fields=[{"name": "State", "value": "down"}]) == "State: down"


MEDIA = {"images": [{"url": "https://a.example/a%20b.png?ex=1"}]}


@pytest.mark.parametrize(
    ("media", "told"),
    [
        (MEDIA, "[image: a b.png]"),
        ({"image": {"url": "media\\chart.png"}}, "[image: chart.png]"),
        ({"thumbnail": {"url": "https://a.example/t.png"}}, "[image: t.png]"),
        (
            {"video": {"url": "https://a.example/v.mp4"}, "thumbnail": {"url": "https://a.example/t.png"}},
            "[video: v.mp4]",
        ),
    ],
)
def test_a_picture_or_film_stands_for_an_embed_without_words(media, told):
    assert card(**media) == told
    assert card(title="Sales", **media) == "Sales"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("New: **how to   splice a ROPE**!", "New: **how to   splice a ROPE**!\nKnots"),
        ("How to splice a ropeway", "How to splice a ropeway\nKnots\nHow to splice a rope"),
        ("Knots How to splice a rope", "Knots How to splice a rope"),
    ],
)
def test_a_card_does_not_repeat_what_the_content_says_in_whole_words(content, told):
    embed = {"author": {"name": "Knots"}, "title": "How to splice a rope"}
    assert said(content=content, embeds=[embed], bot=True) == told


def test_short_words_that_the_content_has_by_chance_are_told():
    assert said(content="Deploy of api failed", embeds=[{"title": "api"}], bot=True) == "Deploy of api failed\napi"
    assert said(content="Deploy\n**api**", embeds=[{"title": "API"}], bot=True) == "Deploy\n**api**"


def test_two_cards_may_say_the_same_of_two_things_and_equal_cards_are_told_once():
    cards = [{"title": title, "description": "given to Ann Lee"} for title in ("FE-1", "FE-2", "FE-2")]
    assert said(embeds=cards, bot=True) == "FE-1\ngiven to Ann Lee\nFE-2\ngiven to Ann Lee"
    pictures = [{"url": "https://a.example/1", "image": {"url": f"https://a.example/{n}.png"}} for n in (1, 2)]
    assert said(embeds=[{"url": "https://a.example/1", "title": "Boats"}, *pictures], bot=True) == (
        "Boats (https://a.example/1)\n[image: 1.png]\n[image: 2.png]"
    )


def test_components_do_not_repeat_the_content():
    shown = [{"type": 10, "content": "**Pump 3 is down**"}, {"type": 10, "content": "since nine"}]
    assert said(content="Pump 3 is down", components=shown) == "Pump 3 is down\nsince nine"


def test_an_address_that_the_content_has_is_not_repeated():
    embed = {"title": "Rope", "url": "https://a.example/1"}
    assert said(content="see https://a.example/1", embeds=[embed], bot=True) == "see https://a.example/1\nRope"


def test_an_address_loses_its_access_token():
    assert card(title="Plan", url="https://a.example/plan.pdf?sig=secret") == "Plan (https://a.example/plan.pdf)"


def test_a_forward_of_a_card_or_sticker_alone_or_beside_words_is_told():
    embed = {"title": "Sale", "description": "All must go"}
    assert said(forwardedMessage={"embeds": [embed]}) == "[forwarded] Sale\nAll must go"
    assert said(forwardedMessage={"content": "Friday", "embeds": [embed]}) == "[forwarded] Friday\nSale\nAll must go"
    assert said(forwardedMessage={"stickers": [{"name": "Wave"}]}) == "[forwarded] [sticker: Wave]"
    preview = {"content": "https://a.example", "embeds": [embed | {"url": "https://a.example"}]}
    assert said(message_snapshots=[{"message": preview}]) == "[forwarded] https://a.example"


@pytest.mark.parametrize(
    "message",
    [
        {"attachments": [{"filename": "voice-message.ogg", "waveform": "AAA", "duration_secs": 3.2}], "flags": 8192},
        {"attachments": [{"fileName": "voice-message.ogg", "url": "x_Files\\voice-message-1F.ogg"}]},
        {"attachments": [{"filename": "a.ogg"}], "flags": 8192},
        {"attachments": [{"filename": "a.ogg", "waveform": "AAA"}]},
    ],
)
def test_a_voice_message_is_told_as_one(message):
    assert said(**message) == "[voice message]"


@pytest.mark.parametrize(
    ("attachment", "told"),
    [
        ({"filename": "c.png", "description": "Sales\nof May"}, "[file: c.png: Sales of May]"),
        ({"filename": "c.png", "title": "Chart of May"}, "[file: c.png: Chart of May]"),
        ({"filename": "a_b.png", "title": "a_b"}, "[file: a_b.png]"),
        ({"filename": "a.mp4", "title": "Race", "description": "Ann wins"}, "[file: a.mp4: Race: Ann wins]"),
        ({"url": "https://a.example/a%20b.png?ex=1"}, "[file: a b.png]"),
    ],
)
def test_a_file_is_told_with_its_caption_and_a_readable_name(attachment, told):
    assert said(attachments=[attachment]) == told


def test_components_are_told_without_labels_of_buttons_and_menus():
    button = {"type": 2, "label": "Open ticket", "url": "https://a.example"}
    menu = {"type": 3, "placeholder": "Choose", "options": [{"label": "One", "description": "first"}]}
    section = {"type": 9, "components": [{"type": 10, "content": "Technician: <@11>"}], "accessory": button}
    container = {"type": 17, "components": [{"type": 10, "content": "## Pump 3 is down"}, {"type": 14}, section]}
    assert said(components=[container, {"type": 1, "components": [button, menu]}]) == (
        "## Pump 3 is down\nTechnician: @Ann"
    )


def test_pictures_and_files_among_components_are_told_once():
    gallery = {"type": 12, "items": [{"description": "A pump"}, {"media": {"url": "https://a.example/b.png?ex=1"}}]}
    file = {"type": 13, "file": {"url": "attachment://log.txt"}, "name": "log.txt"}
    thumbnail = {"type": 9, "components": [], "accessory": {"type": 11, "description": "A tap"}}
    attachments = [{"filename": "log.txt"}]
    assert said(components=[gallery, file, thumbnail], attachments=attachments) == (
        "[image: A pump]\n[file: b.png]\n[image: A tap]\n[file: log.txt]"
    )


def test_a_component_of_an_unknown_type_is_told_by_the_content_in_it():
    assert said(components=[{"type": 99, "inner": {"rows": [{"content": "deep"}]}}]) == "deep"


def test_a_sticker_under_both_names_of_the_api_is_told_once():
    assert said(stickers=[{"name": "Wave"}], sticker_items=[{"name": "Wave"}]) == "[sticker: Wave]"


def test_a_poll_in_other_words_is_told():
    assert said(poll={"question": "Lunch?", "answers": [{"text": "Soup"}, "Rice"]}) == "[poll: Lunch? / Soup / Rice]"


def test_texts_of_an_unknown_member_are_told_when_there_is_nothing_else():
    unknown = {"checklist": {"title": "To do", "items": [{"text": "Rope"}, {"text": "Cake"}]}}
    assert said(**unknown) == "To do\nRope\nCake"
    assert said(content="hi", **unknown) == "hi"
    assert said(referenced_message={"content": "other"}, author={"description": "x"}) == ""


def test_letters_that_cannot_be_seen_are_no_words():
    assert said(content="\u200b \u3164") == ""
    fields = [{"name": "\u200b", "value": "Ann 3"}, {"name": "Bo", "value": "\u200b"}]
    assert card(title="\u200b", fields=fields) == "Ann 3\nBo"


def test_a_message_that_says_nothing_is_empty():
    assert said() == said(content="  \n", embeds=[{}], attachments=[], stickers=None) == ""
