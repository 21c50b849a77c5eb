r"""
Takes credentials out of what will be staged: pure patterns, in linear time, each with a name that is counted.

Two strengths. What stands in an address (``?token=…``, ``user:password@``) is never part of what somebody said and
always goes; the other kinds go when a run asks for it. A credential becomes ``[redacted <kind>]``.

Own patterns and no library: detect-secrets and its like look for lines of source code that deserve a person's look.
They score entropy, would ask services whether a key is alive, and report without replacing. What is wanted here is
narrower: forms that their makers gave a recognisable shape, found in prose, a million messages in seconds. The shapes
are those that the vendors document and secret scanners (gitleaks, GitHub) agree on.

A pattern tries every place once: a repetition is bounded, or takes all it can and is done, or begins where the
character before could not belong to it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from include.records import Conversation, Message, Parsed, Rejected


class _Kind(NamedTuple):
    name: str
    hints: tuple[str, ...]
    """One of these, in lower case, is in every text the pattern can match; most texts hold none and are done."""
    pattern: re.Pattern[str]
    """Replaced is the group ``secret``, or all of it where there is none."""


def _kind(name: str, hints: str, pattern: str) -> _Kind:
    return _Kind(name, tuple(hints.split()), re.compile(pattern))


_IN_ADDRESSES = (
    _kind("url password", "://", r"(?<=://)[^\s/?#@:]*:(?P<secret>(?!\[redacted )[^\s/?#]+)@"),
    _kind(
        "url token",
        "=",
        r"(?i)[?&#;](?:[\w.~-]{0,40}(?:token|secret|passwd|password|signature|credential|api[_-]?key)|sig|hm|pwd|jwt|auth)"
        r"=(?P<secret>[^\s&#<>\"'`|()\[\]{}]{6,})",
    ),
)
"""``hm`` signs Discord's file addresses, ``sig`` Azure's, ``X-Amz-Signature`` and the like those of object stores."""

_ANYWHERE = (
    _kind(
        "private key",
        "private",  # one that was cut off takes the rest of the text with it
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    _kind("aws key", "akia asia abia acca", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _kind(
        "aws key",
        "secret",
        r"(?i)aws.?secret.?(?:access.?)?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+=]{40})",
    ),
    _kind("github token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _kind("github token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
    _kind("gitlab token", "glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),
    _kind("slack token", "xox", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}"),
    _kind("slack token", "xapp-", r"xapp-[A-Za-z0-9-]{10,}"),
    _kind(
        "slack webhook", "hooks.slack.com", r"hooks\.slack\.com/(?P<secret>(?:services|workflows|triggers)/[\w/-]{10,})"
    ),
    _kind("discord webhook", "/webhooks/", r"/webhooks/\d{15,22}/(?P<secret>[\w-]{40,})"),
    _kind("discord token", ".", r"(?<![\w.-])[MNO][\w-]{22,30}\.[\w-]{6}\.[\w-]{27,45}(?![\w-])"),
    _kind("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),
    _kind(
        "authorization",
        "authorization",
        r"(?i)authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3}(?P<secret>[\w.~+/=-]{8,})",
    ),
    _kind(
        "authorization",
        "bearer basic",
        r"(?i)(?<![a-z])(?:bearer|basic)\s{1,3}(?P<secret>(?=[a-z.~+/=_-]{0,200}\d)[\w.~+/=-]{16,})",
    ),
    _kind("google key", "aiza", r"AIza[A-Za-z0-9_-]{35}"),
    _kind("google key", "ya29. gocspx-", r"(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}"),
    _kind("stripe key", "k_live_ k_test_", r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _kind("api key", "sk-", r"(?<![\w-])sk-(?=[A-Za-z_-]{0,200}\d)[A-Za-z0-9_-]{20,}"),  # OpenAI's, Anthropic's, …
    _kind("api key", "npm_ hf_ dop_v1_", r"(?:npm_|hf_|dop_v1_)[A-Za-z0-9]{30,}"),
    _kind("api key", "pypi-age sg.", r"pypi-AgE[\w-]{50,}|(?<![\w.-])SG\.[\w-]{16,32}\.[\w-]{16,64}"),
    _kind("telegram token", ":aa", r"(?<!\d)\d{8,10}:AA[\w-]{33}"),
    _kind("azure key", "accountkey=", r"(?i)accountkey=(?P<secret>[A-Za-z0-9+/]{40,}={0,2})"),
    _kind(
        "password",
        "pass secret key token",
        r"(?i)(?:password|passwd|passphrase|secret|api[_ -]?key|(?:access|auth)[_ -]?token)[\"']?"
        r"\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>(?![\[<$*])(?=[^\s\"',;\d]{0,128}\d)(?=[^\s\"',;a-z]{0,128}[a-z])[^\s\"',;]{6,256})",
    ),
)
"""In this order: a key in a header is the key's kind, whatever stands before it."""

_NONE: Mapping[str, int] = {}


def redact(text: str, *, everything: bool) -> tuple[str, Mapping[str, int]]:
    """
    Return the text without credentials, and how many of each kind there were.

    :param everything: Look for all kinds; otherwise only for those in addresses.

    >>> redact("see https://a.example/x?id=7&token=s3cr3t-42", everything=False)
    ('see https://a.example/x?id=7&token=[redacted url token]', {'url token': 1})
    """
    lowered = text.lower()
    found: dict[str, int] = {}
    for kind in (*_IN_ADDRESSES, *_ANYWHERE) if everything else _IN_ADDRESSES:
        if any(hint in lowered for hint in kind.hints):
            text, count = kind.pattern.subn(partial(_without_secret, kind.name), text)
            if count:
                found[kind.name] = found.get(kind.name, 0) + count
    return text, found or _NONE


def _without_secret(name: str, match: re.Match[str]) -> str:
    """Put the kind's name where the credential was, and leave what is around it."""
    group = "secret" if "secret" in match.re.groupindex else 0
    start, end = (position - match.start() for position in match.span(group))
    return f"{match[0][:start]}[redacted {name}]{match[0][end:]}"


class Redactor:
    """
    Redacts records on their way from a parser into files: texts, descriptions, and broken entries kept for correction.

    :param everything: As for :func:`redact`.
    """

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._conversations: dict[Conversation, Conversation] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """By conversation id and kind."""

    def redacted(self, records: Iterable[Parsed]) -> Iterator[Parsed]:
        """Yield the records without credentials; ids, names, times and origins stay."""
        for record in records:
            match record:
                case Message():
                    text = self._text(record.text, record.conversation_id)
                    yield record if text is record.text else msgspec.structs.replace(record, text=text)
                case Conversation():
                    if record not in self._conversations:  # told again and again, counted once
                        self._conversations[record] = self._conversation(record)
                    yield self._conversations[record]
                case Rejected(entry=dict(entry)):
                    yield msgspec.structs.replace(record, entry=self._json(entry, record.conversation_id))
                case _:
                    yield record

    def _text(self, text: str, conversation_id: str) -> str:
        if not self._everything and "=" not in text and "://" not in text:
            return text
        clean, found = redact(text, everything=self._everything)
        for kind, count in found.items():
            self.counts[conversation_id, kind] += count
        return clean if found else text

    def _conversation(self, conversation: Conversation) -> Conversation:
        name = conversation.conversation_id
        meta = conversation.group_meta
        if meta:
            meta = msgspec.json.encode(self._json(msgspec.json.decode(meta), name)).decode()
        return msgspec.structs.replace(
            conversation, description=self._text(conversation.description, name), group_meta=meta
        )

    def _json(self, value: Any, conversation_id: str) -> Any:
        if isinstance(value, str):
            return self._text(value, conversation_id)
        if isinstance(value, list):
            return [self._json(item, conversation_id) for item in value]
        if isinstance(value, dict):
            return {key: self._json(item, conversation_id) for key, item in value.items()}
        return value
