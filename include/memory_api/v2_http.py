"""
HTTP calls of v2 over the SDK ``everos-cloud`` 1.2: they return a decoded answer or raise a ``ChatImportError``.

The SDK blocks, so each call runs in a thread of a bounded pool. Calls use the SDK's ``ApiClient``, which has host, key
and connections, and not its typed methods: those have no ``app_id`` for the list of tasks, and refuse answers with a
status that the SDK does not know, though the statuses are documented as an open set.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import urllib3
from everos_cloud.api_client import ApiClient
from everos_cloud.configuration import Configuration
from everos_cloud.exceptions import ApiException
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import make_headers, parse_url

from include.memory_api import failures, wire
from include.memory_api.settings import Settings
from include.memory_api.v2_wire import Envelope

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}

_PIECE = 64 * 1024

Method = Literal["GET", "POST"]


class _Abortable:
    """
    A call that blocks a thread and can be aborted from another one.

    urllib3's timeouts restart with every byte: a server that sends one byte now and then would block a thread for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._aborted = False

    def attach(self, connection: HTTPConnection) -> None:
        """Register the connection before anything is sent. Raises ``OSError`` if the call was aborted before that."""
        with self._lock:
            self._connection = connection
            if self._aborted:
                raise ConnectionAbortedError("the call was aborted before it was sent")

    def abort(self) -> None:
        """Shut the connection down if the call still uses it; the thread that waits for an answer then raises."""
        with self._lock:
            self._aborted = True
            connection, self._connection = self._connection, None
            if connection is not None and isinstance(connection.sock, socket.socket):
                with contextlib.suppress(OSError):  # already disconnected
                    # the method of a TLS socket would first drop the state that decrypts the data being read
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def detach(self) -> None:
        """Forget the connection: the next call may use it."""
        with self._lock:
            self._connection = None


_IN_THIS_THREAD = threading.local()
"""Its ``abortable`` is the :class:`_Abortable` that the thread runs."""


class _Attaching:
    """Mixin of a connection: attaches itself to the thread's call before the first byte is sent."""

    def connect(self) -> None:
        _IN_THIS_THREAD.abortable.attach(self)
        super().connect()  # type: ignore[misc]
        _IN_THIS_THREAD.abortable.attach(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _IN_THIS_THREAD.abortable.attach(self)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Http(_Attaching, HTTPConnection):
    pass


class _Https(_Attaching, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class V2Http:
    """The SDK's client, with its exceptions translated and without its retries. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._sdk = ApiClient(_configuration(settings))
        self._sdk.rest_client.pool_manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self._origin = settings.origin
        self._timeouts_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._deadline_s = failures.deadline_s(settings)
        self._slots = asyncio.Semaphore(settings.connections)
        if (log := logging.getLogger("urllib3.connection")).level == logging.NOTSET:
            log.setLevel(logging.ERROR)  # its warnings quote headers that it cannot parse
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="everos-v2")

    async def aclose(self) -> None:
        """Close idle connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._sdk.rest_client.pool_manager.clear()

    async def get[T](
        self, path: str, type_: type[T], call: str, *, query: Mapping[str, Any] | None = None, missing: T | None = None
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: result for a 404; ``None`` if a 404 is an error.
        """
        reply = await self._call("GET", path, call, query=query)
        if reply.status == 404 and missing is not None:
            return missing
        return _decoded(reply, type_, call).data

    async def post[T](self, path: str, body: Mapping[str, Any], type_: type[T], call: str) -> Envelope[T]:
        """
        Send a body and return the answer.

        :param call: description of the call without chat text: ``add of 50 messages to slack_general``.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        wire.encode(body, call)  # only to check it: the SDK encodes it again
        return _decoded(await self._call("POST", path, call, body=body), type_, call)

    async def _call(
        self, method: Method, path: str, call: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> failures.Reply:
        abortable = _Abortable()
        request = partial(self._request, abortable, method, path, list((query or {}).items()), body)
        async with self._slots:  # then a thread is free: the deadline does not include waiting for one
            try:
                async with asyncio.timeout(self._deadline_s) as deadline:
                    return await asyncio.get_running_loop().run_in_executor(self._threads, request)
            except (urllib3.exceptions.HTTPError, OSError, failures.UnusableAnswer) as error:
                if deadline.expired():
                    raise failures.too_late(call, self._deadline_s) from None
                raise failures.from_transport(call, error) from None
            except ApiException as error:  # the SDK's exception for a failure of TLS
                raise failures.from_transport(call, error.__context__) from None
            finally:
                abortable.abort()

    def _request(
        self, abortable: _Abortable, method: Method, path: str, query: list[tuple[str, Any]], sent: Any
    ) -> failures.Reply:
        _IN_THIS_THREAD.abortable = abortable
        request = self._sdk.param_serialize(
            method, path, query_params=query, header_params=dict(_HEADERS), body=sent, auth_settings=["BearerAuth"]
        )
        try:
            response = self._sdk.call_api(*request, _request_timeout=self._timeouts_s).response
            body = _read(response, path)
        finally:
            abortable.detach()
        return failures.Reply(status=response.status, headers=response.headers, body=body, origin=self._origin)


def _configuration(settings: Settings) -> Configuration:
    configuration = Configuration(
        host=settings.address,
        access_token=settings.api_key or None,
        # No retries: urllib3 would repeat a failed connection, and follow a redirect with the same POST.
        retries=cast("int", False),
    )
    configuration.connection_pool_maxsize = settings.connections
    configuration.proxy = _proxy(settings.address)
    if configuration.proxy and (login := parse_url(configuration.proxy).auth):
        configuration.proxy_headers = make_headers(proxy_basic_auth=login)  # type: ignore[assignment]
    return configuration


def _proxy(base_url: str) -> str | None:
    """Return the environment's proxy for this address (``HTTPS_PROXY``, ``NO_PROXY``); urllib3 ignores these."""
    address = urlsplit(base_url)
    if urllib.request.proxy_bypass(address.netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _read(response: urllib3.BaseHTTPResponse, path: str) -> bytes:
    """Read a body up to its limit; if more is left, the connection is closed."""
    content = bytearray()
    try:
        limit = failures.Limit.of(path, response.status, response.headers)
        while piece := response.read(_PIECE, decode_content=False):
            if not limit.allows(len(content) + len(piece)):
                break
            content += piece
    except BaseException:
        response.close()
        raise
    if piece:
        response.close()
    else:
        response.release_conn()
    return bytes(content)


def _decoded[T](reply: failures.Reply, type_: type[T], call: str) -> Envelope[T]:
    return wire.decode(reply, Envelope[type_], call, api_version="v2")  # type: ignore[valid-type]
