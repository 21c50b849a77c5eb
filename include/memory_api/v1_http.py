"""
HTTP calls of v1 over the SDK ``everos`` 0.4: they return a decoded answer or raise a ``ChatImportError``.

Bodies are encoded here and sent with the SDK client's public ``post``: its typed methods spend about 180 µs of CPU on
each message. Below the SDK is aiohttp (:mod:`include.memory_api.connections`) in place of httpx.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import everos
import httpx
from everos import RequestOptions

from include.memory_api import failures, wire
from include.memory_api.connections import Connections
from include.memory_api.limits import CallLimits
from include.memory_api.settings import Settings

_NO_KEY: RequestOptions = {"idempotency_key": ""}
"""EverOS knows none; the SDK would draw a random one for each call and not send it."""

ONCE: RequestOptions = {"max_retries": 0, **_NO_KEY}
"""For writes, since EverOS stores a repeated batch twice, and for reads that delivery retries itself."""

RETRIED: RequestOptions = {"max_retries": 2, **_NO_KEY}
"""For reads that a user is waiting for."""


class _Client(httpx.AsyncClient):
    """The client that the SDK makes and sends its requests with."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(transport=httpx.AsyncBaseTransport(), trust_env=False)
        self._connections = connections

    def build_request(
        self, method: str, url: httpx.URL | str, *, headers: Any = None, content: Any = None, **_: Any
    ) -> httpx.Request:
        """Return a request of what the SDK gives; this client has no headers, cookies or parameters to add."""
        return httpx.Request(method, url, headers=headers, content=content)

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request, once, and read the answer up to its limit."""
        reply = await self._connections.send(request.method, str(request.url), request.headers, request.content)
        return httpx.Response(reply.status, content=reply.body, request=request, extensions={"reply": reply})

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._connections.close()
        await super().aclose()


class V1Http:
    """The SDK's client, with its exceptions translated. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._limits = CallLimits(settings)
        self._sdk = everos.AsyncEverOS(
            api_key=settings.api_key,
            base_url=settings.address,  # else the SDK reads EVER_OS_BASE_URL, and no other variable
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},
            http_client=_Client(Connections(settings)),
        )
        self._address = settings.address
        _silence_sdk_logs()

    async def aclose(self) -> None:
        """Close connections."""
        await self._sdk.close()

    async def get[T](
        self, path: str, type_: type[T], call: str, *, missing: T | None = None, options: RequestOptions = ONCE
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._reply(
            call, lambda: self._sdk.get(self._address + path, cast_to=httpx.Response, options=options)
        )
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
            call, lambda: self._sdk.post(self._address + path, cast_to=httpx.Response, content=content, options=options)
        )
        return self._decoded(reply, type_, call)

    @staticmethod
    def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> T:
        return wire.decode(reply, wire.Envelope[type_], call, api_version="v1").data  # type: ignore[valid-type]

    async def _reply(self, call: str, send: Callable[[], Awaitable[httpx.Response]]) -> failures.Reply:
        try:
            async with self._limits.in_time(call):
                response = await send()
        except everos.APIStatusError as error:
            response = error.response
        except everos.APIError as error:
            raise failures.from_transport(call, error.__cause__) from None
        return cast("failures.Reply", response.extensions["reply"])


def _silence_sdk_logs() -> None:
    """Keep chat text out of the logs, and a line for every poll of a task."""
    logging.getLogger("everos._base_client").setLevel(logging.WARNING)  # at DEBUG it logs whole request bodies
    for name in ("httpx", "httpcore"):  # they log reason phrases and headers, which are text of the server
        if (log := logging.getLogger(name)).level == logging.NOTSET:
            log.setLevel(logging.WARNING)
