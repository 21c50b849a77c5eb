"""Rules of turning Slack's markup, blocks, attachments and files into plain text."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers.slack.blocks import attachments_text, blocks_text, forwards_text
from include.parsers.slack.files import files_text
from include.parsers.slack.text import Names, to_plain_text, without_secrets
from tests.support.builders import rich_text

NAMES = Names({"U1": "Ann Lee", "W2": "Grid Guy", "B3": "Build Bot"}, {"C1": "general"}, {"S1": "ops"})
RAW_TOKEN = re.compile(r"<([@#!]|[A-Za-z][A-Za-z0-9+.-]*:)[^<>]*>")


def plain(text: str) -> str:
    return to_plain_text(text, NAMES)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<@U1> <@U1|label> <@W2> <@B3>", "@Ann Lee @Ann Lee @Grid Guy @Build Bot"),
        ("<@U9|ext> <@U9|@ext> <@U9>", "@ext @ext @U9"),
        ("<#C1> <#C1|old-name> <#C8|named> <#C8> <#C8|>", "#general #general #named #C8 #C8"),
        ("<!here> <!channel> <!everyone> <!here|@here> <!here|here>", "@here @channel @everyone @here @here"),
        ("<!subteam^S1> <!subteam^S9|@sales> <!subteam^S9>", "@ops @sales @S9"),
        ("<!date^1392734382^{date} at {time}^https://x.example|Feb 18>", "Feb 18"),
        ("<!date^1392734382^{date}>", "2014-02-18T14:39:42+00:00"),
        ("<!date^soon^{date}> <!date>", "soon "),
        ("<https://x.example/a|the doc>", "the doc (https://x.example/a)"),
        ("<https://x.example/a> <https://x.example|https://x.example>", "https://x.example/a https://x.example"),
        ("<http://x.example/|x.example>", "http://x.example/"),
        ("<mailto:a@b.c|a@b.c> <mailto:a@b.c> <tel:+15|+1 5>", "a@b.c a@b.c +1 5"),
        ("<ftp://x> <skype:ann?call|call> <slack://open>", "ftp://x call (skype:ann?call) slack://open"),
        ("</services/B1|github>", "github (/services/B1)"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &amp;lt; x", "1 < 2 && 3 > 2 &lt; x"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("*bold* _it_ ~no~ `code` :wave::skin-tone-3:", "*bold* _it_ ~no~ `code` :wave::skin-tone-3:"),
        ("a <b> c < d > e <>", "a <b> c < d > e <>"),
    ],
)
def test_markup_becomes_what_a_reader_saw(raw: str, text: str) -> None:
    assert plain(raw) == text


def test_what_a_name_or_label_holds_is_not_read_as_markup_again() -> None:
    names = Names({"U1": "&lt;!here&gt;"}, {}, {})
    assert to_plain_text("<@U1>", names) == "@<!here>"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<https://files.slack.com/f/a.png?t=xoxe-1-2-abc>", "https://files.slack.com/f/a.png"),
        ("<https://files.slack.com/f/a.png?token=xoxe-1-2|shot>", "shot (https://files.slack.com/f/a.png)"),
        ("see https://x.example/?a=1&token=xoxp-12-ab&b=2", "see https://x.example/?a=1&b=2"),
    ],
)
def test_tokens_in_addresses_never_leave_the_parser(raw: str, text: str) -> None:
    assert plain(raw) == text


tokens = st.sampled_from(
    [
        "<@U1>",
        "<@U9|x>",
        "<#C1>",
        "<#C8|>",
        "<!here>",
        "<!subteam^S1>",
        "<!date^1^{date}|x>",
        "<!date^99999999999999^x>",
        "<https://x.example|y>",
        "<mailto:a@b.c|a>",
        "<ipfs:x>",
        "&amp;",
    ]
)
words = st.text(st.characters(exclude_characters="<>&"), max_size=10)


@given(st.lists(tokens | words).map("".join))
def test_no_token_of_the_grammar_stays_raw(text: str) -> None:
    assert not RAW_TOKEN.search(plain(text))


@given(st.text(st.characters(codec=None) | st.sampled_from("<>&|!@#^:;"), max_size=60))
def test_text_conversion_never_raises(text: str) -> None:
    assert isinstance(plain(text), str)


def blocks(*items: Any) -> str:
    return blocks_text(list(items), NAMES)


def section(*elements: Any, kind: str = "rich_text_section", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "elements": list(elements), **fields}


def word(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_rich_text_is_read_element_by_element() -> None:
    elements = [
        word("hi "),
        {"type": "user", "user_id": "U1"},
        word(" "),
        {"type": "user", "user_id": "U9"},
        word(" "),
        {"type": "usergroup", "usergroup_id": "S1"},
        word(" "),
        {"type": "channel", "channel_id": "C1"},
        word(" "),
        {"type": "broadcast", "range": "here"},
        word(" "),
        {"type": "emoji", "name": "tada"},
        word(" "),
        {"type": "link", "url": "https://x.example?t=xoxe-1", "text": "doc"},
        word(" "),
        {"type": "date", "timestamp": 1392734382},
        word(" "),
        {"type": "color", "value": "#fff"},
        word(" "),
        {"type": "canvas", "file_id": "F1"},
        {"type": "new_kind", "text": "unknown"},
    ]
    expected = (
        "hi @Ann Lee @U9 @ops #general @here :tada: doc (https://x.example) 2014-02-18T14:39:42+00:00 #fff [canvas F1]"
        "unknown"
    )
    assert blocks({"type": "rich_text", "elements": [section(*elements)]}) == expected


def test_rich_text_keeps_its_lists_quotes_and_code() -> None:
    bullets = section(section(word("one")), section(word("two")), kind="rich_text_list", style="bullet", indent=1)
    numbers = section(section(word("one")), section(word("two")), kind="rich_text_list", style="ordered")
    quote = section(word("they\nsaid"), kind="rich_text_quote")
    code = section(word("x = 1\ny = 2"), kind="rich_text_preformatted")
    assert blocks({"type": "rich_text", "elements": [section(word("intro\n")), bullets, numbers, quote, code]}) == (
        "intro\n  - one\n  - two\n1. one\n2. two\n> they\n> said\nx = 1\ny = 2"
    )


def test_text_in_rich_text_is_literal_and_text_in_other_blocks_is_markup() -> None:
    assert blocks(*rich_text("&lt; <@U1>")) == "&lt; <@U1>"
    assert blocks({"type": "section", "text": {"type": "mrkdwn", "text": "&lt; <@U1>"}}) == "< @Ann Lee"


def test_every_kind_of_block_gives_its_words() -> None:
    cell = rich_text("in a cell")[0]
    assert (
        blocks(
            {"type": "header", "text": {"type": "plain_text", "text": "Head"}},
            {"type": "divider"},
            {"type": "section", "text": {"text": "body"}, "fields": [{"text": "left"}, None, {"text": "right"}]},
            {
                "type": "context",
                "elements": [{"type": "image", "alt_text": "logo"}, {"type": "mrkdwn", "text": "small"}],
            },
            {"type": "image", "title": {"text": "Shot"}, "alt_text": "a shot"},
            {"type": "video", "title": {"text": "Film"}},
            {"type": "markdown", "text": "**md**"},
            {"type": "table", "rows": [[cell, {"type": "raw_text", "text": "raw"}], "no row"]},
            {"type": "call"},
            {"type": "unknown_block", "text": {"text": "x"}},
        )
        == "Head\nbody\nleft\nright\n[image: logo] small\n[image: Shot]\n[video: Film]\n"
        "**md**\nin a cell | raw\n[call]\nx"
    )


def test_an_unknown_element_does_not_cost_its_neighbours() -> None:
    unknown = {"type": "rich_text", "elements": [{"type": "unknown_block"}]}
    assert blocks(*rich_text("known"), unknown) == "known"


def test_blocks_nested_beyond_reason_are_cut_not_followed() -> None:
    item: dict[str, Any] = section(word("deep"))
    for _ in range(500):
        item = section(item, kind="rich_text_list")
    assert blocks({"type": "rich_text", "elements": [item]}) == ""


def attached(*items: Any, by_app: bool = True) -> str:
    return attachments_text(list(items), NAMES, by_app=by_app)


def test_an_attachment_is_its_fallback_and_what_that_leaves_out() -> None:
    parts = {
        "pretext": "pre",
        "title": "T",
        "text": "<@U1>",
        "fields": [{"title": "branch", "value": "main"}],
        "footer": "f",
    }
    told = "pre\nT\n@Ann Lee\nbranch: main\nf"
    assert attached(parts) == attached({"fallback": "[no preview available]", **parts}) == told
    assert attached({"fallback": "build 7 failed", **parts}) == f"build 7 failed\n{told}"
    assert attached({"fallback": "*T* of pre: <@U1>", "title": "T", "text": "<@U1>"}) == "*T* of pre: @Ann Lee"
    assert attached({"fallback": "build", "text": "*build* 7"}) == "*build* 7"
    assert attached({"fields": [{"title": "only"}, {"value": "value"}]}) == "only\nvalue"


def test_blocks_and_files_inside_an_attachment_count() -> None:
    files = [{"title": "Plan"}]
    assert attached({"blocks": rich_text("said in a block"), "files": files}) == "said in a block\n[file: Plan]"


def test_a_preview_of_a_link_is_nobodys_words() -> None:
    preview = {"from_url": "https://x.example", "service_name": "X", "fallback": "page title", "text": "page text"}
    assert attached(preview) == ""
    assert attached({"original_url": "https://x.example", "text": "page text"}) == ""
    assert attached({"service_name": "X", "text": "page text"}, by_app=False) == ""
    assert attached({"service_name": "CI", "text": "by the app itself"}) == "by the app itself"


def test_a_shared_message_is_quoted_with_its_author() -> None:
    shared = {"is_share": True, "author_name": "Bob", "text": "see <@U1>", "from_url": "https://x"}
    by_id = {"is_msg_unfurl": True, "author_id": "U1", "text": "mine"}
    assert forwards_text([shared, {"is_share": True, "fallback": "old"}, {"text": "no share"}, by_id], NAMES) == (
        "[shared] Bob: see @Ann Lee\n[shared] somebody: old\n[shared] Ann Lee: mine"
    )


def test_files_are_named_unless_the_export_no_longer_has_them() -> None:
    gone = [{"mode": "tombstone", "title": "a"}, {"mode": "hidden_by_limit"}, {"file_access": "access_denied"}]
    gone += [{"file_access": "file_not_found", "name": "b"}]
    assert files_text([{"title": "Plan", "name": "plan.pdf"}, {"name": "x.txt"}, {"id": "F1"}, *gone]) == (
        "[file: Plan]\n[file: x.txt]\n[file: untitled]"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
kinds = st.sampled_from(
    ["rich_text", "rich_text_section", "rich_text_list", "section", "table", "context", "image", "link", "user", "date"]
)
element_keys = st.sampled_from(
    ["type", "text", "elements", "fields", "rows", "title", "url", "timestamp", "blocks", "files", "fallback", "indent"]
)
elements = st.recursive(
    json_values,
    lambda inner: st.dictionaries(element_keys, kinds | st.lists(inner, max_size=3) | inner, max_size=5),
)


@given(elements | st.lists(elements, max_size=4))
def test_rendering_never_raises_whatever_an_app_made(parts: Any) -> None:
    for text in (
        blocks_text(parts, NAMES),
        attachments_text(parts, NAMES, by_app=True),
        forwards_text(parts, NAMES),
        files_text(parts),
    ):
        assert isinstance(text, str)


def test_cutting_secrets_leaves_other_addresses_alone() -> None:
    assert without_secrets("https://x.example/?q=xoxo&t=1 foo=xoxb") == "https://x.example/?q=xoxo&t=1 foo=xoxb"
