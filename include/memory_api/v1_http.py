"""
HTTP calls of v1: they return a decoded answer or raise a ``ChatImportError``.

Host, key and the reads that a user waits for are those of the SDK ``everos`` 0.4. Calls of a load go from here to the
same connections: of the CPU time of a call through the SDK's public ``post``, two thirds are spent in the SDK and
httpx. Redirects are not followed: a redirected POST becomes a GET, or reaches a server that nobody configured.
"""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import everos
import httpx
import urllib3
from everos import RequestOptions
from urllib3.util import make_headers, parse_url

from include.memory_api import failures, wire
from include.memory_api.blocking import POOLS, BlockingCalls, proxy_of, read_body
from include.memory_api.settings import Settings

_RETRIED: RequestOptions = {"max_retries": 2}

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}

_READ = ("Retry-After", "Date")
"""Headers that the SDK or :mod:`include.memory_api.failures` read."""


class _Connections:
    """The connections of one client, for any thread."""

    def __init__(self, settings: Settings) -> None:
        self._origin = settings.origin
        self._timeouts_s = urllib3.Timeout(connect=settings.connect_timeout_s, read=settings.read_timeout_s)
        self._pool = _pool(settings)

    def send(self, method: str, url: str, headers: Mapping[str, str], sent: bytes | None) -> failures.Reply:
        """Send a request, once, and read the answer up to its limit."""
        response = self._pool.urlopen(
            method,
            url,
            body=sent,
            headers=headers,
            redirect=False,
            retries=False,
            timeout=self._timeouts_s,
            preload_content=False,
            decode_content=False,
        )
        body = read_body(response, urlsplit(url).path)
        return failures.Reply(status=response.status, headers=response.headers, body=body, origin=self._origin)

    def close(self) -> None:
        """Close idle ones."""
        self._pool.clear()


class _HttpxClient(httpx.AsyncClient):
    """What the SDK sends its requests with: the same connections."""

    def __init__(self, calls: BlockingCalls, connections: _Connections) -> None:
        super().__init__(transport=httpx.AsyncBaseTransport(), trust_env=False)
        self._calls, self._connections = calls, connections

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Send a request, once."""
        headers = {**request.headers, "Accept-Encoding": "identity"}
        asked = request.method, str(request.url), headers, request.content or None
        reply = await self._calls.run(partial(self._connections.send, *asked))
        read = [(name, value) for name in _READ if (value := reply.headers.get(name)) and value.isascii()]
        return httpx.Response(reply.status, headers=read, content=reply.body, request=request)


class V1Http:
    """Connections to one account. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._address, self._origin = settings.address, settings.origin
        self._calls, self._connections = BlockingCalls(settings), _Connections(settings)
        self._sdk = everos.AsyncEverOS(
            api_key=settings.api_key,
            base_url=settings.address,  # else the SDK reads EVER_OS_BASE_URL, and no other variable
            max_retries=0,
            http_client=_HttpxClient(self._calls, self._connections),
        )
        self._headers = {**_HEADERS, **self._sdk.auth_headers, "User-Agent": self._sdk.user_agent}
        _silence_sdk_logs()

    async def aclose(self) -> None:
        """Close connections."""
        self._calls.close()
        self._connections.close()
        await self._sdk.close()

    async def get[T](
        self, path: str, type_: type[T], call: str, *, missing: T | None = None, retried: bool = False
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._reply("GET", path, None, call, retried=retried)
        if reply.status == 404 and missing is not None:
            return missing
        return self._decoded(reply, type_, call)

    async def post[T](self, path: str, body: object, type_: type[T], call: str, *, retried: bool = False) -> T:
        """
        Send a body and return the answer's ``data``.

        :param call: description of the call without chat text: ``add of 50 messages to slack_general``.
        :param retried: by the SDK, for reads that a user is waiting for. Never a write, since EverOS stores a repeated
            batch twice; delivery retries its reads itself.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        return self._decoded(
            await self._reply("POST", path, wire.encode(body, call), call, retried=retried), type_, call
        )

    @staticmethod
    def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> T:
        return wire.decode(reply, wire.Envelope[type_], call, api_version="v1").data  # type: ignore[valid-type]

    async def _reply(
        self, method: Literal["GET", "POST"], path: str, body: bytes | None, call: str, *, retried: bool
    ) -> failures.Reply:
        async with self._calls.in_time(call):
            if retried:
                return await self._by_sdk(method, path, body, call)
            asked = method, f"{self._address}{path}", self._headers, body
            try:
                return await self._calls.run(partial(self._connections.send, *asked))
            except (urllib3.exceptions.HTTPError, OSError, failures.UnusableAnswer) as error:
                raise failures.from_transport(call, error) from None

    async def _by_sdk(self, method: str, path: str, body: bytes | None, call: str) -> failures.Reply:
        try:
            response = (
                await self._sdk.get(path, cast_to=httpx.Response, options=_RETRIED)
                if method == "GET"
                else await self._sdk.post(path, cast_to=httpx.Response, content=body, options=_RETRIED)
            )
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
