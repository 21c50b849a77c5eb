"""Sets the times of the stories and writes them as exports of two workspaces: the recall set of the sample company."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import batched
from pathlib import Path
from zoneinfo import ZoneInfo

from include.run_folder import PROJECT
from tests.recall.questions import Question, RecallSet
from tests.recall.slack_export import Person, Post, write_export
from tests.recall.stories import PEOPLE, SMALL_TALK, WORKSPACES, Story, stories

SAMPLE = PROJECT / "include" / "samples" / "slack"
"""The export that ``quillback`` grows from; its private channel is left behind."""

FIRST_DAY = date(2026, 3, 2)
DAYS = 60
LATEST_REPLY = 12
"""Days after an occasion within which everything about its stories is said."""

STORIES_AT_ONCE = 5
FIRST_EXPORT = date(2026, 3, 27)
"""An earlier export of ``quillback`` ends here; it holds the texts before the edits, all made later."""

SLOT_HOURS = (time(9, 30), time(16, 15), time(13, 5))
"""Local times at which stories begin; in the second one UTC's day changes in the west."""


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """A line with its time."""

    post: Post
    place: str
    before_edit: str = ""


def write_company(folder: Path, *, only: int | None = None) -> RecallSet:
    """
    Write the exports below ``folder``; the same every time.

    :param only: Take every so-many-th story of each kind, for a small set.
    """
    chosen = stories()[:: only or 1]
    clock = _Clock()
    timed: list[_Timed] = []
    questions: list[Question] = []
    for place, slots in _slots(chosen).items():
        for number, (day, slot) in enumerate(zip(_slot_days(place, len(slots)), slots, strict=True)):
            for position, story in enumerate(slot):
                lines = list(_timed(story, day, number, position, clock))
                timed += lines
                questions.append(_question(story, lines))
            timed += _small_talk(place, day, number, clock)
    return _written(folder, timed, questions)


def _slots(chosen: Iterable[Story]) -> dict[str, list[list[Story]]]:
    """Share the stories of each channel out to occasions on which a few are told at once."""
    by_place: dict[str, list[Story]] = defaultdict(list)
    for story in chosen:
        by_place[story.place].append(story)
    shuffled = {place: random.Random(place).sample(each, len(each)) for place, each in sorted(by_place.items())}
    return {place: [list(slot) for slot in batched(each, STORIES_AT_ONCE)] for place, each in shuffled.items()}


def _slot_days(place: str, count: int) -> list[date]:
    """Spread so many occasions over the workdays of the two months, one in each part."""
    days = [FIRST_DAY + timedelta(days=number) for number in range(1, DAYS - LATEST_REPLY)]
    workdays = [day for day in days if day.weekday() < 5]
    rng = random.Random(f"days of {place}")
    return [
        rng.choice(workdays[number * len(workdays) // count :][: len(workdays) // count]) for number in range(count)
    ]


class _Clock:
    """Gives each message a microsecond of its own."""

    def __init__(self) -> None:
        self._random = random.Random("times")
        self._taken: set[int] = set()

    def us(self, local: datetime) -> int:
        at_us = int(local.timestamp()) * 1_000_000 + self._random.randrange(1_000_000)
        while at_us in self._taken:
            at_us += 1
        self._taken.add(at_us)
        return at_us


def _timed(story: Story, day: date, slot: int, position: int, clock: _Clock) -> Iterable[_Timed]:
    """Yield the lines of a story with their times: those of one occasion mix."""
    zone, rng = _zone(story.place), random.Random(story.ask)
    if story.hour == "evening":
        west = zone.key.startswith("America")
        begin = datetime.combine(day, time(18, 10) if west else time(0, 20), zone)
    elif story.hour == "night":
        begin = datetime.combine(day + timedelta(days=1), time(3, 40), zone)
    else:
        begin = datetime.combine(day, SLOT_HOURS[slot % len(SLOT_HOURS)], zone)
    at = begin + timedelta(minutes=4 * position)
    root: str | None = None
    for number, (who, text) in enumerate(story.lines):
        if story.late_days and number == story.late_line:
            at = datetime.combine((at + timedelta(days=story.late_days)).date(), time(11, 20 + position), zone)
        elif number:
            at += timedelta(minutes=rng.randrange(5, 12), seconds=rng.randrange(60))
        at_us = clock.us(at)
        post = _post(story.place, who, text, at_us, thread=root if story.threaded else None)
        if story.before_edit and number == 0:
            edited = datetime.combine(FIRST_EXPORT + timedelta(days=1 + position), time(8, 0), zone)
            post = replace(post, edited_us=max(clock.us(edited), at_us + 3_600_000_000))
        root = root or post.ts
        yield _Timed(post=post, place=story.place, before_edit=story.before_edit if number == 0 else "")
    at += timedelta(days=2)
    root = None
    for place, who, text in story.meanwhile:
        at += timedelta(minutes=7)
        post = _post(place, who, text, clock.us(at), thread=root)
        root = root or post.ts
        yield _Timed(post=post, place=place)


def _small_talk(place: str, day: date, slot: int, clock: _Clock) -> Iterable[_Timed]:
    zone, rng = _zone(place), random.Random(f"talk {place} {day}")
    members = _members(place.partition("/")[0])
    begin = datetime.combine(day, SLOT_HOURS[slot % len(SLOT_HOURS)], zone)
    for number in range(3):
        text = rng.choice(SMALL_TALK)
        at_us = clock.us(begin + timedelta(minutes=2 + 9 * number))
        yield _Timed(post=_post(place, rng.choice(members), text, at_us), place=place)


def _members(workspace: str) -> list[str]:
    ours = workspace == "quillback"
    return [key for key, (slack_id, _, bot) in PEOPLE.items() if slack_id.startswith("U06") == ours and not bot]


def _zone(place: str) -> ZoneInfo:
    return ZoneInfo(WORKSPACES[place.partition("/")[0]][1])


def _post(place: str, who: str, text: str, at_us: int, thread: str | None = None) -> Post:
    for key, (slack_id, _, _) in PEOPLE.items():
        text = text.replace(f"<@{key}>", f"<@{slack_id}>")
    return Post(
        channel=place.partition("/")[2], by=_person(who), at_us=at_us, text=text.replace("&", "&amp;"), thread=thread
    )


def _person(key: str) -> Person:
    slack_id, name, bot_id = PEOPLE[key]
    return Person(id=slack_id, name=name, bot_id=bot_id)


def _question(story: Story, lines: Sequence[_Timed]) -> Question:
    """Name the messages that answer a story's question."""
    evidence = [lines[number].post for number in story.evidence]
    if story.meanwhile:
        evidence.append(lines[len(story.lines)].post)
    zone = _zone(story.place)
    return Question(
        kind=story.kind,
        text=story.ask,
        workspace=WORKSPACES[story.place.partition("/")[0]][0],
        evidence=tuple(post.ts for post in evidence),
        answer=story.answer,
        one_passage=story.one_passage,
        stale=story.before_edit,
        day=datetime.fromtimestamp(evidence[0].at_us // 1_000_000, zone).date() if story.kind == "when" else None,
        zone=zone,
    )


def _written(folder: Path, timed: Sequence[_Timed], questions: Sequence[Question]) -> RecallSet:
    exports = folder / "exports"
    cut_us = int(datetime.combine(FIRST_EXPORT, time(), _zone("quillback/")).timestamp()) * 1_000_000
    ordered = sorted(timed, key=lambda each: each.post.at_us)
    ours = [each for each in ordered if each.place.startswith("quillback/")]
    theirs = [each.post for each in ordered if each.place.startswith("northlight/")]
    early = [each for each in ours if each.post.at_us < cut_us]
    first = [
        replace(each.post, edited_us=None, text=each.before_edit or each.post.text) if each.before_edit else each.post
        for each in early
    ]
    names = ("1-quillback-first", "2-quillback", "3-northlight")
    people = {name: [_person(key) for key in _everybody(name)] for name in WORKSPACES}
    for name, workspace, posts, base in (
        (names[0], "quillback", first, SAMPLE),
        (names[1], "quillback", [each.post for each in ours], SAMPLE),
        (names[2], "northlight", theirs, None),
    ):
        team, _, channels = WORKSPACES[workspace]
        write_export(exports / name, team, people[workspace], channels, posts, base=base)
    posts = [each.post for each in ordered]
    roots = {post.thread for post in posts if post.thread}
    return RecallSet(
        folder=exports,
        exports=tuple(exports / name for name in names),
        current=(exports / names[1], exports / names[2]),
        questions=tuple(questions),
        speakers={post.ts: post.by.name for post in posts},
        threads={post.ts: post.thread or post.ts for post in posts if post.thread or post.ts in roots},
    )


def _everybody(workspace: str) -> list[str]:
    prefix = {"quillback": "U06", "northlight": "U07"}[workspace]
    return [key for key, (slack_id, _, _) in PEOPLE.items() if slack_id.startswith(prefix)]
