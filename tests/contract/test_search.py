"""Rules of search, for every target: loaded messages answer questions."""

import asyncio
from collections.abc import Sequence

from include.memory_api.contract import Episode
from include.records import Conversation
from tests.support.memory_api_calls import PATIENCE_S, run


def best_match(target, conversations: Sequence[Conversation], query: str, sender: str) -> Episode:
    """Repeat the search until there is an answer: the search index lags behind reading."""

    async def ask() -> Episode:
        async with target.client() as api, asyncio.timeout(PATIENCE_S):
            while not (found := await api.search(conversations, query, senders=[sender], limit=1)):  # noqa: ASYNC110
                await asyncio.sleep(1)
            return found[0]

    return run(ask())


def test_a_question_is_answered_from_the_conversation_that_has_the_answer(target, loaded) -> None:
    best = best_match(target, [loaded.odd, loaded.keys, loaded.other], "spare keys lab", "U01")
    assert best.conversation_id == loaded.keys.conversation_id
    assert "Ngozi" in best.text


def test_text_is_stored_unchanged(target, loaded) -> None:
    assert "🦊" in best_match(target, [loaded.odd], "quotes second line", "U01").text


def test_a_personal_history_answers_its_owner(target, loaded) -> None:
    assert "harbour" in best_match(target, [loaded.personal], "harbour", str(loaded.personal.user_id)).text
