"""Calls of urllib3 from an event loop, for a library that blocks: each call has a thread of a bounded pool."""

import asyncio
import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from include.memory_api import failures
from include.memory_api.settings import Settings

_KEEP_IDLE_S = 4.0
"""Less than the usual 5 s of a server: a call on a connection that the server is closing has an unknown outcome."""

_PIECE = 64 * 1024


class BlockingCalls:
    """The threads of one client. Use it from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="everos")
        if (log := logging.getLogger("urllib3.connection")).level == logging.NOTSET:
            log.setLevel(logging.ERROR)  # its warnings quote headers that it cannot parse

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run[T](self, work: Callable[[], T]) -> T:
        """Do one call of a connection of :data:`POOLS` in a thread; who is cancelled shuts its connection down."""
        abortable = _Abortable()

        def attached() -> T:
            _IN_THIS_THREAD.abortable = abortable
            try:
                return work()
            finally:
                abortable.detach()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, attached)
        finally:
            abortable.abort()


class _Abortable:
    """
    A call that blocks a thread and can be aborted from another one.

    urllib3's timeouts restart with every byte: a server that sends one byte now and then would block a thread for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: _Attaching | None = None
        self._aborted = False

    def attach(self, connection: "_Attaching") -> None:
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
            if self._connection is not None:
                self._connection.idle_since_s = time.monotonic()
            self._connection = None


_IN_THIS_THREAD = threading.local()
"""Its ``abortable`` is the :class:`_Abortable` that the thread runs."""


class _Attaching(HTTPConnection):
    """A connection that attaches itself to the thread's call before the first byte is sent."""

    idle_since_s = math.inf

    @property
    def is_connected(self) -> bool:
        """Whether it can be used; urllib3 asks before it does."""
        return super().is_connected and time.monotonic() - self.idle_since_s < _KEEP_IDLE_S

    def connect(self) -> None:
        _IN_THIS_THREAD.abortable.attach(self)
        super().connect()
        _IN_THIS_THREAD.abortable.attach(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _IN_THIS_THREAD.abortable.attach(self)
        super().request(*args, **kwargs)


class _Https(_Attaching, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Attaching


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


POOLS = {"http": _HttpPool, "https": _HttpsPool}
"""For ``PoolManager.pool_classes_by_scheme``."""


def read_body(response: urllib3.BaseHTTPResponse, path: str) -> bytes:
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
