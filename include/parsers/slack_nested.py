"""
Finds the conversations of a JSON file that holds several: what scripts make of an export or of Slack's API.

::

    [{"channel_id": "C1", "messages": […]}, …]             dumps in an array, or one per line
    {"general": […], "board": […]}                         messages by channel
    {"channels": [{"id": "C1", "messages": […]}], …}       conversations with their messages
    {"messages": {"matches": […]}}                         results of a search
"""

from collections.abc import Iterator, Mapping
from typing import Any

_NO_NAMES = (
    *("messages", "matches", "history", "data", "results", "items", "response", "body", "replies", "threads", "export"),
    *("channels", "conversations", "groups", "ims", "mpims", "dms", "public_channels", "private_channels"),
)
"""Members that are not the name of a conversation."""
_NO_CONVERSATIONS = ("users", "members", "latest", "usergroups")
_DEPTH = 8

type Conversation = tuple[Mapping[str, Any], tuple[str, ...], list[Any]]
"""What is said of it, names of members around it that may say of which kind it is, and its messages."""


def conversations_in(value: object) -> Iterator[Conversation]:
    """Yield the conversations in a value in order; what is no message and holds none is passed over."""
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
    elif isinstance(value, dict) and depth:
        about = {**described, **{key: item for key, item in value.items() if not isinstance(item, list)}}
        for key, item in value.items():
            if key in ("messages", "matches", "history"):
                yield from _walk(item, about, kinds, depth - 1)
            elif key in _NO_NAMES:
                yield from _walk(item, described, (*kinds, key), depth - 1)
            elif key not in _NO_CONVERSATIONS:
                yield from _walk(item, {"named": key}, (*kinds, key), depth - 1)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and ("ts" in value or "event" in value)
