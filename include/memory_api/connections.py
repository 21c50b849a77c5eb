"""
HTTP/1.1 on an event loop, over connections that are kept: one call at a time on each.

A call takes a fifth of the CPU time of one of urllib3 in a thread. An answer that is not read to its end is an error.
"""

import asyncio
import re
import time
from collections.abc import Generator, Sequence
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import httpx
from urllib3.util import make_headers, parse_url, wait_for_read

from include.memory_api.address import proxy_of
from include.memory_api.failures import Limit
from include.memory_api.settings import Settings

KEEP_IDLE_S = 4.0
"""Less than the usual 5 s of a server: a call on a connection that the server is closing has an unknown outcome."""

_MOST_HEAD = 64 * 1024
"""Bytes of a status line with its headers."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_LENGTH = re.compile(rb"([0-9]{1,15})")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")


class Connections:
    """The connections of one client to one server, through the environment's proxy where it names one."""

    def __init__(self, settings: Settings) -> None:
        self._connect_s, self._read_s = settings.connect_timeout_s, settings.read_timeout_s
        self._idle: list[_Connection] = []
        self._server, proxy = urlsplit(settings.address), proxy_of(settings.address)
        self._proxy = urlsplit(proxy) if proxy else None
        login = parse_url(proxy).auth if proxy else None
        self._login = httpx.Headers(make_headers(proxy_basic_auth=login) if login else {}).raw
        schemes = [address.scheme for address in (self._server, self._proxy) if address]
        self._tls = httpx.create_ssl_context() if "https" in schemes else None

    async def send(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request, once, and read the answer up to its limit.

        :raises httpx.TransportError: a ``ConnectError``, ``ConnectTimeout`` or ``ProxyError`` before anything was sent.
        :raises UnusableAnswer: see :class:`include.memory_api.failures.Limit`.
        """
        connection = self._kept() or await self._connected()
        try:
            async with asyncio.timeout(self._read_s):
                response = await connection.call(request.method, request.url.path, self._bytes_of(request))
        except TimeoutError:
            raise httpx.ReadTimeout("no whole answer in time") from None
        self._idle.append(connection)
        response.request = request
        return response

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> "_Connection | None":
        """Return the connection that was used last, if it can be used again; the others are older."""
        connection = self._idle.pop() if self._idle else None
        if connection is not None and not connection.is_usable:
            connection.close()
            return self._kept()
        return connection

    async def _connected(self) -> "_Connection":
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._connect()
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except ExceptionGroup as group:  # one for each address of the name
            raise httpx.ConnectError("no connection") from group.exceptions[0]
        except OSError as error:
            raise httpx.ConnectError("no connection") from error

    async def _connect(self) -> "_Connection":
        """Connect to the server or to the proxy, and through a proxy to a server that has TLS."""
        loop, first = asyncio.get_running_loop(), self._proxy or self._server
        tls = self._tls if first.scheme == "https" else None
        made: Any = loop.create_connection  # typeshed does not know ``all_errors``
        connection: _Connection
        _, connection = await made(_Connection, first.hostname, _port(first), ssl=tls, all_errors=True)
        if self._proxy is None or self._tls is None or self._server.scheme != "https":
            return connection
        try:
            host = self._server.netloc if self._server.port else f"{self._server.netloc}:443"
            head = _head(f"CONNECT {host} HTTP/1.1", [(b"Host", host.encode()), *self._login])
            if not (await connection.call("CONNECT", "", head)).is_success:
                raise httpx.ProxyError("the proxy refuses")
            transport = await loop.start_tls(
                connection.transport, connection, self._tls, server_hostname=self._server.hostname
            )
            connection.connection_made(cast("asyncio.Transport", transport))
        except BaseException as error:
            connection.close()
            if isinstance(error, httpx.TransportError):
                raise httpx.ProxyError("the proxy makes no connection") from error
            raise
        return connection

    def _bytes_of(self, request: httpx.Request) -> bytes:
        """Return the whole request; a proxy that passes it on needs the whole address, and its login."""
        if self._proxy is not None and self._server.scheme == "http":
            target, login = str(request.url), self._login
        else:
            target, login = request.url.raw_path.decode("ascii"), []
        return _head(f"{request.method} {target} HTTP/1.1", [*request.headers.raw, *login]) + request.content


class _Connection(asyncio.Protocol):
    """One connection, with at most one call at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._ended: Exception | None = None
        """Why nothing more is received."""
        self._reading: Generator[None, None, httpx.Response] | None = None
        self._answer: asyncio.Future[httpx.Response] | None = None
        self._keep = True
        """Whether the server takes another call."""
        self._idle_since_s = 0.0

    async def call(self, method: str, path: str, sent: bytes) -> httpx.Response:
        """Send a request and return the answer; who is cancelled closes the connection."""
        self._answer = asyncio.get_running_loop().create_future()
        self._reading = self._read(method, path)
        self.transport.write(sent)
        self._go_on()  # the server may have hung up
        try:
            return await self._answer
        except BaseException:
            self.transport.abort()
            raise
        finally:
            self._answer, self._idle_since_s = None, time.monotonic()

    @property
    def is_usable(self) -> bool:
        """Whether another call may be sent: nothing has come, not even the end that the loop has not read yet."""
        if not self._keep or self._received or self.transport.is_closing():
            return False
        is_fresh = time.monotonic() - self._idle_since_s < KEEP_IDLE_S
        return is_fresh and not wait_for_read(self.transport.get_extra_info("socket"), timeout=0)

    def close(self) -> None:
        """Close it."""
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on. What comes without a call is no answer to the next one: :attr:`is_usable` sees it."""
        self._received += data
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Read what is there; without an error it may be whole."""
        self._ended = exc or EOFError()
        self._go_on()

    def _go_on(self) -> None:
        if self._answer is None or self._answer.done() or self._reading is None:
            return
        try:
            next(self._reading)
        except StopIteration as end:
            self._answer.set_result(end.value)
        except Exception as error:
            self._answer.set_exception(error)

    def _read(self, method: str, path: str) -> Generator[None, None, httpx.Response]:
        """Read an answer (RFC 9112); stops where more must be received."""
        status = 100
        while status < 200:  # what comes before the answer
            first, *lines = (yield from self._until(b"\r\n\r\n")).split(b"\r\n")
            version, code = _match(_STATUS, first)
            status = int(code)
        headers = httpx.Headers([cast("tuple[bytes, bytes]", _match(_HEADER, line)) for line in lines])
        limit = Limit.of(path, status, headers)
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        body: bytes | None = b""
        if status in (204, 304) or (method == "CONNECT" and status < 300):
            pass
        elif coding is not None:
            body = yield from self._chunks(coding, limit)
        elif length is not None:
            size = int(_match(_LENGTH, length.encode())[0])
            body = (yield from self._exactly(size)) if limit.allows(size) else None
        else:
            body = yield from self._rest(limit)
        self._keep = version == b"1" and body is not None and "close" not in headers.get("connection", "").lower()
        headers.pop("content-encoding", None)  # a body that is needed has none, and httpx would unpack the others
        return httpx.Response(status, headers=headers, content=body or b"")

    def _chunks(self, coding: str, limit: Limit) -> Generator[None, None, bytes | None]:
        """Read a body in chunks; ``None`` where it is too long and not needed."""
        if coding.lower() != "chunked":
            raise httpx.RemoteProtocolError("the answer has a transfer coding that was not asked for")
        content = bytearray()
        while size := int(_match(_CHUNK, (yield from self._until(b"\r\n")))[0], 16):
            if not limit.allows(len(content) + size):
                return None
            content += yield from self._exactly(size)
            if (yield from self._until(b"\r\n")):
                raise httpx.RemoteProtocolError("a chunk of the answer is longer than it says")
        while (yield from self._until(b"\r\n")):
            pass  # headers behind the body
        return bytes(content)

    def _rest(self, limit: Limit) -> Generator[None, None, bytes | None]:
        """Read a body that ends with the connection; ``None`` where it is too long and not needed."""
        while self._ended is None:
            if not limit.allows(len(self._received)):
                return None
            yield
        if not isinstance(self._ended, EOFError):
            raise httpx.ReadError("the connection broke") from self._ended
        return bytes(self._received)

    def _until(self, end: bytes) -> Generator[None, None, bytes]:
        while (at := self._received.find(end)) < 0:
            if len(self._received) > _MOST_HEAD:
                raise httpx.RemoteProtocolError("the head of the answer does not end")
            yield from self._more()
        found = yield from self._exactly(at + len(end))
        return found[:at]

    def _exactly(self, size: int) -> Generator[None, None, bytes]:
        while len(self._received) < size:
            yield from self._more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _more(self) -> Generator[None, None, None]:
        if self._ended is not None:
            raise httpx.ReadError("the answer was cut off") from self._ended
        yield


def _head(first: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([first.encode("ascii"), *(b"%s: %s" % header for header in headers), b"", b""])


def _match(pattern: re.Pattern[bytes], line: bytes) -> tuple[bytes, ...]:
    found = pattern.fullmatch(line)
    if found is None:
        raise httpx.RemoteProtocolError("the answer is not HTTP/1.1")
    return found.groups()


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)
