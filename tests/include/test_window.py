"""Rules of the time range that a run is for."""

from datetime import UTC, datetime

import pytest

from include.errors import ConfigurationError
from include.window import Window, window_of_interval, window_of_parameters

MARCH_1_US = 1_772_323_200_000_000


def test_without_dates_everything_is_in_range() -> None:
    assert window_of_parameters(None, "") == Window(since_us=None, until_us=None)


def test_a_date_without_a_zone_is_midnight_utc() -> None:
    assert window_of_parameters("2026-03-01", None).since_us == MARCH_1_US


def test_a_zone_is_honoured_to_the_microsecond() -> None:
    window = window_of_parameters("2026-03-01T01:00:00.000001+01:00", "2026-03-01T00:00:01Z")
    assert window == Window(since_us=MARCH_1_US + 1, until_us=MARCH_1_US + 1_000_000)


@pytest.mark.parametrize(("since", "until"), [("2026-03-02", "2026-03-01"), ("2026-03-01", "2026-03-01")])
def test_an_empty_range_is_refused_before_anything_is_read(since: str, until: str) -> None:
    with pytest.raises(ConfigurationError, match=r"since \(.*\) must be before until"):
        window_of_parameters(since, until)


def test_a_date_that_is_none_is_named_with_its_parameter() -> None:
    with pytest.raises(ConfigurationError, match="until: 'yesterday' is not a date"):
        window_of_parameters(None, "yesterday")


def test_an_interval_reaches_back_by_the_lookback() -> None:
    day = (datetime(2026, 3, 4, 2, tzinfo=UTC), datetime(2026, 3, 5, 2, tzinfo=UTC))
    window = window_of_interval(*day, lookback_days=3)
    assert window.since_us == MARCH_1_US + 2 * 3_600_000_000
    assert window.until_us == MARCH_1_US + (4 * 24 + 2) * 3_600_000_000
