"""Rules of reading ahead, and of work done once for all who wait."""

import asyncio
from collections.abc import Iterator

import pytest

from include.delivery.prefetch import AT_ONCE, Prefetcher
from include.ledger.coalesce import Coalesced


def test_items_come_in_order_whether_they_were_prepared_or_not() -> None:
    async def task() -> list[int]:
        ahead = Prefetcher(iter(range(3 * AT_ONCE)))
        found = []
        while (item := await ahead.next()) is not None:
            found.append(item)
            if item % 3 == 0:
                ahead.start()
        return found

    assert asyncio.run(task()) == list(range(3 * AT_ONCE))


def test_an_error_comes_to_whoever_wants_the_item_and_to_nobody_else() -> None:
    def broken() -> Iterator[int]:
        yield from range(AT_ONCE)
        raise LookupError

    async def task() -> None:
        ahead = Prefetcher(broken())
        for number in range(AT_ONCE):
            assert await ahead.next() == number
        ahead.start()
        await asyncio.sleep(0.01)
        with pytest.raises(LookupError):
            await ahead.next()
        abandoned = Prefetcher(broken())
        for _ in range(AT_ONCE):
            await abandoned.next()
        abandoned.start()
        await abandoned.aclose()

    asyncio.run(task())


def test_a_round_begins_after_the_question_and_serves_all_who_asked_until_then() -> None:
    async def task() -> int:
        begun = 0

        async def work(items: list[int]) -> list[int]:
            nonlocal begun
            begun += 1
            await asyncio.sleep(0)
            return items

        rounds = Coalesced(work)

        async def ask(number: int) -> None:
            before = begun
            assert number in await rounds(number)
            assert begun > before

        first = asyncio.create_task(ask(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.gather(first, *(ask(number) for number in range(1, 51)))
        return begun

    assert asyncio.run(task()) == 2


def test_an_error_of_a_round_goes_to_all_of_it_and_the_next_round_is_a_new_one() -> None:
    async def task() -> None:
        failures = [OSError("full")]

        async def work(_: list[int]) -> None:
            if failures:
                raise failures.pop()

        rounds = Coalesced(work)
        outcomes = await asyncio.gather(rounds(), rounds(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
        await rounds()

    asyncio.run(task())
