"""
One HTTP call of v2: a body in, a decoded answer or one exception of ours out, over the SDK ``everos-cloud`` 1.2.

The SDK blocks, so each call has a thread of a bounded pool. Calls go through its ``ApiClient``, which knows host, key
and connections, and not through its typed methods: those have no ``app_id`` for the list of tasks, and refuse answers
with a status that is newer than they are, though the statuses are documented as an open set.
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

import msgspec
import urllib3
from everos_cloud.api_client import ApiClient
from everos_cloud.configuration import Configuration
from everos_cloud.exceptions import ApiException
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import make_headers, parse_url

from include.errors import OutcomeUnknown, Refused
from include.memory_api import failures
from include.memory_api.settings import Settings
from include.memory_api.v2_wire import Envelope

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}

_PIECE = 64 * 1024

Method = Literal["GET", "POST"]


class _Blocking:
    """
    A call that blocks a thread, and can be ended from another one.

    urllib3's timeouts begin anew with every byte: an answer that trickles would keep its thread for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._ended = False

    def sends_over(self, connection: HTTPConnection) -> None:
        """Note the connection before anything is sent. Raises ``OSError`` when the call was ended before that."""
        with self._lock:
            self._connection = connection
            if self._ended:
                raise ConnectionAbortedError("the call was given up before it was sent")

    def end(self) -> None:
        """Break the connection, if the call is still using one; the thread that waits for an answer wakes up."""
        with self._lock:
            self._ended = True
            connection, self._connection = self._connection, None
            if connection is not None and isinstance(connection.sock, socket.socket):
                with contextlib.suppress(OSError):  # it is broken already
                    # not the method of a TLS socket, which first forgets how to decrypt what is being read
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def answered(self) -> None:
        """Leave the connection alone from now on: the next call may be using it."""
        with self._lock:
            self._connection = None


_IN_THIS_THREAD = threading.local()
"""``call``: the :class:`_Blocking` that a thread is busy with."""


class _Endable:
    """What both kinds of connections add: the call knows its connection from before the first byte."""

    def connect(self) -> None:
        _IN_THIS_THREAD.call.sends_over(self)
        super().connect()  # type: ignore[misc]
        _IN_THIS_THREAD.call.sends_over(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _IN_THIS_THREAD.call.sends_over(self)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Http(_Endable, HTTPConnection):
    pass


class _Https(_Endable, HTTPSConnection):
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
        self._timeouts_s = (settings.connect_timeout_s, settings.read_timeout_s)
        self._deadline_s = failures.deadline_s(settings)
        self._room = asyncio.Semaphore(settings.connections)
        if (log := logging.getLogger("urllib3.connection")).level == logging.NOTSET:
            log.setLevel(logging.ERROR)  # it warns of headers that it cannot read, and quotes them
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="everos-v2")

    async def aclose(self) -> None:
        """Close idle connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._sdk.rest_client.pool_manager.clear()

    async def get[T](
        self, path: str, type_: type[T], what: str, *, query: Mapping[str, Any] | None = None, missing: T | None = None
    ) -> T:
        """
        Read; parameters and errors as for :meth:`post`.

        :param missing: what a 404 means, where it is an answer and not an error.
        """
        reply = await self._call("GET", path, what, query=query)
        if reply.status == 404 and missing is not None:
            return missing
        return _decoded(reply, type_, what).data

    async def post[T](self, path: str, body: Mapping[str, Any], type_: type[T], what: str) -> Envelope[T]:
        """
        Send a body and decode the answer.

        :param what: the call, for people and without chat text: ``add of 50 messages to slack_general``.
        :raises ChatImportError: see :mod:`include.memory_api.failures`.
        """
        try:
            msgspec.json.encode(body)
        except UnicodeEncodeError:
            reason = "text or a name holds half a surrogate pair, which UTF-8 cannot carry"
            raise Refused(f"{what}: {reason}; nothing was sent.", status=422, reason=reason) from None
        return _decoded(await self._call("POST", path, what, body=body), type_, what)

    async def _call(
        self, method: Method, path: str, what: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> failures.Reply:
        call = _Blocking()
        work = partial(self._request, call, method, path, list((query or {}).items()), body)
        async with self._room:  # a thread is free then: the time of a call that waits for one does not run
            try:
                async with asyncio.timeout(self._deadline_s) as deadline:
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except (urllib3.exceptions.HTTPError, OSError, failures.UnusableAnswer) as error:
                if deadline.expired():
                    raise failures.too_late(what, self._deadline_s) from None
                raise failures.from_transport(what, error) from None
            except ApiException as error:  # how the SDK passes on a failure of TLS
                raise failures.from_transport(what, error.__context__) from None
            finally:
                call.end()

    def _request(
        self, call: _Blocking, method: Method, path: str, query: list[tuple[str, Any]], sent: Any
    ) -> failures.Reply:
        _IN_THIS_THREAD.call = call
        request = self._sdk.param_serialize(
            method, path, query_params=query, header_params=dict(_HEADERS), body=sent, auth_settings=["BearerAuth"]
        )
        try:
            response = self._sdk.call_api(*request, _request_timeout=self._timeouts_s).response
            body = _read(response, path)
        finally:
            call.answered()
        return failures.Reply(status=response.status, headers=response.headers, body=body)


def _configuration(settings: Settings) -> Configuration:
    configuration = Configuration(
        host=settings.address,
        access_token=settings.api_key or None,
        # Not one: urllib3 would repeat what did not connect, and follow a redirect with the same POST.
        retries=cast("int", False),
    )
    configuration.connection_pool_maxsize = settings.connections
    configuration.proxy = _proxy(settings.address)
    if configuration.proxy and (login := parse_url(configuration.proxy).auth):
        configuration.proxy_headers = make_headers(proxy_basic_auth=login)  # type: ignore[assignment]
    return configuration


def _proxy(base_url: str) -> str | None:
    """Return the environment's proxy for this address (``HTTPS_PROXY``, ``NO_PROXY``); urllib3 does not look."""
    address = urlsplit(base_url)
    if urllib.request.proxy_bypass(address.netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _read(response: urllib3.BaseHTTPResponse, path: str) -> bytes:
    """Read a body as far as it is to be read; what is left of it costs the connection."""
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


def _decoded[T](reply: failures.Reply, type_: type[T], what: str) -> Envelope[T]:
    if not 200 <= reply.status < 300:
        raise failures.from_status(what, reply)
    try:
        return cast("Envelope[T]", msgspec.json.decode(reply.body, type=Envelope[type_]))  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = f"HTTP {reply.status} with an answer that is not EverOS v2"
        raise OutcomeUnknown(f"{what}: {told}; it may or may not have been carried out.") from None
