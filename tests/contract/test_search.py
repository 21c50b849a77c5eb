"""What was loaded answers questions, whichever target it went to."""

import asyncio
from collections.abc import Sequence

from include.memory_api.contract import Episode
from include.records import Conversation
from tests.support.memory_api_calls import PATIENCE_S, run


def asked(target, conversations: Sequence[Conversation], query: str, sender: str) -> Episode:
    """Ask until there is an answer: the search index lags behind what can be read already."""

    async def ask() -> Episode:
        async with target.client() as api, asyncio.timeout(PATIENCE_S):
            while not (found := await api.search(conversations, query, senders=[sender], limit=1)):  # noqa: ASYNC110
                await asyncio.sleep(1)
            return found[0]

    return run(ask())


def test_a_question_is_answered_from_the_conversation_it_was_spoken_of_in(target, told) -> None:
    best = asked(target, [told.odd, told.keys, told.other], "spare keys lab", "U01")
    assert best.conversation_id == told.keys.conversation_id
    assert "Ngozi" in best.text


def test_text_arrives_as_it_was_written(target, told) -> None:
    assert "🦊" in asked(target, [told.odd], "quotes second line", "U01").text


def test_a_personal_history_answers_its_owner(target, told) -> None:
    assert "harbour" in asked(target, [told.personal], "harbour", str(told.personal.user_id)).text
