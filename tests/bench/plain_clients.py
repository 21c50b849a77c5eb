"""
Loads an export with a plain program, as well as one can write it: ``python -m tests.bench.plain_clients``.

In order within a conversation, conversations side by side, each worker with a connection of its own; no ledger, no
handling of errors. It prints :class:`Loaded` as JSON.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import batched
from pathlib import Path
from typing import Any

import httpx
import msgspec

ASK_S = 0.1
"""Between two questions of the polling client about a task."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a load took, without reading the export, in seconds."""

    load_s: float
    cpu_s: float


async def _poll(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await client.post(path, content=msgspec.json.encode({**body, "async_mode": True}))
    data = msgspec.json.decode(answer.raise_for_status().content)["data"]
    while data["status"] != "success":
        await asyncio.sleep(ASK_S)
        answer = await client.get(f"/api/v1/tasks/{data['task_id']}")
        data = {**data, **msgspec.json.decode(answer.raise_for_status().content)["data"]}


async def _wait(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await client.post(path, content=msgspec.json.encode({**body, "async_mode": False}))
    answer.raise_for_status()


Add = Callable[[httpx.AsyncClient, str, dict[str, Any]], Awaitable[None]]

CLIENTS: dict[str, Add] = {"polling": _poll, "synchronous": _wait}


async def load(add: Add, documents: list[dict[str, Any]], base_url: str, batch_size: int, concurrency: int) -> None:
    """Load conversations, the next one as soon as one has ended."""
    left = iter(documents)
    tls = httpx.create_ssl_context()

    async def worker(left: Iterator[dict[str, Any]]) -> None:
        headers = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60, verify=tls) as client:
            for document in left:
                messages = document.pop("messages")
                path = "/api/v1/memories/group" if "group_id" in document else "/api/v1/memories"
                for batch in batched(messages, batch_size):
                    await add(client, path, {**document, "messages": batch})

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(worker(left))


def main() -> None:
    """Load the export of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plain_clients", description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("export", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("batch_size", type=int)
    parser.add_argument("concurrency", type=int)
    given = parser.parse_args()
    documents = msgspec.json.decode(given.export.read_bytes())
    began_s, cpu_s = time.monotonic(), time.process_time()
    asyncio.run(load(CLIENTS[given.client], documents, given.base_url, given.batch_size, given.concurrency))
    took = Loaded(load_s=time.monotonic() - began_s, cpu_s=time.process_time() - cpu_s)
    sys.stdout.write(msgspec.json.encode(took).decode())


if __name__ == "__main__":
    main()
