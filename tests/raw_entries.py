"""
Counts what export files hold and knows nothing of the parsers: ``json``, ``csv``, ``zipfile`` and nothing else.

Slow and short on purpose: where it and a parser disagree, an entry was lost or made up.
"""

import csv
import io
import json
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NO_MESSAGES = re.compile(
    r"(^|/)(__MACOSX/|\._|__uploads/|attachments/|[^/]*_Files/)"
    r"|(^|/)(channels|groups|mpims|dms|users|org_users|usergroups|integration_logs|canvases|lists|huddle_transcripts"
    r"|content_flags|file_conversations|canvas_in_the_conversation|\.slack-manifest|index|channel|user|guild)\.json$"
)
"""Files that lie in exports and hold nothing anybody said."""

UNSAFE = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")
BOMB_RATIO = 250
LISTS = ("messages", "conversation_list")


def raw_entries(source: Path) -> Counter[str]:
    """Return how many entries each file of a zip or folder holds, by the file's own name."""
    counted: Counter[str] = Counter()
    for name, data in _files(source):
        if NO_MESSAGES.search(name) is None:
            counted[name.rpartition("/")[2]] += _in_file(name, data)
    return +counted


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if zipfile.is_zipfile(path):
                yield from _files(path)
            elif path.suffix in (".json", ".jsonl", ".csv"):
                yield path.relative_to(source).as_posix(), path.read_bytes()
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                name = entry.filename.replace("\\", "/")
                link = stat.S_ISLNK(entry.external_attr >> 16)
                if not (UNSAFE.search(name) or link) and name.endswith((".json", ".csv")):
                    bomb = entry.file_size > max(BOMB_RATIO * entry.compress_size, 1 << 20)
                    yield name, b"[" if bomb else archive.read(entry)  # a bomb is one entry, as is any broken file
    else:
        yield source.name, source.read_bytes()


def _in_file(name: str, data: bytes) -> int:
    text = data.decode("utf-8-sig", "replace")
    if name.endswith(".csv"):
        return len(list(csv.DictReader(io.StringIO(text, newline=""))))
    try:
        return _in_value(json.loads(text, strict=False))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object per line
            return sum(bool(line.strip()) for line in text.splitlines())
        return _complete_items(text) + 1  # what is cut off or broken counts once


def _in_value(value: Any) -> int:
    if isinstance(value, list):
        conversations = [item for item in value if isinstance(item, dict) and set(LISTS) & item.keys()]
        return sum(map(_in_value, conversations)) if conversations else len(value) + _nested(value)
    listed = next((value[key] for key in LISTS if isinstance(value, dict) and key in value), [])
    return len(listed) + _nested(listed)


def _nested(items: list[Any]) -> int:
    """Count the replies that slackdump nests below their root."""
    return sum(len(item.get("slackdump_thread_replies") or ()) for item in items if isinstance(item, dict))


def _complete_items(text: str) -> int:
    """Count the items of the file's list up to where it breaks off."""
    decoder = json.JSONDecoder(strict=False)
    listed = re.search(r'"messages"\s*:\s*\[|^\s*\[', text)
    position, count = listed.end() if listed else len(text), 0
    while True:
        start = re.compile(r"[\s,]*").match(text, position)
        try:
            _, position = decoder.raw_decode(text, start.end() if start else position)
        except json.JSONDecodeError:
            return count
        count += 1
