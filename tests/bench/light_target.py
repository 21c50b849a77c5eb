"""
A v1 server that only keeps times: ``python -m tests.bench.light_target``.

It answers an add as EverOS does, after the time that a batch takes or at once with a task, and remembers ids and times.
The stand-in checks, stores and extracts messages; on two cores that takes more CPU than a client, and hides it.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import uvicorn

from include.standin.journal import Entry, conversation_key
from include.standin.settings import Latency
from tests.bench.importing import PROJECT

_KINDS = {"groups": "group", "senders": "sender", "search": "search", "get": "get", "flush": "flush"}


class _Message(msgspec.Struct):
    message_id: str


class _Add(msgspec.Struct):
    messages: list[_Message]
    group_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    async_mode: bool = False


class _Task(msgspec.Struct, frozen=True):
    """Tasks are done when their time has come: nothing runs meanwhile."""

    conversation: str
    ids: tuple[str, ...]
    arrived_s: float
    due_s: float


class LightTarget:
    """The server as an ASGI application."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._adds: list[_Task] = []
        self._others: list[Entry] = []
        self._decoder = msgspec.json.Decoder(_Add)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one call."""
        body, more = b"", scope["method"] == "POST"
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        status, answer = await self._answer(scope["path"], body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        now_s, name = time.time(), path.rsplit("/", 1)[1]
        if path == "/journal":
            return 200, self._journal()
        if path in ("/api/v1/memories", "/api/v1/memories/group"):
            return await self._add(self._decoder.decode(body), now_s)
        if path.startswith("/api/v1/tasks/"):
            task = self._adds[int(name.removeprefix("task-"))]
            self._others.append(Entry(seq=0, kind="task", conversation=task.conversation, arrived_s=now_s))
            state = "success" if now_s >= task.due_s else "processing"
            return 200, msgspec.json.encode({"data": {"task_id": name, "status": state}})
        self._others.append(Entry(seq=0, kind=_KINDS[name], arrived_s=now_s))
        return 200, b'{"data": {"status": "no_extraction", "episodes": [], "raw_messages": [], "total_count": 0}}'

    async def _add(self, add: _Add, now_s: float) -> tuple[int, bytes]:
        key = conversation_key(group_id=add.group_id, user_id=add.user_id, session_id=add.session_id)
        ids = tuple(message.message_id for message in add.messages)
        task = _Task(key, ids, now_s, now_s + self._latency.of(len(ids)))
        self._adds.append(task)
        if add.async_mode:
            queued = {"task_id": f"task-{len(self._adds) - 1}", "message_count": len(ids), "status": "queued"}
            return 202, msgspec.json.encode({"data": queued})
        await asyncio.sleep(task.due_s - now_s)
        return 200, msgspec.json.encode({"data": {"message_count": len(ids), "status": "accumulated"}})

    def _journal(self) -> bytes:
        """All calls since the last time."""
        adds = [
            Entry(
                seq=place,
                kind="add",
                conversation=task.conversation,
                message_ids=task.ids,
                stored_ids=task.ids,
                arrived_s=task.arrived_s,
                ended_s=task.due_s,
                order=place,
            )
            for place, task in enumerate(sorted(self._adds, key=lambda task: task.due_s))
        ]
        answer = msgspec.json.encode([*adds, *self._others])
        self._adds.clear()
        self._others.clear()
        return answer


class RunningTarget:
    """The server in a separate process."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    @classmethod
    @contextmanager
    def of(cls, latency: Latency) -> Iterator["RunningTarget"]:
        """Serve until the block ends."""
        command = [sys.executable, "-m", "tests.bench.light_target", msgspec.json.encode(latency).decode()]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                if not line.startswith("http://"):
                    raise RuntimeError("the target did not start; its error is above")
                yield cls(line.strip())
            finally:
                process.kill()

    def take_journal(self) -> list[Entry]:
        """Return all calls since the last time."""
        answer = httpx.get(f"{self.base_url}/journal", trust_env=False, timeout=60).raise_for_status()
        return msgspec.json.decode(answer.content, type=list[Entry])


def main() -> None:
    """Serve with the latency of the command line; the one line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.light_target", description=__doc__)
    parser.add_argument("latency", help="include.standin.settings.Latency as JSON")
    app = LightTarget(msgspec.json.decode(parser.parse_args().latency, type=Latency))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(2048)
        print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_keep_alive=65)
        uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
