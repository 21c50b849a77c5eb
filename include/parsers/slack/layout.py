"""
Finds the Slack exports in an archive, and the day files of each conversation.

::

    channels.json  users.json  …                    lists, any of them may be missing
    general/2024-05-01.json                         day files, and beside them canvases and attachments
    channels/general/2024-05-01.json                with some tools, in a folder for each kind of conversation
    teams/acme/general/2024-05-01.json              a workspace of an Enterprise Grid organisation
    __uploads/F123/plan.json                        slackdump's copies of shared files: no messages

An export begins at the folder that holds its lists; all conversation folders below it are its own. Without lists it
begins above its conversation folders.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import NamedTuple

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.json.head import inspect_head
from include.parsers.slack.index import RECORD_FILES, is_private_kind
from include.parsers.slack.shapes import ListKind, kind_by_name, list_kind, list_order

_DAY_FILE = re.compile(r"(?:.*/)?\d{4}-\d{2}-\d{2}\.json")
_DAY_LIKE = re.compile(
    r"(?:.*/)?\d{4}(?:[-_.]?\d{2}){1,2}(?:[ _-]*\(?\d{1,3}\)?|[ -]*(?:copy|kopie|copie|copia))?\.(?:json|jsonl|ndjson)",
    re.IGNORECASE,
)
"""Other names that users and tools give to day files; read if they have messages."""
_YEAR = re.compile(r"(?:19|20)\d\d(?:[-_.]?\d\d)?")
_MONTH = re.compile(r"\d\d")
_CANVAS = "canvas_in_the_conversation.json"
_UPLOADS = ("__uploads", "__avatars")
_ATTACHMENTS = re.compile(r"attachments?|files?|uploads?|downloads?|media|emojis?|avatars?", re.IGNORECASE)
"""Folders into which tools put shared files; elsewhere, any folder may have such a name."""
_TEAMS = "teams"
_WORKSPACE = re.compile(rf"(?:.*/)?{_TEAMS}/[^/]+/")
_PUBLIC_KINDS = (
    *("channel", "channels", "public", "publicchannels", "publicchannel"),
    *("kanal", "kanäle", "kanaele", "canaux", "canales", "canais", "canali", "каналы", "チャンネル", "频道", "채널"),
)
_LIST_LIKE = re.compile(r"\.(?:json|jsonl|ndjson)$", re.IGNORECASE)
_TXT = re.compile(r"(?=.*[^/]\.txt\Z)((?:.*/)?)(?:channels|dms)/.+")  # the end first: linear time
_WITHOUT_MESSAGES = (
    "integration_logs.json",
    "content_flags.json",
    ".slack-manifest.json",
    "emojis.json",
    "emoji.json",
    "slack-archive.json",
    "workspace.json",
)
_RECORDS = frozenset({*RECORD_FILES, *_WITHOUT_MESSAGES})
_SAMPLES = 5
_LOOKS = 100
"""Files beside conversation folders that are inspected, since lists may have other names."""


class Folder(NamedTuple):
    """A conversation's folder."""

    path: str
    """Its full name, ending in ``/``; empty as ``name``."""

    name: str
    """Empty if the archive is one conversation's folder itself."""

    kinds: tuple[str, ...]
    """Names of the folders between the workspace and it, which may name its kind."""

    days: tuple[str, ...]
    """Its day files, by full name, sorted."""


class _Shape:
    """The places of lists, conversation folders and shared files in an archive; folders end in ``/``."""

    def __init__(self, names: Sequence[str]) -> None:
        self.day_files = frozenset(filter(_DAY_FILE.fullmatch, names))
        others = [name for name in names if name not in self.day_files]
        days = set(map(_folder_of, [*self.day_files, *(name for name in others if _file_of(name) == _CANVAS)]))
        outer = {day for day in days if not any(above in days for above in _above(day.rstrip("/")) if above)}
        kinds = {
            name: kind
            for name in others
            if (kind := kind_by_name(name)) in ("people", "conversations") and not _is_upload(name)
        }
        self._outer = outer
        self._listing = {folder for name in kinds if (folder := _folder_of(name)) and not self._inside(folder)}
        self._listing |= {"" for name in kinds if "/" not in name}
        self.folders = {folder for folder in outer if not self.is_shared(folder.rstrip("/"))}
        """Conversation folders. Not those inside another one: a shared file may be named like a day file."""
        self.lists = {_folder_of(name) for name, kind in kinds.items() if kind == "conversations"} & self._listing
        """Folders with lists of conversations."""

    def _inside(self, folder: str) -> bool:
        """Return whether a folder is a conversation's, or is inside one."""
        return any(above in self._outer for above in _above(folder) if above)

    def is_shared(self, name: str) -> bool:
        """Return whether a file was shared: it is below a conversation's folder or in a folder for attachments."""
        if self._inside(name):
            return True
        for above in _above(name):
            parent, _, folder = above.rstrip("/").rpartition("/")
            beside = f"{parent}/" if parent else ""
            if folder in _UPLOADS or (_ATTACHMENTS.fullmatch(folder) and beside in self._listing):
                return True
        return False

    def root_of(self, folder: str) -> str:
        """Return where the export of a conversation folder begins."""
        above = list(_above(self.conversation_of(folder).rstrip("/")))
        listing = next((root for root in above if root in self._listing), None)
        if listing is not None:
            return listing
        return next(root for root in above if not root or not _is_kind(root.rstrip("/").rpartition("/")[2]))

    def conversation_of(self, folder: str) -> str:
        """Return the conversation's folder for a folder of day files: some tools make one for each year."""
        outer, _, name = folder.rstrip("/").rpartition("/")
        if _MONTH.fullmatch(name) and _YEAR.fullmatch(_file_of(outer)):
            return self.conversation_of(f"{outer}/")
        if _YEAR.fullmatch(name) and outer and not (_is_kind(_file_of(outer)) or f"{outer}/" in self._listing):
            return f"{outer}/"
        return folder

    def belongs(self, name: str, root: str) -> bool:
        """Return whether a file below a root is part of its export; shared files are."""
        folder = _folder_of(name)
        if folder in self.folders or self.is_shared(name):
            return True
        return is_sibling(name) and (folder == root or root in _organisation(folder))


def find_roots(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find Slack exports: by the folders, confirmed by the content of some files."""
    names = archive.names()
    shape = _Shape(names)
    roots = {shape.root_of(folder) for folder in shape.folders}
    roots |= {folder for folder in shape.lists if not _describes_loose_files(archive, folder)}
    roots = {root for root in roots if not any(above in roots for above in _organisation(root))}
    files: dict[str, list[str]] = {root: [] for root in roots}
    root_of = {
        folder: next((above for above in _above(folder) if above in roots), None)
        for folder in set(map(_folder_of, names))
    }
    for name in names:
        root = root_of[_folder_of(name)]
        if root is not None and shape.belongs(name, root):
            files[root].append(name)
    for name in lists_of(archive, roots - shape.folders):
        root = root_of[_folder_of(name)]
        if root is not None and name not in files[root]:
            files[root].append(name)
    return {root: own for root, own in files.items() if own and _is_slack(archive, own, shape)}


def is_sibling(name: str) -> bool:
    """Return whether a file, by its name, is one beside conversations that has no messages."""
    return _file_of(name) in _RECORDS or kind_by_name(name) != ""


def lists_of(archive: Archive, folders: Set[str]) -> dict[str, ListKind]:
    """
    Return the lists in these folders and in workspaces below them, under any name; outer ones first.

    Beside day files a list is known by its name only: there, any other JSON is a shared file.
    """
    found: dict[str, ListKind] = {}
    looks = 0
    day_files = set(filter(_DAY_FILE.fullmatch, archive.names()))
    days = set(map(_folder_of, day_files))
    others = [name for name in archive.names() if name not in day_files]
    wanted = {folder for folder in set(map(_folder_of, others)) if not folders.isdisjoint(_with_organisation(folder))}
    for name in others:
        if _folder_of(name) not in wanted:
            continue
        kind = kind_by_name(name)
        loose = not kind and _folder_of(name) not in days and _LIST_LIKE.search(name) and not is_sibling(name)
        if loose and looks < _LOOKS:
            looks += 1
            try:
                kind = list_kind(name, inspect_head(archive, name))
            except EntryUnreadable:
                continue
        if kind:
            found[name] = kind
    return {name: found[name] for name in sorted(found, key=lambda name: (name.count("/"), *list_order(name)))}


def find_txt_roots(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find Slack's TXT export of a single user's conversations."""
    files: dict[str, list[str]] = defaultdict(list)
    for name in archive.names():
        match = _TXT.fullmatch(name)
        if match:
            files[match[1]].append(name)
    return files


def workspaces(archive: Archive) -> Mapping[str, Sequence[Folder]]:
    """
    Return the conversation folders of an export by workspace (``""`` or ``teams/<name>/``), sorted.

    A workspace with lists of conversations and without day files has no folders.
    """
    days: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    shape = _Shape(archive.names())
    for folder in shape.lists:
        days[_workspace_of(folder)]
    for name in archive.names():
        above = _folder_of(name)
        if above in shape.folders and (name in shape.day_files or _is_like_day(archive, name)):
            days[_workspace_of(above)][shape.conversation_of(above)].append(name)
    return {
        workspace: [_folder(path, workspace, names) for path, names in sorted(found.items())]
        for workspace, found in sorted(days.items())
    }


def _folder(path: str, workspace: str, days: Sequence[str]) -> Folder:
    *kinds, name = path.removeprefix(workspace).rstrip("/").split("/")
    return Folder(path, name, tuple(kinds), tuple(days))


def reading_order(path: str) -> tuple[str, str]:
    """Return the sort key of a conversation's folder by its path: by workspace."""
    return _workspace_of(path), path


def _workspace_of(folder: str) -> str:
    """Return the ``…/teams/<name>/`` that contains a folder of an export, or ``""``."""
    return next((above for above in _above(folder) if _WORKSPACE.fullmatch(above)), "")


def _is_upload(name: str) -> bool:
    return any(_file_of(above.rstrip("/")) in (*_UPLOADS, "attachments") for above in _above(name))


def _is_kind(folder: str) -> bool:
    return (
        is_private_kind(folder)
        or re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", folder).casefold()) in _PUBLIC_KINDS
    )


def _organisation(root: str) -> Iterator[str]:
    """Yield the folder above ``teams/<name>/``: the organisation that a workspace belongs to."""
    if _WORKSPACE.fullmatch(root):
        yield root.rstrip("/").rpartition("/")[0].rpartition(_TEAMS)[0]


def _with_organisation(folder: str) -> Iterator[str]:
    yield folder
    yield from _organisation(folder)


def _above(name: str) -> Iterator[str]:
    """Yield the folders that a name is in, the innermost first, ``""`` last; a folder ends in ``/`` and is its own."""
    end = name.rfind("/")
    while end >= 0:
        yield name[: end + 1]
        end = name.rfind("/", 0, end)
    yield ""


def _folder_of(name: str) -> str:
    return name[: name.rfind("/") + 1]


def _file_of(name: str) -> str:
    return name[name.rfind("/") + 1 :]


def _describes_loose_files(archive: Archive, folder: str) -> bool:
    """Return whether the lists in a folder describe files of messages beside them, as slack-archive writes them."""
    files = (name for name in archive.names() if _folder_of(name) == folder and name.endswith((".json", ".jsonl")))
    loose = (name for name in files if not is_sibling(name))
    return any(has_messages(archive, name) for name in islice(loose, _SAMPLES))


def _is_like_day(archive: Archive, name: str) -> bool:
    return _DAY_LIKE.fullmatch(name) is not None and has_messages(archive, name)


def has_messages(archive: Archive, name: str) -> bool:
    """Return whether a file has the ``ts`` that only Slack's messages have."""
    try:
        head = inspect_head(archive, name)
    except EntryUnreadable:
        return False
    return any(head.has(place, "ts") for place in head.keys)


def _is_slack(archive: Archive, names: Sequence[str], shape: _Shape) -> bool:
    """Return whether a file has data that only Slack writes: a list of conversations, or messages with ``ts``."""
    days = [name for name in names if name in shape.day_files]
    listed = [name for name in names if name not in shape.day_files and kind_by_name(name) == "conversations"]
    for name in [*listed, *days[:_SAMPLES], *days[-1:]]:
        try:
            head = inspect_head(archive, name)
        except EntryUnreadable:
            continue
        if any(head.has(place, "id" if name in listed else "ts") for place in head.keys):
            return True
    return False
