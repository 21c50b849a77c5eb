"""
Finds the conversations of a JSON file that holds several, as scripts make it of an export or of Slack's API.

::

    [{"channel_id": "C1", "messages": […]}, …]             dumps in an array, or one per line
    {"general": […], "board": […]}                         messages by channel
    {"channels": [{"id": "C1", "messages": […]}], …}       conversations with their messages
    {"messages": {"matches": […]}}                         results of a search
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NO_NAMES = (
    *("data", "results", "items", "response", "body", "export"),
    *("channels", "conversations", "groups", "ims", "mpims", "dms", "public_channels", "private_channels"),
)
"""Members that are not the name of a conversation."""
_MESSAGES = ("messages", "matches", "history", "threads", "replies")
_NO_CONVERSATIONS = ("users", "members", "latest", "usergroups")
_DEPTH = 8
_TIME = re.compile(r"\d{10}\.\d{6}|\d{4}-\d\d-\d\d")

type Conversation = tuple[Mapping[str, Any], tuple[str, ...], list[Any]]
"""Its description, names of members around it that may name its kind, and its messages."""


def conversations_in(value: object) -> Iterator[Conversation]:
    """Yield the conversations in a value in order; values without messages are skipped."""
    return _walk(value, {}, (), _DEPTH)


def _walk(value: object, described: Mapping[str, Any], kinds: tuple[str, ...], depth: int) -> Iterator[Conversation]:
    if isinstance(value, list):
        if any(map(_is_message, value)):
            yield described, kinds, value
        elif depth:
            for item in value:
                yield from _walk(item, described, kinds, depth - 1)
    elif _is_message(value):
        yield described, kinds, [value]
    elif isinstance(value, dict) and value and all(map(_is_message, value.values())):  # by their times
        yield described, kinds, list(value.values())
    elif isinstance(value, dict) and depth:
        about = {**described, **{key: item for key, item in value.items() if not isinstance(item, list)}}
        for key, item in value.items():
            if key in _MESSAGES or _TIME.fullmatch(key):
                yield from _walk(item, about, kinds, depth - 1)
            elif key in _NO_NAMES:
                yield from _walk(item, described, (*kinds, key), depth - 1)
            elif key not in _NO_CONVERSATIONS:
                several = isinstance(item, dict) and not {"messages", "history"} & item.keys()
                yield from _walk(item, {"named": key}, (*kinds, key) if several else kinds, depth - 1)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and ("ts" in value or "event" in value)
