"""Makes the text of one entry of EverOS-shaped JSON: words, placeholders for files, and quotes of answered messages."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from include.parsers.json.values import as_dict, as_dicts, as_str, file_name_in, identifier, without_query

_FILE_TYPES = ("image", "file", "audio", "video", "link")

_KINDS = {
    **dict.fromkeys(("image_url", "input_image", "image_file"), "image"),
    **dict.fromkeys(("input_audio", "audio_url"), "audio"),
    **dict.fromkeys(("input_file", "document"), "file"),
    "video_url": "video",
}
"""Names that APIs of models give to items that are files."""

_NESTED = ("image_url", "file_url", "video_url", "audio_url", "source")
"""Members that hold the address of such an item."""

_WORDS_OF_ITEM = ("text", "content", "parts", "value", "refusal")
_OF_MACHINES = (
    *("tool_use", "server_tool_use", "tool_call", "tool_result", "tool_response"),
    *("function_call", "function_call_output", "function_response"),
    *("thinking", "redacted_thinking", "reasoning"),
)
"""Items that are no message: calls of tools, their results, and reasoning."""

_CALLS = ("tool_calls", "function_call")
_DEPTH = 8

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.|(?:[\w-]+\.)+[a-z]{2,}/)\S+", re.IGNORECASE | re.ASCII)
_DATA = re.compile(r"data:[^\s,]*,\S*", re.IGNORECASE)
_EXTENSION = r"\.(?:[A-Za-z][A-Za-z0-9]{0,4}|7z)"
_QUERY = r"(?:[?#]\S+)?"
_PATH = re.compile(
    rf"(?:~|\.{{1,2}}|[A-Za-z]:|\\)?[/\\][^\n?#]*{_EXTENSION}{_QUERY}"
    rf"|(?=[^\s?#/\\]*+[/\\])[^\s?#]*{_EXTENSION}{_QUERY}"
)
"""Ends in a file extension: without one, ``Q1/Q2`` may be words. One with white space starts as a path does."""
_NAME = re.compile(rf"[^/\\\n?#]*{_EXTENSION}|[^\s/\\?#]*{_EXTENSION}{_QUERY}")

_PATH_CHARACTERS = 1_000
"""A longer text is no path."""

_QUOTED_CHARACTERS = 120
_QUOTES = 5


def text_of(entry: Mapping[str, Any]) -> str:
    """Return the content; files of either format become placeholders, without their addresses."""
    content = entry.get("content")
    kind = entry.get("type")
    if kind and isinstance(kind, str) and kind.strip().lower() in _FILE_TYPES:
        return _file(kind.strip().lower(), as_str(content).strip(), as_dict(entry.get("extra")))
    return content if isinstance(content, str) else _words(content)


def is_of_a_tool(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry without words is a call of tools, or their result."""
    parts = _listed(entry.get("content"))
    return any(entry.get(name) for name in _CALLS) or any(_kind(as_dict(part)) in _OF_MACHINES for part in parts)


def reply_lines(refers: object, people: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield a line for each message that an entry replies to, as far as it is quoted: ``[in reply to Bo: "Let us …"]``.

    :param refers: ``refer_list``; ids alone hold no words and are skipped.
    :param people: ``user_details`` by sender.
    """
    for refer in as_dicts(refers)[:_QUOTES]:
        quoted = _one_line(text_of(refer), _QUOTED_CHARACTERS).replace('"', "'")
        sender = identifier(refer, "sender_id") or identifier(refer, "sender")
        name = as_str(refer.get("sender_name")) or as_str(as_dict(people.get(sender)).get("full_name")) or sender
        if quoted:
            yield f'[in reply to {_one_line(name, 60) or "a message"}: "{quoted}"]'


def _one_line(text: str, characters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1].rstrip()}…"


def _file(kind: str, content: str, extra: Mapping[str, Any]) -> str:
    """Return ``[image: x.png]`` for an address, a path or a name of a file, ``[image] words`` for a caption."""
    given = next(filter(None, (as_str(extra.get(key)).strip() for key in ("file_name", "filename", "name"))), "")
    url = as_str(extra.get("url")).strip()
    name = _one_line(given, 200) or (_name(kind, url) if url else "")
    if content and not _is_place(content):
        return f"[{kind}: {name}] {content}" if name else f"[{kind}] {content}"
    name = name or (_name(kind, content) if content else "")
    return f"[{kind}: {name}]" if name else f"[{kind}]" if content else ""


def _is_place(content: str) -> bool:
    if _ADDRESS.fullmatch(content) or _DATA.fullmatch(content):
        return True
    return len(content) <= _PATH_CHARACTERS and bool(_PATH.fullmatch(content) or _NAME.fullmatch(content))


def _name(kind: str, place: str) -> str:
    """Return the file name of an address or path; a link's address without what may be a secret in it."""
    if _DATA.fullmatch(place):
        return ""
    if not _ADDRESS.fullmatch(place):
        return file_name_in(place)
    scheme, separator, rest = without_query(place).rpartition("://")
    host, slash, path = rest.partition("/")
    address = f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
    if kind == "link":
        return address
    name = re.split(r"[/\\]", path.rstrip("/"))[-1]
    return _one_line(unquote(name), 200) or host.rpartition("@")[2]


def _listed(content: object) -> list[Any]:
    return content if isinstance(content, list) else [content] if isinstance(content, dict) else []


def _words(content: object, depth: int = 0) -> str:
    """Return the text of an item, or of a list of them, without calls of tools and reasoning."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _item(content, depth)
    if not isinstance(content, list) or depth > _DEPTH:
        return ""
    return "\n".join(words for item in content if (words := _words(item, depth + 1)).strip())


def _item(item: Mapping[str, Any], depth: int) -> str:
    kind = _kind(item)
    if kind in _OF_MACHINES or depth > _DEPTH:
        return ""
    given = (_words(item.get(key), depth + 1) for key in _WORDS_OF_ITEM)
    words = next((words for words in given if words.strip()), "")
    places = (as_str(item.get(key)) or as_str(as_dict(item.get(key)).get("url")) for key in ("uri", "url", *_NESTED))
    place = next(filter(None, places), "")
    named = any(as_str(item.get(key)) for key in ("name", "file_name", "filename"))
    kind = _KINDS.get(kind, kind)
    if kind not in _FILE_TYPES and (words or not (named or place)):
        return words
    return _file(kind or "file", words, {**item, "url": place}) or f"[{kind}]"


def _kind(item: Mapping[str, Any]) -> str:
    return as_str(item.get("type")).strip().lower()
