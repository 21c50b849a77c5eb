"""Parses times as programs write them: numbers of any unit, ISO 8601 and similar, dates of e-mails."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime

from include.parsers.everos.zones import UnknownZone, zone_of
from include.parsers.json.values import microseconds

_UNITS = ((10**12, 1_000_000, 1), (10**14, 1_000, 1), (10**17, 1, 1), (10**20, 1, 1_000))
"""
Seconds, milliseconds, microseconds, nanoseconds: the upper limit, and factor and divisor to microseconds.

The v1 server takes a number below 10**12 as seconds. The ranges of other units meet in the years 5138 and 1973.
"""
_END_US = 253_402_300_800_000_000
"""The end of the calendar, 10000-01-01."""

_NUMBER = re.compile(r"\d{1,20}(\.\d+)?")
_COMPACT = re.compile(r"(?:19|20)\d{6}(?:\d{6})?")
"""A date, or a date and a time, in digits alone."""

_NEARLY_ISO = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*([AaPp]\.?[Mm]\.?(?![A-Za-z]))?\s*(.*)"
)
_IN_BRACKETS = re.compile(r"[\[(][^\])\[(]{0,99}[\])]$")
"""A zone's name after its offset: ``[Asia/Shanghai]``, ``(China Standard Time)``."""

_OFFSET_AT_END = re.compile(r"(.{0,99}?)[ \t]{0,9}(?:GMT|UTC)?([+-]\d{2}:?\d{2})")
_WORDS = re.compile(r"[A-Za-z]+")
_OF_A_DATE = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun)[a-z]*", re.IGNORECASE
)
_CHARACTERS = 100
"""No time is longer."""


def unix_us(given: object, zone: tzinfo) -> int | None:
    """
    Return Unix microseconds of a time; ``None`` if it is not certain.

    A day and month whose order is not certain (``03/02/2026``) are no time; neither is a time in an unknown zone.

    :param given: A number, a text, or MongoDB's ``{"$date": …}``.
    :param zone: Of a text that names none.
    """
    while isinstance(given, dict):
        given = given.get("$date", given.get("$numberLong"))
    if isinstance(given, str):
        us = _of_text(given.strip(), zone)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        us = _of_number(given)
    else:
        us = None
    return us if us is not None and 0 < us < _END_US else None


def _of_number(given: float) -> int | None:
    for below, times, divided_by in _UNITS:
        if 0 < given < below:
            return int(given) // divided_by if times == 1 else round(given * times)
    return None


def _of_text(text: str, zone: tzinfo) -> int | None:
    if number := _NUMBER.fullmatch(text):
        if _COMPACT.fullmatch(text) and (us := _of_digits(text, zone)) is not None:
            return us
        return _of_number(float(text) if number[1] else int(text))
    us = microseconds(text, zone)
    if us is not None or len(text) > _CHARACTERS:
        return us
    try:
        moment = _nearly_iso(text, zone) or _of_mail(text, zone)
    except (ValueError, OverflowError):
        return None
    return None if moment is None else microseconds(moment.isoformat(), zone)


def _of_digits(text: str, zone: tzinfo) -> int | None:
    return microseconds(f"{text[:8]}T{text[8:] or '000000'}", zone)


def _nearly_iso(text: str, zone: tzinfo) -> datetime | None:
    """Read single digits, slashes, ``24:00``, a leap second, ``PM``, and the name of a zone at the end."""
    found = _NEARLY_ISO.fullmatch(text)
    if not found:
        return None
    year, month, day, hours, minutes, seconds, fraction, half, named = found.groups(default="")
    hour = int(hours or 0)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    if hour > 24 or int(minutes or 0) > 59 or int(seconds or 0) > 60:
        return None
    if named:
        zone = zone_of(_IN_BRACKETS.sub("", named).rstrip() or named.strip("[]()"))
        if isinstance(zone, UnknownZone):
            return None
    past = timedelta(hours=hour, minutes=int(minutes or 0), seconds=min(int(seconds or 0), 59))
    past += timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
    return datetime(int(year), int(month), int(day), tzinfo=zone) + past


def _of_mail(text: str, zone: tzinfo) -> datetime | None:
    """Read ``Mon, 02 Mar 2026 10:00:00 GMT``, and what C and JavaScript print."""
    text = _IN_BRACKETS.sub("", text).rstrip()
    if offset := _OFFSET_AT_END.fullmatch(text):
        text, zone = offset[1], zone_of(offset[2])
    for word in _WORDS.findall(text):
        if word in ("GMT", "UTC"):
            zone = UTC
        elif not _OF_A_DATE.fullmatch(word):
            return None
    return parsedate_to_datetime(text).replace(tzinfo=zone)
