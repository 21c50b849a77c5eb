"""The counts of an import for OpenLineage, and for Airflow's metrics."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.observability.stats import incr
from sqlalchemy import func, select

from include.ledger import Database
from include.ledger.calls import OPEN
from include.ledger.schema import CALLS
from include.report.columns import PARTS, count_of

NAMES = {"extracted": "read", "loaded": "sent", "already_loaded": "sentBefore", "out_of_range": "outOfRange"}
"""Names in lineage, where they differ from those of ``report.json``."""


def counts_of_report(document: Mapping[str, Any]) -> dict[str, int]:
    """Return ``read``, and ``sent``, ``skipped``, ``rejected`` and the other parts that add up to it."""
    keys = ["extracted", *(part.key for part in PARTS)]
    return {NAMES.get(key, key): count_of(document[key]) for key in keys}


def calls_by_outcome(database: Database, run_id: str) -> dict[str, int]:
    """Return the number of calls by outcome: ``landed``, ``not_stored``, ``rejected``, ``unknown`` (none so far)."""
    query = select(CALLS.c.state, func.count()).where(CALLS.c.run_id == run_id).group_by(CALLS.c.state)
    found: dict[str, int] = {}
    with database.read() as connection:
        for state, calls in connection.execute(query):
            outcome = "unknown" if state in OPEN else state.replace(" ", "_")
            found[outcome] = found.get(outcome, 0) + calls
    return found


def emit(document: Mapping[str, Any], calls: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """
    Add to Airflow's metrics ``everos.messages.<part>`` and ``everos.calls.<outcome>``, and return these numbers.

    :param before: What an earlier try of this report has returned: it is not added again.
    """
    numbers = {f"everos.messages.{part.key}": count_of(document[part.key]) for part in PARTS if part.key != "loaded"}
    numbers |= {"everos.messages.landed": document["loaded"]}
    numbers |= {f"everos.calls.{outcome}": count for outcome, count in calls.items()}
    for name, number in numbers.items():
        if number > (known := before.get(name, 0)):
            incr(name, number - known)
    return numbers
