"""
Sends the requests of both SDKs over aiohttp: one try each, and an answer that is read to its end or is an error.

It takes less CPU time than urllib3 in a thread, and than httpx: see the loads in CONTRIBUTING.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx
from aiohttp.connector import Connection
from yarl import URL

from include.errors import ConfigurationError
from include.memory_api.address import proxy_of
from include.memory_api.failures import Limit, NotConnected, Reply
from include.memory_api.settings import Settings

_KEEP_IDLE_S = 4.0
"""Less than the usual 5 s of a server: a call on a connection that the server is closing has an unknown outcome."""

_TURNS = 2
"""Of the loop before a call, so that it sees which connections the server has closed: one to be told, one to act."""


class _Connector(aiohttp.TCPConnector):
    """Makes the connections. Nothing of a request is sent before it has returned one."""

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        try:
            return await super().connect(*args, **kwargs)
        except (aiohttp.ClientError, OSError) as error:
            raise NotConnected from error


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request. Of the two kinds of errors that make aiohttp repeat a GET, raise another kind."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError from error


class Connections:
    """
    The connections of one client, through the environment's proxy where it names one. For one event loop.

    :raises ConfigurationError: the proxy is of a kind that aiohttp does not know, such as SOCKS.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxy = proxy_of(settings.address)
        if self._proxy and not self._proxy.lower().startswith(("http://", "https://")):
            raise ConfigurationError(
                f"The environment's proxy for {settings.address} is not an HTTP proxy; nothing was sent.",
                remedy="Set HTTP_PROXY, HTTPS_PROXY or ALL_PROXY to an http:// address, or NO_PROXY to this host.",
            )
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        """
        Send a request and read the answer up to its limit.

        Redirects are not followed: a redirected POST becomes a GET, or reaches a server that nobody configured.

        :raises NotConnected: nothing was sent.
        :raises aiohttp.ClientError: see :mod:`include.memory_api.failures`.
        :raises UnusableAnswer: see :class:`include.memory_api.failures.Limit`.
        """
        if self._session is None:  # it belongs to the loop that runs now
            self._session = self._new_session()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        address = URL(url, encoded=True)
        async with self._session.request(
            method, address, headers=headers, data=content or None, allow_redirects=False, proxy=self._proxy
        ) as answer:
            body = await _body(answer, Limit.of(address.path, answer.status, answer.headers))
        return Reply(status=answer.status, headers=answer.headers, body=body, origin=self._settings.origin)

    async def close(self) -> None:
        """Close idle connections."""
        if self._session is not None:
            await self._session.close()

    def _new_session(self) -> aiohttp.ClientSession:
        settings = self._settings
        has_tls = any(address.lower().startswith("https:") for address in (settings.address, self._proxy or ""))
        return aiohttp.ClientSession(
            connector=_Connector(
                limit=settings.connections,
                keepalive_timeout=_KEEP_IDLE_S,
                ssl=httpx.create_ssl_context() if has_tls else True,  # trusts the same authorities as the SDK everos
            ),
            timeout=aiohttp.ClientTimeout(connect=settings.connect_timeout_s, sock_read=settings.read_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            middlewares=[_once],
        )


async def _body(answer: aiohttp.ClientResponse, limit: Limit) -> bytes:
    """Read a body; of one that is longer than its limit, and not needed, only the part up to the limit."""
    if answer.content_length is not None:
        if limit.allows(answer.content_length):
            return await answer.read()
        answer.close()
        return b""
    content = bytearray()
    async for piece in answer.content.iter_any():
        if not limit.allows(len(content) + len(piece)):
            answer.close()  # with its connection
            break
        content += piece
    return bytes(content)
