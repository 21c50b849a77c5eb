"""
The figures of a run: one table, used by ``report.json``, its page, the list of imports, terminal and asset event.

A figure is computed for each conversation (:mod:`include.report.figures`). This module imports no data library: the
terminal and Airflow's pages read finished reports only.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple


class Column(NamedTuple):
    """A figure of each conversation, under this key in ``report.json``."""

    key: str
    meaning: str
    kind: Literal["count", "reasons", "day", "duration", "text"] = "count"
    """``reasons`` are counts by reason; ``day`` is Unix milliseconds, ``duration`` seconds."""

    shown: Literal["always", "if any", "if several", "after a load", "in a dry run", "never"] = "always"
    """``if any``: only in tables in which this figure is not 0 everywhere; ``if several``: in which one is above 1."""

    part: bool = False
    """``extracted`` is the sum of all parts."""

    total: bool = False
    """The report has the sum over all conversations under the same key."""

    heading: str = ""

    @property
    def title(self) -> str:
        """Heading of the column."""
        return self.heading or self.key.replace("_", " ").capitalize()


COLUMNS = (
    Column("conversation_id", "id in EverOS", kind="text", heading="Conversation"),
    Column("extracted", "entries in the exports", total=True),
    Column("loaded", "landed in this run", part=True, total=True, shown="after a load"),
    Column("already_loaded", "landed in an earlier run", part=True, total=True),
    Column("out_of_range", "outside of the period", part=True, total=True, shown="if any"),
    Column("skipped", "left out on purpose, by reason", kind="reasons", part=True, total=True),
    Column("rejected", "broken, or rejected by EverOS, by reason", kind="reasons", part=True, total=True),
    Column("pending", "not loaded yet", part=True, total=True, shown="if any"),
    Column("unknown", "the outcome of their call is not known", part=True, total=True, shown="if any"),
    Column("shifted_ms", "moved by milliseconds, so that no two have the same time", total=True, shown="never"),
    Column("redacted", "credentials removed, by kind", kind="reasons", total=True, shown="never"),
    Column("segments", "segments to load: sessions of EverOS on v2", shown="if several"),
    Column("batches", "calls that add messages"),
    Column("tokens", "estimate: tokens of text", shown="in a dry run"),
    Column("llm_calls", "estimate: calls of EverOS's language model", shown="in a dry run", heading="LLM calls"),
    Column("seconds", "estimate: time to load", kind="duration", shown="in a dry run", heading="Time"),
    Column("first_ms", "time of the first message to load", kind="day", heading="First"),
    Column("last_ms", "time of the last message to load", kind="day", heading="Last"),
    Column("flushed", "EverOS's answer to the flush", kind="text", shown="after a load"),
    Column("episodes", "episodes read back from EverOS", shown="if any"),
    Column("unprocessed", "messages that EverOS has not processed", shown="if any"),
)
"""In the order of tables."""

TOTALS = [column for column in COLUMNS if column.total]
PARTS = [column for column in COLUMNS if column.part]
[EXTRACTED] = [column for column in COLUMNS if column.key == "extracted"]


def shown_columns(rows: Iterable[Mapping[str, Any]], *, dry_run: bool) -> list[Column]:
    """Return the columns of a table of these conversations."""
    rows = list(rows)
    when = {"always", "in a dry run" if dry_run else "after a load"}
    above = {"if any": 0, "if several": 1}
    return [
        column
        for column in COLUMNS
        if column.shown in when
        or (column.shown in above and any((row.get(column.key) or 0) > above[column.shown] for row in rows))
    ]


def count_of(value: int | Mapping[str, int] | None) -> int:
    """Return a figure as one number: the sum of those by reason."""
    return sum(value.values()) if isinstance(value, Mapping) else value or 0


def duration(seconds: float | None) -> str:
    """
    Return a duration in its two largest units.

    >>> duration(0.4), duration(75), duration(7290), duration(200_000)
    ('0.4 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    left = round(seconds)
    words: list[str] = []
    for name, size in units:
        value, left = divmod(left, size)
        if value or words:
            words.append(f"{value} {name}")
    return " ".join(word for word in words[:2] if not word.startswith("0 "))


def moment(value: str | datetime | None) -> str:
    """
    Return a time of ISO 8601 as pages show it.

    >>> moment("2026-03-01T09:30:05.123+01:00")
    '2026-03-01 08:30:05 UTC'
    """
    if not value:
        return ""
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def counts_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures with one number for those by reason."""
    reasons = [column.key for column in COLUMNS if column.kind == "reasons" and column.key in figures]
    return {**figures, **{key: count_of(figures[key]) for key in reasons}}


def is_conserved(figures: Mapping[str, Any]) -> bool:
    """Return whether the parts of a conversation, or of the whole run, add up to its entries."""
    return bool(figures["extracted"] == sum(count_of(figures[part.key]) for part in PARTS))
