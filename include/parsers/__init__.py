"""
The table of formats, and the search for exports in a source, which goes by content.

Adding a format: a parser and, for its markup, a pure text module; one row in :data:`FORMATS`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from include.archive import Archive, Limits, limits_of_environment, open_archive
from include.errors import EntryUnreadable, ExportError
from include.ids import DEFAULT_ID_TEMPLATE, check_id_template
from include.parsers.discord import api as discord_api
from include.parsers.discord import exporter as discord_exporter
from include.parsers.discord import package as discord_package
from include.parsers.everos import documents as everos_documents
from include.parsers.formats import Export, Format, ParseOptions, Place
from include.parsers.json.head import Head, inspect_head
from include.parsers.parts import cuts, divided, is_large
from include.parsers.slack import dump as slack_dump
from include.parsers.slack import export as slack_export
from include.parsers.slack import layout as slack_layout
from include.parsers.slack.shapes import ListKind, list_kind, lists_private
from include.records import Parsed, ParsedMany, Rejected, one_by_one

__all__ = [
    "DEFAULT_ID_TEMPLATE",
    "FORMATS",
    "Export",
    "Format",
    "ParseOptions",
    "discover",
    "open_export",
    "parse",
    "parse_many",
]

FORMATS: Mapping[str, Format] = {
    row.name: row
    for row in (
        slack_export.FORMAT,
        slack_export.TXT_FORMAT,
        slack_dump.FORMAT,
        discord_exporter.FORMAT,
        discord_package.FORMAT,
        discord_api.FORMAT,
        everos_documents.FORMAT,
    )
}
"""If two rows match a file, the upper one applies."""

MAX_REPORTED = 100
"""Unknown or unsafe files that are named; any more are only counted. They travel through XCom."""

_CANDIDATE = re.compile(r"\.(json|jsonl|ndjson|zip|html?|csv|tar|t?gz|bz2|xz|zst|7z|rar)$", re.IGNORECASE)
"""Files that may be exports. Those that cannot be read are reported."""
_NOT_READ = (
    (
        re.compile(r"\.(?:z\d\d|(?:zip|7z|tar|gz|tgz)\.\d{3})$", re.IGNORECASE),
        "a part of an archive that was split; join the parts and import the whole",
    ),
    (
        re.compile(r"(?:^|/)slackdump[^/]*\.(?:sqlite3?|db)$", re.IGNORECASE),
        "a database of slackdump, which is not read; convert it with slackdump convert -f export and import the result",
    ),
)
"""Names of files that hold exports in a form that is not read, each with what to do instead."""
_UNKNOWN = "not an export of a known format"

_ASSET = re.compile(r"_Files/")
"""DiscordChatExporter keeps downloaded media, some of it JSON, in ``<export>.json_Files/``."""


def discover(source: Path, limits: Limits | None = None, *, most_parts: int = 1) -> tuple[list[Export], list[Rejected]]:
    """
    Find the exports in a file, a folder, or a folder with a mixture; reads no more than the beginnings of files.

    :param most_parts: Number of parts that a large export is divided into at most (:mod:`include.parsers.parts`).
    :returns: The exports or their parts, and one ``Rejected`` per file that looks like an export and is none, or must
        not be read. Both are empty for an empty folder.
    :raises ExportError: if ``source`` does not exist or is a damaged zip.
    :raises LimitExceeded: if an archive holds too many entries.
    """
    found: list[_Found] = []
    rejected: list[Rejected] = []
    search = _Search(limits or limits_of_environment(), most_parts, found, rejected)
    empty = _discover(source, source.name or str(source), search)
    if not (found or rejected or empty):
        rejected.append(_rejected(str(source), _UNKNOWN))
    if len(rejected) > MAX_REPORTED:
        more = f"and {len(rejected) - MAX_REPORTED} more files like these"
        rejected[MAX_REPORTED:] = [_rejected(str(source), more)]
    whole = _with_lists(found)
    return [part for export, each in zip(whole, found, strict=True) for part in divided(export, each.cuts)], rejected


def open_export(export: Export, limits: Limits | None = None) -> Archive:
    """
    Open the files of one export, and only them; names are relative to ``export.root``.

    :raises ExportError: if it is gone or has changed.
    """
    archive = open_archive(Path(export.path), limits, export.inside)
    try:
        sorted_files = _sort_files(archive)
        names = sorted_files.exports.get((export.format, export.root), ())
        if not names:
            raise ExportError(f"{export.path}: the {export.format} export found before is gone; run the import again")
        return _files_of(archive, FORMATS[export.format], export.root, names)
    except BaseException:
        archive.close()
        raise


def _files_of(archive: Archive, format_: Format, root: str, names: Sequence[str]) -> Archive:
    return archive.only(sorted({*names, *format_.beside(archive, names)})).below(root)


def parse(export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """Yield the entries of an export one by one; errors as for :func:`parse_many`."""
    return one_by_one(parse_many(export, options))


def parse_many(export: Export, options: ParseOptions) -> Iterator[ParsedMany]:
    """
    Yield every entry of an export as its parser finds it.

    :raises ConfigurationError: if the id template cannot name conversations; nothing was read.
    :raises ExportError: if the export as a whole cannot be read; single entries never raise.
    """
    check_id_template(options.id_template)
    with open_export(export, options.limits) as archive:
        yield from FORMATS[export.format].parse(archive, export, options)


class _Found(NamedTuple):
    """An export, the lists of Slack that it has, by name in its archive, and the beginnings of its parts."""

    export: Export
    lists: Mapping[str, ListKind]
    cuts: Sequence[str]

    @property
    def missing(self) -> set[str]:
        """The kinds of list that it needs and lacks; a list of private conversations alone is not enough."""
        return {"people", "conversations"} - {kind for name, kind in self.lists.items() if not lists_private(name)}


class _SortedFiles:
    """The files of an archive by the export that they belong to, and the files of none."""

    def __init__(self) -> None:
        self.exports: dict[tuple[str, str], list[str]] = defaultdict(list)
        """(format, root) to names."""
        self.archives: list[str] = []
        self.lists: dict[tuple[str, str], dict[str, ListKind]] = defaultdict(dict)
        """(format, root) to the lists of Slack, by name."""
        self.rejected: dict[str, str] = {}
        """Name to reason."""
        self.attached: set[str] = set()
        """Rejected files that are attachments as far as can be seen: exports are whole without them."""


def _sort_files(archive: Archive) -> _SortedFiles:
    result = _SortedFiles()
    taken: set[str] = set()
    for format_ in FORMATS.values():
        for root, names in sorted(format_.find_roots(archive).items()):
            free = [name for name in names if name not in taken]
            taken.update(free)
            if free:
                result.exports[format_.name, root] = free
            if format_ is slack_export.FORMAT:
                result.lists[format_.name, root] = slack_layout.lists_of(archive, {root})
    shared: dict[str, str] = {}
    for name in sorted(set(archive.names()) - taken, key=lambda name: (name.count("/"), name)):
        beside = next((shared[folder] for folder in _folders_above(name) if folder in shared), None)
        if beside == "":
            continue
        format_name = _sort_file(archive, name, result, beside or "")
        if format_name:
            shared |= _shared_folders(name)
    for names in result.exports.values():
        names.sort()
    if any(format_ in (slack_export.FORMAT.name, slack_dump.FORMAT.name) for format_, _ in result.exports):
        for name in filter(slack_layout.is_sibling, list(result.rejected)):
            del result.rejected[name]
    return result


def _shared_folders(name: str) -> Iterator[tuple[str, str]]:
    """
    Yield folders with files that were shared in the conversation of a file: JSON in them is no export.

    Each comes with the name of the file where the folder's name alone does not prove it, else with ``""``.
    """
    stem = name.rpartition(".")[0] or name
    folder = name[: name.rfind("/") + 1]
    yield from ((path, "") for path in (f"{stem}/", f"{name}_Files/", f"{stem}_Files/", f"{stem}_files/"))
    yield from ((f"{folder}{path}/", "") for path in ("__uploads", "__avatars"))
    yield from ((f"{folder}{path}/", name) for path in ("attachments", "files", "media", "uploads", "downloads"))


def _folders_above(name: str) -> Iterator[str]:
    """Yield the folders that a file lies in, each ending in ``/``."""
    end = name.rfind("/")
    while end >= 0:
        yield name[: end + 1]
        end = name.rfind("/", 0, end)


def _sort_file(archive: Archive, name: str, result: _SortedFiles, beside: str) -> bool:
    """
    Add a file to its export, or reject it; return whether it is part of an export.

    :param beside: An export in whose folder of attachments the file seems to be.
    """
    if not _ASSET.search(name) and archive.is_archive(name):
        result.archives.append(name)
        return False
    for pattern, reason in _NOT_READ:
        if pattern.search(name) and not beside:
            result.rejected[name] = reason
            return False
    only_file = len(archive.names()) == 1
    if _ASSET.search(name) or not (only_file or _CANDIDATE.search(name)):
        return False
    try:
        head = inspect_head(archive, name)
    except EntryUnreadable as error:
        result.rejected[name] = str(error)
        return False
    format_name = _format_of(head)
    if format_name and beside:
        result.rejected[name] = (
            f"treated as a file that was shared in {beside}, since it is in a folder of attachments beside it; it was "
            "not read. Move it elsewhere if it is an export"
        )
        result.attached.add(name)
    elif format_name:
        result.exports[format_name, ""].append(name)
        if format_name == slack_dump.FORMAT.name and (kind := list_kind(name, head)):
            result.lists[format_name, ""][name] = kind
    elif not beside:
        result.rejected[name] = _UNKNOWN
    return bool(format_name and not beside)


def _format_of(head: Head) -> str | None:
    return next((format_.name for format_ in FORMATS.values() if format_.matches_file(head)), None)


class _Search(NamedTuple):
    """A search for exports: its settings and what it has found."""

    limits: Limits
    most_parts: int
    found: list[_Found]
    rejected: list[Rejected]

    def cuts(self, archive: Archive, format_: Format, root: str, names: Sequence[str]) -> Sequence[str]:
        """Return where an export is divided: not one above the limit of a whole archive, which each part would pass."""
        size_bytes = sum(map(archive.size_bytes, names)) if archive.is_divisible else 0
        if self.most_parts < 2 or not is_large(size_bytes) or size_bytes > self.limits.total_bytes:
            return ()
        return cuts(format_.units(_files_of(archive, format_, root, names)), self.most_parts)


def _discover(path: Path, label: str, search: _Search, inside: str = "") -> bool:
    """Add the exports found and the files rejected; return whether the archive is empty."""
    found, rejected = search.found, search.rejected
    with open_archive(path, search.limits, inside) as archive:
        sorted_files = _sort_files(archive)
        below = "" if path.is_file() and list(archive.names()) == [path.name] else f"{label}/"
        cuts_of = {
            (name, root): search.cuts(archive, FORMATS[name], root, names)
            for (name, root), names in sorted_files.exports.items()
        }
        empty = not archive.names()
        places = []
        for name in sorted_files.archives:
            try:
                places.append((name, *archive.place_of(name)))
            except ExportError as error:
                rejected.append(_rejected(f"{below}{name}", str(error)))
        rejected.extend(
            _rejected(f"{below}{name}", reason, unread=bool(_CANDIDATE.search(name)))
            for name, reason in archive.refused
        )
    for (name, root), names in sorted_files.exports.items():
        format_ = FORMATS[name]
        where = f"{label}/{root}".rstrip("/") if root else label
        if len(names) == 1 and not root and path.is_dir():
            where = names[0]
        if format_.refusal:
            rejected.append(_rejected(where, format_.refusal))
            continue
        key = f"{len(found) + 1:03d}-{name}-{re.sub('[^A-Za-z0-9]+', '-', where).strip('-')[:60]}".rstrip("-")
        export = Export(key=key, format=name, path=str(path), inside=inside, root=root, label=where)
        found.append(_Found(export, sorted_files.lists[name, root], cuts_of[name, root]))
    rejected.extend(
        _rejected(f"{below}{name}", reason, unread=name not in sorted_files.attached)
        for name, reason in sorted_files.rejected.items()
    )
    for name, place, within in places:
        label_of_it = f"{label}/{name}" if within else name
        try:
            _discover(place, label_of_it, search, within)
        except ExportError as error:  # the other archives are read
            rejected.append(_rejected(label_of_it, str(error)))
    return empty


def _with_lists(found: Sequence[_Found]) -> list[Export]:
    """
    Return the exports; those of Slack that lack lists get the lists of the others.

    Large exports come in several zips, of which one holds the lists, and some tools keep lists and messages apart.
    Parts of one export have names that differ in numbers only. A part without such others gets the lists it lacks
    from all that have them. A conversation that no list names is then private: see :mod:`include.parsers.slack.index`.
    """
    parts = [part for part in found if part.export.format in (slack_export.FORMAT.name, slack_dump.FORMAT.name)]

    def completed(part: _Found) -> Export:
        beside = [other for other in parts if part in parts and other is not part and other.lists]
        others = [
            other
            for other in beside
            if (part.missing or other.missing) and _family(other.export) == _family(part.export)
        ]
        if not others and "conversations" not in part.lists.values():
            others = [other for other in beside if not part.missing.isdisjoint(other.lists.values())]
        elif not others:  # a whole export keeps its people to itself
            others = [other for other in beside if "people" in part.missing and set(other.lists.values()) == {"people"}]
        places = tuple(
            Place(path=other.export.path, inside=other.export.inside, names=tuple(other.lists)) for other in others
        )
        return msgspec.structs.replace(part.export, lists=places)

    return [completed(part) for part in found]


def _family(export: Export) -> str:
    """Return the name of an export without the number of the part."""
    name = Path(export.label).name.lower().partition(".")[0]
    return re.sub(r"[\W\d_]+|part|teil", "", name)


def _rejected(origin: str, reason: str, *, unread: bool = True) -> Rejected:
    file, _, rest = reason.partition(": ")
    if rest and file.rpartition("/")[2] == origin.rpartition("/")[2]:  # an error that begins with the file
        reason = rest
    return Rejected(source="", conversation_id="", reason=reason, origin=origin, unread=unread)
