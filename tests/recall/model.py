"""The stand-in for the language model, as a server in this process that counts what it is asked."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from include.local.state_folder import free_port
from include.standin_model.answers import boundaries
from include.standin_model.app import MODEL_ID, app
from include.standin_model.prompts import PromptMessage, Question, numbered_messages


class CountingModel:
    """
    Answers as :mod:`include.standin_model` does.

    :param most_in_cell: Cut after so many messages, too, as a real model does about every ten; the stand-in alone cuts
        by time, which makes larger cells, and so fewer calls, of busy channels.
    """

    def __init__(self, most_in_cell: int | None = None) -> None:
        self._answers: ASGIApp = app()
        self._most_in_cell = most_in_cell
        self.calls: Counter[str] = Counter()
        """Questions so far, by kind (names of :class:`Question`)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while scope["type"] == "http" and (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part.get("more_body"):
                break
        kind = _kind(body)
        self.calls[kind] += 1
        if self._most_in_cell and kind == Question.BOUNDARIES.name:
            await _cut(body, self._most_in_cell)(scope, receive, send)
            return

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


def smaller_cells(said: Sequence[PromptMessage], most: int) -> dict[str, Any]:
    """Return the stand-in's answer about boundaries, with cuts inside of what is longer than ``most`` messages."""
    found = boundaries(said)
    edges = [0, *found["boundaries"], len(said)]
    inner = (cut for start, end in pairwise(edges) for cut in range(start + most, end, most))
    return found | {"boundaries": sorted({*found["boundaries"], *inner})}


def _cut(body: bytes, most: int) -> JSONResponse:
    prompt = "\n".join(message["content"] for message in json.loads(body)["messages"])
    content = json.dumps(smaller_cells(list(numbered_messages(prompt)), most))
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    completion = {"id": "chatcmpl-cells", "object": "chat.completion", "created": 0, "model": MODEL_ID}
    return JSONResponse({**completion, "choices": [choice], "usage": usage})


def _kind(body: bytes) -> str:
    """Return the kind whose instructions come first; quotation marks in them are escaped in JSON."""
    places = {kind.name: body.find(kind.value.replace('"', '\\"').encode()) for kind in Question}
    found = [name for name, place in places.items() if place >= 0]
    return min(found, key=lambda name: places[name], default="OTHER")
