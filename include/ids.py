"""Turns the platforms' ids into ids that EverOS takes, always the same way, and senders' ids back again."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from include.errors import ConfigurationError

DEFAULT_ID_TEMPLATE = "{source}_{channel}"
"""The product's convention: ``slack_general``."""

MAX_ID_CHARACTERS = 128
RESERVED_PREFIX = "gen_"
"""EverOS refuses ids that start so."""

_FIELDS = ("source", "workspace", "channel", "channel_id")
_FIELD = re.compile(r"\{([^{}]*)\}")
_UNWANTED = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff/\\]+")
_UNSAFE_IN_SENDER = re.compile(rb"[^a-zA-Z0-9_.@-]")
_ESCAPE = re.compile(r"\+([0-9A-F]{2})")
_DIGEST = "++"
_SEPARATOR = "\x1f"


def check_id_template(template: str) -> None:
    """
    Refuse a template that cannot name conversations.

    :raises ConfigurationError: if it names an unknown field or no channel at all.
    """
    names = _FIELD.findall(template)
    unknown = [name for name in names if name not in _FIELDS]
    if unknown or not {"channel", "channel_id"} & set(names) or re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigurationError(
            f"id template {template!r}: expected {{channel}} or {{channel_id}}, and besides them only "
            f"{{source}} and {{workspace}}; for example {DEFAULT_ID_TEMPLATE!r}"
        )


def conversation_id_of(template: str, *, source: str, workspace: str, channel: str, channel_id: str) -> str:
    """
    Return the id of a conversation: the template filled in, at most 128 characters, valid for every target.

    Letters of any script stay; white space, control characters and slashes become ``-``. Two channels
    that end up with one id are told apart by transform (:mod:`include.transform.naming`).

    :param template: As accepted by :func:`check_id_template`.
    :param channel: Name of the channel, or its id where it has no name (direct messages).

    >>> conversation_id_of("{source}_{channel}", source="slack", workspace="", channel="general", channel_id="C1")
    'slack_general'
    """
    values = {"source": source, "workspace": workspace, "channel": channel or channel_id, "channel_id": channel_id}
    # One form for one name: macOS decomposes accents in folder names, zip files do not.
    name = unicodedata.normalize("NFC", _FIELD.sub(lambda field: values[field[1]], template))
    name = _UNWANTED.sub("-", name).strip("-") or "conversation"
    if name.startswith(RESERVED_PREFIX):
        name = f"_{name}"
    if len(name) > MAX_ID_CHARACTERS:
        name = f"{name[:111]}_{_digest(name)[:16]}"
    return name


def provisional_id(conversation_id: str, identity: Sequence[str]) -> str:
    """
    Return an id for the second of two channels of one export that have one id, until all exports are known.

    :param identity: See :attr:`include.records.Conversation.identity`.
    """
    return _SEPARATOR.join((conversation_id, *identity))


def without_provision(conversation_id: str, identity: Sequence[str]) -> str:
    """Undo :func:`provisional_id`; return any other id as it is."""
    return conversation_id.removesuffix(provisional_id("", identity))


@lru_cache(maxsize=10_000)
def sender_id_of(platform_id: str) -> str:
    """
    Return an id that every target accepts as a sender: ``^[a-zA-Z0-9_.@+-]{1,128}$``, never ``.``, ``..`` or ``gen_…``.

    Ordinary ids stay as they are. Other bytes (and ``+`` itself) become ``+`` and two hex digits, which
    :func:`platform_id_of` undoes. An id too long for that becomes a digest, ``++`` and 64 hex digits.

    >>> sender_id_of("U024BE7LH"), sender_id_of("B1:build bot")
    ('U024BE7LH', 'B1+3Abuild+20bot')
    """
    escaped = _UNSAFE_IN_SENDER.sub(
        lambda byte: b"+%02X" % byte[0][0], platform_id.encode("utf-8", "surrogatepass")
    ).decode("ascii")
    if escaped in (".", "..") or escaped.startswith(RESERVED_PREFIX):
        escaped = f"+{ord(escaped[0]):02X}{escaped[1:]}"
    if len(escaped) > MAX_ID_CHARACTERS:
        return f"{_DIGEST}{_digest(platform_id)}"
    return escaped or "+"


def platform_id_of(sender_id: str) -> str:
    """
    Undo :func:`sender_id_of`.

    :raises ValueError: for a digest, which stands for an id that is too long.
    """
    if sender_id.startswith(_DIGEST):
        raise ValueError(f"{sender_id} is a digest; the id it stands for is only in the export")
    if sender_id == "+":
        return ""
    data = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), sender_id).encode("latin-1")
    return data.decode("utf-8", "surrogatepass")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
