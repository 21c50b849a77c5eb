"""
Extracts the text of blocks and attachments of a Slack message. Pure, like the text module.

These structures come from every app ever written for Slack: a part that is missing or of another type is left out, the
rest is read. A type that is unknown gives the text objects found in it. Types and members:
https://docs.slack.dev/reference/block-kit, https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments.

Buttons, menus and inputs are controls: their labels are no words of the message, wherever they are.
Ids, addresses of pictures, colours and names of actions are not, either.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import msgspec

from include.parsers.json.values import as_dict, as_dicts, as_str
from include.parsers.slack.files import files_text, picture_name
from include.parsers.slack.repeats import (
    asks_for_another_client,
    is_for_other_clients,
    joined,
    repeats,
    says_more,
    unsaid,
)
from include.parsers.slack.text import Names, date_text, link, to_plain_text

_DEPTH = 24
"""Objects and arrays inside each other. Slack nests about a dozen; bounds the work for a hostile message."""

_MAX_INDENT = 12
_MAX_NUMBER = 1_000_000


class _Kind(msgspec.Struct, gc=False):
    type: str = ""


_KINDS = msgspec.json.Decoder(list[_Kind])

_HEADING = re.compile(r"\[[^\]\n]{1,80}\]\s*([^:\n]{0,80}):\s*")
"""``[Jan 1st, 2026 9:00 AM] bob:``, before the words of a forwarded message in its ``fallback``."""

_CONTROLS = frozenset(
    {
        "actions",
        "context_actions",
        "button",
        "icon_button",
        "feedback_buttons",
        "workflow_button",
        "overflow",
        "checkboxes",
        "radio_buttons",
        "datepicker",
        "timepicker",
        "datetimepicker",
        "action",
        "input",
        "divider",
    }
)
_CONTROL_ENDS = ("_select", "_input", "_button")

_TEXT_KEYS = (
    "pretext",
    "title",
    "header",
    "heading",
    "subtitle",
    "label",
    "text",
    "body",
    "content",
    "message",
    "description",
    "summary",
    "details",
    "caption",
    "alt_text",
    "hint",
    "plain_text",
    "x_label",
    "y_label",
)
"""Members that hold text where the type of the object is unknown, in the order of the output."""

_NO_TEXT = frozenset(
    {
        "actions",
        "confirm",
        "options",
        "option_groups",
        "placeholder",
        "style",
        "metadata",
        "icon",
        "icons",
        "slack_file",
        "user_profile",
        "bot_profile",
        "mrkdwn_in",
        "column_settings",
    }
)

_ATTACHMENT_READ = frozenset(
    {
        "pretext",
        "author_name",
        "title",
        "text",
        "fields",
        "footer",
        "fallback",
        "blocks",
        "message_blocks",
        "files",
        "attachments",
    }
)
_ATTACHMENT_TEXT = ("subtitle", "description", "summary", "caption", "body")

type _Object = Mapping[str, Any]


def blocks_text(blocks: object, names: Names, *, beside_text: bool = False) -> str:
    """
    Return the text of a list of blocks, one line per block; empty if they hold none.

    :param beside_text: Whether there is a user's text, which Slack makes of the rich text: this is then left out.
    """
    return _lines(
        _part(block, names, _DEPTH)
        for block in as_dicts(blocks)
        if not (beside_text and block.get("type") == "rich_text")
    )


def say_more_than_text(blocks: msgspec.Raw) -> bool:
    """Return whether a user's blocks may have more than the rich text that ``text`` repeats; only types are decoded."""
    try:
        kinds = _KINDS.decode(blocks)
        if len(kinds) == 1:  # as for nearly all that people write
            return kinds[0].type != "rich_text"
        return any(block.type != "rich_text" for block in kinds)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(blocks) != b"null"


def attachments_text(attachments: object, names: Names, *, by_app: bool, said: str = "") -> str:
    """
    Return the text of attachments, without what the message has already.

    Previews of links are left out: they are no words of the author. Two attachments are compared as wholes only:
    a line that both have is given twice.

    :param by_app: Whether an app posted the message; its previews of links are then its own words.
    """
    cards: list[str] = []
    for attachment in as_dicts(attachments):
        if is_forward(attachment) or _is_preview(attachment, by_app=by_app):
            continue
        card = unsaid(said, _card(attachment, names, _DEPTH, said))
        if card and not any(repeats(other, card) for other in cards):
            cards.append(card)
    return _lines(cards)


def forwards_text(attachments: object, names: Names) -> str:
    """Return the messages that were forwarded or linked to, each with its author."""
    forwards = (_forward(item, names, _DEPTH) for item in as_dicts(attachments) if is_forward(item))
    return _lines(dict.fromkeys(forwards))


def previews_text(attachments: object, names: Names, *, said: str = "") -> str:
    """Return previews of links, named as such, for a message that has nothing else or nothing but the links."""
    others = [item for item in as_dicts(attachments) if not is_forward(item)]
    cards = [unsaid(said, _card(item, names, _DEPTH, said)) for item in others]
    return _lines(f"[link preview] {card}" for card in cards if card)


def is_forward(attachment: _Object) -> bool:
    """Return whether an attachment is a message of another author."""
    return bool(attachment.get("is_share") or attachment.get("is_msg_unfurl") or attachment.get("is_reply_unfurl"))


def _is_preview(attachment: _Object, *, by_app: bool) -> bool:
    """Return whether it is Slack's preview of a web page, or an app's preview of a link in a user's message."""
    address = attachment.get("from_url") or attachment.get("original_url")
    if not by_app:
        return bool(address or attachment.get("service_name") or attachment.get("is_app_unfurl"))
    if attachment.get("is_app_unfurl"):
        return False
    return bool(attachment.get("original_url") or (address and attachment.get("service_name")))


def _forward(attachment: _Object, names: Names, depth: int) -> str:
    """Return author and text; Slack's footer ("Posted in #ops") and heading of the fallback are left out."""
    text = _body(attachment, names, depth, "")
    author = names.users.get(_str(attachment, "author_id")) or _str(attachment, "author_name")
    author = author or _str(attachment, "author_subname")
    if not text:
        fallback = to_plain_text(_str(attachment, "fallback"), names).strip()
        heading = _HEADING.match(fallback)
        if heading:
            author, fallback = author or heading[1].strip(), fallback[heading.end() :]
        text = "" if is_for_other_clients(fallback) else fallback
    text = text or picture_name(_str(attachment, "image_url"))
    return f"[shared] {author or 'somebody'}: {text}" if text else ""


def _card(attachment: _Object, names: Names, depth: int, said: str) -> str:
    """
    Return the words of an attachment.

    ``fallback`` is a summary for clients that cannot show the rest: used only if it has words that the rest has not.
    Beside buttons it is a hint for such clients, and used only if there is no other text.
    """
    author = to_plain_text(_str(attachment, "author_name"), names).strip()
    text = _body(attachment, names, depth, said, author)
    footer = to_plain_text(_str(attachment, "footer"), names).strip()
    fallback = to_plain_text(_str(attachment, "fallback"), names).strip()
    interactive = attachment.get("actions") or attachment.get("callback_id")
    if asks_for_another_client(fallback) or (text and interactive):
        fallback = ""
    if not text:
        text = fallback or picture_name(_str(attachment, "image_url"))
    elif fallback and says_more(fallback, f"{text}\n{footer}\n{_str(attachment, 'title_link')}"):
        text = joined(fallback, text, summary=True)
    return joined(text, footer)


def _body(attachment: _Object, names: Names, depth: int, said: str, author: str = "") -> str:
    if depth <= 0:
        return ""
    text = to_plain_text(_str(attachment, "text"), names).strip()
    parts = [to_plain_text(_str(attachment, "pretext"), names).strip(), author]
    parts += [_title(attachment, names, said + text), text, _fields(attachment, names)]
    parts.append(_part(attachment.get("blocks"), names, depth - 1))
    parts += [
        _message(as_dict(item.get("message")), names, depth - 1) for item in _objects(attachment, "message_blocks")
    ]
    inner = _objects(attachment, "attachments")
    parts += [_card(item, names, depth - 1, said) for item in inner if not _is_elsewhere(item)]
    others = {
        key: value
        for key, value in attachment.items()
        if key not in _ATTACHMENT_READ and (key in _ATTACHMENT_TEXT or isinstance(value, dict | list))
    }
    parts.append(_unknown(others, names, depth - 1))
    text = reduce(joined, ("" if is_for_other_clients(part) else part for part in parts))
    forwards = (_forward(item, names, depth - 1) for item in inner if is_forward(item))
    return _lines([text, *forwards, files_text(attachment.get("files"))])


def _is_elsewhere(attachment: _Object) -> bool:
    """Return whether it is no card: another author's message, or a preview of a web page."""
    return is_forward(attachment) or _is_preview(attachment, by_app=True)


def _message(message: _Object, names: Names, depth: int) -> str:
    """Return the words of a whole message inside an attachment."""
    text = to_plain_text(_str(message, "text"), names).strip()
    text = joined(text, _part(message.get("blocks"), names, depth))
    inner = _objects(message, "attachments") if depth > 0 else []
    cards = [_card(item, names, depth - 1, text) for item in inner if not _is_elsewhere(item)]
    forwards = (_forward(item, names, depth - 1) for item in inner if is_forward(item))
    return _lines([reduce(joined, [text, *cards]), *forwards, files_text(message.get("files"))])


def _title(attachment: _Object, names: Names, said: str) -> str:
    title, address = to_plain_text(_str(attachment, "title"), names).strip(), _str(attachment, "title_link")
    return link(address, title) if title and address and address not in said and address not in title else title


def _fields(attachment: _Object, names: Names) -> str:
    pairs = (
        (_text(field.get("title"), names), _text(field.get("value"), names)) for field in _objects(attachment, "fields")
    )
    return _lines(": ".join(filter(None, (title.strip(), value.strip()))) for title, value in pairs)


def _part(value: object, names: Names, depth: int) -> str:
    """Return the text of a block, an element, a text object, or a list of them."""
    if depth <= 0:
        return ""
    if isinstance(value, list):
        return _lines(_part(item, names, depth - 1) for item in value)
    if not isinstance(value, dict):
        return ""
    kind = _str(value, "type")
    if kind in _CONTROLS or kind.endswith(_CONTROL_ENDS):
        return ""
    return _RENDER.get(kind, _unknown)(value, names, depth)


def _unknown(item: _Object, names: Names, depth: int) -> str:
    """Return the text of an object by the names of its members; also that of text objects, sections and headers."""
    keys = [key for key in _TEXT_KEYS if key in item]
    keys += [key for key in item if key not in _TEXT_KEYS and key not in _NO_TEXT]
    if isinstance(item.get("data"), list) and "title" not in item:  # a series of a chart
        item = {"title": item.get("name"), **item}
        keys.insert(0, "title")
    value = _scalar(item.get("value")) or _text(item.get("value"), names)
    parts: list[str] = []
    for key in keys:
        part = item[key]
        text = _part(part, names, depth - 1)
        if isinstance(part, str) and key in _TEXT_KEYS:
            text = to_plain_text(part, names)
        if key in ("label", "title") and text and value:  # a field, a point of a chart
            text, value = f"{text}: {value}", ""
        parts.append(text)
    return _lines(dict.fromkeys(parts) if len(parts) > 1 else parts)


def _context(block: _Object, names: Names, depth: int) -> str:
    return " ".join(filter(None, (_part(item, names, depth - 1) for item in _objects(block, "elements"))))


def _picture(block: _Object, names: Names, _: int) -> str:
    caption = _text(block.get("title"), names).strip() or _str(block, "alt_text").strip()
    return f"[image: {caption}]" if caption else picture_name(_str(block, "image_url"))


def _video(block: _Object, names: Names, _: int) -> str:
    caption = _text(block.get("title"), names).strip() or _str(block, "alt_text").strip() or "untitled"
    return _lines([f"[video: {caption}]", _text(block.get("description"), names)])


def _call(block: _Object, _: Names, __: int) -> str:
    name = _str(as_dict(as_dict(block.get("call")).get("v1")), "name")
    return f"[call: {name}]" if name else "[call]"


def _table(block: _Object, names: Names, depth: int) -> str:
    """Return the caption and a line per row; an empty cell keeps its column."""
    rows = [row for key in ("columns", "headers", "header") if isinstance(row := block.get(key), list)]
    found = block.get("rows")
    for row in found if isinstance(found, list) else []:
        cells = row
        if isinstance(row, dict):
            cells = next((row[key] for key in ("cells", "elements", "columns", "values") if key in row), [row])
        rows.append(cells if isinstance(cells, list) else [])
    lines = ([_cell(cell, names, depth - 1) for cell in row] for row in rows)
    title = (_text(block.get(key), names) for key in ("title", "caption"))
    return _lines([*title, *(" | ".join(cells).rstrip() for cells in lines if any(cells))])


def _cell(cell: object, names: Names, depth: int) -> str:
    text = to_plain_text(cell, names) if isinstance(cell, str) else _part(cell, names, depth)
    if not text and isinstance(cell, dict):
        text = _scalar(cell.get("value")) or _text(cell.get("value"), names) or _str(cell, "name")
    return " ".join((text or _scalar(cell)).split())


def _scalar(value: object) -> str:
    """Return a number or a boolean as users write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    try:
        return str(value) if isinstance(value, int | float) else ""
    except ValueError:  # thousands of digits
        return ""


def _rich_list(element: _Object, names: Names, depth: int) -> str:
    """Return a line per item; a list that is interrupted continues with ``offset``, the number of items before."""
    ordered = element.get("style") == "ordered"
    margin = "  " * _count(element, "indent", _MAX_INDENT)
    number = _count(element, "offset", _MAX_NUMBER)
    lines: list[str] = []
    for item in _objects(element, "elements"):
        text = _part(item, names, depth - 1)
        if item.get("type") == "rich_text_list":  # a list in a list has its own marks
            lines += [f"{margin}  {line}" for line in text.splitlines()]
            continue
        number += 1
        if text:
            lines.append(f"{margin}{f'{number}.' if ordered else '-'} {text}")
    return _lines(lines)


def _rich_text(element: _Object, names: Names, depth: int) -> str:
    """Return the text of a section or of preformatted lines."""
    return "".join(_part(item, names, depth - 1) for item in _objects(element, "elements")).strip("\n")


def _rich_quote(element: _Object, names: Names, depth: int) -> str:
    return "\n".join(f"> {line}" for line in _rich_text(element, names, depth).splitlines())


def _sign(codes: str) -> str:
    """Return the emoji of code points as Slack writes them (``1f44b-1f3fd``); empty if they are none."""
    try:
        return "".join(chr(int(code, 16)) for code in codes.split("-"))
    except (ValueError, OverflowError):
        return ""


def _count(item: _Object, key: str, limit: int) -> int:
    value = item.get(key)
    return min(max(value, 0), limit) if isinstance(value, int) else 0


_RENDER: Mapping[str, Callable[[_Object, Names, int], str]] = {
    "rich_text": lambda item, names, depth: _part(item.get("elements"), names, depth - 1),
    "rich_text_section": _rich_text,
    "rich_text_preformatted": _rich_text,
    "rich_text_quote": _rich_quote,
    "rich_text_list": _rich_list,
    "context": _context,
    "image": _picture,
    "video": _video,
    "table": _table,
    "data_table": _table,
    "call": _call,
    "file": lambda item, names, depth: files_text([item.get("file")]) or _unknown(item, names, depth),
    "text": lambda item, *_: _str(item, "text"),
    "link": lambda item, *_: link(_str(item, "url"), _str(item, "text")),
    "user": lambda item, names, _: f"@{names.users.get(_str(item, 'user_id')) or _str(item, 'user_id')}",
    "usergroup": lambda item, names, _: (
        f"@{names.usergroups.get(_str(item, 'usergroup_id')) or _str(item, 'usergroup_id')}"
    ),
    "channel": lambda item, names, _: f"#{names.channels.get(_str(item, 'channel_id')) or _str(item, 'channel_id')}",
    "broadcast": lambda item, *_: f"@{_str(item, 'range') or 'channel'}",
    "emoji": lambda item, *_: f":{_str(item, 'name')}:" if item.get("name") else _sign(_str(item, "unicode")),
    "date": lambda item, *_: _str(item, "fallback") or date_text(item.get("timestamp", "")),
    "color": lambda item, *_: _str(item, "value"),
    "canvas": lambda item, *_: f"[canvas {_str(item, 'file_id')}]",
}


def _text(value: object, names: Names) -> str:
    """Return a text that is a string or ``{"type": "mrkdwn" | "plain_text", "text": …}``."""
    if isinstance(value, Mapping):
        value = value.get("text")
    return to_plain_text(value, names) if isinstance(value, str) else ""


def _objects(item: _Object, key: str) -> list[dict[str, Any]]:
    return as_dicts(item.get(key))


def _str(item: _Object, key: str) -> str:
    return as_str(item.get(key))


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part.strip())
