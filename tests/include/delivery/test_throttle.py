"""Rules of going slower and faster."""

import asyncio

import pytest

from include.delivery.throttle import Throttle
from include.errors import NotSent, Throttled


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def enter(throttle: Throttle, times: int) -> float:
    for _ in range(times):
        entered_s = await throttle.acquire()
    return entered_s


async def is_held_back(throttle: Throttle) -> bool:
    waiting = asyncio.create_task(throttle.acquire())
    for _ in range(3):
        await asyncio.sleep(0)
    held = not waiting.done()
    waiting.cancel()
    return held


def test_a_429_halves_what_is_in_flight_once_for_all_that_were_on_their_way_together() -> None:
    async def task() -> None:
        clock = Clock()
        throttle = Throttle(8, clock)
        entered_s = await enter(throttle, 8)
        clock.now_s = 1
        for _ in range(8):
            throttle.slow_down(entered_s, None)
        assert throttle.limit == 4
        clock.now_s = 2
        throttle.slow_down(2, None)
        assert throttle.limit == 2

    asyncio.run(task())


def test_it_never_stops_altogether_and_comes_back_one_by_one() -> None:
    async def task() -> None:
        throttle = Throttle(3, Clock())
        for _ in range(5):
            throttle.slow_down(0, None)
        assert throttle.limit == 1
        limits = []
        for _ in range(10):
            throttle.speed_up()
            limits.append(throttle.limit)
        assert limits == [2, 2, 3, 3, 3, 3, 3, 3, 3, 3]

    asyncio.run(task())


def test_nobody_gets_a_place_beyond_the_limit_until_one_is_given_back() -> None:
    async def task() -> None:
        throttle = Throttle(2, Clock())
        await enter(throttle, 2)
        assert await is_held_back(throttle)
        throttle.release()
        assert not await is_held_back(throttle)

    asyncio.run(task())


def test_retry_after_holds_everyone_back_and_a_stop_lets_everyone_learn_of_it() -> None:
    async def task() -> None:
        throttle = Throttle(2, Clock())
        throttle.slow_down(0, retry_after_s=3600)
        assert await is_held_back(throttle)
        throttle.release_all()
        assert not await is_held_back(throttle)

    asyncio.run(task())


async def fails(error: Exception) -> None:
    raise error


def test_a_question_that_meets_a_429_slows_all_down_and_waits_as_all_do() -> None:
    async def task() -> None:
        clock = Clock()
        throttle = Throttle(8, clock)
        with pytest.raises(Throttled):
            await throttle.question(lambda: fails(Throttled("429", retry_after_s=10)))
        assert throttle.limit == 4
        assert await is_held_back(throttle)
        asked: list[str] = []

        async def ask() -> None:
            asked.append("again")

        waiting = asyncio.create_task(throttle.question(ask))
        await asyncio.sleep(0)
        assert asked == []
        clock.now_s = 10
        throttle.release()  # wakes everybody up
        await waiting
        assert asked == ["again"]

    asyncio.run(task())


def test_questions_about_work_from_before_the_last_429_halve_nothing_again() -> None:
    async def task() -> None:
        clock = Clock()
        throttle = Throttle(8, clock)
        entered_s = await enter(throttle, 2)
        for now_s in (1, 2, 3):
            clock.now_s = now_s
            with pytest.raises(Throttled):
                await throttle.question(lambda: fails(Throttled("429")), entered_s)
        assert throttle.limit == 4

    asyncio.run(task())


def test_work_has_its_place_until_it_is_answered_whatever_the_answer() -> None:
    async def task() -> None:
        throttle = Throttle(1, Clock())

        async def succeeds() -> int:
            assert await is_held_back(throttle)
            return 7

        assert await throttle.work(succeeds) == 7
        for error in (NotSent("refused"), Throttled("429")):
            with pytest.raises(type(error)):
                await throttle.work(lambda error=error: fails(error))
        assert throttle.in_flight == 0

    asyncio.run(task())


def test_the_lowest_priority_goes_first_and_among_equals_whoever_came_first() -> None:
    async def task() -> None:
        throttle = Throttle(1, Clock())
        await throttle.acquire()
        went: list[str] = []

        async def go(name: str, priority: int) -> None:
            await throttle.acquire(priority)
            went.append(name)
            throttle.release()

        waiting = [asyncio.create_task(go(name, priority)) for name, priority in (("a", 9), ("b", 1), ("c", 9))]
        await asyncio.sleep(0)
        throttle.release()
        await asyncio.gather(*waiting)
        assert went == ["b", "a", "c"]

    asyncio.run(task())


def test_whoever_gives_up_waiting_holds_nobody_up() -> None:
    async def task() -> None:
        throttle = Throttle(1, Clock())
        await throttle.acquire()
        urgent = asyncio.create_task(throttle.acquire(9))
        await asyncio.sleep(0)
        urgent.cancel()
        throttle.release()
        assert not await is_held_back(throttle)

    asyncio.run(task())
