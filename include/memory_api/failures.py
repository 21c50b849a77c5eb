"""
Every way an HTTP call can fail, turned into the exception that says what to do next.

The question is always: can the server have carried the call out? Only a connection that never came up, and a status
that says "nothing was taken", count as no. Everything else is :class:`~include.errors.OutcomeUnknown`.
"""

import email.utils
import math
import ssl
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

_ECHO_CHARS = 16
_REASON_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer, whichever library brought it."""

    status: int
    headers: Mapping[str, str]
    """Found by name in any case, as both libraries' own mappings do it."""

    body: bytes


class _Detail(msgspec.Struct):
    """One entry of a FastAPI validation error. Its ``input`` is the submitted value, so it is not even decoded."""

    msg: str = ""
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


def from_status(what: str, reply: Reply, *, texts: Iterable[str] = ()) -> ChatImportError:
    """
    Name an HTTP status outside 2xx.

    :param texts: what was submitted, so that a server's echo of it can be told from a reason.
    """
    status, (code, reason) = reply.status, read_error(reply.body, texts)
    code = (code or "").lower()
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


def read_error(body: bytes, texts: Iterable[str] = ()) -> tuple[str | None, str]:
    """Return an error body's code and its reason, without any submitted text."""
    try:
        error = msgspec.json.decode(body, type=_Error)
        if bytes(error.error).startswith(b"{"):
            error = msgspec.json.decode(error.error, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, ""  # a proxy's page: tells nothing about the call
    code = None if error.code is None else str(error.code)
    reason = error.message or _detail(bytes(error.detail)) or code or ""
    return code, _without_echo(" ".join(reason.split())[:_REASON_CHARS], texts)


def _detail(detail: bytes) -> str:
    try:
        return msgspec.json.decode(detail, type=str)
    except msgspec.DecodeError:
        pass
    try:
        entries = msgspec.json.decode(detail, type=list[_Detail])
    except msgspec.DecodeError:
        return ""
    return "; ".join(f"{'.'.join(str(part) for part in entry.loc)}: {entry.msg}" for entry in entries[:3])


def _without_echo(reason: str, texts: Iterable[str]) -> str:
    """Drop a reason that repeats a stretch of what was submitted: reasons go to logs, chat text does not."""
    windows = [reason[at : at + _ECHO_CHARS] for at in range(max(1, len(reason) - _ECHO_CHARS + 1))]
    for text in texts:
        shown = " ".join(text.split())
        if (len(shown) < _ECHO_CHARS and f"'{shown}'" in reason) or any(
            len(w) == _ECHO_CHARS and w in shown for w in windows
        ):
            return "(the server's reason repeats message text and is left out)"
    return reason


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """
    Read ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3); never negative, ``None`` when unreadable.

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
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _unix_s(http_date: str) -> float | None:
    parsed = email.utils.parsedate_tz(http_date)
    return None if parsed is None else email.utils.mktime_tz(parsed)


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
        return f"The base URL redirects to {reply.headers.get('location', 'nowhere')}: use that address."
    return "Check that the base URL is that of an EverOS API of this version, without a path such as /api/v1."
