"""What delivery may rely on, whichever target is behind a MemoryAPI."""

import asyncio
import socket
from collections.abc import Coroutine, Sequence

import pytest

from include.errors import ConfigurationError, NotSent, OutcomeUnknown
from include.memory_api import MemoryAPI
from include.memory_api.contract import MAX_MESSAGES_PER_ADD, Evidence, FlushStatus, TaskState
from include.records import Conversation, Outgoing

START_MS = 1_767_225_600_000
PATIENCE_S = 60.0


def run[T](work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def messages(count: int, *, first: int = 0, text: str = "The deploy key lives in the vault") -> list[Outgoing]:
    """One message a second, all by one person."""
    return [
        Outgoing(
            message_id=f"{START_MS // 1000 + n}.000100",
            timestamp_ms=START_MS + n * 1000,
            sender_id="U01",
            sender_name="Ada Okafor",
            role="user",
            text=f"{text} ({n})",
        )
        for n in range(first, first + count)
    ]


async def landed(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> None:
    """Add a batch and wait until it is stored."""
    receipt = await api.add(conversation, batch)
    async with asyncio.timeout(PATIENCE_S):
        while not receipt.landed:
            assert receipt.task_id
            state = await api.task_state(receipt.task_id)
            assert state in (TaskState.PROCESSING, TaskState.SUCCESS)
            if state == TaskState.SUCCESS:
                return
            await asyncio.sleep(0.02)


async def look(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> Evidence:
    times = {"first_ms": batch[0].timestamp_ms, "last_ms": batch[-1].timestamp_ms}
    return await api.find(conversation, [m.message_id for m in batch], batch_key="b0", **times)


async def count_within(api: MemoryAPI, conversation: Conversation, wanted: int) -> int:
    """Reading may lag behind a flush."""
    async with asyncio.timeout(PATIENCE_S):
        while (count := await api.episode_count(conversation)) < wanted:  # noqa: ASYNC110 - nobody notifies
            await asyncio.sleep(0.2)
    return count


def test_the_connection_can_be_checked_without_writing(target) -> None:
    async def check() -> str:
        async with target.client() as api:
            return await api.check()

    assert target.settings.base_url in run(check())


def test_a_client_says_which_target_it_talks_to_and_no_secret(target) -> None:
    async def named() -> str:
        async with target.client() as api:
            assert api.target.base_url == target.settings.base_url
            return repr(api.target)

    assert target.settings.api_key not in run(named())


def test_a_wrong_key_is_a_configuration_error_on_reads_and_writes(target) -> None:
    if not target.checks_key:
        pytest.skip("this target takes any key")

    async def with_wrong_key() -> None:
        async with target.client(api_key="wrong") as api:
            with pytest.raises(ConfigurationError, match="API key"):
                await api.check()
            with pytest.raises(ConfigurationError, match="API key"):
                await api.add(target.conversation(), messages(1))

    run(with_wrong_key())


def test_a_host_that_refuses_the_connection_never_had_the_call(target) -> None:
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
            await api.register(conversation, {"U01": "Ada Okafor"})
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


def test_a_batch_is_never_called_absent_once_it_became_memory(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            await landed(api, conversation, messages(20))
            await api.flush(conversation)
            await count_within(api, conversation, 1)
            assert await look(api, conversation, messages(20)) != Evidence.ABSENT

    run(story())


def test_the_largest_batch_is_taken_whole(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            batch = messages(MAX_MESSAGES_PER_ADD)
            await landed(api, conversation, batch)
            assert await look(api, conversation, batch) != Evidence.ABSENT

    run(story())


def test_a_task_that_nobody_knows_is_missing_and_no_error(target) -> None:
    async def ask() -> TaskState:
        async with target.client() as api:
            return await api.task_state("no such/task")

    assert run(ask()) == TaskState.MISSING


def test_a_flush_makes_episodes_that_answer_a_question(target) -> None:
    async def story() -> None:
        conversation = target.conversation()
        async with target.client() as api:
            await landed(api, conversation, messages(6, text="We keep the spare keys of the lab with Ngozi"))
            assert await api.flush(conversation) in (FlushStatus.EXTRACTED, FlushStatus.QUEUED)
            assert await count_within(api, conversation, 1) >= 1
            best = (await api.search([conversation, target.conversation()], "spare keys lab", limit=1))[0]
            assert best.conversation_id == conversation.conversation_id
            assert "Ngozi" in best.text

    run(story())


def test_a_flush_with_nothing_to_cut_is_no_error(target) -> None:
    async def flush() -> FlushStatus:
        async with target.client() as api:
            return await api.flush(target.conversation())

    assert run(flush()) in (FlushStatus.NO_EXTRACTION, FlushStatus.QUEUED)


def test_text_arrives_as_it_was_written(target) -> None:
    odd = 'Ünïcode 🦊 "quotes" \\ back\u2028slash,\ttab\nand a second line'

    async def story() -> str:
        conversation = target.conversation()
        async with target.client() as api:
            await landed(api, conversation, messages(1, text=odd))
            await api.flush(conversation)
            await count_within(api, conversation, 1)
            return (await api.search([conversation], "quotes second line", limit=1))[0].text

    assert "🦊" in run(story())


@pytest.mark.parametrize("session_id", [None, "s-1"])
def test_a_personal_history_goes_its_own_way(target, session_id: str | None) -> None:
    if not target.has_personal:
        pytest.skip("this target has one shape for all conversations")

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
            await api.register(conversation, {owner: "Ada"})
            assert await look(api, conversation, batch) == Evidence.ABSENT
            await landed(api, conversation, batch)
            assert await look(api, conversation, batch) == Evidence.PRESENT
            assert await api.flush(conversation) == FlushStatus.EXTRACTED
            assert await count_within(api, conversation, 1) == 1
            assert "harbour" in (await api.search([conversation], "harbour"))[0].text

    run(story())


def test_many_calls_at_once_are_all_answered(target) -> None:
    async def story() -> None:
        conversations = [target.conversation() for _ in range(20)]
        async with target.client(connections=8) as api, asyncio.TaskGroup() as calls:
            for conversation in conversations:
                calls.create_task(landed(api, conversation, messages(5)))

    run(story())
