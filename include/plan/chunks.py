"""
How many load tasks are worth starting, and which conversations each one gets.

A conversation stays whole, in one chunk, because it is loaded in order. So no run ends before its largest conversation
does, and chunks much smaller than that one would not help. A chunk runs many conversations side by side, and an
Airflow task costs about as much as a hundred messages, so a chunk below :data:`WORTHWHILE` messages is not worth its
task. Still, two conversations get two chunks: small imports take the same parallel way as large ones, and one
conversation that fails leaves the other chunk green.
"""

import heapq
from collections.abc import Mapping

from include.logs import printable

WORTHWHILE = 2_000
"""Messages in a chunk, at least, where there are so many."""

LABEL_ID_CHARS = 80
"""Of the conversation id in a label; Airflow keeps 250 characters of a task's name."""


def assign(sizes: Mapping[str, int], max_chunks: int) -> list[dict[str, int]]:
    """
    Distribute conversations evenly: the largest first, each to the chunk with the fewest messages so far.

    :param sizes: Messages (at least 1) of each conversation.
    :returns: The conversations and sizes of each chunk, none empty; the largest conversation is in the first.
    """
    chunks: list[dict[str, int]] = [{} for _ in range(_how_many(sizes, max_chunks))]
    least = [(0, number) for number in range(len(chunks))]
    for conversation_id, messages in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        load, number = heapq.heappop(least)
        chunks[number][conversation_id] = messages
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
    return f"{name}{more}, {messages:,} message{'s' if messages != 1 else ''}"


def _how_many(sizes: Mapping[str, int], max_chunks: int) -> int:
    if not sizes:
        return 0
    messages = sum(sizes.values())
    useful = -(-messages // max(sizes.values()))
    worthwhile = messages // WORTHWHILE
    return min(max_chunks, max(min(useful, worthwhile), min(2, len(sizes))))
