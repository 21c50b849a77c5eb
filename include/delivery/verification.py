"""
After the flush: does the target remember what this run loaded? An answer of 200 is no evidence of that.

Servers swallow what goes wrong while messages are made into memories, so each conversation is read back. Nothing may
wait for extraction any more, there must be an episode where people have written something, and the newest one must
reach as far as they have: each bears the time of its last message. A gap in between cannot be seen from outside. A
server that was killed may have done the same piece twice: that shows where two episodes end at the same message.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from include.delivery.outcomes import outcomes_of
from include.delivery.side_by_side import side_by_side
from include.delivery.throttle import Throttle
from include.delivery.witnesses import keep_witnesses, witness_of
from include.errors import ChatImportError
from include.ledger import Ledger
from include.logs import counted, get_logger
from include.memory_api.contract import MemoryAPI, Readback
from include.plan import earliest_ms
from include.plan.chunk_file import conversations_of, planned_messages
from include.records import Conversation
from include.run_folder import RunFolder

log = get_logger(__name__)

LAG_S = 90
"""Seconds after a flush until memories must be visible: 15 on an idle server, 30 where it watches files."""

BUDGET_S = 600
"""Seconds for all questions; conversations that are left then are not verified, so that the report is written."""

MOST_SEGMENTS = 400
"""So many segments are read back at most, about as many of each conversation, spread over time: each is two calls."""

_AGAIN_S = 3
_BLURRED_MS = 1_000
"""A target may keep the times of episodes in seconds."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The messages of one conversation that a run loaded."""

    conversation: Conversation
    """As one of its segments."""
    senders: tuple[str, ...]
    """Owners of what was written with the role ``user``: the last one first, then by their number of messages."""

    since_ms: int
    until_ms: int
    spoken_ms: int | None
    """Time of the last message of a person; ``None`` for bots alone: the target makes no episodes of them."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The result of reading one conversation back."""

    readback: Readback | None = None
    """``None`` when there was no answer."""

    mismatch: str | None = None
    """The difference to what was loaded, in words."""

    segments: int = 1
    of_segments: int = 1
    """Segments that were read back, of those that were loaded."""

    @property
    def open(self) -> bool:
        """Whether reading it again may show more."""
        return self.readback is None or self.mismatch is not None

    @property
    def verified(self) -> bool | None:
        """Whether the target remembers it; ``None`` without evidence."""
        if self.readback is None or self.readback.unprocessed is None:
            return None
        return self.mismatch is None


async def verify(
    run: RunFolder,
    ledger: Ledger,
    api: MemoryAPI,
    run_id: str,
    *,
    concurrency: int = 8,
    lag_s: float = LAG_S,
) -> dict[str, Checked]:
    """
    Read back what this run has loaded and flushed, by conversation id: every segment, or a sample of many.

    A target that cannot be asked is no error: what was loaded is loaded, and goes unverified.

    :param lag_s: How long to look again for what does not match yet.
    """
    loaded_by_name, of_how_many = await asyncio.to_thread(_flushed_by, run, ledger, run_id)
    waiting = loaded_by_name
    checked = {name: Checked() for name in waiting}
    throttle = Throttle(concurrency, time.monotonic)
    lags_until_s: float | None = None

    async def look(loaded: Loaded) -> None:
        checked[loaded.conversation.segment_id] = await _look(api, throttle, loaded)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BUDGET_S):
            while True:
                await side_by_side(waiting.values(), look, concurrency)
                waiting = {name: loaded for name, loaded in waiting.items() if checked[name].open}
                lags_until_s = lags_until_s or time.monotonic() + lag_s
                if not waiting or time.monotonic() + _AGAIN_S > lags_until_s:
                    break
                await asyncio.sleep(_AGAIN_S)
    seen = (
        witness_of(each.conversation, each.senders, each.since_ms, each.until_ms, checked[name].readback)
        for name, each in loaded_by_name.items()
        if checked[name].verified
    )
    keep_witnesses(ledger, filter(None, seen))
    for name, result in checked.items():
        if result.open:
            log.warning("%s: %s", name, result.mismatch or "could not be read back")
    by_conversation: dict[str, dict[str, Checked]] = defaultdict(dict)
    for name, each in loaded_by_name.items():
        by_conversation[each.conversation.conversation_id][name] = checked[name]
    return {name: _together(some, of_how_many[name]) for name, some in by_conversation.items()}


def _together(checked: Mapping[str, Checked], of_how_many: int) -> Checked:
    """Return one result for a conversation: what any of its segments lacks, the conversation lacks."""
    if of_how_many == 1:
        return next(iter(checked.values()))
    readbacks = [each.readback for each in checked.values()]
    wrong = [f"{name}: {each.mismatch}" for name, each in sorted(checked.items()) if each.mismatch]
    more = f" and {counted(len(wrong) - 1, 'segment')} more" if len(wrong) > 1 else ""
    whole = together([each for each in readbacks if each]) if all(readbacks) else None
    return Checked(
        readback=whole, mismatch=wrong[0] + more if wrong else None, segments=len(checked), of_segments=of_how_many
    )


def together(readbacks: Sequence[Readback]) -> Readback:
    """Return what several segments of a conversation show; times are those of segments and left out."""
    if len(readbacks) == 1:
        return readbacks[0]
    unprocessed = [each.unprocessed for each in readbacks if each.unprocessed is not None]
    episodes = [each.episodes for each in readbacks if each.episodes is not None]
    return Readback(
        unprocessed=sum(unprocessed) if len(unprocessed) == len(readbacks) else None,
        episodes=sum(episodes) if episodes else None,
    )


async def _look(api: MemoryAPI, throttle: Throttle, loaded: Loaded) -> Checked:
    conversation, senders, since_ms, until_ms = loaded.conversation, loaded.senders, loaded.since_ms, loaded.until_ms
    try:
        found = await throttle.work(lambda: api.readback(conversation, senders, since_ms=since_ms, until_ms=until_ms))
    except ChatImportError as error:
        log.info("%s is not read back: %s", loaded.conversation.conversation_id, error)
        return Checked()
    throttle.speed_up()
    return Checked(readback=found, mismatch=mismatch_of(loaded, found))


def mismatch_of(loaded: Loaded, found: Readback) -> str | None:
    """Return the difference between target and load in words; ``None`` without one, or without evidence."""
    if found.unprocessed:
        return f"{counted(found.unprocessed, 'message is', 'messages are')} not made into memories yet"
    if found.doubled:
        twice = counted(found.doubled, "episode is", "episodes are")
        return f"{twice} there twice: the server was killed in its work, and did it again"
    if loaded.spoken_ms is None or found.episodes is None:
        return None
    if found.last_ms is None:
        return "there is no episode of what was loaded"
    if found.last_ms + _BLURRED_MS <= loaded.spoken_ms:
        return f"people wrote until {_utc(loaded.spoken_ms)}, the newest episode ends at {_utc(found.last_ms)}"
    return None


def _flushed_by(run: RunFolder, ledger: Ledger, run_id: str) -> tuple[dict[str, Loaded], dict[str, int]]:
    """Return what is to be read back, by segment id, and of how many segments of each conversation that is a sample."""
    with ledger.snapshot() as snapshot:
        outcomes = outcomes_of(run, snapshot, run_id)
        with snapshot.tables(earliest_ms(run)) as connection:
            wanted = {name for name, outcome in outcomes.items() if outcome.loaded and outcome.flushed is not None}
            most = max(1, MOST_SEGMENTS // max(1, len(wanted)))
            found = _writers(connection, run, run_id, most)
    conversations = conversations_of(run, wanted)
    return {
        segment_id: Loaded(
            conversation=conversations[name].segment(segment_id),
            senders=_by_weight(writers or []),
            since_ms=since_ms,
            until_ms=until_ms,
            spoken_ms=max((writer["last_ms"] for writer in writers or []), default=None),
        )
        for name, segment_id, since_ms, until_ms, writers, _ in found
        if name in wanted
    }, {name: of_how_many for name, *_, of_how_many in found}


def _writers(connection: duckdb.DuckDBPyConnection, run: RunFolder, run_id: str, most: int) -> list[tuple[Any, ...]]:
    """
    Return conversation and segment id, first and last time, and of each who wrote: ``sender_id, messages, last_ms``.

    :param most: Of a conversation at most so many segments, at even distances, the newest among them; the last column
        says of how many.
    """
    planned = planned_messages(run.chunks(), "sender_id", "role")
    connection.register("planned_with_senders", planned)
    return connection.execute(
        """
        WITH said AS (
            SELECT conversation_id, segment_id, sender_id, role, count(*) AS messages,
                   min(timestamp_ms) AS first_ms, max(timestamp_ms) AS last_ms
            FROM planned_with_senders JOIN (FROM landed WHERE run_id = $run) USING (conversation_id, message_id)
            GROUP BY ALL
        ), segments AS (
            SELECT conversation_id, segment_id, min(first_ms) AS since_ms, max(last_ms) AS until_ms,
                   list({sender_id: sender_id, messages: messages, last_ms: last_ms}) FILTER (role = 'user') AS writers
            FROM said GROUP BY ALL
        ), ranked AS (
            SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY until_ms DESC, segment_id) - 1 AS place,
                   count(*) OVER (PARTITION BY conversation_id) AS of_how_many
            FROM segments
        )
        SELECT conversation_id, segment_id, since_ms, until_ms, writers, of_how_many FROM ranked
        WHERE place % ceil(of_how_many / $most)::BIGINT = 0 ORDER BY conversation_id, place
        """,
        {"run": run_id, "most": most},
    ).fetchall()


def _by_weight(writers: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if not writers:
        return ()
    last = max(writers, key=lambda writer: writer["last_ms"])
    rest = sorted(writers, key=lambda writer: (writer is not last, -writer["messages"], writer["sender_id"]))
    return tuple(writer["sender_id"] for writer in rest)


def _utc(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
