from pathlib import Path

import pytest

from include.parsers.discord import replies as discord_replies
from tests.support.builders import write_folder
from tests.support.read_exports import read

FIRST = 1_456_000_000_000_000_000
HEAD = {"guild": {"id": "1", "name": "Srv"}, "channel": {"id": "2", "type": "GuildTextChat", "name": "general"}}
ANN = {"id": "11", "name": "Ann", "isBot": False}
BO = {"id": "12", "name": "bo", "isBot": False}


def at(minute, number, content="x", **fields):
    """Return a message of a minute of one day; ids grow with numbers."""
    timestamp = f"2024-03-01T{minute // 60:02}:{minute % 60:02}:00+00:00"
    return {"id": str(FIRST + number), "timestamp": timestamp, "content": content, "author": BO, **fields}


def reply(minute, number, answered, **fields):
    return at(minute, number, "yes", type="Reply", reference={"messageId": answered["id"], "channelId": "2"}, **fields)


def exported(*messages):
    """Return a file of DiscordChatExporter."""
    return HEAD | {"messages": list(messages)}


def texts(path: Path, *messages):
    return read(write_folder(path, {"0.json": exported(*messages)})).texts


ROOT = at(0, 0, 'Shall we sell\nthe "blue" boat?') | {"author": ANN}
QUOTE = "[in reply to Ann: \"Shall we sell the 'blue' boat?\"]\nyes"


@pytest.mark.parametrize(
    ("between", "minute", "text"),
    [
        (0, 1, "yes"),
        (2, 1400, "yes"),
        (9, 59, "yes"),
        (3, 61, QUOTE),
        (10, 59, QUOTE),
    ],
)
def test_a_reply_quotes_what_it_answers_unless_that_is_close_before_it(between, minute, text, tmp_path):
    filler = [at(1, number) for number in range(1, between + 1)]
    assert texts(tmp_path, ROOT, *filler, reply(minute, 99, ROOT))[-1] == text


def test_a_quote_is_no_part_of_the_thread_and_is_not_quoted_again(tmp_path):
    filler = [at(1, number) for number in range(1, 20)]
    first = reply(100, 30, ROOT)
    more = [at(101, number) for number in range(31, 50)]
    result = read(write_folder(tmp_path, {"0.json": exported(ROOT, *filler, first, *more, reply(300, 60, first))}))
    assert (result.messages[20].thread_id, result.messages[20].text) == (ROOT["id"], QUOTE)
    assert result.messages[-1].text == '[in reply to bo: "yes"]\nyes'


def test_a_quote_is_short(tmp_path):
    root = at(0, 0, "boat " * 100)
    found = texts(tmp_path, root, *(at(1, n) for n in range(1, 20)), reply(100, 30, root))[-1]
    quoted = found.partition("\n")[0]
    assert quoted.endswith('boat…"]')
    assert len(quoted) < 145


def test_a_reply_to_a_message_that_the_export_does_not_hold_says_nothing_of_it(tmp_path):
    assert texts(tmp_path, reply(1, 9, ROOT)) == ["yes"]


def test_a_reply_in_a_later_part_quotes_a_message_of_an_earlier_one(tmp_path):
    filler = [at(1, number) for number in range(1, 20)]
    files = {"x.json": exported(ROOT, *filler), "x [part 2].json": exported(reply(100, 30, ROOT))}
    assert read(write_folder(tmp_path, files)).texts[-1] == QUOTE


def test_messages_far_back_are_forgotten():
    replies = discord_replies.Replies()
    for number in range(3 * discord_replies.REMEMBERED):
        replies.add(str(number), 0, "ann", "hello")
    known = [number for number in range(3 * discord_replies.REMEMBERED) if replies.find(str(number))]
    assert discord_replies.REMEMBERED <= len(known) <= 2 * discord_replies.REMEMBERED
    assert known[-1] == 3 * discord_replies.REMEMBERED - 1
