"""
What a target holds against what was said of it: the stand-in's journal on one side, plan and ledger on the other.

Nothing here asks delivery whether it did well. The journal knows what was stored and when; what delivery said is read
from the files it left, so that it can be judged after a SIGKILL too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.delivery.chunkfile import planned_messages
from include.delivery.ledger import Ledger
from include.delivery.states import Attempt
from include.layout import RunFolder
from include.standin.journal import Entry, Verdict, judge


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the files of a run say of messages, by id."""

    landed: frozenset[str]
    rejected: frozenset[str]
    left: frozenset[str]
    """Planned, and neither landed nor rejected: pending, or unknown."""

    unknown: Sequence[Attempt]
    """Calls in doubt: these batches are to be named."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """One run, judged; counts are of messages where nothing else is said."""

    calls: int
    struck: int
    """Calls that met a fault."""

    pending: int
    unknown: int
    rejected: int
    lost: int
    """Not stored, and neither pending nor unknown nor rejected: nobody would ever miss them."""

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

    batches: Sequence[Attempt]
    """Unknown."""


def said(run: RunFolder, ledger: Ledger) -> Said:
    """Read what a run and the ledger say."""
    planned = planned_messages(sorted(run.plan.glob("chunk-*.parquet"))).read_all()["message_id"]
    planned_ids = frozenset(str(message_id) for message_id in planned.to_pylist())
    with ledger.settled() as rows, rows.connect() as connection:
        landed = frozenset(row[0] for row in connection.sql("SELECT message_id FROM landed").fetchall())
        rejected = frozenset(row[0] for row in connection.sql("SELECT message_id FROM rejected").fetchall())
        unknown = tuple(attempt for attempt in rows.open if attempt.task_id is None or attempt.doubted)
    return Said(landed=landed, rejected=rejected, left=planned_ids - landed - rejected, unknown=unknown)


def account(journal: Sequence[Entry], expected: Mapping[str, Sequence[str]], words: Said) -> Account:
    """Judge what is stored by what was said."""
    verdicts = judge(journal, expected)
    missing = {message_id for verdict in verdicts.values() for message_id in verdict.lost}
    doubtful = {message_id for attempt in words.unknown for message_id in attempt.message_ids} & words.left
    stopped = {message_id for ids in expected.values() if not doubtful.isdisjoint(ids) for message_id in ids}
    return Account(
        calls=len(journal),
        struck=sum(entry.fault is not None for entry in journal),
        pending=len(words.left - doubtful),
        unknown=len(doubtful),
        rejected=len(words.rejected),
        lost=len(missing - words.left - words.rejected),
        doubled=_total(verdicts, "doubled") + _total(verdicts, "unexpected"),
        out_of_order=_total(verdicts, "out_of_order"),
        overlapping=_total(verdicts, "overlapping"),
        unflushed=sum(verdict.unflushed for verdict in verdicts.values()),
        flushed_early=_early(journal),
        stranded=len(words.left - stopped),
        batches=words.unknown,
    )


def _total(verdicts: Mapping[str, Verdict], field: str) -> int:
    return sum(len(getattr(verdict, field)) for verdict in verdicts.values())


def _early(journal: Sequence[Entry]) -> int:
    """Count flushes that something was stored after: every run here has the same, whole export to load."""
    stored: Counter[str | None] = Counter()
    for entry in journal:
        if entry.kind == "add" and entry.stored_ids and entry.order is not None:
            stored[entry.conversation] = max(stored[entry.conversation], entry.order)
    flushes = [entry for entry in journal if entry.kind == "flush" and entry.order is not None]
    return sum((flush.order or 0) < stored[flush.conversation] for flush in flushes)
