import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers import json_stream
from include.parsers.json_stream import BrokenJson, Document, documents, entries

MEMBERS, LISTS = ("id", "meta"), ("messages",)


def stream(data):
    return io.BytesIO(data if isinstance(data, bytes) else json.dumps(data).encode())


def outcome(generator):
    """Return what was yielded, and the reason why it broke off."""
    items = []
    try:
        items.extend(generator)
    except BrokenJson as error:
        return items, str(error)
    return items, None


def test_whole_numbers_are_exact_beyond_a_double():
    assert list(entries(stream(b'{"messages": [9007199254740993]}'), "messages.item")) == [9007199254740993]


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert list(entries(stream(b"\xef\xbb\xbf[1]"), "item")) == [1]


def test_bytes_that_are_no_text_cost_a_character_and_not_the_file():
    assert list(entries(stream(b'["a\xff", "b"]'), "item")) == ["a�", "b"]


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 5, 7, 11, 13, 64])
def test_characters_and_escapes_on_the_edge_of_a_read_stay_whole(read_bytes, monkeypatch):
    monkeypatch.setattr(json_stream, "_READ_BYTES", read_bytes)
    text = "äö€😀\\ud83d \\\\udc00 \n"
    for ensure_ascii in (True, False):
        data = json.dumps([text, text], ensure_ascii=ensure_ascii).encode()
        assert list(entries(stream(data), "item")) == [text, text]


@pytest.mark.parametrize("half", [r"\ud83d", r"\udc00", r"\uDC00\ud83d", r"\udc00\ud83d\ude00", r"\ud83d\ud83d\ude00"])
def test_half_a_surrogate_pair_becomes_text_that_can_be_stored(half):
    before, text, after = entries(stream(f'["a", "{half} x", "b"]'.encode()), "item")
    assert (before, after) == ("a", "b")
    assert text.encode().endswith(b" x")


def test_the_complete_prefix_of_a_cut_file_is_read_wherever_it_was_cut():
    item = '{"n": true, "s": "\\n"}'
    data = f'{{"messages": [{item}, {item}, {item}], "z": 1}}'.encode()
    for cut in range(1, len(data)):
        items, reason = outcome(entries(stream(data[:cut]), "messages.item"))
        assert (len(items), reason) == (
            data[:cut].count(item.encode()),
            "the file ends in the middle; what comes before it was read",
        )


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (b'["ok", ' + b"[" * 100_000, "brackets"),
        (b'["ok", ' + b'{"a":' * 100_000, "brackets"),
        (b'["ok", ' + b"9" * 5_000 + b"]", "not JSON"),
        (b'["ok", 1e99999999999]', "not JSON"),
        (b'["ok", oops]', "not JSON"),
        (b'["ok", "' + b"x" * 200_000, "bytes"),
    ],
)
def test_hostile_json_ends_the_reading_and_nothing_else(hostile, reason, monkeypatch):
    monkeypatch.setattr(json_stream, "MAX_ENTRY_BYTES", 100_000)
    monkeypatch.setattr(json_stream, "_READ_BYTES", 4_096)
    items, broken = outcome(entries(stream(hostile), "item"))
    assert reason in broken
    assert items in ([], ["ok"])  # the first read may hold both


def test_errors_quote_nothing_of_the_file():
    _, reason = outcome(entries(stream(b'["a", secret plans'), "item"))
    assert "secret" not in reason


def test_nesting_is_counted_per_entry_and_not_over_the_file():
    items = [[[["]]"] * 3]] for _ in range(5_000)]
    assert list(entries(stream(items), "item")) == items


def test_a_document_is_described_wherever_its_lists_stand():
    expected = [Document(index=None, members={"id": "g", "meta": {"a": [1, {"b": None}]}}, lengths={"messages": 3})]
    before = {"messages": [1, {"x": [2]}, [3]], "id": "g", "meta": {"a": [1, {"b": None}]}, "other": [[]]}
    after = {"meta": {"a": [1, {"b": None}]}, "id": "g", "other": {"id": 7}, "messages": [None, "a", {}]}
    for value in (before, after):
        assert list(documents(stream(value), members=MEMBERS, lists=LISTS)) == expected


def test_documents_of_an_array_are_told_one_by_one_and_what_is_none_is_told_too():
    value = [{"id": 1, "messages": [0]}, None, [1, [2]], "x", {"messages": {"a": 1}}]
    assert list(documents(stream(value), members=MEMBERS, lists=LISTS)) == [
        Document(index=0, members={"id": 1}, lengths={"messages": 1}),
        *(Document(index=number) for number in (1, 2, 3, 4)),
    ]


def test_an_early_look_stops_at_the_list():
    endless = b'{"id": 1, "messages": [' + b"1, " * 100_000
    found = documents(stream(endless), members=MEMBERS, lists=LISTS, early=True)
    assert [document.members for document in found] == [{"id": 1}]


def test_the_document_in_which_a_file_breaks_off_is_told():
    items, reason = outcome(documents(stream(b'[{"id": 1}, {"id": 2, "messages": [1, 2'), members=MEMBERS, lists=LISTS))
    assert [(item.members, item.lengths) for item in items] == [({"id": 1}, {}), ({"id": 2}, {"messages": 2})]
    assert "ends in the middle" in reason


def test_an_item_that_is_no_document_is_not_told_before_it_ends():
    items, reason = outcome(documents(stream(b'[{"id": 1}, [1, 2'), members=MEMBERS, lists=LISTS))
    assert ([item.index for item in items], "ends in the middle" in reason) == ([0], True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_characters="."), max_size=5), inner),
    max_leaves=10,
)


@given(st.lists(VALUES), st.dictionaries(st.sampled_from(["id", "meta", "a"]), VALUES))
def test_documents_and_entries_agree_with_a_plain_decoder(messages, rest):
    data = json.dumps({**rest, "messages": messages}).encode()
    plain = json.loads(data.decode("utf-8", "replace"))
    (document,) = documents(io.BytesIO(data), members=MEMBERS, lists=LISTS)
    assert document.lengths["messages"] == len(messages)
    if "\\ud" not in data.decode():  # half pairs become "?"
        assert document.members == {key: plain[key] for key in MEMBERS if key in plain}
        assert list(entries(io.BytesIO(data), "messages.item")) == plain["messages"]
