"""
Parses EverOS's prompts to its model: the kind of prompt, and the messages in it.

All formats are those of the prompts in the locked server (``everos`` 1.5.1: ``everalgo/boundary`` and
``everalgo/user_memory``, their ``prompts/en`` and the functions there that render conversations into them).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum


@dataclass(frozen=True, kw_only=True)
class PromptMessage:
    """One message of a prompt."""

    number: int
    """Counted from 1, as the prompt counts."""

    at: datetime
    speaker: str
    text: str


class Question(Enum):
    """The kinds of prompt, by a sentence that only this kind contains."""

    BOUNDARIES = "You are an episodic memory boundary detection expert"
    EPISODE = "You are an episodic memory generation expert"
    FACTS = "expert episodic memory extraction analyst"
    PROFILE = 'You are a "User Profile Analyst"'
    PROFILE_UPDATE = "You are a user profile updater"
    FORESIGHT = "personal foresight analysis agent"


def question_in(prompt: str) -> Question | None:
    """Return the kind of a prompt; ``None`` if it is unknown."""
    places = {question: prompt.find(question.value) for question in Question}
    found = [question for question, place in places.items() if place >= 0]
    # the conversation comes after the instructions, and its text may quote any of these sentences
    return min(found, key=lambda question: places[question], default=None)


def numbered_messages(prompt: str) -> Iterator[PromptMessage]:
    """Yield the messages of a question for boundaries: ``[N] [2024-03-10 09:00:00] speaker: text``."""
    block = _between(prompt, "1-based index and timestamp:\n\n```\n", "\n```\n\n### When to split")
    starts = re.compile(r"^\[(\d+)\] \[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ", re.MULTILINE)
    # a text may contain lines that look like a message; their numbers do not continue the sequence
    heads: list[re.Match[str]] = []
    for head in starts.finditer(block):
        if int(head[1]) > (int(heads[-1][1]) if heads else 0):
            heads.append(head)
    ends = [head.start() for head in heads[1:]] + [len(block)]
    for head, end in zip(heads, ends, strict=True):
        speaker, _, text = block[head.end() : end].strip("\n").partition(": ")
        yield PromptMessage(number=int(head[1]), at=_time(head[2], "%Y-%m-%d %H:%M:%S"), speaker=speaker, text=text)


def quoted_messages(prompt: str) -> Iterator[PromptMessage]:
    """Yield the messages of a question for an episode: blocks of ``"timestamp"``, ``"speaker"`` and ``"content"``."""
    block = _between(prompt, "\nConversation content:\n", "\n\nCustom instructions:\n")
    form = re.compile(
        r'^ {16}\{\n {20}"timestamp": (\d{4}-\d\d-\d\d \d\d:\d\d) UTC \(\w+\),\n'
        r' {20}"speaker": ([^\n]*),\n {20}"content": (.*?)\n {16}\}$',
        re.MULTILINE | re.DOTALL,
    )
    for number, found in enumerate(form.finditer(block), start=1):
        yield PromptMessage(number=number, at=_time(found[1], "%Y-%m-%d %H:%M"), speaker=found[2], text=found[3])


def episode_text(prompt: str) -> tuple[str, str]:
    """Return the episode in a question for facts, and its time as the answer must repeat it."""
    text = _between(prompt, '- EPISODE_TEXT: "', '"\n- TIME: "')
    return text, _between(prompt, '"\n- TIME: "', '"  (the start time of the episode')


def _between(prompt: str, before: str, after: str) -> str:
    """Return the text between the first ``before`` and the last ``after``; messages may quote either."""
    start = prompt.index(before) + len(before)
    return prompt[start : prompt.rindex(after)]


def _time(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)
