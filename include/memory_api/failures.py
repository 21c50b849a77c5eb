"""
Every way an HTTP call can fail, turned into the exception that says what to do next.

The question is always: can the server have carried the call out? Only a connection that never came up, and a status
that says "nothing was taken", count as no. Everything else is :class:`~include.errors.OutcomeUnknown`.
"""

import contextlib
import email.utils
import math
import re
import ssl
import string
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
import msgspec
import urllib3.exceptions

from include.errors import (
    ChatImportError,
    ConfigurationError,
    NotSent,
    OutcomeUnknown,
    QuotaExhausted,
    Refused,
    Throttled,
)
from include.memory_api.contract import MAX_MESSAGES_PER_ADD
from include.memory_api.settings import Settings

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)
"""Raised by httpx and urllib3 before the first byte of a request leaves."""

_BAD_ADDRESS = (httpx.UnsupportedProtocol, httpx.InvalidURL, urllib3.exceptions.LocationValueError)

_BAD_TLS = {"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}

_CONTENT = frozenset({400, 413, 415, 422})
"""Statuses that judge what was sent: another batch may pass, half of this one may pass."""

_AMBIGUOUS = frozenset({408, 409, 425})
"""The SDK calls 409 a lock timeout and repeats it; no document says that nothing was stored."""

_QUOTA_CODES = frozenset({"quota_exceeded", "resource_exhausted"})

_NOT_ENABLED = "version_not_allowed"
"""With 403: the account may use another version of the API than this one."""

_CODES_KNOWN = """
AUTHENTICATION_ERROR AUTHENTICATION_FAILED BAD_REQUEST CAPABILITY_UNAVAILABLE CONFIGURATION_ERROR CONFLICT
CONTENT_EMPTY CONTENT_INVALID_FORMAT CONTENT_TOO_LONG DATABASE_ERROR EXTERNAL_SERVICE_ERROR EXTERNAL_SERVICE_TIMEOUT
EXTERNAL_SERVICE_UNAVAILABLE EXTRACTION_EMPTY FORBIDDEN HTTP_ERROR INTERNAL_ERROR INVALID_INPUT INVALID_PARAMETER
MESSAGE_TOO_LONG NOT_FOUND OPERATION_FAILED PAYLOAD_TOO_LARGE PERMISSION_DENIED PROVIDER_NOT_CONFIGURED
QUEUE_SATURATED QUOTA_EXCEEDED RATE_LIMIT_EXCEEDED RESOURCE_EXHAUSTED RESOURCE_INVALID RESOURCE_NOT_FOUND
SESSION_BUSY SYSTEM_ERROR TOO_MANY_REQUESTS TYPE_ERROR UNAUTHORIZED UNKNOWN_ERROR UNSUPPORTED_FORMAT
VALIDATION_ERROR VERSION_NOT_ALLOWED
"""
"""Of both APIs: v1 reference server, ``core/constants/errors.py``; server 1.5.1, ``exception_handlers``."""

_FIELDS_SENT = """
messages message_id sender_id sender_name role timestamp content text type group_id group_meta user_id session_id
app_id project_id async_mode name description filters query method memory_type memory_types page page_size top_k
"""

_CODES = frozenset(_CODES_KNOWN.split())
_FIELDS = frozenset(_FIELDS_SENT.split())

_FIELD = "|".join(sorted(_FIELDS))
_PLACE = re.compile(
    rf"\bmessages(?:\[(\d{{1,3}})\]|\.(\d{{1,3}})\b)(?:\.({_FIELD})\b)?|\b([a-z]+_(?:id|name|meta|mode|types?|size))\b"
)
"""``messages[3].content`` (v1), ``messages.3.content`` (v2), or a field of the body whose name is no word of speech."""

_MOST_PLACES = 3
_MOST_CHARACTERS = 10_000

_SEPARATORS = (string.punctuation + string.whitespace).encode()
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}")

MOST_WAIT_S = 300.0
"""A longer ``Retry-After`` is taken for this: a server's slip must not stop an import for years."""

MOST_ANSWER_BYTES = 4 * 2**20
"""Of an answer that carries no messages: some hundred bytes are usual."""

MOST_READ_BYTES = 64 * 2**20
"""Of an answer to a search or a page of memories: 100 items with their texts."""


class UnusableAnswer(Exception):
    """An answer that is not read to its end: it is compressed, or longer than any answer to such a call."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer, whichever library brought it."""

    status: int
    headers: Mapping[str, str]
    """Found by name in any case, as both libraries' own mappings do it."""

    body: bytes


class _Detail(msgspec.Struct):
    """One entry of a FastAPI validation error. ``msg`` and ``input`` may repeat the submitted value: not decoded."""

    loc: list[str | int] = []


class _Error(msgspec.Struct):
    """The shapes errors come in: flat, under ``error``, or FastAPI's ``detail``."""

    code: str | int | None = None
    message: str | None = None
    error: msgspec.Raw = msgspec.Raw()
    detail: msgspec.Raw = msgspec.Raw()


def from_transport(what: str, cause: BaseException | None) -> ChatImportError:
    """
    Name a failure below HTTP.

    :param what: the call, for people: ``add of 50 messages to slack_general``.
    :param cause: the exception of httpx or urllib3.
    """
    if isinstance(cause, UnusableAnswer):
        return OutcomeUnknown(f"{what}: {cause}; it may or may not have been carried out.")
    name = type(cause).__name__
    if isinstance(cause, (*_NEVER_SENT, urllib3.exceptions.SSLError)):
        tls = _tls_reason(cause)
        if tls in _BAD_TLS:
            return ConfigurationError(
                f"{what}: no secure connection ({tls}); nothing was sent. Check the base URL's scheme and certificate."
            )
    if isinstance(cause, _NEVER_SENT):
        return NotSent(f"{what}: no connection ({name}); nothing was sent.")
    if isinstance(cause, _BAD_ADDRESS):
        return ConfigurationError(f"{what}: the base URL is not usable ({name}); nothing was sent.")
    return OutcomeUnknown(f"{what}: no answer ({name}); it may or may not have been carried out.")


def deadline_s(settings: Settings) -> float:
    """Return how long a call may take in all: to connect, to send, and to be answered in full."""
    return settings.connect_timeout_s + settings.read_timeout_s


def too_late(what: str, after_s: float) -> OutcomeUnknown:
    """Name a call that was given up because it was not answered in full within ``after_s`` seconds."""
    return OutcomeUnknown(f"{what}: no whole answer within {after_s:g} s; it may or may not have been carried out.")


@dataclass(frozen=True)
class Limit:
    """How much of an answer's body is read."""

    most: int
    strict: bool
    """Whether an answer that is longer is unusable; otherwise its status says enough, and the rest is not read."""

    @classmethod
    def of(cls, path: str, status: int, headers: Mapping[str, str]) -> "Limit":
        """
        Choose by the call and the head of its answer.

        :raises UnusableAnswer: the body is needed and compressed: none was asked for, and a few bytes can unpack to
            gigabytes.
        """
        taken = 200 <= status < 300
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            if taken:
                raise UnusableAnswer("the answer is compressed, which was not asked for, and is not read")
            return cls(0, strict=False)
        carries_messages = taken and path.endswith(("/search", "/get"))
        return cls(MOST_READ_BYTES if carries_messages else MOST_ANSWER_BYTES, strict=taken)

    def allows(self, received: int) -> bool:
        """
        Tell whether to read on after so many bytes.

        :raises UnusableAnswer: they are more than any answer to such a call has.
        """
        if received > self.most and self.strict:
            raise UnusableAnswer(f"the answer is longer than {self.most // 2**20} MiB and is not read to its end")
        return received <= self.most


def from_status(what: str, reply: Reply) -> ChatImportError:
    """Name an HTTP status outside 2xx."""
    status, (code, reason) = reply.status, read_error(reply.body)
    told = f"HTTP {status}" + (f": {reason}" if reason else "")
    if status == 402 or (status == 429 and code in _QUOTA_CODES):
        return QuotaExhausted(f"{what}: the account's quota is used up ({told}); nothing was stored.")
    if status == 429:
        return Throttled(
            f"{what}: too many calls ({told}); nothing was stored.", retry_after_s=retry_after_s(reply.headers)
        )
    if status >= 500 or status in _AMBIGUOUS:
        return OutcomeUnknown(f"{what}: {told}; it may or may not have been carried out.")
    if status in _CONTENT:
        return Refused(
            f"{what}: refused ({told}); nothing was stored.", status=status, reason=reason or f"HTTP {status}"
        )
    return ConfigurationError(f"{what}: {told}; nothing was stored. {_remedy(reply, code)}")


def read_error(body: bytes) -> tuple[str, str]:
    """
    Return an error body's code, in lower case, and a reason to show: a known code and the fields it is about.

    A server may repeat what was submitted, in any field and in any form, and what is returned here goes to logs, ledger
    and reports. So none of the server's own words are in it: only codes and names of fields that are known beforehand,
    and positions of messages in the batch.
    """
    try:
        error = msgspec.json.decode(body, type=_Error)
        if bytes(error.error).startswith(b"{"):
            error = msgspec.json.decode(error.error, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""  # a proxy's page: tells nothing about the call
    code = str(error.code or "").upper()
    places = _places(error.message or "", bytes(error.detail))
    shown = [code] if code in _CODES else []
    return code.lower(), " ".join(shown + ([f"at {', '.join(places)}"] if places else []))


def is_task_id(task_id: str | None, texts: Iterable[str]) -> bool:
    """
    Tell whether an answer names a task: the ledger keeps the id, and messages of this project show it.

    :param texts: what was submitted; an id with the letters and digits of a piece of it is an echo.
    """
    if task_id is None or not _TASK_ID.fullmatch(task_id):
        return False
    return _letters(task_id) not in _letters(" ".join(texts))


def _letters(text: str) -> bytes:
    return text.lower().encode("ascii", "ignore").translate(None, _SEPARATORS)


def _places(message: str, detail: bytes) -> list[str]:
    """Return paths of the fields that an error is about, such as ``messages[3].content``, at most three."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        message = f"{message} {msgspec.json.decode(detail, type=str)}"
    try:
        entries = msgspec.json.decode(detail, type=list[_Detail])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        entries = []
    found = [_path(entry.loc) for entry in entries[:_MOST_PLACES]]
    for bracketed, dotted, field, alone in _PLACE.findall(message[:_MOST_CHARACTERS]):
        if alone:
            found.append(alone if alone in _FIELDS else "")
        else:
            found.append(_path(["messages", int(bracketed or dotted), field]))
    return list(dict.fromkeys(filter(None, found)))[:_MOST_PLACES]


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]" if path and 0 <= part < MAX_MESSAGES_PER_ADD else ""
        elif part in _FIELDS:
            path += f".{part}" if path else part
    return path


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """
    Read ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3); 0 to :data:`MOST_WAIT_S`, ``None`` if unreadable.

    A date is held against the ``Date`` of the same answer: this machine's clock may be hours off.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        at_s, now_s = _unix_s(value), _unix_s(headers.get("date", ""))
        if at_s is None:
            return None
        seconds = at_s - (time.time() if now_s is None else now_s)
    return min(max(0.0, seconds), MOST_WAIT_S) if math.isfinite(seconds) else None


def _unix_s(http_date: str) -> float | None:
    try:
        parsed = email.utils.parsedate_tz(http_date)
        return None if parsed is None else email.utils.mktime_tz(parsed)
    except (ValueError, OverflowError, TypeError, IndexError):  # no date, or of a year that no calendar has
        return None


def _tls_reason(cause: BaseException | None) -> str | None:
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause.reason
        cause = cause.__cause__ or cause.__context__
    return None


def _remedy(reply: Reply, code: str) -> str:
    status = reply.status
    if status == 403 and code == _NOT_ENABLED:
        return (
            "The account is not enabled for this version of the API: set api_version to the other, or have it enabled."
        )
    if status in (401, 403):
        return "Check the API key of the connection (its password, or EVEROS_API_KEY) and what the account may use."
    if 300 <= status < 400:
        return "The base URL redirects: use the address that it redirects to, such as https instead of http."
    return "Check that the base URL is that of an EverOS API of this version, without a path such as /api/v1."
