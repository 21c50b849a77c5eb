"""
The cost of a plan: calls, tokens, calls of EverOS to its language model, and time, before anything is sent.

The server's price is its language model, and that is driven by *memory cells*, the stretches of conversation that
EverOS cuts a history into::

    llm calls = batches + flushes                  where does a cell end
              + cells                              an episode of each
              + 2 * owners of each cell            facts and profile of each owner
    a cell    ends with the day (UTC), before a silence of more than 4 hours, and after 10 messages
    owners    = 1, or with a memory per person the people who wrote in the cell
    tokens    = UTF-8 bytes of the texts / 4, rounded up
    seconds   = 7 per call + 0.33 per message, within a segment one after the other

The shape is known: server 1.5.1 asks its model to end a cell with the day and before a long silence. The numbers are
assumptions: nothing is published. The sizes of cells and the tokens fit English work chat; the seconds were seen on a
self-hosted server with a real model (15 messages in 12 s, 52 in 24 s).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.files import write_private
from include.logs import counted
from include.plan.chunk_file import planned_messages
from include.plan.store import read_plan, write_plan
from include.records import Chunk, PlannedSegment
from include.run_folder import RunFolder

MESSAGES_PER_CELL = 10
DAY_MS = 86_400_000
LONGEST_SILENCE_MS = 4 * 3_600_000
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


class Memories(msgspec.Struct, frozen=True, kw_only=True):
    """The memories that a segment becomes."""

    cells: int = 0
    """Cells in which somebody has the role ``user``; of the others nothing is remembered."""

    owners: int = 0
    """Owners of each of these cells, added up."""


def effort_of(planned: PlannedSegment, memories: Memories) -> Effort:
    """Return what one segment will take."""
    return Effort(
        messages=planned.messages,
        batches=planned.batches,
        calls=planned.batches + 1,
        tokens=-(-planned.bytes // BYTES_PER_TOKEN),
        llm_calls=planned.batches + (1 + memories.cells + 2 * memories.owners if memories.cells else 0),
        segments=1,
        seconds=planned.batches * SECONDS_PER_CALL + planned.messages * SECONDS_PER_MESSAGE,
    )


def estimate(planned: Sequence[PlannedSegment], memories: Mapping[str, Memories], concurrency: int) -> Estimate:
    """
    Add up a plan. No load ends before its longest segment does, nor before all work is shared out.

    :param memories: By segment id.
    :param concurrency: Batches at once in each load task.
    """
    to_load = [each for each in planned if not each.held]
    at_once = max(1, min(LOADS_AT_ONCE, len({each.chunk for each in to_load})) * concurrency)
    by_conversation: dict[str, list[Effort]] = defaultdict(list)
    for each in to_load:
        by_conversation[each.conversation_id].append(effort_of(each, memories.get(each.segment_id, Memories())))
    return Estimate(
        total=_side_by_side([effort for some in by_conversation.values() for effort in some], at_once),
        concurrency=at_once,
        conversations={name: _side_by_side(some, at_once) for name, some in by_conversation.items()},
        held=sum(each.messages for each in planned if each.held),
    )


def write_estimate(run: RunFolder, concurrency: int, max_model_calls: int = 0) -> Estimate:
    """Estimate a run's plan and leave it as ``estimate.json``."""
    result = estimate(read_plan(run), memories_of(run.chunks()), concurrency)
    result = msgspec.structs.replace(result, max_model_calls=max_model_calls)
    write_private(run.estimate, msgspec.json.encode(result))
    return result


def hold_back(run: RunFolder, chunks: Sequence[Chunk], max_model_calls: int) -> list[Chunk]:
    """
    Mark the segments with which the estimate would pass a limit, in the order of the plan, as left for another run.

    :returns: The chunks of which something is left to load, with its figures.
    """
    memories = memories_of(run.chunks())
    planned, calls = [], 0
    for each in read_plan(run):
        calls += effort_of(each, memories.get(each.segment_id, Memories())).llm_calls
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
        f"{counted(estimate.held, 'message is', 'messages are')} left for another run: all would make more than "
        f"max_model_calls = {estimate.max_model_calls:,} calls of EverOS's language model (about "
        f"{estimate.total.llm_calls:,} for {counted(estimate.total.messages, 'message')})."
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


def memories_of(chunks: Sequence[Path]) -> dict[str, Memories]:
    """
    Return the memories that each segment of a plan becomes, by segment id.

    Chunks are read in blocks of some thousand messages; a cell over the edge of two blocks counts as two.
    """
    cells: Counter[str] = Counter()
    owners: Counter[str] = Counter()
    for block in planned_messages(chunks, "timestamp_ms", "sender_id", "role"):
        columns: dict[str, Any] = {name: block[name] for name in ("segment_id", "timestamp_ms", "sender_id", "role")}
        for found, segments in zip((cells, owners), _remembered(columns), strict=True):
            found.update(segments)
    return {name: Memories(cells=cells[name], owners=owners[name]) for name in cells}


def _remembered(columns: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of cells that have owners, and of all their owners, by segment id."""
    encoded = pc.dictionary_encode(columns["segment_id"])
    segments = encoded.indices.to_numpy()
    order = np.argsort(segments, kind="stable")
    segments, times_ms = segments[order], columns["timestamp_ms"].to_numpy()[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (np.diff(segments) != 0) | (np.diff(times_ms // DAY_MS) != 0)
    starts[1:] |= np.diff(times_ms) > LONGEST_SILENCE_MS
    places = np.arange(len(order))
    starts |= (places - np.maximum.accumulate(np.where(starts, places, 0))) % MESSAGES_PER_CELL == 0
    senders = pc.dictionary_encode(columns["sender_id"]).indices.to_numpy()[order]
    is_user = np.asarray(pc.equal(columns["role"], pa.scalar("user")))[order]
    pairs = np.unique(((np.cumsum(starts) - 1) * len(order) + senders)[is_user])
    segment_of_cell, cell_of_pair = segments[starts], pairs // len(order)
    ids = encoded.dictionary.to_pylist()
    counts = (
        np.bincount(segment_of_cell[cells], minlength=len(ids)) for cells in (np.unique(cell_of_pair), cell_of_pair)
    )
    cells, owners = (dict(zip(ids, each.tolist(), strict=True)) for each in counts)
    return cells, owners
