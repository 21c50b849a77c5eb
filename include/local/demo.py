"""What the demo shows of the memory: how much it made of each conversation, and its answer to a question."""

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import duckdb
import msgspec
import pyarrow.parquet as pq

from include.layout import RunFolder
from include.local.summary import shortened
from include.memory_api import MemoryAPI, Settings, connect
from include.memory_api.contract import Readback
from include.records import Conversation

QUESTION = "Who owns the billing migration?"
_PATIENCE_S = 60
"""Reading lags behind a flush: by some 15 s, on a busy machine by more."""

_WIDTH = 100
_MOST_CHARACTERS = 700


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of a run, who wrote in it, and when."""

    conversation: Conversation
    senders: tuple[str, ...]
    first_ms: int
    last_ms: int


async def show(settings: Settings, run: RunFolder) -> AsyncIterator[str]:
    """Ask the memory what it made of a run's conversations, and the question; yield both in lines."""
    talks = _talks(run)
    api = connect(settings)
    try:
        became = await asyncio.gather(*(_became(api, talk) for talk in talks))
        answer = await _ask(api, talks)
    finally:
        await api.aclose()
    yield "What the memory made of it:"
    for line in _lines(talks, became):
        yield f"  {line}"
    yield f"\nAsking the memory: {QUESTION}"
    for line in answer:
        yield f"  {line}"


async def _became(api: MemoryAPI, talk: Talk) -> Readback:
    """Look until what is to be seen stays the same."""
    deadline, before = time.monotonic() + _PATIENCE_S, None
    while True:
        # two messages of one millisecond are moved apart: a minute is more than enough
        until_ms = talk.last_ms + 60_000
        seen = await api.readback(talk.conversation, talk.senders, since_ms=talk.first_ms, until_ms=until_ms)
        if (seen.episodes and seen == before) or time.monotonic() > deadline:
            return seen
        before = seen
        await asyncio.sleep(1)


def _lines(talks: Sequence[Talk], became: Sequence[Readback]) -> Iterator[str]:
    names = [shortened(talk.conversation.conversation_id) for talk in talks]
    for name, seen in zip(names, became, strict=True):
        count = (
            "episodes cannot be counted"
            if seen.episodes is None
            else f"{seen.episodes:3} {'episode' if seen.episodes == 1 else 'episodes'}"
        )
        left = f", {seen.unprocessed} messages not processed" if seen.unprocessed else ""
        yield f"{name:{max(map(len, names))}}  {count}{left}"


async def _ask(api: MemoryAPI, talks: Sequence[Talk]) -> list[str]:
    conversations = [talk.conversation for talk in talks]
    senders = sorted({sender for talk in talks for sender in talk.senders})
    episodes = await api.search(conversations, QUESTION, senders=senders, limit=1)
    if not episodes:
        return ["(it knows nothing about it)"]
    [best] = episodes
    text = textwrap.shorten(best.text, _MOST_CHARACTERS, placeholder=" …")
    return [f"{best.conversation_id}: {best.title}", *textwrap.wrap(text, _WIDTH)]


def _talks(run: RunFolder) -> list[Talk]:
    """Return what was extracted, whether this run has loaded it or an earlier one."""
    files = [str(path) for path in run.extracted_files("messages-*.parquet")]
    columns = list(Conversation.__struct_fields__)
    known = msgspec.convert(pq.read_table(run.conversations, columns=columns).to_pylist(), list[Conversation])
    by_id = {conversation.conversation_id: conversation for conversation in known}
    with duckdb.connect() as database:
        rows = database.execute(_WRITERS, [files]).fetchall()
    return [
        Talk(conversation=by_id[name], senders=tuple(senders or ()), first_ms=first, last_ms=last)
        for name, senders, first, last in rows
    ]


_WRITERS = """
    SELECT conversation_id, list_sort(list(DISTINCT sender_id) FILTER (role = 'user')),
        min(timestamp_ms), max(timestamp_ms)
    FROM read_parquet(?) GROUP BY conversation_id ORDER BY conversation_id
"""
