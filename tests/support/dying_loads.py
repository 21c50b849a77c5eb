"""A load in a process of its own that ends itself, without a word, beside one of its commits to the ledger."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psycopg2
import sqlalchemy.dialects.postgresql
import sqlalchemy.dialects.sqlite

from include.ledger import Ledger, ledger_url
from include.memory_api import v1
from tests.support.delivery_runs import World, a_run

DIED = 42
"""Exit status of a process that has ended itself."""

BATCH_SIZE = 2

IMPORTED = (v1, psycopg2, sqlalchemy.dialects)
"""Slow to import, and else imported only when they are needed: by each of many processes anew."""

When = Literal["before", "after"]


def load(home: Path, url: str, base_url: str, conversations: Mapping[str, int], when: When, commit: int) -> None:
    """
    Load conversations, and end before or after this commit, counted from 1.

    :param conversations: How many messages each has.
    """
    run, [chunk] = a_run(home, conversations, run_id="first", batch_size=BATCH_SIZE)
    world = DyingWorld(home, base_url, url)
    world.die(when, commit)
    world.load(run, chunk, run_id="first")


class DyingWorld(World):
    """As :class:`World`, with a ledger that may be anywhere."""

    def __init__(self, home: Path, base_url: str, url: str) -> None:
        super().__init__(home, base_url)
        self._ledger = Ledger.open(url or ledger_url(home), self.connect().target)

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def die(self, when: When, at: int) -> None:
        """End this process beside a commit."""
        dialect: Any = self._ledger.database.engine.dialect
        commit, commits = dialect.do_commit, 0

        def do_commit(connection: Any) -> None:
            nonlocal commits
            commits += 1
            if (when, at) == ("before", commits):
                os._exit(DIED)
            commit(connection)
            if (when, at) == ("after", commits):
                os._exit(DIED)

        dialect.do_commit = do_commit
