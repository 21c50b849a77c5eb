"""Finds the time zone of a name, for times without an offset."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+\-\u2212])\s*(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_OFFSET_BEFORE_CITIES = re.compile(r"\((?:UTC|GMT)([+\-\u2212]\d{2}:\d{2})\) .*")
_UTC_NAMES = ("z", "utc", "gmt", "utc0", "zulu")
_HOURS = 14
"""No place is further from UTC."""

_OF_THE_MACHINE = ("localtime", "Factory")
"""Names in the database that are no zones of a place."""


class UnknownZone(tzinfo):
    """A zone that is not known: its times are read as UTC. :attr:`used`: whether there was any."""

    def __init__(self, name: str) -> None:
        self.label = "".join(filter(str.isprintable, name))[:40]
        self.used = False

    def utcoffset(self, _: datetime | None) -> timedelta:  # noqa: D102
        self.used = True
        return timedelta(0)

    def dst(self, _: datetime | None) -> timedelta:  # noqa: D102
        return timedelta(0)

    def tzname(self, _: datetime | None) -> str:  # noqa: D102
        return self.label


def zone_of(given: object) -> tzinfo:
    """
    Return the zone of a name or offset: ``Asia/Shanghai``, ``+08:00``, ``UTC+8``, ``GMT-3``, ``Z``, hours as a number.

    An offset may be in brackets before the names of cities, as Windows shows it: ``(UTC+08:00) Beijing``.
    Nothing given is UTC. Abbreviations such as ``CST`` mean several zones and are not known; neither are
    names that Windows gives to zones.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        return timezone(timedelta(hours=given)) if abs(given) <= _HOURS else UnknownZone(str(given))
    if not isinstance(given, str):
        return UTC if given is None else UnknownZone(type(given).__name__)
    name = given.strip()
    if shown := _OFFSET_BEFORE_CITIES.fullmatch(name):
        name = shown[1]
    if not name or name.casefold() in _UTC_NAMES:
        return UTC
    if offset := _OFFSET.fullmatch(name):
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes <= _HOURS * 60 and int(offset[3] or 0) < 60:
            return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    known = _zones().get(name.casefold())
    return ZoneInfo(known) if known else UnknownZone(name)


def name_of(zone: tzinfo) -> str:
    """
    Return a name that :func:`zone_of` understands; empty for UTC and for a zone that is not known.

    >>> name_of(zone_of("GMT-3")), name_of(zone_of("asia/shanghai")), name_of(zone_of("CST"))
    ('UTC-03:00', 'Asia/Shanghai', '')
    """
    return "" if zone is UTC or isinstance(zone, UnknownZone) else str(zone)


@cache
def _zones() -> dict[str, str]:
    """Return the zones of the IANA database by name in one case."""
    return {name.casefold(): name for name in available_timezones() if name not in _OF_THE_MACHINE}
