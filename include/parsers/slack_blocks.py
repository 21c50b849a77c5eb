"""
Renders what a Slack message holds besides its ``text``: blocks, attachments and files. Pure, like the text module.

These structures come from every app ever written for Slack: a part that is missing, of another type or
unknown is left out, and never costs the rest. Keys and element types: https://docs.slack.dev/reference/block-kit.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

from include.parsers.slack_text import Names, date_text, link, to_plain_text
from include.parsers.values import objects, string

_DEPTH = 12
"""Slack nests about five levels; a hostile message must not cost more."""

_WORD = re.compile(r"[^\W_]+|[^\w\s*~`]")
"""A word, or a sign that is no mark of emphasis."""

_NO_PREVIEW = ("[no preview available]", "[no preview]")
_GONE_MODES = ("tombstone", "hidden_by_limit")
_GONE_ACCESS = ("access_denied", "file_not_found")

type _Object = Mapping[str, Any]


def blocks_text(blocks: object, names: Names) -> str:
    """Return the text of a list of blocks, one line per block; empty if they hold none."""
    return _lines(_block(block, names) for block in objects(blocks))


def attachments_text(attachments: object, names: Names, *, by_app: bool) -> str:
    """
    Return what apps attached. Previews of links are left out: nobody wrote those words here.

    :param by_app: Whether an app posted the message; only then is ``service_name`` the app's own.
    """
    return _lines(
        _attachment(attachment, names)
        for attachment in objects(attachments)
        if not _is_preview(attachment, by_app=by_app)
    )


def shared_text(attachments: object, names: Names) -> str:
    """Return messages that were shared from elsewhere, each with its author."""
    return _lines(
        f"[shared] {_str(shared, 'author_name') or names.users.get(_str(shared, 'author_id'), 'somebody')}: {text}"
        for shared in objects(attachments)
        if (shared.get("is_share") or shared.get("is_msg_unfurl"))
        and (text := to_plain_text(_str(shared, "text"), names) or _attachment(shared, names))
    )


def files_text(files: object) -> str:
    """Return ``[file: title]`` for each file that the export still knows."""
    return _lines(
        f"[file: {_str(file, 'title') or _str(file, 'name') or 'untitled'}]"
        for file in objects(files)
        if file and file.get("mode") not in _GONE_MODES and file.get("file_access") not in _GONE_ACCESS
    )


def _is_preview(attachment: _Object, *, by_app: bool) -> bool:
    if attachment.get("from_url") or attachment.get("original_url") or attachment.get("is_share"):
        return True
    return bool(attachment.get("service_name")) and not by_app


def _attachment(attachment: _Object, names: Names) -> str:
    """Put the summary for simple clients and what it leaves out below each other: apps write one, both, or the same."""
    parts = [_str(attachment, key) for key in ("fallback", "pretext", "title", "text")]
    parts += [
        f"{_str(field, 'title')}: {_str(field, 'value')}".removeprefix(": ").removesuffix(": ")
        for field in objects(attachment.get("fields"))
    ]
    parts.append(_str(attachment, "footer"))
    plain = [to_plain_text(part, names).strip() for part in parts if part not in _NO_PREVIEW]
    text = reduce(joined, [*plain, blocks_text(attachment.get("blocks"), names)])
    return _lines([text, files_text(attachment.get("files"))])


def joined(text: str, more: str) -> str:
    """Put two texts below each other unless one of them says it all; marks and white space do not count."""
    if not text or not more:
        return text or more
    one, other = _words(text), _words(more)
    if other in one:
        return text
    return more if one in other else f"{text}\n{more}"


def _words(text: str) -> str:
    """Return words and signs between single spaces, so that one such text stands in another only as whole words."""
    return f" {' '.join(_WORD.findall(text))} "


def _block(block: _Object, names: Names) -> str:
    render = _BLOCK.get(_str(block, "type"))
    return render(block, names) if render else ""


def _rich_text(block: _Object, names: Names) -> str:
    return _lines(_rich(element, names, _DEPTH) for element in objects(block.get("elements")))


def _section(block: _Object, names: Names) -> str:
    fields = [_text_object(field, names) for field in objects(block.get("fields"))]
    return _lines([_text_object(block.get("text"), names), *fields])


def _context(block: _Object, names: Names) -> str:
    elements = objects(block.get("elements"))
    texts = (_picture(item, names) if item.get("type") == "image" else _text_object(item, names) for item in elements)
    return " ".join(filter(None, texts))


def _picture(block: _Object, names: Names) -> str:
    caption = _text_object(block.get("title"), names) or _str(block, "alt_text")
    return f"[image: {caption}]" if caption else ""


def _table(block: _Object, names: Names) -> str:
    rows = block.get("rows")
    cells = ([_cell(cell, names) for cell in objects(row)] for row in (rows if isinstance(rows, list) else []))
    return _lines(" | ".join(row) for row in cells)


def _cell(cell: _Object, names: Names) -> str:
    return _rich_text(cell, names) if cell.get("type") == "rich_text" else _text_object(cell, names)


_BLOCK: Mapping[str, Callable[[_Object, Names], str]] = {
    "rich_text": _rich_text,
    "section": _section,
    "header": _section,
    "markdown": _section,
    "context": _context,
    "image": _picture,
    "video": _picture,
    "table": _table,
    "call": lambda *_: "[call]",
}


def _text_object(value: object, names: Names) -> str:
    """Text is a string or ``{"type": "mrkdwn" | "plain_text", "text": …}``."""
    if isinstance(value, Mapping):
        value = value.get("text")
    return to_plain_text(value, names) if isinstance(value, str) else ""


def _rich(element: _Object, names: Names, depth: int) -> str:
    """Render an element of a rich text: a section, list, quote or preformatted passage."""
    kind = element.get("type")
    if depth <= 0:
        return ""
    if kind == "rich_text_list":
        ordered = element.get("style") == "ordered"
        indent = element.get("indent")
        margin = "  " * (min(indent, _DEPTH) if isinstance(indent, int) else 0)
        items = (_rich(item, names, depth - 1) for item in objects(element.get("elements")))
        return _lines(margin + (f"{n}. " if ordered else "- ") + item for n, item in enumerate(items, 1) if item)
    text = "".join(_inline(item, names) for item in objects(element.get("elements")))
    if kind == "rich_text_quote":
        return "\n".join(f"> {line}" for line in text.splitlines())
    return text.strip("\n")


_INLINE: Mapping[str, Callable[[_Object, Names], str]] = {
    "text": lambda item, _: _str(item, "text"),
    "link": lambda item, _: link(_str(item, "url"), _str(item, "text")),
    "user": lambda item, names: f"@{names.users.get(_str(item, 'user_id')) or _str(item, 'user_id')}",
    "usergroup": lambda item, names: (
        f"@{names.usergroups.get(_str(item, 'usergroup_id')) or _str(item, 'usergroup_id')}"
    ),
    "channel": lambda item, names: f"#{names.channels.get(_str(item, 'channel_id')) or _str(item, 'channel_id')}",
    "broadcast": lambda item, _: f"@{_str(item, 'range') or 'channel'}",
    "emoji": lambda item, _: f":{_str(item, 'name')}:",
    "date": lambda item, _: _str(item, "fallback") or date_text(item.get("timestamp", "")),
    "color": lambda item, _: _str(item, "value"),
    "canvas": lambda item, _: f"[canvas {_str(item, 'file_id')}]",
}


def _inline(item: _Object, names: Names) -> str:
    render = _INLINE.get(_str(item, "type"))
    return render(item, names) if render else ""


def _str(item: _Object, key: str) -> str:
    return string(item.get(key))


def _lines(parts: Iterator[str] | list[str]) -> str:
    return "\n".join(part for part in parts if part.strip())
