"""The last part of the demo: the number of episodes of each conversation, and the answer to a question."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence

import duckdb
import msgspec

from include.delivery.verification import together
from include.ledger import Ledger, ledger_url
from include.local.answers import lines as answer_lines
from include.local.asking import ask, memories_of
from include.local.summary import shortened
from include.logs import counted
from include.memory_api import MemoryAPI, Settings, connect
from include.memory_api.contract import Readback
from include.plan import read_layout
from include.plan.chunk_file import conversations_of
from include.plan.owners import owner_of
from include.records import Conversation
from include.run_folder import RunFolder

QUESTION = "Who owns the billing migration?"
_GIVE_UP_AFTER_S = 60
"""Reading shows the effect of a flush after some 15 s, later on a busy machine."""


class ConversationSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of a run, who owns its memory, and the times of its first and last message."""

    conversation: Conversation
    segments: tuple[Conversation, ...]
    """It again, once for each of its segments that the ledger knows."""
    owners: tuple[str, ...]
    first_ms: int
    last_ms: int


async def show(settings: Settings, run: RunFolder) -> AsyncIterator[str]:
    """Read the episodes of a run's conversations and search for the question; yield lines of text."""
    spans = _spans(run, Ledger.open(ledger_url(run.root.parents[1]), settings.target))
    memories = memories_of(run.root.parents[1], settings.target)
    api = connect(settings)
    try:
        readbacks = await asyncio.gather(*(_settled_readback(api, span) for span in spans))
        answers = await ask(api, memories, QUESTION, limit=1)
    finally:
        await api.aclose()
    yield "What the memory made of it:"
    for line in _lines(spans, readbacks):
        yield f"  {line}"
    yield f"\nAsking the memory: {QUESTION}"
    for line in answer_lines(answers):
        yield f"  {line}".rstrip()


async def _settled_readback(api: MemoryAPI, span: ConversationSpan) -> Readback:
    """Read until two readings are equal."""
    deadline, before = time.monotonic() + _GIVE_UP_AFTER_S, None
    while True:
        # equal times are moved by milliseconds: a minute covers all of them
        until_ms = span.last_ms + 60_000
        each = [
            await api.readback(segment, span.owners, since_ms=span.first_ms, until_ms=until_ms)
            for segment in span.segments
        ]
        seen = together(each)
        if (seen.episodes and seen == before) or time.monotonic() > deadline:
            return seen
        before = seen
        await asyncio.sleep(1)


def _lines(spans: Sequence[ConversationSpan], readbacks: Sequence[Readback]) -> Iterator[str]:
    names = [shortened(span.conversation.conversation_id) for span in spans]
    for name, seen in zip(names, readbacks, strict=True):
        count = (
            "episodes cannot be counted"
            if seen.episodes is None
            else f"{seen.episodes:3} {'episode' if seen.episodes == 1 else 'episodes'}"
        )
        left = f", {counted(seen.unprocessed, 'message')} not processed" if seen.unprocessed else ""
        yield f"{name:{max(map(len, names))}}  {count}{left}"


def _spans(run: RunFolder, ledger: Ledger) -> list[ConversationSpan]:
    """Return all extracted conversations, whether this or an earlier run has loaded them."""
    files = [str(path) for path in run.extracted_files("messages-*.parquet")]
    by_id, layout = conversations_of(run), read_layout(run)
    with duckdb.connect() as database:
        rows = database.execute(_WRITERS, [files]).fetchall()
    segments: dict[str, list[Conversation]] = defaultdict(list)
    with ledger.snapshot() as snapshot:
        for segment_id, status in sorted(snapshot.segments().items()):
            if status.conversation_id in by_id:
                segments[status.conversation_id].append(by_id[status.conversation_id].segment(segment_id))
    return [
        ConversationSpan(
            conversation=by_id[name],
            segments=tuple(segments[name]) or (by_id[name],),
            owners=(owner,) if (owner := owner_of(by_id[name], layout)) else tuple(senders or ()),
            first_ms=first,
            last_ms=last,
        )
        for name, senders, first, last in rows
    ]


_WRITERS = """
    SELECT conversation_id, list_sort(list(DISTINCT sender_id) FILTER (role = 'user')),
        min(timestamp_ms), max(timestamp_ms)
    FROM read_parquet(?) GROUP BY conversation_id ORDER BY conversation_id
"""
