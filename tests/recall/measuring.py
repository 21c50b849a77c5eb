"""Loads and asks the arms one after the other, and works out their figures."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import batched
from pathlib import Path

import httpx

from include.local.everos import SelfHosted
from include.memory_api import Settings
from include.memory_layout import MEMORIES, PLAIN, MemoryLayout, MemoryOf
from tests.recall.layouts import Loaded, load_by_converter, load_by_pipeline, load_deferred
from tests.recall.model import CountingModel
from tests.recall.questions import Question, RecallSet
from tests.recall.scoring import EvidenceFinder, best_owner, body_of, first_words
from tests.recall.store import Line, Passage, Store, merged

WORDS = (1_000, 2_000)
_ASKED_AT_ONCE = 4
_STILL_S = 2
_GIVE_UP_S = 60
"""Seconds without a question after which nothing more is expected, although some is missing."""

_SEGMENTS: dict[MemoryOf, MemoryLayout] = {
    memory_of: MemoryLayout(segments="thread-day", memory_of=memory_of) for memory_of in MEMORIES
}
LAYOUTS: Mapping[str, Callable[[RecallSet, Settings, Path], Loaded]] = {
    "converter": load_by_converter,
    "pipeline": partial(load_by_pipeline, layout=PLAIN),
    "pipeline-workspace": partial(
        load_by_pipeline, layout=MemoryLayout(segments="conversation", memory_of="workspace")
    ),
    **{memory_of: partial(load_by_pipeline, layout=layout) for memory_of, layout in _SEGMENTS.items()},
    "workspace-deferred": partial(load_deferred, layout=_SEGMENTS["workspace"]),
}
"""Ways to load a set; each gets a project of its own."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A row of the table: a layout, and how its store is asked."""

    name: str
    layout: str
    """Of :data:`LAYOUTS`; arms that share one share its store."""

    in_evidence: bool = False
    """Ask in the evidence's sessions only: what ranking costs when the place is known."""

    whole_sessions: bool = False
    """Read all episodes of the session of each passage that is found, in their order."""


ARMS = (
    Arm(name="guide's converter", layout="converter"),
    Arm(name="conversations, person", layout="pipeline"),
    Arm(name="conversations, workspace", layout="pipeline-workspace"),
    Arm(name="segments, person", layout="person"),
    Arm(name="segments, conversation", layout="conversation"),
    Arm(name="segments, workspace", layout="workspace"),
    Arm(name="… and sessions read whole", layout="workspace", whole_sessions=True),
    Arm(name="… and extraction deferred", layout="workspace-deferred"),
    Arm(name="oracle: evidence's session", layout="workspace", in_evidence=True),
)


@dataclass(kw_only=True)
class Figures:
    """What an arm is worth; shares are 0 to 1 and of all questions, unless they say otherwise."""

    arm: str
    at_5: float
    at_words: Mapping[int, float]
    """Evidence in the first so many words, with every owner asked."""

    one_owner: float
    """Likewise in the first :data:`WORDS`, with the best owner of the workspace asked alone."""

    reach: float
    """Evidence is in the memory of the workspace's best owner."""

    right_speaker: float
    """Of the evidence shown at the larger number of words."""

    stale: int
    """Texts before an edit that the store holds."""

    copies: float
    """Lines in all memories per message sent."""

    forgotten: float
    """Of the messages sent, those in nobody's memory."""

    owners: int
    calls: float
    """Of the language model, per 1,000 messages sent."""

    estimate_error: float | None
    """Of the calls: 0.1 when the estimate is 10 % too high."""

    seconds: float
    """From the first message until everything is remembered."""

    by_kind: Mapping[str, float] = field(default_factory=dict)
    """Like the smaller of :attr:`at_words`, of each kind of question."""

    call_kinds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Filled:
    store: Store
    loaded: Loaded
    calls: Counter[str]
    seconds: float


def measure(
    recall_set: RecallSet, arms: Sequence[Arm], server: SelfHosted, model: CountingModel, folder: Path
) -> Iterator[Figures]:
    """
    Yield the figures of each arm.

    :param folder: Gets a home for each layout.
    """
    filled: dict[str, _Filled] = {}
    for arm in arms:
        if arm.layout not in filled:
            filled[arm.layout] = _fill(arm.layout, recall_set, Store(server, arm.layout), model, folder / arm.layout)
        yield asyncio.run(_figures(arm, recall_set, filled[arm.layout]))


def _fill(layout: str, recall_set: RecallSet, store: Store, model: CountingModel, home: Path) -> _Filled:
    before, began_s = model.calls.copy(), time.monotonic()
    settings = Settings(api_version="v2", base_url=store.server.base_url, project_id=store.project)
    loaded = LAYOUTS[layout](recall_set, settings, home)
    ended_s = _wait_until_done(model, before, store)
    return _Filled(store=store, loaded=loaded, calls=model.calls - before, seconds=ended_s - began_s)


def _wait_until_done(model: CountingModel, before: Counter[str], store: Store) -> float:
    """
    Wait for what the server asks in the background, facts and a profile for each episode of each owner.

    :returns: When the last question was seen.
    """
    seen, since_s = model.calls.total(), time.monotonic()
    while True:
        asked = model.calls - before
        episodes = sum(map(len, store.episodes().values()))
        done = min(asked["FACTS"], asked["PROFILE"] + asked["PROFILE_UPDATE"]) >= episodes
        if time.monotonic() - since_s > (_STILL_S if done else _GIVE_UP_S):
            return since_s
        time.sleep(0.5)
        if model.calls.total() != seen:
            seen, since_s = model.calls.total(), time.monotonic()


async def _figures(arm: Arm, recall_set: RecallSet, filled: _Filled) -> Figures:
    store, sent = filled.store, filled.loaded.sent
    finder, questions = EvidenceFinder(recall_set, sent), recall_set.questions
    episodes = store.episodes()
    held = {
        owner: {each for passage in passages for each in finder.ids(passage)} for owner, passages in episodes.items()
    }
    best, reached = {}, 0
    for workspace in {question.workspace for question in questions}:
        best[workspace], answered = best_owner([each for each in questions if each.workspace == workspace], held)
        reached += len(answered)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        await store.indexed(http, episodes)
        answers = await _ask(arm, questions, store, http, finder, sorted(episodes))
    everybody = [merged(by_owner.values()) for by_owner in answers]
    alone = [by_owner[best[question.workspace]] for question, by_owner in zip(questions, answers, strict=True)]
    if arm.whole_sessions:
        whole = _sessions(episodes)
        everybody, alone = ([_whole(found, whole) for found in each] for each in (everybody, alone))
    share = _Share(finder, questions)
    most = [first_words(found, WORDS[-1]) for found in everybody]
    shown, right = map(sum, zip(*map(finder.speakers, questions, most), strict=True))
    bodies = {line.body for passages in episodes.values() for passage in passages for line in passage.lines}
    calls, estimated = filled.calls.total(), filled.loaded.estimated_calls
    by_kind = defaultdict(list)
    for question, found in zip(questions, everybody, strict=True):
        by_kind[question.kind].append(finder.is_answered(question, first_words(found, WORDS[0])))
    return Figures(
        arm=arm.name,
        at_5=share([found[:5] for found in everybody]),
        at_words={words: share([first_words(found, words) for found in everybody]) for words in WORDS},
        one_owner=share([first_words(found, WORDS[0]) for found in alone]),
        reach=reached / len(questions),
        right_speaker=right / shown if shown else 0.0,
        stale=sum(body_of(question.stale) in bodies for question in questions if question.stale),
        copies=sum(len(passage.lines) for passages in episodes.values() for passage in passages) / len(sent),
        forgotten=1 - len(set().union(*held.values())) / len(sent),
        owners=len(held),
        calls=1000 * calls / len(sent),
        estimate_error=None if estimated is None else estimated / calls - 1,
        seconds=filled.seconds,
        by_kind={kind: sum(answered) / len(answered) for kind, answered in by_kind.items()},
        call_kinds=dict(filled.calls),
    )


@dataclass(frozen=True)
class _Share:
    finder: EvidenceFinder
    questions: Sequence[Question]

    def __call__(self, passages: Sequence[Sequence[Passage]]) -> float:
        """Return the share of questions that these passages answer."""
        return sum(map(self.finder.is_answered, self.questions, passages)) / len(self.questions)


async def _ask(
    arm: Arm,
    questions: Sequence[Question],
    store: Store,
    http: httpx.AsyncClient,
    finder: EvidenceFinder,
    owners: Sequence[str],
) -> list[dict[str, list[Passage]]]:
    """Ask each question of each owner; returns the answers by owner, question by question."""
    at_once = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(question: Question, owner: str) -> list[Passage]:
        sessions = finder.sessions(question) if arm.in_evidence else None
        if sessions is not None and not sessions:
            return []
        async with at_once:
            return await store.ask(http, question.text, owner, sessions)

    answers = await asyncio.gather(*(ask(question, owner) for question in questions for owner in owners))
    return [dict(zip(owners, each, strict=True)) for each in batched(answers, len(owners))]


def _sessions(episodes: Mapping[str, Sequence[Passage]]) -> dict[str, list[Passage]]:
    """Return the episodes of each session in order, each once."""
    parts: dict[str, dict[tuple[datetime, tuple[Line, ...]], Passage]] = defaultdict(dict)
    for part in (part for held in episodes.values() for part in held):
        parts[part.session][part.at, part.lines] = part
    return {session: sorted(each.values(), key=lambda part: part.at) for session, each in parts.items()}


def _whole(found: Sequence[Passage], sessions: Mapping[str, Sequence[Passage]]) -> list[Passage]:
    """Put all episodes of a session in the place of its first passage."""
    return [part for session in dict.fromkeys(passage.session for passage in found) for part in sessions[session]]
