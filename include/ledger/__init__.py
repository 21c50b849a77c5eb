"""The ledger: a database of the calls that were made to a target, and of their outcomes. It outlives runs."""

from include.ledger.calls import OPEN, Call, CallState, Flush, key_of
from include.ledger.database import Database, ledger_url
from include.ledger.snapshot import LoadStatus, Snapshot
from include.ledger.store import Ledger
from include.ledger.writer import CallWriter

__all__ = [
    "OPEN",
    "Call",
    "CallState",
    "CallWriter",
    "Database",
    "Flush",
    "Ledger",
    "LoadStatus",
    "Snapshot",
    "key_of",
    "ledger_url",
]
