"""The recall set and its measure; with a real EverOS, what segments with one owner are worth on a part of the set."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.local.everos import SelfHosted
from include.records import Message, Outgoing
from include.standin_model.prompts import PromptMessage
from tests.recall.company import write_company
from tests.recall.layouts import OPTIONS, Sent
from tests.recall.locomo import write_locomo
from tests.recall.measuring import ARMS, Figures, measure
from tests.recall.model import CountingModel, smaller_cells
from tests.recall.questions import Question, RecallSet
from tests.recall.scoring import EvidenceFinder, best_owner, first_words
from tests.recall.store import Line, Passage
from tests.support.read_exports import read

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> RecallSet:
    return write_company(tmp_path_factory.mktemp("company"))


def imported(recall_set: RecallSet) -> dict[str, str]:
    """The texts that the parsers take from the newest exports, by message id."""
    each = [read(export, id_template=OPTIONS.id_template) for export in recall_set.current]
    return {message.message_id: message.text for reading in each for message in reading.messages}


def test_the_company_has_80_questions_of_nine_kinds_about_some_400_messages(company: RecallSet) -> None:
    assert Counter(question.kind for question in company.questions) == {
        "fact": 10,
        "who": 9,
        "when": 9,
        "context": 9,
        "mention": 9,
        "late": 9,
        "edited": 9,
        "bot": 8,
        "across": 8,
    }
    assert 390 <= len(imported(company)) <= 430


def test_every_question_of_the_company_is_answered_by_messages_that_are_imported(company: RecallSet) -> None:
    texts, speakers = imported(company), company.speakers
    for question in company.questions:
        shown = [f"{speakers[each]}: {texts[each]}" for each in question.evidence]
        assert any(question.answer in line for line in shown), question


def test_the_company_is_written_the_same_every_time(company: RecallSet, tmp_path: Path) -> None:
    again = write_company(tmp_path)
    files = sorted(path.relative_to(company.folder) for path in company.folder.rglob("*.json"))
    assert files == sorted(path.relative_to(again.folder) for path in again.folder.rglob("*.json"))
    assert all((company.folder / file).read_bytes() == (again.folder / file).read_bytes() for file in files)
    assert [question.evidence for question in company.questions] == [each.evidence for each in again.questions]


def test_texts_before_an_edit_stand_in_the_first_export_alone(company: RecallSet) -> None:
    stale = {question.stale for question in company.questions if question.stale}
    assert stale & {message.text for message in read(company.exports[0]).messages}
    assert not stale & set(imported(company).values())


def test_stories_interleave_in_their_channels(company: RecallSet) -> None:
    """Most threads have a message of something else among their own."""
    for export in company.current:
        for conversation, count in broken_threads(read(export).messages).items():
            assert count["broken"] > count["whole"], conversation


def broken_threads(messages: Sequence[Message]) -> Mapping[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for conversation in {message.conversation_id for message in messages}:
        ours = sorted((m for m in messages if m.conversation_id == conversation), key=lambda m: m.sent_at_us)
        threads = [message.thread_id for message in ours]
        spans = [(threads.index(each), len(threads) - threads[::-1].index(each)) for each in {*threads} - {None}]
        found[conversation] = Counter("broken" if len({*threads[a:b]}) > 1 else "whole" for a, b in spans)
    return found


# -- LoCoMo


def test_locomo_conversations_share_a_channel_and_each_session_is_a_thread(tmp_path: Path) -> None:
    def turns(session: int, *texts: str) -> list[dict[str, str]]:
        names = ("Ada", "Ben")
        return [
            {"speaker": names[n % 2], "dia_id": f"D{session}:{n + 1}", "text": text} for n, text in enumerate(texts)
        ]

    def sample(name: str, qa: list[dict[str, object]]) -> dict[str, object]:
        conversation = {
            "speaker_a": "Ada",
            "speaker_b": "Ben",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": turns(1, f"{name} one", f"{name} two"),
            "session_2_date_time": "9:05 am on 10 May, 2023",
            "session_2": turns(2, f"{name} three <3"),
        }
        return {"sample_id": name, "conversation": conversation, "qa": qa}

    qa = [
        {"question": "first?", "answer": 1, "evidence": ["D1:2; D2:1"], "category": 1},
        {"question": "unanswerable?", "adversarial_answer": "x", "evidence": ["D1:1"], "category": 5},
        {"question": "nowhere?", "answer": "x", "evidence": ["D9:1"], "category": 4},
    ]
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([sample("left", qa), sample("right", [])]), encoding="utf-8")
    laid_out = write_locomo(tmp_path / "set", file)
    [export] = laid_out.exports
    messages = sorted(read(export).messages, key=lambda message: message.sent_at_us)
    assert [message.text for message in messages] == [
        "left one",
        "right one",
        "left two",
        "right two",
        "left three <3",
        "right three <3",
    ]
    assert {message.conversation_id for message in messages} == {"slack_pair-0"}
    assert [message.thread_id for message in messages[2:4]] == [messages[0].message_id, messages[1].message_id]
    assert len({message.sender_id for message in messages}) == 4
    [question] = laid_out.questions
    assert question.evidence == (messages[2].message_id, messages[4].message_id)


# -- the measure


def sent(message_id: str, session: str, text: str) -> Sent:
    outgoing = Outgoing(
        message_id=message_id, timestamp_ms=1, sender_id="U1", sender_name="Ann", role="user", text=text
    )
    return Sent(message_id=message_id, session=session, outgoing=outgoing)


def passage(*lines: str, session: str = "s", at: datetime = NOON) -> Passage:
    split = [line.partition(": ") for line in lines]
    return Passage(session=session, at=at, lines=tuple(Line(speaker=who, body=body) for who, _, body in split))


def finder(**threads: str) -> EvidenceFinder:
    given = [sent("root", "s", "May I?"), sent("reply", "s", "Go."), sent("other", "s", "Lunch?")]
    recall_set = RecallSet(
        folder=Path(),
        exports=(),
        current=(),
        questions=(),
        speakers={"root": "Ann", "reply": "Bea", "other": "Cho"},
        threads=threads,
    )
    return EvidenceFinder(recall_set, given)


def question(*evidence: str, **more: object) -> Question:
    return Question(kind="fact", text="?", workspace="T", evidence=evidence, **more)  # type: ignore[arg-type]


def test_a_reply_counts_only_where_no_other_thread_stands_between_it_and_its_root() -> None:
    asked, found_by = question("root", "reply", answer="May I", one_passage=True), finder(root="root", reply="root")
    assert found_by.is_answered(asked, [passage("Ann: May I?", "Bea: Go.", "Cho: Lunch?")])
    assert not found_by.is_answered(asked, [passage("Ann: May I?", "Cho: Lunch?", "Bea: Go.")])
    assert not found_by.is_answered(asked, [passage("Ann: May I?"), passage("Bea: Go.")])
    assert found_by.is_answered(question("root", "reply"), [passage("Ann: May I?"), passage("Bea: Go.")])


def test_the_same_words_in_another_session_are_no_evidence() -> None:
    assert not finder().is_answered(question("reply"), [passage("Bea: Go.", session="elsewhere")])


def test_the_answer_and_the_local_day_must_be_right() -> None:
    found_by, night = finder(), datetime(2026, 3, 4, 2, tzinfo=UTC)
    assert not found_by.is_answered(question("reply", answer="Stop"), [passage("Bea: Go.")])
    asked = question("reply", day=NOON.date())
    assert found_by.is_answered(asked, [passage("Bea: Go.")])
    assert not found_by.is_answered(asked, [passage("Bea: Go.", at=night)])


def test_a_line_beside_another_name_is_counted_as_a_wrong_speaker() -> None:
    asked = question("root", "reply")
    assert finder().speakers(asked, [passage("Ann: May I?", "Ann: Go.")]) == (2, 1)
    assert finder().speakers(asked, [passage("Ann (ann.k): May I?", "Bea: Go.")]) == (2, 2)


def test_words_are_counted_over_all_passages_and_a_line_is_taken_whole() -> None:
    found = [passage("Ann: one two", "Bea: three four"), passage("Cho: five six")]
    assert [len(cut.lines) for cut in first_words(found, 6)] == [2, 0]
    assert [len(cut.lines) for cut in first_words(found, 5)] == [1]
    assert first_words(found, 9) == found


def test_the_best_owner_holds_all_evidence_of_the_most_questions() -> None:
    asked = [question("root", "reply"), question("other")]
    assert best_owner(asked[:1], {"ann": {"root"}, "bea": {"root", "reply"}})[0] == "bea"
    assert best_owner(asked, {"ann": {"root", "other"}, "bea": {"root"}}) == ("ann", {"?"})


def test_cells_are_cut_where_the_stand_in_cuts_and_after_so_many_messages() -> None:
    hours = [0, 0, 0, 0, 0, 9, 9]
    said = [
        PromptMessage(number=n, at=NOON + timedelta(hours=hour), speaker="Ann", text="x")
        for n, hour in enumerate(hours, start=1)
    ]
    assert smaller_cells(said, 2)["boundaries"] == [2, 4, 5]
    assert smaller_cells(said, 9)["boundaries"] == [5]


# -- with a real server


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figures]:
    """A third of the stories, in two layouts."""
    folder, model = tmp_path_factory.mktemp("recall"), CountingModel()
    part = write_company(folder / "set", only=3)
    arms = [arm for arm in ARMS if arm.layout in ("pipeline", "workspace")]
    with model.running() as url, SelfHosted.running(folder / "server", model_base_url=url) as server:
        return {each.arm: each for each in measure(part, arms, server, model, folder / "homes")}


@pytest.mark.e2e
def test_segments_with_one_owner_answer_more_with_one_question_than_people_do(figures: dict[str, Figures]) -> None:
    today, segments = figures["conversations, person"], figures["segments, workspace"]
    assert (segments.reach, segments.right_speaker, segments.stale) == (1.0, 1.0, 0)
    assert segments.one_owner >= today.one_owner + 0.15
    assert segments.at_words[1000] >= today.at_words[1000]
    assert (segments.copies, segments.forgotten) == (1.0, 0.0)
    assert segments.estimate_error is not None
    assert abs(segments.estimate_error) <= 0.1


@pytest.mark.e2e
def test_reading_sessions_whole_brings_late_replies_back_to_their_questions(figures: dict[str, Figures]) -> None:
    assert figures["segments, workspace"].by_kind["late"] == 0
    assert figures["… and sessions read whole"].by_kind["late"] == 1
