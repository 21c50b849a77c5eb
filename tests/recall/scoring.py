"""Finds in passages the messages that answer a question, and says on whose lines they stand."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.recall.layouts import Sent
from tests.recall.questions import Question, RecallSet
from tests.recall.store import Line, Passage

_LONGEST_BODY = 600
"""Characters of a message in an episode of the stand-in for a model."""


def first_words(passages: Sequence[Passage], words: int) -> list[Passage]:
    """Cut a list of passages after so many words; a line counts when it is complete."""
    left, kept = words, []
    for passage in passages:
        lines: list[Line] = []
        for line in passage.lines:
            left -= len(str(line).split())
            if left < 0:
                break
            lines.append(line)
        kept.append(replace(passage, lines=tuple(lines)))
        if left < 0:
            break
    return kept


class EvidenceFinder:
    """Knows what a store was given, and so which message a line is."""

    def __init__(self, recall_set: RecallSet, sent: Sequence[Sent]) -> None:
        self._speakers, self._threads = recall_set.speakers, recall_set.threads
        self._sent = {each.message_id: each for each in sent}
        self._ids: dict[tuple[str, str], list[str]] = defaultdict(list)
        for each in sent:
            self._ids[each.session, body_of(each.outgoing.text)].append(each.message_id)

    def sessions(self, question: Question) -> set[str]:
        """Return where the evidence was sent to."""
        return {self._sent[each].session for each in question.evidence if each in self._sent}

    def ids(self, passage: Passage) -> Iterator[str]:
        """Yield the messages in a passage."""
        for line in passage.lines:
            yield from self._ids.get((passage.session, line.body), ())

    def is_answered(self, question: Question, passages: Sequence[Passage]) -> bool:
        """Return whether the passages show all evidence, in its context where that matters, and its answer and day."""
        if question.one_passage:
            return any(self._is_unbroken(question, passage) for passage in passages)
        places = [self._lines_of(each, passages) for each in question.evidence]
        if not all(places):
            return False
        shown = [place for found in places for place in found]
        if question.day and all(passage.at.astimezone(question.zone).date() != question.day for passage, _ in shown):
            return False
        return any(question.answer in str(line) for _, line in shown)

    def speakers(self, question: Question, passages: Sequence[Passage]) -> tuple[int, int]:
        """Count evidence that is shown, and how much of it stands beside its author's name."""
        shown = [(each, found) for each in question.evidence if (found := self._lines_of(each, passages))]
        right = sum(any(_is(line.speaker, self._speakers[each]) for _, line in found) for each, found in shown)
        return len(shown), right

    def _lines_of(self, message_id: str, passages: Sequence[Passage]) -> list[tuple[Passage, Line]]:
        sent = self._sent.get(message_id)
        if sent is None:
            return []
        body = body_of(sent.outgoing.text)
        here = [passage for passage in passages if passage.session == sent.session]
        return [(passage, line) for passage in here for line in passage.lines if line.body == body]

    def _is_unbroken(self, question: Question, passage: Passage) -> bool:
        """Return whether only the thread's own messages stand between the first evidence and the last."""
        at = [
            [number for number, line in enumerate(passage.lines) if each in self._ids[passage.session, line.body]]
            for each in question.evidence
        ]
        if not all(at):
            return False
        thread = self._threads.get(question.evidence[0])
        between = passage.lines[at[0][0] : at[-1][-1] + 1]
        return question.answer in str(passage.lines[at[0][0]]) and all(
            any(self._threads.get(each) == thread for each in self._ids[passage.session, line.body]) for line in between
        )


def _is(speaker: str, name: str) -> bool:
    """Return whether a speaker bears a name; two people of one name are told apart behind it, in brackets."""
    return speaker == name or speaker.startswith(f"{name} (")


def body_of(text: str) -> str:
    """Return a message's text as it stands in an episode of the stand-in for a model."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_BODY else line[: _LONGEST_BODY - 1].rstrip() + "…"


def best_owner(questions: Sequence[Question], held: Mapping[str, set[str]]) -> tuple[str, set[str]]:
    """Return the owner whose memory holds the evidence of the most questions, and the texts of these questions."""
    reached = {
        owner: {question.text for question in questions if ids.issuperset(question.evidence)}
        for owner, ids in sorted(held.items())
    }
    best = max(reached, key=lambda owner: len(reached[owner]))
    return best, reached[best]
