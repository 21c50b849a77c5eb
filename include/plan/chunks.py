"""
The number of load tasks, and the segments of each.

A segment stays whole, in one chunk, because it is loaded in order. So no run ends before its largest segment does, and
chunks much smaller than that one would not help. A conversation stays together unless it is larger than a chunk. A
chunk runs many segments side by side, and an Airflow task costs about as much as a hundred messages, so a chunk below
:data:`WORTHWHILE` messages is not worth its task. Still, two conversations get two chunks: small imports take the same
parallel way as large ones, and one conversation that fails leaves the other chunk green.
"""

import heapq
from collections.abc import Mapping

from include.logs import counted, printable

WORTHWHILE = 2_000
"""Messages in a chunk, at least, where there are so many."""

LABEL_ID_CHARS = 80
"""Of the conversation id in a label; Airflow keeps 250 characters of a task's name."""


def how_many(messages: int, largest: int, conversations: int, max_chunks: int) -> int:
    """
    Return how many chunks are worth their tasks.

    :param largest: Messages of the largest piece that is in one chunk.
    """
    if not messages:
        return 0
    return min(max_chunks, max(min(-(-messages // largest), messages // WORTHWHILE), min(2, conversations)))


def assign[K: (str, tuple[str, int])](sizes: Mapping[K, int], max_chunks: int) -> list[dict[K, int]]:
    """
    Distribute conversations, or parts of them, evenly: the largest first, each to the chunk with the fewest messages.

    :param sizes: Messages (at least 1) of each.
    :returns: What is in each chunk, and its size; none empty, the largest is in the first.
    """
    number = how_many(sum(sizes.values()), max(sizes.values(), default=0), len(sizes), max_chunks)
    chunks: list[dict[K, int]] = [{} for _ in range(number)]
    least = [(0, number) for number in range(len(chunks))]
    for key, messages in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        load, number = heapq.heappop(least)
        chunks[number][key] = messages
        heapq.heappush(least, (load + messages, number))
    return chunks


def label_of(conversations: Mapping[str, int]) -> str:
    """
    Return a chunk's name for people.

    >>> label_of({"slack_general": 1200, "slack_random": 40})
    'slack_general (+1 more), 1,240 messages'
    """
    largest = min(conversations, key=lambda conversation_id: (-conversations[conversation_id], conversation_id))
    name = printable(largest)
    if len(name) > LABEL_ID_CHARS:
        name = name[: LABEL_ID_CHARS - 1] + "…"
    more = f" (+{len(conversations) - 1:,} more)" if len(conversations) > 1 else ""
    messages = sum(conversations.values())
    return f"{name}{more}, {counted(messages, 'message')}"
