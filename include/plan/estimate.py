"""
The cost of a plan: calls, tokens, calls of EverOS to its language model, and time, before anything is sent.

The server's price is its language model, and that is driven by *memory cells*, the stretches of conversation that
EverOS cuts a history into::

    llm calls = batches + flushes                  where does a cell end
              + cells                              an episode of each
              + 2 * cells * owners in a cell       facts and profile of each owner
    cells     = messages / 10, rounded up, for each segment
    owners    = 1, or with a memory per person the people who wrote in the segment
    tokens    = UTF-8 bytes of the texts / 4, rounded up
    seconds   = 7 per call + 0.33 per message, within a segment one after the other

The shape is known, the numbers are assumptions: nothing is published. The sizes of cells and the tokens fit English
work chat; the seconds were seen on a self-hosted server with a real model (15 messages in 12 s, 52 in 24 s).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from include.files import write_private
from include.plan.chunk_file import planned_messages
from include.plan.store import read_plan, write_plan
from include.records import Chunk, PlannedSegment
from include.run_folder import RunFolder

MESSAGES_PER_CELL = 10
BYTES_PER_TOKEN = 4
SECONDS_PER_CALL = 7.0
SECONDS_PER_MESSAGE = 0.33

LOADS_AT_ONCE = 4
"""Load tasks of a run that work at the same time; each of them has ``concurrency`` batches in flight."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of a conversation, or of a whole plan."""

    messages: int = 0
    batches: int = 0
    calls: int = 0
    """Calls that write: the batches, and a flush per segment. Names and questions about tasks come on top."""

    tokens: int = 0
    llm_calls: int = 0
    segments: int = 0
    seconds: float = 0
    """Of a segment: its batches one after the other. Of a conversation or plan: with segments side by side."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a run's ``estimate.json``."""

    total: Effort
    concurrency: int
    """Batches at once, over all load tasks."""

    conversations: dict[str, Effort]
    max_model_calls: int = 0
    """The limit that was set, 0 for none."""
    held: int = 0
    """Messages left for another run, because with them ``llm_calls`` would pass the limit; not in any other figure."""


def effort_of(planned: PlannedSegment, owners: int) -> Effort:
    """
    Return what one segment will take.

    :param owners: How many different memories its messages become part of; none where bots are alone.
    """
    cells = -(-planned.messages // MESSAGES_PER_CELL)
    return Effort(
        messages=planned.messages,
        batches=planned.batches,
        calls=planned.batches + 1,
        tokens=-(-planned.bytes // BYTES_PER_TOKEN),
        llm_calls=planned.batches + (1 + cells + 2 * cells * min(owners, MESSAGES_PER_CELL) if owners else 0),
        segments=1,
        seconds=planned.batches * SECONDS_PER_CALL + planned.messages * SECONDS_PER_MESSAGE,
    )


def estimate(planned: Sequence[PlannedSegment], owners: Mapping[str, int], concurrency: int) -> Estimate:
    """
    Add up a plan. No load ends before its longest segment does, nor before all work is shared out.

    :param owners: Different owners by segment id.
    :param concurrency: Batches at once in each load task.
    """
    to_load = [each for each in planned if not each.held]
    at_once = max(1, min(LOADS_AT_ONCE, len({each.chunk for each in to_load})) * concurrency)
    by_conversation: dict[str, list[Effort]] = defaultdict(list)
    for each in to_load:
        by_conversation[each.conversation_id].append(effort_of(each, owners.get(each.segment_id, 0)))
    return Estimate(
        total=_side_by_side([effort for some in by_conversation.values() for effort in some], at_once),
        concurrency=at_once,
        conversations={name: _side_by_side(some, at_once) for name, some in by_conversation.items()},
        held=sum(each.messages for each in planned if each.held),
    )


def write_estimate(run: RunFolder, concurrency: int, max_model_calls: int = 0) -> Estimate:
    """Estimate a run's plan and leave it as ``estimate.json``."""
    result = estimate(read_plan(run), _owners(run.chunks()), concurrency)
    result = msgspec.structs.replace(result, max_model_calls=max_model_calls)
    write_private(run.estimate, msgspec.json.encode(result))
    return result


def hold_back(run: RunFolder, chunks: Sequence[Chunk], max_model_calls: int) -> list[Chunk]:
    """
    Mark the segments with which the estimate would pass a limit, in the order of the plan, as left for another run.

    :returns: The chunks of which something is left to load, with its figures.
    """
    owners = _owners(run.chunks())
    planned, calls = [], 0
    for each in read_plan(run):
        calls += effort_of(each, owners.get(each.segment_id, 0)).llm_calls
        planned.append(msgspec.structs.replace(each, held=calls > max_model_calls))
    write_plan(run.plan, planned)
    to_load: dict[int, list[PlannedSegment]] = defaultdict(list)
    for each in planned:
        if not each.held:
            to_load[each.chunk].append(each)
    return [
        msgspec.structs.replace(
            chunk,
            conversations=len({each.conversation_id for each in to_load[chunk.number]}),
            segments=len(to_load[chunk.number]),
            batches=sum(each.batches for each in to_load[chunk.number]),
            messages=sum(each.messages for each in to_load[chunk.number]),
        )
        for chunk in chunks
        if chunk.number in to_load
    ]


def held_sentence(estimate: Estimate) -> str:
    """Say what a limit leaves for another run."""
    return (
        f"{estimate.held:,} messages are left for another run: with them EverOS would make more than max_model_calls = "
        f"{estimate.max_model_calls:,} calls of its language model (about {estimate.total.llm_calls:,} for the "
        f"{estimate.total.messages:,} messages of this run)."
    )


def read_estimate(run: RunFolder) -> Estimate | None:
    """Return a run's estimate, ``None`` where it was not planned."""
    return msgspec.json.decode(run.estimate.read_bytes(), type=Estimate) if run.estimate.exists() else None


def _side_by_side(efforts: Sequence[Effort], at_once: int) -> Effort:
    seconds = [effort.seconds for effort in efforts]
    names = ("messages", "batches", "calls", "tokens", "llm_calls", "segments")
    return Effort(
        **{name: sum(getattr(effort, name) for effort in efforts) for name in names},
        seconds=max([sum(seconds) / at_once, *seconds]),
    )


def _owners(chunks: Sequence[Path]) -> dict[str, int]:
    """Return how many different owners the messages of each segment have."""
    if not chunks:
        return {}
    with duckdb.connect(config={"memory_limit": "256MB"}) as connection:
        connection.register("planned", planned_messages(chunks, "sender_id", "role"))
        rows = connection.sql(
            "SELECT segment_id, count(DISTINCT sender_id) FROM planned WHERE role = 'user' GROUP BY segment_id"
        ).fetchall()
    return dict(rows)
