"""
Lays LoCoMo conversations out as Slack: two at a time in one channel, each session a thread, their turns interleaved.

The file is ``locomo10.json`` of https://github.com/snap-research/locomo: a list of samples with ``conversation``
(``session_1``, ``session_1_date_time``, … with turns of ``speaker``, ``dia_id``, ``text``, ``blip_caption``) and ``qa``
(``question``, ``evidence``, ``category``). Questions of category 5 have no answer and are left out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched, zip_longest
from pathlib import Path
from typing import Any

from tests.recall.questions import Question, RecallSet
from tests.recall.slack_export import Person, Post, write_export

TEAM = "T09LOCOMO01"
KINDS = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}


def write_locomo(
    folder: Path, file: Path, *, samples: int | None = None, most_questions: int | None = None
) -> RecallSet:
    """
    Write one export and name the questions whose evidence is in it.

    :param samples: Take the first so many conversations.
    :param most_questions: Take so many questions, evenly from all of them.
    """
    read: list[dict[str, Any]] = json.loads(file.read_bytes())[:samples]
    posts: list[Post] = []
    questions: list[Question] = []
    people: list[Person] = []
    channels: dict[str, str] = {}
    for number, pair in enumerate(batched(read, 2)):
        channel = f"pair-{number}"
        channels[channel] = f"C09PAIR{number:04d}"
        for sample, turns in zip(pair, _timed(pair, channel, number), strict=True):
            posts += turns.values()
            people += {turn.by.id: turn.by for turn in turns.values()}.values()
            questions += _questions(sample["qa"], turns)
    if most_questions:
        questions = [
            questions[n * len(questions) // most_questions] for n in range(min(most_questions, len(questions)))
        ]
    posts.sort(key=lambda post: post.at_us)
    export = folder / "exports" / "locomo"
    write_export(export, TEAM, people, channels, posts)
    roots = {post.thread for post in posts if post.thread}
    return RecallSet(
        folder=folder / "exports",
        exports=(export,),
        current=(export,),
        questions=tuple(questions),
        speakers={post.ts: post.by.name for post in posts},
        threads={post.ts: post.thread or post.ts for post in posts if post.thread or post.ts in roots},
    )


def _timed(pair: Sequence[Mapping[str, Any]], channel: str, number: int) -> list[dict[str, Post]]:
    """
    Return the posts of each conversation of a pair by ``dia_id``.

    The n-th sessions of both happen at the time of the first one's, a turn a minute, the second half a minute later.
    """
    posts: list[dict[str, Post]] = [{} for _ in pair]
    for sessions in zip_longest(*(_sessions(sample["conversation"]) for sample in pair)):
        begin = next(begin for begin, _ in filter(None, sessions))
        for at, session in enumerate(sessions):
            root: str | None = None
            for minute, turn in enumerate(session[1] if session else ()):
                by = Person(id=f"U09{number:02d}{at}{turn['speaker'].upper()}"[:20], name=turn["speaker"])
                at_us = int((begin + timedelta(minutes=minute, seconds=30 * at)).timestamp()) * 1_000_000
                post = Post(
                    channel=channel,
                    by=by,
                    at_us=at_us + 1000 * number + at,  # so that ids are unique over all channels
                    text=_text(turn),
                    thread=root,
                )
                root = root or post.ts
                posts[at][turn["dia_id"]] = post
    return posts


def _sessions(conversation: Mapping[str, Any]) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    numbers = sorted(int(found[1]) for key in conversation if (found := re.fullmatch(r"session_(\d+)", key)))
    for number in numbers:
        if turns := [turn for turn in conversation[f"session_{number}"] if turn.get("text")]:
            yield _time(conversation[f"session_{number}_date_time"]), turns


def _time(text: str) -> datetime:
    """Read ``1:56 pm on 8 May, 2023``."""
    return datetime.strptime(text.strip(), "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def _text(turn: Mapping[str, Any]) -> str:
    caption = f" (shows {turn['blip_caption']})" if turn.get("blip_caption") else ""
    return f"{turn['text']}{caption}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _questions(asked: Sequence[Mapping[str, Any]], turns: Mapping[str, Post]) -> Iterator[Question]:
    for each in asked:
        named = re.findall(r"D\d+:\d+", " ".join(each.get("evidence") or ()))
        evidence = tuple(dict.fromkeys(turns[name].ts for name in named if name in turns))
        if each["category"] in KINDS and evidence:
            yield Question(kind=KINDS[each["category"]], text=each["question"], workspace=TEAM, evidence=evidence)
