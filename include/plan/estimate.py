"""
What a plan will cost: calls, tokens, calls of EverOS to its language model, and time, before anything is sent.

The server's price is its language model, and that is driven by *memory cells*, the stretches of conversation that
EverOS cuts a history into::

    llm calls = batches                            where does a cell end
              + cells                              an episode of each
              + 2 * cells * people in a cell       facts and profile of each person
    cells     = messages / 10, rounded up
    tokens    = UTF-8 bytes of the texts / 4, rounded up
    seconds   = 7 per call + 0.33 per message, within a conversation one after the other

The shape is known, the numbers are assumptions: nothing is published. The sizes of cells and the tokens fit English
work chat; the seconds were seen on a self-hosted server with a real model (15 messages in 12 s, 52 in 24 s).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from include.layout import RunFolder, write_private
from include.plan.store import read_plan
from include.records import PlannedConversation

MESSAGES_PER_CELL = 10
BYTES_PER_TOKEN = 4
SECONDS_PER_CALL = 7.0
SECONDS_PER_MESSAGE = 0.33

LOADS_AT_ONCE = 4
"""Load tasks of a run that work at the same time; each of them has ``concurrency`` conversations in the air."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation, or a whole plan, will take."""

    messages: int = 0
    batches: int = 0
    calls: int = 0
    """Calls that write: the batches, and a flush per conversation. Names and questions about tasks come on top."""

    tokens: int = 0
    llm_calls: int = 0
    seconds: float = 0
    """Of a conversation: its batches one after the other. Of a plan: with conversations side by side."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What ``estimate.json`` of a run holds."""

    total: Effort
    concurrency: int
    """Conversations at once, over all load tasks."""

    conversations: dict[str, Effort]


def effort_of(planned: PlannedConversation, people: int) -> Effort:
    """
    Return what one conversation will take.

    :param people: How many different humans wrote the planned messages.
    """
    cells = -(-planned.messages // MESSAGES_PER_CELL)
    return Effort(
        messages=planned.messages,
        batches=planned.batches,
        calls=planned.batches + 1,
        tokens=-(-planned.bytes // BYTES_PER_TOKEN),
        llm_calls=planned.batches + cells + 2 * cells * min(people, MESSAGES_PER_CELL),
        seconds=planned.batches * SECONDS_PER_CALL + planned.messages * SECONDS_PER_MESSAGE,
    )


def estimate(planned: Sequence[PlannedConversation], people: Mapping[str, int], concurrency: int) -> Estimate:
    """
    Add up a plan. No load ends before its longest conversation does, nor before all work is shared out.

    :param people: Different humans by conversation id.
    :param concurrency: Conversations at once in each load task.
    """
    efforts = {each.conversation_id: effort_of(each, people.get(each.conversation_id, 0)) for each in planned}
    at_once = max(1, min(LOADS_AT_ONCE, len({each.chunk for each in planned})) * concurrency)
    seconds = [effort.seconds for effort in efforts.values()]
    return Estimate(
        total=Effort(
            **{name: _sum(efforts.values(), name) for name in ("messages", "batches", "calls", "tokens", "llm_calls")},
            seconds=max([sum(seconds) / at_once, *seconds]),
        ),
        concurrency=at_once,
        conversations=efforts,
    )


def write_estimate(run: RunFolder, concurrency: int) -> Estimate:
    """Estimate a run's plan and leave it as ``estimate.json``."""
    result = estimate(read_plan(run), _people(run.message_parts()), concurrency)
    write_private(run.estimate, msgspec.json.encode(result))
    return result


def read_estimate(run: RunFolder) -> Estimate | None:
    """Return a run's estimate, ``None`` where it was not planned."""
    return msgspec.json.decode(run.estimate.read_bytes(), type=Estimate) if run.estimate.exists() else None


def _sum(efforts: Iterable[Effort], name: str) -> int:
    return sum(getattr(effort, name) for effort in efforts)


def _people(parts: Sequence[Path]) -> dict[str, int]:
    if not parts:
        return {}
    with duckdb.connect() as connection:
        connection.read_parquet([str(part) for part in parts]).create_view("messages")
        rows = connection.sql(
            "SELECT conversation_id, count(DISTINCT sender_id) FROM messages WHERE role = 'user' GROUP BY 1"
        ).fetchall()
    return dict(rows)
