"""
HTTP calls of v1 over the SDK ``everos`` 0.4: they return a decoded answer or raise a ``ChatImportError``.

Bodies are encoded here and sent with the SDK client's public ``post``: its typed methods spend about 180 µs of CPU on
each message. Below the SDK is urllib3 in threads, in place of httpx. Redirects are not followed: a redirected POST
becomes a GET, or reaches a server that nobody configured.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import everos
import httpx
import urllib3
from everos import RequestOptions
from urllib3.util import make_headers, parse_url

from include.memory_api import failures, wire
from include.memory_api.blocking import POOLS, BlockingCalls, proxy_of, read_body
from include.memory_api.settings import Settings

ONCE: RequestOptions = {"max_retries": 0}
"""For writes, since EverOS stores a repeated batch twice, and for reads that delivery retries itself."""

RETRIED: RequestOptions = {"max_retries": 2}
"""For reads that a user is waiting for."""


class _Client(httpx.AsyncClient):
    """What the SDK sends its requests with."""

    def __init__(self, settings: Settings, calls: BlockingCalls) -> None:
        super().__init__(headers={"Accept-Encoding": "identity"}, transport=httpx.AsyncBaseTransport(), trust_env=False)
        self._calls = calls
        self._pool = _pool(settings)
        self._timeout_s = urllib3.Timeout(connect=settings.connect_timeout_s, read=settings.read_timeout_s)

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request, once, and read the answer up to its limit."""
        return await self._calls.run(partial(self._send, request))

    def _send(self, request: httpx.Request) -> httpx.Response:
        response = self._pool.urlopen(
            request.method,
            str(request.url),
            body=request.content or None,
            headers=dict(request.headers),
            redirect=False,
            retries=False,
            timeout=self._timeout_s,
            preload_content=False,
            decode_content=False,
        )
        body = read_body(response, request.url.path)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.iteritems()]
        headers = [(name, value) for name, value in headers if name.lower() != b"content-encoding"]  # never unpacked
        return httpx.Response(response.status, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close idle connections."""
        self._pool.clear()
        await super().aclose()


class V1Http:
    """The SDK's client, with its exceptions translated. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._calls = BlockingCalls(settings)
        self._sdk = everos.AsyncEverOS(
            api_key=settings.api_key,
            base_url=settings.address,  # else the SDK reads EVER_OS_BASE_URL, and no other variable
            max_retries=0,
            http_client=_Client(settings, self._calls),
        )
        self._origin = settings.origin
        _silence_sdk_logs()

    async def aclose(self) -> None:
        """Close connections."""
        self._calls.close()
        await self._sdk.close()

    async def get[T](
        self, path: str, type_: type[T], call: str, *, missing: T | None = None, options: RequestOptions = ONCE
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._reply(call, lambda: self._sdk.get(path, cast_to=httpx.Response, options=options))
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
            call, lambda: self._sdk.post(path, cast_to=httpx.Response, content=content, options=options)
        )
        return self._decoded(reply, type_, call)

    @staticmethod
    def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> T:
        return wire.decode(reply, wire.Envelope[type_], call, api_version="v1").data  # type: ignore[valid-type]

    async def _reply(self, call: str, send: Callable[[], Awaitable[httpx.Response]]) -> failures.Reply:
        try:
            async with self._calls.in_time(call):
                response = await send()
        except everos.APIStatusError as error:
            response = error.response
        except everos.APIError as error:
            raise failures.from_transport(call, error.__cause__) from None
        return failures.Reply(
            status=response.status_code, headers=response.headers, body=response.content, origin=self._origin
        )


def _pool(settings: Settings) -> urllib3.PoolManager:
    """Return connections that go through the environment's proxy, and trust the authorities that the SDK trusts."""
    proxy = proxy_of(settings.address)
    options: dict[str, Any] = {"maxsize": settings.connections}
    if any((address or "").lower().startswith("https:") for address in (settings.address, proxy)):
        options["ssl_context"] = httpx.create_ssl_context()
    if proxy is None:
        pool = urllib3.PoolManager(**options)
    else:
        login = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=login) if login else None
        pool = urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    pool.pool_classes_by_scheme = POOLS
    return pool


def _silence_sdk_logs() -> None:
    """Keep chat text out of the logs, and a line for every poll of a task."""
    logging.getLogger("everos._base_client").setLevel(logging.WARNING)  # at DEBUG it logs whole request bodies
    for name in ("httpx", "httpcore"):  # they log reason phrases and headers, which are text of the server
        if (log := logging.getLogger(name)).level == logging.NOTSET:
            log.setLevel(logging.WARNING)
