"""
Turns Slack's message markup (mrkdwn) into the text that Slack shows. Pure: no I/O, nothing of the export.

Only raw ``<…>`` is markup; ``&``, ``<``, ``>`` that users type are always ``&amp;``, ``&lt;``, ``&gt;``
(https://api.slack.com/docs/attachments, "formatting text"). ``*bold*``, backticks and ``:emoji:`` stay as typed.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, override

_TOKEN = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
"""Sigil, target, label."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SECRET = re.compile(r"([?&])[\w.-]*=xox[a-z][.-][^\s<>|&()]*(&?)")
_ADDRESS = ("mailto:", "tel:")


class Names(NamedTuple):
    """Names by id; an id without a name stays an id."""

    users: Mapping[str, str]
    channels: Mapping[str, str]
    usergroups: Mapping[str, str]


def with_labels(names: Names, text: str) -> Names:
    """Return names that also have the labels in a text for unknown ids: ``<!subteam^S1|@deckhands>``."""
    if "|" not in text:
        return names
    users: dict[str, str] = {}
    channels: dict[str, str] = {}
    usergroups: dict[str, str] = {}
    for sigil, target, label in _TOKEN.findall(text):
        if sigil == "@":
            users[target] = label.removeprefix("@")
        elif sigil == "#":
            channels[target] = label.removeprefix("#")
        elif target.startswith("subteam^"):
            usergroups[target.split("^")[1]] = label.removeprefix("@")
    if not (users or channels or usergroups):
        return names
    known = (names.users, names.channels, names.usergroups)
    return Names(*map(_Labelled, known, (users, channels, usergroups)))


class _Labelled(dict[str, str]):
    """Names, and labels for what has no name."""

    def __init__(self, known: Mapping[str, str], labels: Mapping[str, str]) -> None:
        super().__init__(labels)
        self._known = known

    @override
    def get(self, key: str, default: Any = None) -> Any:
        return self._known.get(key) or super().get(key) or default


def to_plain_text(text: str, names: Names) -> str:
    """
    Resolve Slack's angle-bracket tokens, then unescape ``&lt;``, ``&gt;``, ``&amp;``.

    The order matters: unescaping first would turn a literal ``&lt;!here&gt;`` that a user typed into a
    broadcast. Tokens are replaced in one pass, so a name or label is never read as markup.

    >>> names = Names({"U1": "Ann"}, {"C1": "general"}, {})
    >>> to_plain_text("<@U1> see <https://a.example|the doc> in <#C1> &amp; reply", names)
    '@Ann see the doc (https://a.example) in #general & reply'
    """
    if "<" in text:
        text = _TOKEN.sub(lambda token: _resolved(token, names), text)
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return without_secrets(text) if "=xox" in text else text


def without_secrets(text: str) -> str:
    """
    Remove access tokens from the addresses of Slack files: with them, anyone could open the files.

    >>> without_secrets("https://files.slack.com/a.png?t=xoxe-1-2&pub=1")
    'https://files.slack.com/a.png?pub=1'
    """
    return _SECRET.sub(lambda part: part[1] if part[2] else "", text) if "=xox" in text else text


def link(url: str, label: str) -> str:
    """Return ``label (url)``, or the address alone where the label only repeats it."""
    url = without_secrets(url)
    if url.startswith(_ADDRESS):
        return label or url.partition(":")[2]
    if not label or label == url or label.rstrip("/") in (url.rstrip("/"), url.partition("://")[2].rstrip("/")):
        return url
    return f"{label} ({url})"


def _resolved(token: re.Match[str], names: Names) -> str:
    sigil, target, label = token.groups("")
    if sigil == "@":
        return f"@{names.users.get(target) or label.removeprefix('@') or target}"
    if sigil == "#":
        return f"#{names.channels.get(target) or label.removeprefix('#') or target}"
    if sigil == "!":
        return _command(target, label, names)
    if (target and label) or _SCHEME.match(target):
        return link(target, label)
    return token[0]  # no token of the grammar: a tool did not escape a user's text


def _command(command: str, label: str, names: Names) -> str:
    kind, *details = command.split("^")
    if kind == "date":
        return label or date_text(details[0] if details else "")
    if kind == "subteam":
        key = details[0] if details else ""
        return f"@{label.removeprefix('@') or names.usergroups.get(key) or key}"
    return f"@{label.removeprefix('@') or kind}"


def date_text(epoch_s: object) -> str:
    """Return Unix seconds as ISO time in UTC; any other value is returned as text."""
    try:
        return datetime.fromtimestamp(int(str(epoch_s)), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(epoch_s)
