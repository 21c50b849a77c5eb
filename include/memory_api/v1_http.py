"""
HTTP calls of v1 over the SDK ``everos`` 0.4: they return a decoded answer or raise a ``ChatImportError``.

Bodies are encoded here and sent with the SDK client's public ``post``: its typed methods spend about 180 µs of CPU on
each message. Redirects are not followed: a redirected POST becomes a GET, or reaches a server that nobody configured.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import everos
import httpx
from everos import RequestOptions

from include.memory_api import failures, wire
from include.memory_api.settings import Settings

ONCE: RequestOptions = {"max_retries": 0}
"""For writes, since EverOS stores a repeated batch twice, and for reads that delivery retries itself."""

RETRIED: RequestOptions = {"max_retries": 2}
"""For reads that a user is waiting for."""

_KEEP_IDLE_S = 4.0
"""Less than the usual 5 s of a server: a call on a connection that the server is closing has an unknown outcome."""


class _Limited(httpx.AsyncByteStream):
    """An answer's body up to its limit."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: failures.Limit) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            if not self._limit.allows(received):
                return
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _limit(response: httpx.Response) -> None:
    """Limit a body before it is read. It is never decompressed."""
    limit = failures.Limit.of(response.request.url.path, response.status_code, response.headers)
    response.headers.pop("content-encoding", None)
    response.stream = _Limited(cast("httpx.AsyncByteStream", response.stream), limit)


class V1Http:
    """
    The SDK's client, with its exceptions translated. Use it from one event loop.

    Each call in flight has a separate client with one connection. A connection pool of httpx looks at all its
    connections before and after each call, which doubles the CPU time of a call when there are twenty.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deadline_s = failures.deadline_s(settings)
        self._tls = httpx.create_ssl_context()  # the clients share it: it takes longer to make than a client
        self._clients: list[everos.AsyncEverOS] = []
        self._idle: list[everos.AsyncEverOS] = []
        self._slots = asyncio.Semaphore(settings.connections)
        _silence_sdk_logs()

    async def aclose(self) -> None:
        """Close connections."""
        for client in self._clients:
            await client.close()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[everos.AsyncEverOS]:
        """Give the client that was used last, so that no more connections stay open than are needed."""
        async with self._slots:
            client = self._idle.pop() if self._idle else self._new_client()
            try:
                yield client
            finally:
                self._idle.append(client)

    def _new_client(self) -> everos.AsyncEverOS:
        timeout = httpx.Timeout(self._settings.read_timeout_s, connect=self._settings.connect_timeout_s)
        limits = httpx.Limits(max_connections=1, keepalive_expiry=_KEEP_IDLE_S)
        client = everos.AsyncEverOS(
            api_key=self._settings.api_key,
            base_url=self._settings.address,  # else the SDK reads EVER_OS_BASE_URL, and no other variable
            timeout=timeout,
            max_retries=0,
            http_client=httpx.AsyncClient(
                headers={"Accept-Encoding": "identity"},
                timeout=timeout,
                limits=limits,
                verify=self._tls,
                follow_redirects=False,
                event_hooks={"response": [_limit]},
            ),
        )
        self._clients.append(client)
        return client

    async def get[T](
        self, path: str, type_: type[T], call: str, *, missing: T | None = None, options: RequestOptions = ONCE
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._reply(call, lambda client: client.get(path, cast_to=httpx.Response, options=options))
        if reply.status == 404 and missing is not None:
            return missing
        return self._decoded(reply, type_, call)

    async def post[T](self, path: str, body: object, type_: type[T], call: str, *, options: RequestOptions = ONCE) -> T:
        """
        Send a body and return the answer's ``data``.

        :param call: description of the call without chat text: ``add of 50 messages to slack_general``.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        content = wire.encode(body, call)
        reply = await self._reply(
            call, lambda client: client.post(path, cast_to=httpx.Response, content=content, options=options)
        )
        return self._decoded(reply, type_, call)

    @staticmethod
    def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> T:
        return wire.decode(reply, wire.Envelope[type_], call, api_version="v1").data  # type: ignore[valid-type]

    async def _reply(
        self, call: str, send: Callable[[everos.AsyncEverOS], Awaitable[httpx.Response]]
    ) -> failures.Reply:
        try:
            async with self._client() as client, self._deadline(call):
                response = await send(client)
        except everos.APIStatusError as error:
            response = error.response
        except everos.APIError as error:
            raise failures.from_transport(call, error.__cause__) from None
        return failures.Reply(
            status=response.status_code, headers=response.headers, body=response.content, origin=self._settings.origin
        )

    @asynccontextmanager
    async def _deadline(self, call: str) -> AsyncIterator[None]:
        """Abort a call whose answer is not complete in time: httpx's own timeouts restart with every byte."""
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except TimeoutError:
            raise failures.too_late(call, self._deadline_s) from None


def _silence_sdk_logs() -> None:
    """Keep chat text out of the logs, and a line for every poll of a task."""
    logging.getLogger("everos._base_client").setLevel(logging.WARNING)  # at DEBUG it logs whole request bodies
    for name in ("httpx", "httpcore"):  # they log reason phrases and headers, which are text of the server
        if (log := logging.getLogger(name)).level == logging.NOTSET:
            log.setLevel(logging.WARNING)
