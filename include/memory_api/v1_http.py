"""
One HTTP call of v1: a body in, a decoded answer or one exception of ours out, over the SDK ``everos`` 0.4.

Bodies are encoded here and go through the SDK client's public ``post``: its typed methods spend about 180 µs of CPU on
each message. Redirects are not followed: a redirected POST becomes a GET, or goes where nobody meant to send it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import everos
import httpx
import msgspec
from everos import RequestOptions

from include.errors import OutcomeUnknown, Refused
from include.memory_api import failures
from include.memory_api.settings import Settings
from include.memory_api.v1_wire import Envelope

ONCE: RequestOptions = {"max_retries": 0}
"""For writes, since EverOS stores a repeated batch twice, and for what delivery asks and repeats by itself."""

RETRIED: RequestOptions = {"max_retries": 2}
"""For questions that people ask."""

_KEEP_IDLE_S = 4.0
"""Less than the usual 5 s of a server: a call on a connection that is just being closed has an unknown outcome."""


class _Limited(httpx.AsyncByteStream):
    """An answer's body, as far as it is to be read."""

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
    """Limit a body before it is read. It is never unpacked."""
    limit = failures.Limit.of(response.request.url.path, response.status_code, response.headers)
    response.headers.pop("content-encoding", None)
    response.stream = _Limited(cast("httpx.AsyncByteStream", response.stream), limit)


class V1Http:
    """
    The SDK's client, with its exceptions translated. Use it from one event loop.

    Every call under way has a client of its own with one connection. A pool of httpx looks at all its connections
    before and after each call, which doubles the CPU time of a call when there are twenty.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deadline_s = failures.deadline_s(settings)
        self._tls = httpx.create_ssl_context()  # takes longer to make than a client; they share it
        self._clients: list[everos.AsyncEverOS] = []
        self._idle: list[everos.AsyncEverOS] = []
        self._room = asyncio.Semaphore(settings.connections)
        _quieten()

    async def aclose(self) -> None:
        """Close connections."""
        for client in self._clients:
            await client.close()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[everos.AsyncEverOS]:
        """Lend the client that was used last, so that no more connections stay open than are needed."""
        async with self._room:
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
        self, path: str, type_: type[T], what: str, *, missing: T | None = None, options: RequestOptions = ONCE
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: what a 404 means, where it is an answer and not an error.
        """
        reply = await self._reply(what, lambda client: client.get(path, cast_to=httpx.Response, options=options))
        if reply.status == 404 and missing is not None:
            return missing
        return _decoded(reply, type_, what)

    async def post[T](self, path: str, body: object, type_: type[T], what: str, *, options: RequestOptions = ONCE) -> T:
        """
        Send a body and decode what comes under ``data``.

        :param what: the call, for people and without chat text: ``add of 50 messages to slack_general``.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError:
            reason = "text or a name holds half a surrogate pair, which UTF-8 cannot carry"
            raise Refused(f"{what}: {reason}; nothing was sent.", status=422, reason=reason) from None
        reply = await self._reply(
            what, lambda client: client.post(path, cast_to=httpx.Response, content=content, options=options)
        )
        return _decoded(reply, type_, what)

    async def _reply(
        self, what: str, send: Callable[[everos.AsyncEverOS], Awaitable[httpx.Response]]
    ) -> failures.Reply:
        try:
            async with self._client() as client, self._deadline(what):
                response = await send(client)
        except everos.APIStatusError as error:
            response = error.response
        except everos.APIError as error:
            raise failures.from_transport(what, error.__cause__) from None
        return failures.Reply(status=response.status_code, headers=response.headers, body=response.content)

    @asynccontextmanager
    async def _deadline(self, what: str) -> AsyncIterator[None]:
        """Give up a call that is not answered in full in time: httpx's own timeouts begin anew with every byte."""
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except TimeoutError:
            raise failures.too_late(what, self._deadline_s) from None


def _quieten() -> None:
    """Keep chat text out of the logs, and a line for every question about a task."""
    logging.getLogger("everos._base_client").setLevel(logging.WARNING)  # at DEBUG it logs whole request bodies
    for name in ("httpx", "httpcore"):  # reason phrases and headers are the server's words
        if (log := logging.getLogger(name)).level == logging.NOTSET:
            log.setLevel(logging.WARNING)


def _decoded[T](reply: failures.Reply, type_: type[T], what: str) -> T:
    if not 200 <= reply.status < 300:
        raise failures.from_status(what, reply)
    try:
        envelope = msgspec.json.decode(reply.body, type=Envelope[type_])  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = f"HTTP {reply.status} with an answer that is not EverOS v1"
        raise OutcomeUnknown(f"{what}: {told}; it may or may not have been carried out.") from None
    return cast("T", envelope.data)
