"""
Runs that wait for a run of an older interval, and runs that ended because they could not wait: one small file each.

``<home>/ledger/waiting/<run id>.json``: below the ledger, the only folder that all workers and the API server share.
"""

from pathlib import Path
from urllib.parse import quote

import msgspec

FOLDER = "waiting"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One run that waits."""

    run_id: str
    interval_start: str
    """ISO 8601, UTC; sorts by time."""

    older_run_id: str
    """The run that it waits for."""

    older_state: str
    """``running`` or ``queued``."""

    since: str
    """ISO 8601, UTC: when it first saw that run in that state."""

    ended: bool = False
    """It ended to free its place, and is to be queued again when the older run is over."""

    def sentence(self) -> str:
        """Say what the run waits for."""
        what = f"{self.older_run_id}, which is {self.older_state} and loads an older interval (seen since {self.since})"
        if self.ended:
            return (
                f"This run loaded nothing: it freed its place for {what}. "
                "It is queued again when that run is over, or when a later run starts or ends."
            )
        return f"Waiting for {what}"


def read_waiting(ledgers: Path, run_id: str) -> Waiting | None:
    """
    Return what a run waits for, ``None`` when it does not wait.

    :param ledgers: :func:`include.layout.ledger_root`.
    """
    try:
        return msgspec.json.decode(_path(ledgers, run_id).read_bytes(), type=Waiting)
    except FileNotFoundError:
        return None


def write_waiting(ledgers: Path, waiting: Waiting) -> None:
    """Write the file, complete or not at all."""
    path = _path(ledgers, waiting.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(waiting))
    new.replace(path)


def forget_waiting(ledgers: Path, run_id: str) -> None:
    """Remove the file."""
    _path(ledgers, run_id).unlink(missing_ok=True)


def all_ended(ledgers: Path) -> list[Waiting]:
    """Return the runs that ended to free their places, those of older intervals first."""
    found = [msgspec.json.decode(path.read_bytes(), type=Waiting) for path in (ledgers / FOLDER).glob("*.json")]
    return sorted((each for each in found if each.ended), key=lambda each: each.interval_start)


def _path(ledgers: Path, run_id: str) -> Path:
    return ledgers / FOLDER / f"{quote(run_id, safe='-_.')}.json"
