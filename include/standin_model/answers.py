"""Answers prompts: pure functions from a prompt to the JSON that EverOS expects, made of the text of messages."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from include.standin_model.prompts import (
    PromptMessage,
    Question,
    episode_text,
    numbered_messages,
    question_in,
    quoted_messages,
)

LONG_SILENCE = timedelta(hours=4)
"""The prompt asks for a boundary after a longer silence, and at each new day."""

MARK = "Extractive record, made without a language model."
"""First line of every episode."""

MOST_FACTS = 20
_TITLE_CHARS = 90
_MESSAGE_CHARS = 600
_LEAST_BYTES = 15
"""Shortest fact, in bytes of UTF-8: a Chinese character counts about as much as half a word."""


class UnknownQuestionError(ValueError):
    """The stand-in has no answer to the prompt."""


def answer(prompt: str) -> str:
    """
    Return the answer to one prompt of EverOS.

    :raises UnknownQuestionError: The prompt is of no kind in :class:`Question`.
    """
    question = question_in(prompt)
    match question:
        case Question.BOUNDARIES:
            found: Any = boundaries(list(numbered_messages(prompt)))
        case Question.EPISODE:
            found = episode(list(quoted_messages(prompt)))
        case Question.FACTS:
            found = facts(*episode_text(prompt))
        case Question.PROFILE:
            found = {"explicit_info": [], "implicit_traits": []}
        case Question.PROFILE_UPDATE:
            found = {"operations": [{"action": "none"}], "update_note": MARK}
        case Question.FORESIGHT:
            found = {"foresights": []}
        case None:
            raise UnknownQuestionError("this stand-in answers what EverOS 1.5.1 asks of a model, and nothing else")
    return _json(found)


def boundaries(messages: Sequence[PromptMessage]) -> dict[str, Any]:
    """Set a boundary at each new day (UTC) and after every long silence."""
    cuts = [
        before.number
        for before, after in pairwise(messages)
        if before.at.date() != after.at.date() or after.at - before.at > LONG_SILENCE
    ]
    return {"reasoning": "a new day or a long silence", "boundaries": cuts, "should_wait": False}


def episode(messages: Sequence[PromptMessage]) -> dict[str, Any]:
    """Return lines of speaker and text; the title is the first sentence that is long enough."""
    if not messages:
        raise UnknownQuestionError("the conversation in this question cannot be read")
    lines = [f"{said.speaker}: {_short(said.text, _MESSAGE_CHARS)}" for said in messages]
    title = next((s for said in messages for s in _sentences(said.text)), messages[0].text)
    start = f"{messages[0].at:%Y-%m-%d %H:%M} UTC"
    return {
        "title": _short(title, _TITLE_CHARS) or start,
        "content": "\n".join([MARK, start, *lines]),
        "summary": _short(" ".join([start, *lines]), 2 * _TITLE_CHARS),
    }


def facts(text: str, time: str) -> dict[str, Any]:
    """Return the sentences of an episode from :func:`episode`, each with its speaker."""
    found = []
    for line in text.splitlines()[2:]:
        speaker, _, said = line.partition(": ")
        found += [f"{speaker}: {sentence}" for sentence in _sentences(said)]
    return {"atomic_facts": {"time": time, "atomic_fact": found[:MOST_FACTS]}}


def _sentences(text: str) -> list[str]:
    """Split into sentences; those that are too short for a fact are left out."""
    parts = re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n+", text)  # noqa: RUF001 - people write Chinese, too
    return [" ".join(part.split()) for part in parts if len(part.strip().encode()) >= _LEAST_BYTES]


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _json(found: Any) -> str:
    """
    Write JSON without braces in its strings.

    EverOS finds the end of an answer by counting braces, those inside of strings too (``everalgo``,
    ``_extract_json_object``): a text such as ``:-{`` would lose the whole episode.
    """
    literals = re.compile(r'(?s)"(?:[^"\\]|\\.)*+(?:"|\\?\Z)')
    text = json.dumps(found, ensure_ascii=False)
    return literals.sub(lambda literal: literal[0].replace("{", "\\u007b").replace("}", "\\u007d"), text)
