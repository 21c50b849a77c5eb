"""Runs a stand-in: in a thread for tests (:class:`StandIn`), or as a process (:func:`serve`)."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from include.standin.app import Api
from include.standin.connections import Connections
from include.standin.faults import Fault, Faults
from include.standin.journal import Entry
from include.standin.settings import EPISODE_MESSAGES, Latency, Settings
from include.standin.store import Store, clear, read_journal, read_name

_KEEP_ALIVE_S = 65
_GRACE_S = 1


class _Server(uvicorn.Server):
    """uvicorn that ends hanging calls when it stops."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.closing.set()
        await super().shutdown(sockets)


class StandIn:
    """A stand-in running in a thread of this process. Use :meth:`running`."""

    def __init__(self, api: Api, base_url: str, data: Path) -> None:
        self._api = api
        self.base_url = base_url
        self.data = data

    @classmethod
    @contextmanager
    def running(
        cls,
        data: Path,
        *,
        port: int = 0,
        faults: Sequence[Fault] = (),
        latency: Latency | None = None,
        key: str | None = None,
        task_kept_s: float = 3600.0,
        episode_messages: int = EPISODE_MESSAGES,
    ) -> Iterator["StandIn"]:
        """
        Serve from a thread until the block ends; ``data`` keeps everything for the next one.

        :param port: 0 takes a free one.
        """
        settings = Settings(
            latency=latency or Latency(), key=key, task_kept_s=task_kept_s, episode_messages=episode_messages
        )
        api, server = _build(data, settings)
        api.faults.arm(faults)
        sock = _listen("127.0.0.1", port)
        started = threading.Event()

        def work() -> None:
            try:
                asyncio.run(_run(server, sock, started.set))
            finally:
                started.set()

        thread = threading.Thread(target=work, name="standin", daemon=True)
        thread.start()
        started.wait()
        if not server.started:
            raise RuntimeError("the stand-in did not start; its thread has printed why")
        try:
            yield cls(api, _url(sock), data)
        finally:
            server.should_exit = True
            thread.join()

    def journal(self, after: int = 0) -> list[Entry]:
        """All calls so far, in order of arrival."""
        return read_journal(self.data, after)

    def name_of(self, kind: str, key: str) -> str | None:
        """
        Return the name that a client has registered.

        :param kind: ``group`` or ``sender``.
        """
        return read_name(self.data, kind, key)

    def reset(self) -> None:
        """Delete everything, journal and faults included."""
        self.set_faults()
        clear(self.data)

    def set_faults(self, *faults: Fault) -> None:
        """Replace the faults in force; none clears them."""
        self._api.faults.arm(faults)


async def serve(host: str, port: int, data: Path, settings: Settings, ready: Callable[[str], None]) -> None:
    """
    Serve until SIGINT or SIGTERM.

    :param ready: called with the base URL once calls are answered.
    """
    _, server = _build(data, settings)
    sock = _listen(host, port)
    await _run(server, sock, lambda: ready(_url(sock)))


def _build(data: Path, settings: Settings) -> tuple[Api, uvicorn.Server]:
    connections = Connections()
    api = Api(Store(data, episode_messages=settings.episode_messages), settings, Faults(), connections)
    config = uvicorn.Config(
        api.starlette(),
        http=connections.protocol(),
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return api, _Server(config, connections)


async def _run(server: uvicorn.Server, sock: socket.socket, ready: Callable[[], None]) -> None:
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    if server.started:
        ready()
    await serving


def _listen(host: str, port: int) -> socket.socket:
    """
    Open a socket that says it is TCP.

    asyncio turns Nagle's algorithm off only for those, and ``socket.create_server`` makes others: every answer would
    come 40 ms late.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    sock.listen(2048)
    return sock


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{host}:{port}"
