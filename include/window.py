"""Which messages a run is for: the half-open time range, from parameters or from the data interval."""

from calendar import timegm
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Window:
    """Messages sent at or after ``since_us`` and before ``until_us``: Unix microseconds, ``None`` is open."""

    since_us: int | None = None
    until_us: int | None = None

    def holds(self, sent_at_us: int) -> bool:
        """Return whether a time is in it."""
        return (self.since_us is None or sent_at_us >= self.since_us) and (
            self.until_us is None or sent_at_us < self.until_us
        )


def window_of_parameters(since: str | None, until: str | None) -> Window:
    """
    Return the range a person asked for.

    :param since: ISO 8601 date or date-time, inclusive; without a zone it is UTC. ``None`` or empty: open.
    :param until: Likewise, exclusive.
    :raises ConfigurationError: not ISO 8601, or an empty range; nothing was read or sent.
    """
    window = Window(since_us=_microseconds("since", since), until_us=_microseconds("until", until))
    if window.since_us is not None and window.until_us is not None and window.since_us >= window.until_us:
        raise ConfigurationError(f"since ({since}) must be before until ({until}): the range is empty")
    return window


def window_of_interval(start: datetime, end: datetime, *, lookback_days: int) -> Window:
    """Return the range of a scheduled or backfill run: its data interval, begun ``lookback_days`` earlier."""
    return Window(since_us=_to_us(start - timedelta(days=lookback_days)), until_us=_to_us(end))


def _microseconds(name: str, value: str | None) -> int | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ConfigurationError(
            f"{name}: {value!r} is not a date or date-time; write it as 2026-03-01 or 2026-03-01T09:00:00+01:00"
        ) from None
    return _to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _to_us(moment: datetime) -> int:
    """Return Unix microseconds, exact; Airflow's times are pendulum's, whose differences cannot be divided."""
    return timegm(moment.utctimetuple()) * 1_000_000 + moment.microsecond
