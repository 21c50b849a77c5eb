"""
Tells which files of an archive are a Slack export, and which of those are day files of which conversation.

::

    channels.json  users.json  …                    index files, any of them may be missing
    general/2024-05-01.json                         day files, and beside them canvases and attachments
    teams/acme/general/2024-05-01.json              a workspace of an Enterprise Grid organisation
    __uploads/F123/plan.json                        slackdump's copies of shared files: no messages
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from include.archive import Archive
from include.errors import EntryUnreadable
from include.parsers.head import look
from include.parsers.slack_index import CHANNEL_FILES, RECORD_FILES, USER_FILES

_DAY_FILE = re.compile(r"(?:(.*)/)?\d{4}-\d{2}-\d{2}\.json")
_CANVAS = "canvas_in_the_conversation.json"
_UPLOADS = "__uploads"
_TEAMS = "teams"
_WORKSPACE = re.compile(rf"(?:{_TEAMS}/[^/]+/)?")
_TXT = re.compile(r"(?=.*[^/]\.txt\Z)((?:.*/)?)(?:channels|dms)/.+")  # the end first: linear time
_WITHOUT_MESSAGES = (
    "usergroups.json",
    "integration_logs.json",
    "content_flags.json",
    ".slack-manifest.json",
)
_SIBLINGS = frozenset({*CHANNEL_FILES, *USER_FILES, *RECORD_FILES, *_WITHOUT_MESSAGES})
_SAMPLES = 5


def trees(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find Slack exports: by the shape of the tree, confirmed by a look into some of the files."""
    folders = _conversation_folders(archive.names())
    roots = _outermost(_candidates(archive.names(), folders), folders)
    files: dict[str, list[str]] = {root: [] for root in roots}
    for name in archive.names():
        root = next((above for above in _above(name) if above in roots), None)
        if root is not None and _belongs(name, root, folders):
            files[root].append(name)
    return {root: names for root, names in files.items() if _is_slack(archive, names)}


def txt_trees(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find Slack's TXT export of a single user's conversations."""
    files: dict[str, list[str]] = defaultdict(list)
    for name in archive.names():
        match = _TXT.fullmatch(name)
        if match:
            files[match[1]].append(name)
    return files


def day_files(archive: Archive) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """
    Return the day files of an export by workspace (``""`` or ``teams/<name>/``) and folder.

    The folder is empty if the archive is one conversation's folder itself. A workspace that has lists of
    conversations and no day file is there without folders.
    """
    files: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in archive.names():
        above, _, file = name.rpartition("/")
        if file in CHANNEL_FILES:
            files[f"{above}/" if above else ""]
        elif _DAY_FILE.fullmatch(name):
            workspace, _, folder = above.rpartition("/")
            files[f"{workspace}/" if workspace else ""][folder].append(name)
    return {prefix: folders for prefix, folders in files.items() if _WORKSPACE.fullmatch(prefix)}


def _conversation_folders(names: Sequence[str]) -> set[str]:
    """Return the folders that directly hold day files or a channel's canvas, each ending in ``/``."""
    return {
        name[: name.rfind("/") + 1] for name in names if _DAY_FILE.fullmatch(name) or name.rpartition("/")[2] == _CANVAS
    }


def _candidates(names: Sequence[str], folders: set[str]) -> set[str]:
    beside = {name[: name.rfind("/") + 1] for name in names if name.rpartition("/")[2] in CHANNEL_FILES}
    return beside | {next(_above(folder.rstrip("/"))) for folder in folders}


def _outermost(candidates: set[str], folders: set[str]) -> set[str]:
    """Drop what belongs to a root above it: workspaces of a Grid, attachments with the name of a day file."""
    roots: set[str] = set()
    for candidate in sorted(candidates, key=len):
        if not any(above in roots and _belongs(candidate, above, folders) for above in _above(candidate.rstrip("/"))):
            roots.add(candidate)
    return roots


def _above(name: str) -> Iterator[str]:
    """Yield the folders a name lies in, the innermost first, ``""`` last."""
    end = name.rfind("/")
    while end >= 0:
        yield name[: end + 1]
        end = name.rfind("/", 0, end)
    yield ""


def _belongs(name: str, root: str, folders: set[str]) -> bool:
    first, slash, _ = name[len(root) :].partition("/")
    if not slash:
        return first in _SIBLINGS or _DAY_FILE.fullmatch(first) is not None
    return first in (_TEAMS, _UPLOADS) or f"{root}{first}/" in folders


def _is_slack(archive: Archive, names: Sequence[str]) -> bool:
    """Look for what only Slack writes: lists of conversations, or messages with ``ts``."""
    listed = [name for name in names if name.rpartition("/")[2] in CHANNEL_FILES]
    days = [name for name in names if _DAY_FILE.fullmatch(name)]
    for name in [*listed, *days[:_SAMPLES], *days[-1:]]:
        try:
            head = look(archive, name)
        except EntryUnreadable:
            continue
        if head.has("item", "id" if name in listed else "ts"):
            return True
    return False
