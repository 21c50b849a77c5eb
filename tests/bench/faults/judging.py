"""
Compares what a target has stored (the stand-in's journal) with what a run reports (plan and ledger).

It does not ask delivery. The journal has what was stored and when; the report is read from the run's files, so that it
can be checked after a SIGKILL, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.ledger import Call, CallState, Ledger
from include.plan.chunk_file import planned_messages
from include.run_folder import RunFolder
from include.standin.journal import Entry, Verdict, judge


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The outcome of every message according to the files of a run, by message id."""

    landed: frozenset[str]
    rejected: frozenset[str]
    left: frozenset[str]
    """Planned, and neither landed nor rejected: pending, or unknown."""

    unknown: Sequence[Call]
    """Calls with unknown outcome: the run has to name these batches."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The findings on one run; counts are of messages unless stated otherwise."""

    calls: int
    struck: int
    """Calls that met a fault."""

    pending: int
    unknown: int
    rejected: int
    lost: int
    """Not stored, and reported neither as pending nor as unknown nor as rejected."""

    doubled: int
    out_of_order: int
    overlapping: int
    """Batches of one conversation that the target worked on at the same time: pairs."""

    unflushed: int
    """Conversations in which something was stored after their last flush."""

    flushed_early: int
    """Flushes of a conversation that was still being loaded."""

    stranded: int
    """Left, in conversations in which no batch is unknown."""

    batches: Sequence[Call]
    """Unknown."""


def read_claims(run: RunFolder, ledger: Ledger) -> Claims:
    """Read the outcomes of a run from its plan and the ledger."""
    planned = planned_messages(sorted(run.plan.glob("chunk-*.parquet"))).read_all()["message_id"]
    planned_ids = frozenset(str(message_id) for message_id in planned.to_pylist())
    with ledger.snapshot() as snapshot:
        settled = (snapshot.landed(), snapshot.rejected())
        landed, rejected = (frozenset(map(str, rows.read_all()["message_id"].to_pylist())) for rows in settled)
        unknown = tuple(call for call in snapshot.open() if call.state is not CallState.ACCEPTED)
    return Claims(landed=landed, rejected=rejected, left=planned_ids - landed - rejected, unknown=unknown)


def account(journal: Sequence[Entry], expected: Mapping[str, Sequence[str]], claims: Claims) -> Account:
    """Compare what is stored with the claims."""
    verdicts = judge(journal, expected)
    missing = {message_id for verdict in verdicts.values() for message_id in verdict.lost}
    doubtful = {message_id for call in claims.unknown for message_id in call.message_ids} & claims.left
    stopped = {message_id for ids in expected.values() if not doubtful.isdisjoint(ids) for message_id in ids}
    return Account(
        calls=len(journal),
        struck=sum(entry.fault is not None for entry in journal),
        pending=len(claims.left - doubtful),
        unknown=len(doubtful),
        rejected=len(claims.rejected),
        lost=len(missing - claims.left - claims.rejected),
        doubled=_total(verdicts, "doubled") + _total(verdicts, "unexpected"),
        out_of_order=_total(verdicts, "out_of_order"),
        overlapping=_total(verdicts, "overlapping"),
        unflushed=sum(verdict.unflushed for verdict in verdicts.values()),
        flushed_early=_early(journal),
        stranded=len(claims.left - stopped),
        batches=claims.unknown,
    )


def _total(verdicts: Mapping[str, Verdict], field: str) -> int:
    return sum(len(getattr(verdict, field)) for verdict in verdicts.values())


def _early(journal: Sequence[Entry]) -> int:
    """Count flushes after which something was stored: every run here loads the same, whole export."""
    stored: Counter[str | None] = Counter()
    for entry in journal:
        if entry.kind == "add" and entry.stored_ids and entry.order is not None:
            stored[entry.conversation] = max(stored[entry.conversation], entry.order)
    flushes = [entry for entry in journal if entry.kind == "flush" and entry.order is not None]
    return sum((flush.order or 0) < stored[flush.conversation] for flush in flushes)
