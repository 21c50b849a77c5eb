"""Rules that delivery relies on, for every target of a MemoryAPI."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from include.errors import ConfigurationError, NotSent, OutcomeUnknown
from include.memory_api import MemoryAPI
from include.memory_api.contract import MAX_MESSAGES_PER_ADD, Evidence, FlushStatus, TaskState
from include.records import Outgoing
from tests.support.memory_api_calls import START_MS, landed, look, messages, read_back, remembered, run


def test_the_connection_can_be_checked_without_writing(target) -> None:
    async def check() -> str:
        async with target.client() as api:
            return await api.check()

    assert target.settings.base_url in run(check())


def test_a_client_shows_its_target_and_no_secret(target) -> None:
    async def named(key: str) -> str:
        async with target.client(api_key=key) as api:
            assert api.target.base_url == target.settings.base_url
            return repr(api.target)

    key = "sk-do-not-show-me"
    assert key not in run(named(key))


def test_a_wrong_key_is_a_configuration_error_of_reads_and_writes(target) -> None:
    async def refused(call: Callable[[MemoryAPI], Awaitable[object]]) -> bool:
        async with target.client(api_key="wrong") as api:
            try:
                await call(api)
            except ConfigurationError as error:
                return "API key" in str(error)
            return False

    assert run(refused(lambda api: api.check())) == target.checks_key
    assert run(refused(lambda api: api.add(target.conversation(), messages(1)))) == target.checks_key


def test_a_call_to_a_host_that_refuses_the_connection_was_not_sent(target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def add() -> None:
        async with target.client(base_url=f"http://127.0.0.1:{port}") as api:
            with pytest.raises(NotSent, match="nothing was sent"):
                await api.add(target.conversation(), messages(1))

    run(add())


def test_a_host_that_does_not_answer_leaves_the_outcome_unknown(target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        async def add() -> None:
            async with target.client(base_url=f"http://127.0.0.1:{port}", read_timeout_s=0.2) as api:
                with pytest.raises(OutcomeUnknown, match="may or may not"):
                    await api.add(target.conversation(), messages(1))

        run(add())


def test_a_batch_lands_and_is_found_by_its_ids(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            for name in api.names_in(conversation, messages(20)):
                await api.set_name(name)
            await landed(api, conversation, messages(20))
            assert await look(api, conversation, messages(20)) == Evidence.PRESENT

    run(story())


def test_a_batch_that_was_never_sent_is_not_found(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            assert await look(api, conversation, messages(20)) == Evidence.ABSENT
            await landed(api, conversation, messages(20))
            assert await look(api, conversation, messages(20, first=20)) == Evidence.ABSENT

    run(story())


def test_a_batch_is_found_after_extraction(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            await landed(api, conversation, messages(20))
            await api.flush(conversation)
            await remembered(api, conversation, messages(20))
            assert await look(api, conversation, messages(20)) == Evidence.PRESENT
            assert await look(api, conversation, messages(20, first=20)) == Evidence.ABSENT

    run(story())


def test_the_largest_batch_is_stored_completely(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            batch = messages(MAX_MESSAGES_PER_ADD)
            await landed(api, conversation, batch)
            assert await look(api, conversation, batch) != Evidence.ABSENT

    run(story())


def test_an_unknown_task_is_missing_and_not_an_error(target) -> None:
    async def ask() -> TaskState:
        async with target.client() as api:
            return await api.task_state("no such/task")

    assert run(ask()) == TaskState.MISSING


def test_a_flush_makes_episodes_of_all_pending_messages(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            batch = messages(6)
            await landed(api, conversation, batch)
            before = await read_back(api, conversation, batch)
            assert (before.unprocessed, before.episodes) == (6, 0)
            assert await api.flush(conversation) == FlushStatus.EXTRACTED
            after = await remembered(api, conversation, batch)
            assert (after.unprocessed, after.last_ms) == (0, batch[-1].timestamp_ms)

    run(story())


def test_a_flush_without_pending_messages_is_not_an_error(target) -> None:
    async def flush() -> FlushStatus:
        async with target.client() as api:
            return await api.flush(target.conversation())

    assert run(flush()) in (FlushStatus.NO_EXTRACTION, FlushStatus.QUEUED)


@pytest.mark.parametrize("session_id", [None, "s-1"])
def test_a_personal_history_is_separate_from_others_of_the_same_user(target, session_id: str | None) -> None:
    async def story() -> None:
        conversation = target.conversation("personal", session_id)
        owner = str(conversation.user_id)
        batch = [
            Outgoing(
                message_id=f"p{n}",
                timestamp_ms=START_MS + n,
                sender_id=owner if n % 2 == 0 else "helper",
                sender_name="Ada" if n % 2 == 0 else "Helper",
                role="user" if n % 2 == 0 else "assistant",
                text=f"about the harbour {n}",
            )
            for n in range(6)
        ]
        async with target.client() as api:
            for name in api.names_in(conversation, batch):
                await api.set_name(name)
            assert await look(api, conversation, batch) == Evidence.ABSENT
            await landed(api, conversation, batch)
            assert await look(api, conversation, batch) == Evidence.PRESENT
            assert await api.flush(conversation) == FlushStatus.EXTRACTED
            found = await remembered(api, conversation, batch)
            assert (found.unprocessed, found.episodes, found.last_ms) == (0, 1, batch[-1].timestamp_ms)

    run(story())


def test_many_parallel_calls_are_all_answered(target) -> None:
    async def story() -> None:
        conversations = [target.conversation() for _ in range(12)]
        async with target.client(connections=4) as api, asyncio.TaskGroup() as calls:
            for conversation in conversations:
                calls.create_task(landed(api, conversation, messages(5)))

    run(story())


def test_messages_of_one_conversation_are_no_evidence_for_another(target) -> None:
    async def story() -> None:
        mine, other = target.conversation(), target.conversation()
        async with target.client() as api:
            await landed(api, other, messages(3))
            assert await look(api, mine, messages(3)) == Evidence.ABSENT
            assert (await read_back(api, mine, messages(3))).unprocessed == 0

    run(story())
