"""What the parsers have in common: an export found, the options of a run, and what a format has to offer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from include.archive import Archive, Limits
from include.ids import DEFAULT_ID_TEMPLATE
from include.parsers.head import Head
from include.records import ParsedMany


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Files of an archive."""

    path: str
    inside: str = ""
    """As in :class:`Export`."""
    names: tuple[str, ...] = ()


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One export found: small, holds no content, goes through XCom."""

    key: str
    """Safe as a folder name and unique in a run."""

    format: str
    """Name of its row in :data:`include.parsers.FORMATS`."""

    path: str
    """The archive, folder or file."""

    inside: str = ""
    """The name of the archive in the one at ``path`` that holds the export; empty if there is none."""

    root: str = ""
    """Where in it the export starts: empty or a folder ending in ``/``."""

    label: str
    """For people: which file or folder."""

    lists: tuple["Place", ...] = ()
    """Lists of people and conversations in other parts of the source, where this one has none of its own."""


class ParseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run wants of the exports."""

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
        """Tell whether a conversation is wanted, going by its id and its name."""

        def matches(patterns: tuple[str, ...]) -> bool:
            return any(
                fnmatchcase(label, pattern.removeprefix("#"))
                for pattern in patterns
                for label in (conversation_id, name)
            )

        return not matches(self.exclude) and (not self.include or matches(self.include))


def _no_trees(_: Archive) -> Mapping[str, Sequence[str]]:
    return {}


def _no_file(_: Head) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Format:
    """
    One row of the table: found as ``trees`` (many files that belong together) or by ``owns`` (a file says it all).

    ``parse`` gets an archive that shows the export's own files and nothing else.
    """

    name: str

    looked_for: str
    """For the report on an unknown file: what would have been recognised."""

    parse: Callable[[Archive, Export, ParseOptions], Iterator[ParsedMany]]

    trees: Callable[[Archive], Mapping[str, Sequence[str]]] = _no_trees
    """Folders (``""`` or ending in ``/``) where such an export starts, each with the full names of its files."""

    owns: Callable[[Head], bool] = _no_file
    """Whether a single JSON file is of this format. All such files of a source are one export."""

    beside: Callable[[Archive, Sequence[str]], Sequence[str]] = lambda *_: ()
    """Files that describe those of an export and may belong to another one as well."""

    refusal: str = ""
    """For a format that is known and cannot be imported: why, and what to ask for instead."""
