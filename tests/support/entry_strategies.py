"""
Lists the entries of export files without the parsers: ``json``, ``csv``, ``zipfile``, ``tarfile`` and nothing else.

Slow and short on purpose: where it and a parser disagree, an entry was lost or made up. :mod:`words` looks into
the entries.
"""

import csv
import io
import json
import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NO_MESSAGES = re.compile(
    r"(^|/)(__MACOSX/|\._|__uploads/|attachments/|[^/]*_Files/|[CDG][0-9A-Z]+/F[0-9A-Z]+-)"
    r"|(^|/)(channels|groups|mpims|dms|users|org_users|usergroups|integration_logs|canvases|lists|huddle_transcripts"
    r"|content_flags|file_conversations|canvas_in_the_conversation|\.slack-manifest|slack-archive|emojis"
    r"|index|channel|user|guild|events-[^/]*|traits|quests|tickets|storage|application|audit-log)\.json$"
)
"""Files that lie in exports and hold nothing anybody said."""

UNSAFE = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")
BOMB_RATIO = 250
LISTS = ("messages", "conversation_list")
NESTED = ("replies", "slackdump_thread_replies")
READ = (".json", ".jsonl", ".ndjson", ".csv")


def raw_entries(source: Path) -> Counter[str]:
    """Return how many entries each file of a zip, tar, folder holds, by the file's own name."""
    return Counter(name.rpartition("/")[2] for name, _ in entries_of(source))


def entries_of(source: Path) -> Iterator[tuple[str, Any]]:
    """Yield each entry of a zip, tar, folder or file with the name of its file; a broken part is one entry ``None``."""
    for name, data in _files(source):
        if NO_MESSAGES.search(name) is None:
            for entry in _in_file(name, data):
                yield name, entry


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file() and (zipfile.is_zipfile(path) or path.name.endswith((".tar.gz", ".tgz", ".tar"))):
                yield from _files(path)
            elif path.suffix in READ:
                yield path.relative_to(source).as_posix(), path.read_bytes()
    elif zipfile.is_zipfile(source):
        yield from _in_zip(source.read_bytes())
    elif source.name.endswith((".tar.gz", ".tgz", ".tar")):
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(READ) and not UNSAFE.search(member.name):
                    yield member.name, (archive.extractfile(member) or io.BytesIO()).read()
    else:
        yield source.name, source.read_bytes()


def _in_zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            name = entry.filename.replace("\\", "/")
            link = stat.S_ISLNK(entry.external_attr >> 16)
            if UNSAFE.search(name) or link:
                continue
            if name.endswith(READ):
                bomb = entry.file_size > max(BOMB_RATIO * entry.compress_size, 1 << 20)
                yield name, b"[" if bomb else archive.read(entry)  # a bomb is one entry, as is any broken file
            elif name.endswith(".zip"):
                yield from _in_zip(archive.read(entry))


def _in_file(name: str, data: bytes) -> list[Any]:
    text = data.decode("utf-8-sig", "replace")
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if not name.endswith((".jsonl", ".ndjson")):
        try:
            return _in_value(json.loads(text, strict=False))
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                return [*_complete_items(text), None]
    return [entry for line in text.splitlines() if line.strip() for entry in _in_line(line)]


def _in_line(line: str) -> list[Any]:
    """Return the entries of one line of JSON lines: a message, a conversation, or a chunk of slackdump."""
    try:
        value = json.loads(line, strict=False)
    except json.JSONDecodeError:
        return [None]
    held = isinstance(value, dict) and (set(LISTS) & value.keys() or "t" in value)
    return _in_value(value if held else [value])


def _in_value(value: Any) -> list[Any]:
    if isinstance(value, list):
        held = [item for item in value if isinstance(item, dict) and set(LISTS) & item.keys()]
        return [entry for item in held for entry in _in_value(item)] if held else _with_nested(value)
    if not isinstance(value, dict):
        return []
    if {"ts", "text"} <= value.keys() or {"timestamp", "content", "author"} <= value.keys():
        return _with_nested([value])  # the file is one message
    listed: list[Any] = next((value[key] for key in LISTS if key in value), [])
    if value.get("t") in (0, 1):  # messages of a channel or thread, in slackdump's chunks
        listed = value.get("m") or []
    if listed and all(isinstance(item, list) for item in listed):  # what Discord's search answers
        listed = [entry for item in listed for entry in item]
    return _with_nested(listed)


def _with_nested(items: list[Any]) -> list[Any]:
    """Add the replies that stand below their root; Slack's own ``replies`` only name them."""
    found: list[Any] = []
    for item in items:
        found.append(item)
        for key in NESTED if isinstance(item, dict) else ():
            found += [reply for reply in item.get(key) or () if not isinstance(reply, dict) or _is_message(reply)]
    return found


def _is_message(reply: dict[str, Any]) -> bool:
    return bool({"type", "text"} & reply.keys())


def _complete_items(text: str) -> list[Any]:
    """Return the items of the file's list up to where it breaks off."""
    decoder = json.JSONDecoder(strict=False)
    listed = re.search(r'"messages"\s*:\s*\[|^\s*\[', text)
    position = listed.end() if listed else len(text)
    found: list[Any] = []
    while True:
        start = re.compile(r"[\s,]*").match(text, position)
        try:
            item, position = decoder.raw_decode(text, start.end() if start else position)
        except json.JSONDecodeError:
            return found
        found.append(item)
