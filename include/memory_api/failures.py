"""
Turns each failure of an HTTP call into the exception that says what to do next.

The rule: nothing was stored if the connection was never made, or if the status says so. After any other failure the
server may have carried out the call: :class:`~include.errors.OutcomeUnknown`.
"""

import contextlib
import email.utils
import math
import os
import re
import socket
import ssl
import string
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

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

_BAD_TLS = {"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}

_CONTENT = frozenset({400, 413, 415, 422})
"""Statuses about the content that was sent: another batch, or half of this one, may be accepted."""

_AMBIGUOUS = frozenset({408, 409, 425})
"""Statuses that may or may not mean "stored". The SDK treats 409 as a lock timeout and retries it."""

_QUOTA_CODES = frozenset({"quota_exceeded", "resource_exhausted"})

_NOT_ENABLED = "version_not_allowed"
"""Code with status 403: the account may use only the other version of the API."""

_CODES_KNOWN = """
AUTHENTICATION_ERROR AUTHENTICATION_FAILED BAD_REQUEST CAPABILITY_UNAVAILABLE CONFIGURATION_ERROR CONFLICT
CONTENT_EMPTY CONTENT_INVALID_FORMAT CONTENT_TOO_LONG DATABASE_ERROR EXTERNAL_SERVICE_ERROR EXTERNAL_SERVICE_TIMEOUT
EXTERNAL_SERVICE_UNAVAILABLE EXTRACTION_EMPTY FORBIDDEN HTTP_ERROR INTERNAL_ERROR INVALID_INPUT INVALID_PARAMETER
MESSAGE_TOO_LONG NOT_FOUND OPERATION_FAILED PAYLOAD_TOO_LARGE PERMISSION_DENIED PROVIDER_NOT_CONFIGURED
QUEUE_SATURATED QUOTA_EXCEEDED RATE_LIMIT_EXCEEDED RESOURCE_EXHAUSTED RESOURCE_INVALID RESOURCE_NOT_FOUND
SESSION_BUSY SYSTEM_ERROR TOO_MANY_REQUESTS TYPE_ERROR UNAUTHORIZED UNKNOWN_ERROR UNSUPPORTED_FORMAT
VALIDATION_ERROR VERSION_NOT_ALLOWED
"""
"""Error codes of both APIs: v1 reference server, ``core/constants/errors.py``; server 1.5.1, ``exception_handlers``."""

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
"""``messages[3].content`` (v1), ``messages.3.content`` (v2), or a field of the body such as ``group_id``."""

_MOST_PLACES = 3
_MOST_CHARACTERS = 10_000

_SEPARATORS = (string.punctuation + string.whitespace).encode()
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}")

MOST_WAIT_S = 300.0
"""Upper bound of ``Retry-After``, so that a wrong value cannot stop an import for years."""

MOST_ANSWER_BYTES = 4 * 2**20
"""Limit of an answer without message texts; some hundred bytes are usual."""

MOST_READ_BYTES = 64 * 2**20
"""Limit of an answer to a search or of a page of memories: 100 items with their texts."""


class NotConnected(aiohttp.ClientError):
    """A call without a connection, or without a tunnel through a proxy; the cause is the exception of aiohttp."""


class UnusableAnswer(Exception):
    """An answer that is not read to its end because it is compressed or too long."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names are looked up case-insensitively."""

    body: bytes

    origin: str = ""
    """Where the key comes from, as in :class:`include.memory_api.settings.Settings`."""


class _Detail(msgspec.Struct):
    """One entry of a FastAPI validation error. ``msg`` and ``input`` may repeat the submitted value: not decoded."""

    loc: list[str | int] = []


class _Error(msgspec.Struct):
    """The three shapes of an error body: flat, under ``error``, or FastAPI's ``detail``."""

    code: str | int | None = None
    message: str | None = None
    error: msgspec.Raw = msgspec.Raw()
    detail: msgspec.Raw = msgspec.Raw()


def from_transport(call: str, cause: BaseException | None) -> ChatImportError:
    """
    Return the exception for a failure below HTTP.

    :param call: description of the call, without chat text: ``add of 50 messages to slack_general``.
    :param cause: the exception of aiohttp.
    """
    if isinstance(cause, UnusableAnswer):
        return unknown(call, str(cause))
    name = type(getattr(cause, "__cause__", None) or cause).__name__
    if isinstance(cause, NotConnected):
        tls = _tls_reason(cause)
        if tls in _BAD_TLS:
            return ConfigurationError(
                f"{call}: no secure connection ({tls}); nothing was sent.",
                remedy="Check the base URL's scheme and certificate.",
            )
        return NotSent(f"{call}: no connection ({_system_reason(cause) or name}); nothing was sent.")
    if isinstance(cause, aiohttp.InvalidURL):
        return ConfigurationError(f"{call}: the base URL is not usable ({name}); nothing was sent.")
    return unknown(call, f"no answer ({_system_reason(cause) or name})")


def deadline_s(settings: Settings) -> float:
    """Return the time limit of a whole call: connecting, sending, and receiving the complete answer."""
    return settings.connect_timeout_s + settings.read_timeout_s


def too_late(call: str, after_s: float) -> OutcomeUnknown:
    """Return the exception for a call without a complete answer within ``after_s`` seconds."""
    return unknown(call, f"no whole answer within {after_s:g} s")


@dataclass(frozen=True)
class Limit:
    """Limit of an answer's body, in bytes."""

    most: int
    strict: bool
    """Whether a longer answer is an error; if not, the rest of it is ignored, as the status is enough."""

    @classmethod
    def of(cls, path: str, status: int, headers: Mapping[str, str]) -> "Limit":
        """
        Return the limit for a call and its answer's status and headers.

        :raises UnusableAnswer: the body is needed, but compressed, which was not requested: a few bytes can unpack to
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
        Return whether ``received`` bytes are within the limit.

        :raises UnusableAnswer: they are not, and the limit is strict.
        """
        if received > self.most and self.strict:
            raise UnusableAnswer(f"the answer is longer than {self.most // 2**20} MiB and is not read to its end")
        return received <= self.most


def from_status(call: str, reply: Reply) -> ChatImportError:
    """Return the exception for an HTTP status outside 2xx."""
    status, (code, reason) = reply.status, read_error(reply.body)
    detail = f"HTTP {status}" + (f": {reason}" if reason else "")
    if status == 402 or (status == 429 and code in _QUOTA_CODES):
        return QuotaExhausted(f"{call}: the account's quota is used up ({detail}); nothing was stored.")
    if status == 429:
        return Throttled(
            f"{call}: too many calls ({detail}); nothing was stored.", retry_after_s=retry_after_s(reply.headers)
        )
    if status >= 500 or status in _AMBIGUOUS:
        return unknown(call, detail)
    if status in _CONTENT:
        return Refused(
            f"{call}: refused ({detail}); nothing was stored.", status=status, reason=reason or f"HTTP {status}"
        )
    what = {401: "EverOS refuses the API key", 403: "EverOS refuses access"}.get(status, "")
    told = f"{what} ({detail})" if what else detail
    return ConfigurationError(f"{call}: {told}; nothing was stored.", remedy=_remedy(reply, code))


class Question(str):
    """The description of a call that changes nothing in EverOS, so that it does not matter whether it was answered."""


def unknown(call: str, detail: str) -> OutcomeUnknown:
    """
    Return the exception for a call without a usable answer.

    :param call: description of the call, without chat text; a :class:`Question` if it changes nothing.
    :param detail: what came instead of the answer.
    """
    state = "" if isinstance(call, Question) else "; it may or may not have been carried out"
    return OutcomeUnknown(f"{call}: {detail}{state}.")


def read_error(body: bytes) -> tuple[str, str]:
    """
    Return an error body's code, in lower case, and a reason to show: a known code and the fields it is about.

    A server may repeat submitted text in any field, and this function's result is written to logs, ledger and reports.
    So the result contains none of the server's text: only known codes, known names of fields, and positions of messages
    in the batch.
    """
    try:
        error = msgspec.json.decode(body, type=_Error)
        if bytes(error.error).startswith(b"{"):
            error = msgspec.json.decode(error.error, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""  # the page of a proxy
    code = str(error.code or "").upper()
    places = _places(error.message or "", bytes(error.detail))
    shown = [code] if code in _CODES else []
    return code.lower(), " ".join(shown + ([f"at {', '.join(places)}"] if places else []))


def is_task_id(task_id: str | None, texts: Iterable[str]) -> bool:
    """
    Return whether ``task_id`` is a valid task id and no submitted text: it is written to the ledger and to logs.

    :param texts: the submitted texts; an id whose letters and digits occur in them in this order is not accepted.
    """
    if task_id is None or not _TASK_ID.fullmatch(task_id):
        return False
    return _letters(task_id) not in _letters(" ".join(texts))


def _letters(text: str) -> bytes:
    return text.lower().encode("ascii", "ignore").translate(None, _SEPARATORS)


def _places(message: str, detail: bytes) -> list[str]:
    """Return paths of the fields that an error names, such as ``messages[3].content``; at most three."""
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

    A date is compared with the ``Date`` of the same answer, since this machine's clock may be wrong.
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
    except (ValueError, OverflowError, TypeError, IndexError):  # not a date, or its year is out of range
        return None


def _system_reason(cause: BaseException | None) -> str | None:
    """Return the system's words for a connection that failed or broke: ``Connection refused``."""
    reason = None
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno is not None:
            # asyncio puts the address into ``strerror``; the numbers of names that are not found are not the system's
            reason = cause.strerror if isinstance(cause, socket.gaierror) else os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return reason


def _tls_reason(cause: BaseException | None) -> str | None:
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and (reason := getattr(cause, "reason", None)):  # aiohttp's have none
            return str(reason)
        cause = cause.__cause__ or cause.__context__
    return None


def _remedy(reply: Reply, code: str) -> str:
    status = reply.status
    if status == 403 and code == _NOT_ENABLED:
        return (
            "The account is not enabled for this version of the API: set api_version to the other, or have it enabled."
        )
    if status in (401, 403):
        place = reply.origin or "the connection (its password) or EVEROS_API_KEY"
        return f"Check the API key in {place}, and what its account may use."
    if 300 <= status < 400:
        return "The base URL redirects: use the address that it redirects to, such as https instead of http."
    return "Check that the base URL is that of an EverOS API of this version, without a path such as /api/v1."
