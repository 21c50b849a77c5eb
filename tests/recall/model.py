"""The stand-in for the language model, as a server in this process that counts what it is asked."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from include.processes.home import free_port
from include.selfhosted.model.app import app
from include.selfhosted.model.prompts import Question


class CountingModel:
    """Answers as :mod:`include.selfhosted.model` does."""

    def __init__(self) -> None:
        self._answers: ASGIApp = app()
        self.calls: Counter[str] = Counter()
        """Questions so far, by kind (names of :class:`Question`)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while scope["type"] == "http" and (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part.get("more_body"):
                break
        self.calls[_kind(body)] += 1

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._answers(scope, again, send)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve until the block ends; gives the base URL."""
        port = free_port()
        config = uvicorn.Config(self, port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.should_exit = True
            thread.join()


def _kind(body: bytes) -> str:
    """Return the kind whose instructions come first; quotation marks in them are escaped in JSON."""
    places = {kind.name: body.find(kind.value.replace('"', '\\"').encode()) for kind in Question}
    found = [name for name, place in places.items() if place >= 0]
    return min(found, key=lambda name: places[name], default="OTHER")
