"""A load is killed beside each of its commits in turn: the next one sends what is missing, and nothing else."""

import os
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from include.run_folder import PROJECT
from include.standin import Entry, Latency, StandIn, judge
from tests.support import dying_loads
from tests.support.databases import Postgres
from tests.support.delivery_runs import a_run, message_ids
from tests.support.dying_loads import DIED, DyingWorld, When

MESSAGES = {"a": 3 * dying_loads.BATCH_SIZE, "b": dying_loads.BATCH_SIZE}
"""Of two conversations that go side by side: the first one has a batch between its first and its last."""

TOO_MANY = 100
"""Commits that no such load makes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.running(tmp_path_factory.mktemp("standin"), latency=Latency(base_s=0.005)) as running:
        yield running


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Starts processes that have imported everything."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(PROJECT)
    context = get_context("forkserver")
    context.set_forkserver_preload([dying_loads.__name__])  # one that cannot be imported would be left out in silence
    try:
        yield context
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Deaths:
    """Loads that die, and those that come after them, all into one server."""

    def __init__(self, folder: Path, url: str, server: StandIn, processes: ForkServerContext) -> None:
        self._folder, self._url, self._server, self._processes = folder, url, server, processes

    def at(self, when: When, commit: int) -> bool:
        """Let a load die there, and load again; return whether the first load has made so many commits."""
        conversations = {f"slack_{when}_{commit}_{letter}": count for letter, count in MESSAGES.items()}
        home = self._folder / f"{when} {commit}"
        arguments = (home, self._url, self._server.base_url, conversations, when, commit)
        process = self._processes.Process(target=dying_loads.load, args=arguments)
        process.start()
        process.join()
        assert process.exitcode in (0, DIED)
        before = self._adds(conversations)

        world = DyingWorld(home, self._server.base_url, self._url)
        run, [chunk] = a_run(home, conversations, run_id="again", batch_size=dying_loads.BATCH_SIZE)
        world.load(run, chunk, run_id="again")

        adds = self._adds(conversations)
        for name, count in conversations.items():
            stored = [ids for entry in adds[: len(before)] if entry.conversation == name for ids in entry.stored_ids]
            sent = [ids for entry in adds[len(before) :] if entry.conversation == name for ids in entry.message_ids]
            missing = [message_id for message_id in message_ids(name, count) if message_id not in stored]
            assert sent == missing, (when, commit)
            with world.ledger.snapshot() as snapshot:
                assert snapshot.statuses()[name].landed == count
                assert snapshot.open(name) == []
        expected = {name: message_ids(name, count) for name, count in conversations.items()}
        judged = judge(adds, expected)
        assert not any(each.lost or each.doubled or each.out_of_order or each.overlapping for each in judged.values())
        return process.exitcode == DIED

    def _adds(self, names: Container[str]) -> list[Entry]:
        """Return calls to add messages in the order in which they came, those that did not end included."""
        return [entry for entry in self._server.journal() if entry.kind == "add" and entry.conversation in names]


def test_killed_before_or_after_any_commit_a_load_is_completed_by_the_next_one(
    server: StandIn, processes: ForkServerContext, tmp_path: Path
) -> None:
    die_everywhere(Deaths(tmp_path, "", server, processes))


@pytest.mark.outage
def test_on_postgresql_as_well(
    postgres: Postgres, server: StandIn, processes: ForkServerContext, tmp_path: Path
) -> None:
    die_everywhere(Deaths(tmp_path, postgres.new_database(), server, processes))


def die_everywhere(deaths: Deaths) -> None:
    def die(when: When) -> int:
        return next(commit for commit in range(1, TOO_MANY) if not deaths.at(when, commit)) - 1

    with ThreadPoolExecutor(2) as both:
        counts = list(both.map(die, ("before", "after")))
    assert all(count >= sum(MESSAGES.values()) // dying_loads.BATCH_SIZE for count in counts), counts
