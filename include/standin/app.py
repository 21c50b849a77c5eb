"""The v1 routes as the SDK ``everos`` 0.4.0 calls them, and two routes below ``/standin/`` that need no key."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.standin import answers
from include.standin.calls import Call, Calls, Handler
from include.standin.connections import Connections
from include.standin.faults import Fault, Faults
from include.standin.journal import conversation_key
from include.standin.memory import Scope, Work
from include.standin.settings import Settings
from include.standin.store import Store
from include.standin.validation import NO_SESSION, RESERVED, Invalid, check_add, check_owner, derived, parse_object


class Api:
    """Handlers over one store; :meth:`starlette` makes the application."""

    def __init__(self, store: Store, settings: Settings, faults: Faults, connections: Connections) -> None:
        self.store = store
        self.settings = settings
        self.faults = faults
        self._calls = Calls(store, settings, faults, connections)
        self._working: set[asyncio.Task[None]] = set()

    def starlette(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=self._routes(), lifespan=self._lifespan)

    def _routes(self) -> list[Route]:
        def route(path: str, method: str, handler: Handler) -> Route:
            return Route(f"/api/v1{path}", self._calls.guarded(handler), methods=[method])

        return [
            route("/memories", "POST", self._add),
            route("/memories/group", "POST", self._add),
            route("/memories/flush", "POST", self._flush),
            route("/memories/group/flush", "POST", self._flush),
            route("/memories/search", "POST", self._search),
            route("/memories/get", "POST", self._get),
            route("/tasks/{task_id}", "GET", self._task),
            route("/groups", "POST", self._register),
            route("/senders", "POST", self._register),
            route("/settings", "GET", self._settings),
            Route("/standin/faults", self._arm, methods=["POST"]),
            Route("/standin/stats", self._stats, methods=["GET"]),
        ]

    def _lifespan(self, _: Starlette) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def run() -> Any:
            for task_id, due_s in self.store.unfinished():  # accepted by a process that was killed
                self._work(task_id, due_s)
            yield
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)
            self.store.close()

        return run()

    # -- writing

    async def _add(self, request: Request) -> Response:
        body, scope = await _read(request)
        raw = body.get("messages")
        sent = [m for m in raw if isinstance(m, dict)] if isinstance(raw, list) else []
        ids = tuple(str(m.get("message_id") or "") for m in sent)

        async def add(call: Call) -> Response:
            messages = check_add(body, group=scope.user_id is None)
            work = Work(scope=scope, messages=messages)
            if call.fault is not None and call.fault.does == "partial":
                keep = len(messages) // 2 if call.fault.keep is None else call.fault.keep
                self.store.store(call.seq, Work(scope=scope, messages=messages[:keep]))
                return answers.faulty(call.fault, request)
            if body.get("async_mode"):
                return self._accept(call, work)
            await asyncio.sleep(self.settings.latency.of(len(messages)))
            status = self.store.store(call.seq, work)
            return JSONResponse({"data": answers.added(len(messages), status=status)})

        return await self._calls.answer(request, "add", scope.conversation, add, message_ids=ids)

    def _accept(self, call: Call, work: Work) -> Response:
        does = call.fault.does if call.fault else ""
        fate = does.removeprefix("task_") if does.startswith("task_") else "success"
        late_s = call.fault.delay_s if call.fault and does == "slow_task" else 0.0
        due_s = time.time() + self.settings.latency.of(len(work.messages)) + late_s
        task_id = self.store.accept(call.seq, work, fate=fate, due_s=due_s)
        self._work(task_id, due_s)
        reported_id = None if does == "no_task_id" else task_id
        return JSONResponse({"data": answers.added(len(work.messages), task_id=reported_id)}, status_code=202)

    def _work(self, task_id: str, due_s: float) -> None:
        async def run() -> None:
            await asyncio.sleep(max(0.0, due_s - time.time()))
            self.store.run_task(task_id)

        task = asyncio.create_task(run())
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _flush(self, request: Request) -> Response:
        body, scope = await _read(request)

        async def flush(call: Call) -> Response:
            check_owner(body, group=scope.user_id is None)
            await asyncio.sleep(self.settings.latency.flush_s)
            status = self.store.flush(call.seq, scope)
            return JSONResponse({"data": {"status": status, "message": "Flush completed", "request_id": ""}})

        return await self._calls.answer(request, "flush", scope.conversation, flush)

    async def _register(self, request: Request) -> Response:
        body = parse_object(await request.body())
        kind = "group" if request.url.path.startswith("/api/v1/groups") else "sender"

        async def register(_: Call) -> Response:
            key = body.get(f"{kind}_id")
            if not isinstance(key, str) or not key:
                raise Invalid(f"Missing required field: {kind}_id")
            if key.startswith(RESERVED):
                raise Invalid(f"{kind}_id must not start with '{RESERVED}' (reserved)")
            self.store.name(kind, key, body.get("name"))
            return JSONResponse({"data": {f"{kind}_id": key, "name": body.get("name")}})

        return await self._calls.answer(request, "register", None, register)

    # -- reading

    async def _task(self, request: Request) -> Response:
        task_id = request.path_params["task_id"]

        async def task(_: Call) -> Response:
            state = self.store.task_state(task_id, kept_s=self.settings.task_kept_s)
            if state is None:
                return answers.error(404, "Task not found or expired", request)
            return JSONResponse({"data": {"task_id": task_id, "status": state}})

        batch = self.store.batch_of(task_id)
        conversation, about = (batch.conversation, batch.message_ids) if batch else (None, ())
        return await self._calls.answer(request, "task", conversation, task, about, task_id=task_id)

    async def _search(self, request: Request) -> Response:
        body = parse_object(await request.body())

        async def search(_: Call) -> Response:
            return JSONResponse({"data": answers.search(self.store.memory, body)})

        return await self._calls.answer(request, "search", _searched(body), search)

    async def _get(self, request: Request) -> Response:
        body = parse_object(await request.body())

        async def get(_: Call) -> Response:
            return JSONResponse({"data": answers.get(self.store.memory, body)})

        return await self._calls.answer(request, "get", _searched(body), get)

    async def _settings(self, request: Request) -> Response:
        async def settings(_: Call) -> Response:
            return JSONResponse({"data": answers.settings()})

        return await self._calls.answer(request, "settings", None, settings)

    # -- the stand-in itself

    async def _arm(self, request: Request) -> Response:
        try:
            faults = msgspec.json.decode(await request.body(), type=list[Fault])
        except msgspec.DecodeError as error:
            return JSONResponse({"message": str(error)}, status_code=422)
        self.faults.arm(faults)
        return JSONResponse({"armed": len(faults)})

    async def _stats(self, _: Request) -> Response:
        return JSONResponse(self.store.totals())


async def _read(request: Request) -> tuple[dict[str, Any], Scope]:
    """Read an add or flush and whose it is; only what is wrong with the body as a whole is refused here."""
    body = parse_object(await request.body())
    if "/group" in request.url.path:
        group_id = str(body.get("group_id") or "")
        return body, Scope(conversation=conversation_key(group_id=group_id), group_id=group_id)
    user_id, session_id = str(body.get("user_id") or ""), body.get("session_id")
    scope = Scope(
        conversation=conversation_key(user_id=user_id, session_id=session_id),
        group_id=derived("solo", user_id),
        user_id=user_id,
        session_id=NO_SESSION if session_id is None else str(session_id),
    )
    return body, scope


def _searched(body: Mapping[str, Any]) -> str | None:
    """Return the one conversation that a search or get is about, if it is about one."""
    filters = body.get("filters")
    if not isinstance(filters, dict):
        return None
    group_id, user_id = filters.get("group_id"), filters.get("user_id")
    if isinstance(group_id, str):
        return conversation_key(group_id=group_id)
    return conversation_key(user_id=user_id, session_id=filters.get("session_id")) if isinstance(user_id, str) else None
