"""Reads and writes the runs that wait for a run of an older interval, in the ledger's database."""

import msgspec
from sqlalchemy import delete, insert, select

from include.ledger import Database
from include.ledger.schema import WAITING_RUNS
from include.report.columns import moment


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One run that waits."""

    run_id: str
    interval_start: str
    """ISO 8601, UTC; sorts by time."""

    older_run_id: str
    """Run that it waits for."""

    older_state: str
    """``running`` or ``queued``."""

    since: str
    """ISO 8601, UTC: time at which it first saw that run in that state."""

    ended: bool = False
    """It ended, so that the older run can start, and is queued again when the older run is over."""

    def sentence(self) -> str:
        """Return a sentence for logs and pages."""
        since = moment(self.since)
        what = f"{self.older_run_id}, which is {self.older_state} and loads an older interval (seen since {since})"
        if self.ended:
            return (
                f"This run loaded nothing: it freed its place for {what}. "
                "It is queued again when that run is over, or when a later run starts or ends."
            )
        return f"Waiting for {what}. To go on without it, mark that run as failed."


def read_waiting(database: Database, run_id: str) -> Waiting | None:
    """Return the entry of a run, ``None`` if it does not wait."""
    return next((each for each in _all(database) if each.run_id == run_id), None)


def write_waiting(database: Database, waiting: Waiting) -> None:
    """Insert or replace the entry of a run."""
    with database.write() as connection:
        connection.execute(delete(WAITING_RUNS).where(WAITING_RUNS.c.run_id == waiting.run_id))
        connection.execute(insert(WAITING_RUNS).values(**msgspec.structs.asdict(waiting)))


def forget_waiting(database: Database, run_id: str) -> None:
    """Remove the entry of a run."""
    if read_waiting(database, run_id):
        with database.write() as connection:
            connection.execute(delete(WAITING_RUNS).where(WAITING_RUNS.c.run_id == run_id))


def all_ended(database: Database) -> list[Waiting]:
    """Return the runs that ended before they loaded, those of older intervals first."""
    return sorted((each for each in _all(database) if each.ended), key=lambda each: each.interval_start)


def _all(database: Database) -> list[Waiting]:
    with database.read() as connection:
        rows = connection.execute(select(WAITING_RUNS)).mappings().all()
    return [Waiting(**row | {"ended": bool(row["ended"])}) for row in map(dict, rows)]
