"""Rules of search, for every target: loaded messages answer questions."""

import asyncio
from collections.abc import Sequence

from include.memory_api.contract import Episode
from include.records import Conversation
from tests.support.memory_api_calls import PATIENCE_S, run


def best_match(target, conversations: Sequence[Conversation], query: str, owner: str) -> Episode:
    """Repeat the search until there is an answer: the search index lags behind reading."""

    async def ask() -> Episode:
        async with target.client() as api, asyncio.timeout(PATIENCE_S):
            while not (found := await api.search(query, [owner], conversations, limit=1)):  # noqa: ASYNC110
                await asyncio.sleep(1)
            return found[0]

    return run(ask())


def test_a_question_is_answered_from_the_conversation_that_has_the_answer(target, loaded) -> None:
    best = best_match(target, [loaded.odd, loaded.keys, loaded.other], "spare keys lab", "U01")
    assert best.segment_id == loaded.keys.conversation_id
    assert "Ngozi" in best.text


def test_text_is_stored_unchanged(target, loaded) -> None:
    assert "🦊" in best_match(target, [loaded.odd], "quotes second line", "U01").text


def test_a_personal_history_answers_its_owner(target, loaded) -> None:
    assert "harbour" in best_match(target, [loaded.personal], "harbour", str(loaded.personal.user_id)).text


def test_a_thread_is_found_in_its_conversation_and_read_whole_with_its_continuation(target, loaded) -> None:
    """On v1 the conversation has one segment, which holds all."""
    best = best_match(target, [loaded.threads], "lighthouse", "U01")
    assert best.segment_id in (loaded.root.segment_id, loaded.threads.conversation_id)

    async def read() -> list[Episode]:
        async with target.client() as api, asyncio.timeout(PATIENCE_S):
            while len(found := await api.episodes(loaded.root, best.owner)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(1)
            return found

    first, late = run(read())
    assert "lighthouse" in first.text
    assert "nine days later" in late.text
    assert (first.timestamp_ms or 0) < (late.timestamp_ms or 0)


def test_a_search_in_a_conversation_finds_nothing_of_another_whose_id_begins_alike(target, loaded) -> None:
    best_match(target, [loaded.threads], "lighthouse", "U01")

    async def ask() -> list[Episode]:
        async with target.client() as api:
            return await api.search("lighthouse", ["U01"], [loaded.shorter])

    assert run(ask()) == []


def test_a_search_is_limited_to_its_best_answers(target, loaded) -> None:
    best_match(target, [loaded.keys], "spare keys lab", "U01")

    async def ask() -> list[Episode]:
        async with target.client() as api:
            return await api.search("keys harbour quotes lighthouse", ["U01"], [loaded.odd, loaded.keys], limit=1)

    assert len(run(ask())) == 1
