"""
Divides a large export into parts, each read by a task of its own at the same time as the others.

A part is a range of units: folders or files that can be read apart from each other, in the order in which the export
is read. So the parts hold, one after the other, what the whole export holds in one piece. A range has a beginning and
an end by name, so that a file that comes or goes while the export is read is in one part and never in two.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from include.errors import ConfigurationError
from include.parsers.formats import Export, Unit
from include.run_folder import PART_MARK

VARIABLE = "EVEROS_IMPORT_PARTS"

PART_BYTES = 128 << 20
"""Of JSON, about 4 s of work: a part of less gains little, since each costs the start of a task."""

_MOST = 8


def most_parts() -> int:
    """
    Return the number of parts that an export has at most: ``EVEROS_IMPORT_PARTS``, default one for each core up to 8.

    :raises ConfigurationError: it is no whole number from 1 on; nothing was read.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return min(os.cpu_count() or 1, _MOST)
    if not (given.isascii() and given.isdecimal() and int(given)):
        raise ConfigurationError(f"{VARIABLE} is {given!r}: expected a whole number from 1 on. Nothing was read.")
    return int(given)


def is_large(size_bytes: int) -> bool:
    """Return whether an export has the size of several parts."""
    return size_bytes >= 2 * PART_BYTES


def cuts(units: Sequence[Unit], most: int) -> tuple[str, ...]:
    """
    Return the name of the first unit of each part but the first; parts have about the same size.

    >>> cuts([Unit("a", 300 << 20), Unit("b", 300 << 20), Unit("c", 500 << 20), Unit("d", 100 << 20)], most=3)
    ('b', 'c')
    """
    total = sum(unit.size_bytes for unit in units)
    number = min(most, total // PART_BYTES)
    if number < 2:
        return ()
    ends_in, before = [], 0
    for unit in units:
        ends_in.append((2 * before + unit.size_bytes) * number // (2 * total))  # the part that has its middle
        before += unit.size_bytes
    return tuple(unit.name for (last, this), unit in zip(pairwise(ends_in), units[1:], strict=True) if last != this)


def divided(export: Export, cuts: Sequence[str]) -> Iterator[Export]:
    """Yield the parts of an export; the export itself if there is nothing to cut."""
    if not cuts:
        yield export
        return
    for number, (since, before) in enumerate(pairwise(("", *cuts, "")), 1):
        yield msgspec.structs.replace(
            export,
            key=f"{export.key}{PART_MARK}{number:02d}",
            since=since,
            before=before,
            part=number,
            parts=len(cuts) + 1,
        )


def holds(export: Export, unit: str, order: Callable[[str], Any] = str) -> bool:
    """
    Return whether a unit belongs to this part of an export.

    :param order: Returns the sort key of a unit's name, if units are not read in the order of their names.
    """
    place = order(unit)
    return (not export.since or place >= order(export.since)) and (not export.before or place < order(export.before))
