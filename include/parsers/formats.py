"""The types that all parsers share: an export, the options of a run, and a format."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import msgspec

from include.archive import Archive, Limits
from include.ids import DEFAULT_ID_TEMPLATE
from include.parsers.json.head import Head
from include.records import ParsedMany


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Files of an archive."""

    path: str
    inside: str = ""
    """As in :class:`Export`."""
    names: tuple[str, ...] = ()


class Unit(NamedTuple):
    """A folder or file of an export that can be read apart from the others: all that a conversation needs is in it."""

    name: str
    size_bytes: int


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One export found, or a part of a large one: small, holds no content, goes through XCom."""

    key: str
    """Safe as a folder name and unique in a run."""

    format: str
    """Name of its row in :data:`include.parsers.FORMATS`."""

    path: str
    """The archive, folder or file."""

    inside: str = ""
    """The name of the archive in the one at ``path`` that holds the export; empty if there is none."""

    root: str = ""
    """The folder in it at which the export starts: empty, or ending in ``/``."""

    label: str
    """Name of the file or folder, for the user."""

    lists: tuple["Place", ...] = ()
    """Lists of people and conversations in other exports of the source, where this one has none of its own."""

    part: int = 1
    """Number of the part."""

    parts: int = 1
    """Number of parts that the export is read in (:mod:`include.parsers.parts`)."""

    since: str = ""
    """The first unit of a part; empty for the first part."""

    before: str = ""
    """The first unit of the next part; empty for the last part."""


class ParseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run for reading exports."""

    id_template: str = DEFAULT_ID_TEMPLATE

    include: tuple[str, ...] = ()
    """Patterns (``*``, ``?``, ``[…]``) on conversation id or channel name; empty means all."""

    exclude: tuple[str, ...] = ()
    """Patterns like ``include``; they win over it."""

    include_private: bool = False
    """Whether private channels and direct messages are imported."""

    bots: Literal["assistant", "skip"] = "assistant"

    limits: Limits | None = None
    """Default: those of the environment."""

    def selects(self, conversation_id: str, name: str) -> bool:
        """Return whether the patterns select a conversation, by its id or its name."""
        excluded, included = (matches(patterns, conversation_id, name) for patterns in (self.exclude, self.include))
        return not excluded and (not self.include or included)

    def names(self, conversation_id: str, name: str) -> bool:
        """Return whether a pattern of either list matches a conversation."""
        return matches((*self.include, *self.exclude), conversation_id, name)


def matches(patterns: Iterable[str], *names: str) -> bool:
    """Return whether one of the patterns matches one of the names; a ``#`` before a pattern is ignored."""
    return any(fnmatchcase(name, pattern.removeprefix("#")) for pattern in patterns for name in names)


def _no_roots(_: Archive) -> Mapping[str, Sequence[str]]:
    return {}


def _no_file(_: Head) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Format:
    """
    One row of the table: ``find_roots`` finds exports of many files, ``matches_file`` those of single files.

    ``parse`` gets an archive that shows the export's own files and nothing else.
    """

    name: str

    parse: Callable[[Archive, Export, ParseOptions], Iterator[ParsedMany]]

    find_roots: Callable[[Archive], Mapping[str, Sequence[str]]] = _no_roots
    """Folders (``""`` or ending in ``/``) where such an export starts, each with the full names of its files."""

    matches_file: Callable[[Head], bool] = _no_file
    """Whether a single JSON file is of this format. All such files of a source are one export."""

    beside: Callable[[Archive, Sequence[str]], Sequence[str]] = lambda *_: ()
    """Returns files that describe those of an export; they may belong to another export as well."""

    units: Callable[[Archive], Sequence[Unit]] = lambda _: ()
    """Returns the units of an export in the order in which they are read; none if it is read in one piece."""

    refusal: str = ""
    """For a format that is known and cannot be imported: the reason, and what to use instead."""
