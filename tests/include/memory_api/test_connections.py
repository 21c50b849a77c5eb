"""Rules of the connections that both clients use."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.memory_api import Settings, connect, connections


@contextmanager
def counting() -> Iterator[tuple[str, list[str]]]:
    """Serve tasks that are done; yields the address, and a list with an item for each connection."""
    made: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            made.append("connection")
            super().setup()

        def do_GET(self) -> None:
            body = b'{"data": {"task_id": "t", "status": "success"}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", made
        server.shutdown()


@pytest.mark.parametrize("api_version", ["v1", "v2"])
@pytest.mark.parametrize(("keep_idle_s", "made"), [(60.0, 1), (0.0, 3)])
def test_a_connection_is_used_again_unless_it_was_idle_for_so_long_that_the_server_may_close_it(
    monkeypatch: pytest.MonkeyPatch, api_version: str, keep_idle_s: float, made: int
) -> None:
    monkeypatch.setattr(connections, "KEEP_IDLE_S", keep_idle_s)

    async def task(base_url: str) -> None:
        api = connect(Settings(base_url=base_url, api_key="k", api_version=api_version))
        for _ in range(3):
            await api.task_state("t")
        await api.aclose()

    with counting() as (base_url, all_made):
        asyncio.run(task(base_url))
        assert len(all_made) == made
