"""Prints the answers to a question: conversation, day and speakers of each passage, and its text."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime

from include.local.asking import Answer, Answers
from include.logs import printable
from include.memory_api.contract import Episode
from include.report.owners import Member

_WIDTH = 100
_MOST_CHARACTERS = 3_000
"""Of an answer."""

_MOST_SPEAKERS = 6


def lines(found: Answers) -> Iterator[str]:
    """Yield the lines; they have message text, for the person who asks and nobody else."""
    of = f" of {found.owners:,} {'owner' if found.owners == 1 else 'owners'}" if found.owners else ""
    which = "conversation" if found.conversations == 1 else "conversations"
    yield f"Asked the memory{of} for {found.conversations:,} {which}."
    if not found.answers:
        yield "No passage matches. A passage is found up to a minute after it was loaded."
    for number, answer in enumerate(found.answers, start=1):
        yield ""
        yield f"{number}. {_head(answer)}"
        for line in _text(answer):
            yield f"   {line}".rstrip()
    if found.private or found.left_out:
        yield ""
    if found.private:
        were = "conversation was" if found.private == 1 else "conversations were"
        yield f"{found.private:,} private {were} not asked: IN=<name> asks one, PRIVATE=1 asks all."
    if found.left_out:
        were = "passage" if found.left_out == 1 else "passages"
        yield f"Left out: {found.left_out:,} {were} of conversations that were not asked."


def _head(answer: Answer) -> str:
    """Return ``general, 2026-03-03: Ann, Ben (thread of 2 passages)``; days are UTC."""
    private = " (private)" if answer.conversation and answer.conversation.private else ""
    days = sorted({_day(passage) for passage in answer.passages})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    speakers = _speakers(answer)
    thread = f" (thread of {len(answer.passages)} passages)" if len(answer.passages) > 1 else ""
    return printable(f"{answer.title}{private}, {when}{': ' if speakers else ''}{speakers}{thread}")


def _speakers(answer: Answer) -> str:
    """
    Return the members of the conversation who speak in the text, in the order in which they begin.

    A line that begins with a name and a colon is theirs; in prose, those who are named count.
    """
    members = answer.conversation.members if answer.conversation else ()
    text = "\n".join(passage.text for passage in answer.passages)
    names = _in_order("^{}: ", _names(members), text) or _in_order(r"(?<!\w){}(?!\w)", _names(members), text)
    more = [f"{len(names) - _MOST_SPEAKERS} more"] if len(names) > _MOST_SPEAKERS else []
    return ", ".join(names[:_MOST_SPEAKERS] + more)


def _in_order(form: str, names: Set[str], text: str) -> list[str]:
    """Return the names that the text has in this form, a pattern with a place for the name, by their first place."""
    found = ((re.search(form.format(re.escape(name)), text, re.MULTILINE), name) for name in names)
    return [name for _, name in sorted((match.start(), name) for match, name in found if match)]


def _names(members: Sequence[Member]) -> set[str]:
    """Return the names as :func:`include.plan.owners.owned` writes them: with the id where several have one name."""
    count = Counter(member.sender_name for member in members)
    return {
        member.sender_name if count[member.sender_name] == 1 else f"{member.sender_name} ({member.sender_id})"
        for member in members
    }


def _text(answer: Answer) -> Iterator[str]:
    chosen = _that_fit(answer)
    for number, passage in enumerate(answer.passages):
        if number in chosen:
            shown = passage.text[:_MOST_CHARACTERS]
            for line in shown.splitlines():
                yield from textwrap.wrap(printable(line), _WIDTH)
            if len(shown) < len(passage.text):
                yield "…"
        elif number == 0 or number - 1 in chosen:
            yield "…"


def _that_fit(answer: Answer) -> set[int]:
    """Return the passages of a long thread to show: the one that was found, the first, then those around it."""
    at = [passage.text for passage in answer.passages].index(answer.found.text)
    order = sorted(range(len(answer.passages)), key=lambda number: (number not in (0, at), abs(number - at)))
    left, chosen = _MOST_CHARACTERS, set[int]()
    for number in order:
        left -= len(answer.passages[number].text)
        if chosen and left < 0:
            break
        chosen.add(number)
    return chosen


def _day(passage: Episode) -> str:
    if passage.timestamp_ms is None:
        return "day unknown"
    return f"{datetime.fromtimestamp(passage.timestamp_ms / 1000, UTC):%Y-%m-%d}"
