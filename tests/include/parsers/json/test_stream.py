import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.parsers.json import stream as json_stream
from include.parsers.json.stream import BrokenJson, Document, documents, entries, listed

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
        (b'["ok", "' + b"x" * 200_000, "bytes"),
        (b'["ok", ]}, 1]', "not JSON"),
        (b'{"a": ["ok"], "item": [1}', "ends in the middle"),
        (b'["ok"] [', "ends in the middle"),
        (b'["ok", {"a": "b], "c"]', "ends in the middle"),
    ],
)
def test_hostile_json_ends_the_reading_and_nothing_else(hostile, reason, monkeypatch):
    monkeypatch.setattr(json_stream, "MAX_ENTRY_BYTES", 100_000)
    monkeypatch.setattr(json_stream, "_READ_BYTES", 4_096)
    items, broken = outcome(entries(stream(hostile), "item" if hostile.startswith(b"[") else "a.item"))
    reasons = [str(item) for item in items if isinstance(item, BrokenJson)] + [broken]
    assert reason in reasons[0]
    assert len(reasons) == 1 or reasons[1] is None
    assert [item for item in items if not isinstance(item, BrokenJson)] == ["ok"]


BROKEN_ALONE = {
    "a word": b"oops",
    "thousands of digits": b"9" * 5_000,
    "a wrong escape": rb'{"a": "\x41"}',
    "no value": b"",
    "no name": b'{"a": 1, 2}',
    "other brackets": b'{"a": [1}}',
    "two values": b'{"a": 1} "b"',
    "deep nesting": b"[" * 999 + b"]" * 998 + b"oops]",
}
MENDED = {
    "not a number": (b'{"a": NaN}', {"a": None}),
    "infinity": (b'{"a": [-Infinity, 1.5]}', {"a": [None, 1.5]}),
    "beyond a double": (b'{"a": 1e99999999999}', {"a": None}),
    "control characters": (b'{"a": "x\ty\x01\nz"}', {"a": "x\ty\x01\nz"}),
}


@pytest.mark.parametrize("broken", BROKEN_ALONE.values(), ids=BROKEN_ALONE)
@pytest.mark.parametrize("between", [b",", b",\n  "])
def test_an_entry_that_is_broken_does_not_break_its_neighbours(broken, between):
    good = [json.dumps({"n": n, "s": "a}, {", "l": [{}, {}]}).encode() for n in range(600)]
    data = b"[" + between.join([*good[:300], broken, *good[300:]]) + b"]"
    items, reason = outcome(entries(stream(data), "item"))
    assert reason is None
    assert isinstance(items[300], BrokenJson)
    assert [item["n"] for item in items[:300] + items[301:]] == list(range(600))


@pytest.mark.parametrize(("text", "value"), MENDED.values(), ids=MENDED)
def test_an_entry_that_is_nearly_right_is_read(text, value):
    assert list(entries(stream(b"[1, " + text + b', {"b": 2.5}]'), "item")) == [1, value, {"b": 2.5}]


def test_a_comma_too_few_or_too_many_between_objects_is_passed_over():
    assert list(entries(stream(b'[{"a": 1}, {"b": 2}, ]'), "item")) == [{"a": 1}, {"b": 2}]
    (first, second) = documents(stream(b'[{"id": 1} {"id": 2}]'), members=MEMBERS)
    assert (first.members, second.members) == ({"id": 1}, {"id": 2})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_file_with_a_mark_is_read(encoding):
    text = json.dumps([{"id": "ä€😀"}, {"id": 2}], ensure_ascii=False)
    assert list(entries(stream(text.encode(encoding)), "item")) == [{"id": "ä€😀"}, {"id": 2}]


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", "".encode("utf-16")])
def test_a_file_without_any_value_is_said_to_be_empty(data):
    assert outcome(entries(stream(data), "item")) == ([], "the file is empty")
    assert list(documents(stream(data), members=MEMBERS)) == []


@pytest.mark.parametrize("separator", ["", " ", "\n", "\r\n", "\n\n", "\x1e"])
@pytest.mark.parametrize("indent", [None, 2])
def test_values_one_after_the_other_are_all_read(separator, indent):
    values = [{"id": n, "messages": [{"n": n}, {"n": [n]}]} for n in range(3)]
    data = separator.join(json.dumps(value, indent=indent) for value in values).encode()
    assert list(entries(stream(data), "")) == values
    assert list(entries(stream(data), "messages.item")) == [entry for value in values for entry in value["messages"]]
    assert [(document.value, document.members) for document in documents(stream(data), members=MEMBERS)] == [
        (n, {"id": n}) for n in range(3)
    ]


def test_values_on_one_line_and_over_several_may_alternate():
    values = [{"a": [1]}, {"b": [2]}, {"c": [3]}, {"d": [4]}]
    data = "\n".join(json.dumps(value, indent=n % 2 * 2 or None) for n, value in enumerate(values)).encode()
    assert list(entries(stream(data), "")) == values


LINE = {"id": 1, "messages": [{"a": "x"}, {"a": "y"}], "meta": {"b": [1]}}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("cut", range(1, len(json.dumps(LINE))))
def test_a_line_that_is_cut_anywhere_does_not_break_the_others(position, cut):
    lines = [json.dumps(LINE | {"id": n}).encode() for n in range(3)]
    lines[position] = lines[position][:cut]
    found = list(documents(stream(b"\n".join(lines)), members=MEMBERS, lists=LISTS))
    whole = [document for document in found if document.members.get("id") != position and not document.flaw]
    assert [(document.members, document.lengths) for document in whole] == [
        ({"id": n, "meta": {"b": [1]}}, {"messages": 2}) for n in range(3) if n != position
    ]
    assert len(found) == 3
    assert len(list(listed(stream(b"\n".join(lines)), members=MEMBERS, lists=LISTS))) == sum(
        document.lengths.get("messages", 0) for document in found
    )


def test_an_entry_can_be_decoded_by_the_caller():
    data = b'[{"ts": 1767312000.000100}, {"ts": 2}]'
    assert list(entries(stream(data), "item", lambda text: len(bytes(text)))) == [25, 9]


def test_a_member_of_any_size_that_is_not_wanted_takes_no_memory():
    unit = b'{"a": [1, "%b"]}, ' % (b"x" * 1_000)
    size = len(unit) * 16_000

    class Endless(io.RawIOBase):
        left = size

        def readable(self):
            return True

        def readinto(self, buffer):
            count = min(len(buffer), self.left)
            offset = (size - self.left) % len(unit)
            buffer[:count] = (unit * (count // len(unit) + 2))[offset : offset + count]
            self.left -= count
            return count

    class Joined:
        def __init__(self, *parts):
            self.parts = list(parts)

        def read(self, count):
            while self.parts:
                if data := self.parts[0].read(count):
                    return data
                self.parts.pop(0)
            return b""

    whole = Joined(io.BytesIO(b'{"other": ['), io.BufferedReader(Endless()), io.BytesIO(b'1], "id": 7}'))
    tracemalloc.start()
    try:
        (document,) = documents(whole, members=MEMBERS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (document.members, document.flaw) == ({"id": 7}, "")
    assert peak < 4 << 20


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


def test_the_document_in_which_a_file_breaks_off_says_so():
    data = b'[{"id": 1}, {"id": 2, "messages": [{"a": 1}, {"a": 2'
    first, second = documents(stream(data), members=MEMBERS, lists=LISTS)
    assert (first.members, first.flaw, second.members, second.lengths) == ({"id": 1}, "", {"id": 2}, {"messages": 1})
    assert "ends in the middle" in second.flaw


def test_an_array_that_is_not_closed_breaks_off_where_the_next_item_would_be():
    first, second = documents(stream(b'[{"id": 1}'), members=MEMBERS, lists=LISTS)
    assert (first.flaw, second.index, second.members) == ("", 1, {})
    assert "ends in the middle" in second.flaw


@pytest.mark.parametrize(("value", "lengths"), [(None, {"messages": 0}), ("x", {}), ({}, {}), ([], {"messages": 0})])
def test_null_is_an_empty_list_and_anything_else_is_none(value, lengths):
    (document,) = documents(stream({"messages": value, "id": 1}), members=MEMBERS, lists=LISTS)
    assert (document.members, document.lengths) == ({"id": 1}, lengths)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_characters="."), max_size=5), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module", params=[7, 64, 1 << 16])
def _read_bytes(request):
    before, json_stream._READ_BYTES = json_stream._READ_BYTES, request.param
    yield
    json_stream._READ_BYTES = before


@pytest.mark.usefixtures("_read_bytes")
@given(
    st.lists(VALUES), st.dictionaries(st.sampled_from(["id", "meta", "a"]), VALUES), st.sampled_from([None, 0, 1, 4])
)
def test_documents_and_entries_agree_with_a_plain_decoder(messages, rest, indent):
    data = json.dumps({**rest, "messages": messages}, indent=indent).encode()
    plain = json.loads(data.decode("utf-8", "replace"))
    (document,) = documents(io.BytesIO(data), members=MEMBERS, lists=LISTS)
    assert (document.lengths["messages"], document.flaw) == (len(messages), "")
    assert len(list(listed(io.BytesIO(data), members=MEMBERS, lists=LISTS))) == len(messages)
    if "\\ud" not in data.decode():  # half pairs become "?"
        assert document.members == {key: plain[key] for key in MEMBERS if key in plain}
        assert list(entries(io.BytesIO(data), "messages.item")) == plain["messages"]


@given(st.lists(st.lists(st.sampled_from([*'[]{},:"\\ \n1a', '{"id": 1}', '"messages": [', "null"])).map("".join)))
def test_any_text_at_all_is_read_to_an_end_and_both_passes_count_the_same(lines):
    data = "\n".join(lines).encode()
    counted = sum(sum(found.lengths.values()) for found in documents(io.BytesIO(data), members=MEMBERS, lists=LISTS))
    assert len(list(listed(io.BytesIO(data), members=MEMBERS, lists=LISTS))) == counted
    outcome(entries(io.BytesIO(data), "item.messages.item"))


@pytest.mark.parametrize(
    "hostile",
    [
        b"{" + b" " * 60_000 + b",\n[",
        b"{\n" * 50_000,
        b"{}\n{}\n" + b"]\n" * 20_000,
        b"[" + b"," * 20_000,
        b'{"a"\n' * 20_000,
    ],
    ids=["white space", "brackets on lines", "closing brackets", "commas", "cut lines"],
)
def test_hostile_lines_are_read_to_an_end(hostile):
    found = documents(stream(hostile), members=MEMBERS, lists=LISTS)
    assert sum(len(document.members) for document in found) == 0


@pytest.mark.parametrize("position", [1, 2])
def test_a_long_line_that_is_cut_does_not_break_the_others(position):
    long = {"messages": [{"a": "x" * 1_000}] * 100, "other": ["y" * 1_000] * 100}
    lines = [json.dumps({"id": n, **long}).encode() for n in range(3)]
    lines[position] = lines[position][:-700]
    found = list(documents(stream(b"\n".join(lines)), members=MEMBERS, lists=LISTS))
    assert [(document.members, bool(document.flaw)) for document in found] == [
        ({"id": n}, n == position) for n in range(3)
    ]
