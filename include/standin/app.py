"""The v1 routes as the SDK ``everos`` 0.4.0 calls them, answered from the store."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from include.standin import answers
from include.standin.connections import Connections
from include.standin.extraction import EPISODE_MESSAGES
from include.standin.faults import Fault, Faults
from include.standin.ids import NO_SESSION, RESERVED, derived
from include.standin.journal import Entry, conversation_key
from include.standin.store import Scope, Store, Work
from include.standin.validation import Invalid, check_add, check_owner, parse_object

Handler = Callable[[Request], Awaitable[Response]]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long work takes.

    A batch ``base_s`` and ``per_message_s`` for each message, a flush ``flush_s``, any answer ``answer_s``.

    Batches are worked on side by side, those of one conversation too: nothing but the client keeps their order.
    """

    base_s: float = 0.0
    per_message_s: float = 0.0
    flush_s: float = 0.0
    answer_s: float = 0.0

    def of(self, messages: int) -> float:
        """Seconds for a batch."""
        return self.base_s + self.per_message_s * messages


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a stand-in is started with."""

    latency: Latency = Latency()
    key: str | None = None
    """The one key that is accepted; ``None`` accepts any."""

    task_kept_s: float = 3600.0
    """After this a task answers 404, as in EverOS."""

    episode_messages: int = EPISODE_MESSAGES
    """Longest episode, and so the most messages that stay pending."""


class _Call(msgspec.Struct):
    """A call while it is being answered."""

    entry: Entry
    fault: Fault | None

    def meets(self, *does: str) -> bool:
        return self.fault is not None and self.fault.does in does


class Api:
    """Handlers over one store; :meth:`starlette` makes the application."""

    def __init__(self, store: Store, settings: Settings, faults: Faults, connections: Connections) -> None:
        self.store = store
        self.settings = settings
        self.faults = faults
        self._connections = connections
        self._working: set[asyncio.Task[None]] = set()

    def starlette(self, *more: BaseRoute) -> Starlette:
        """Return the application, with further routes behind the API's own."""
        return Starlette(routes=[*self._routes(), *more], lifespan=self._lifespan)

    def _routes(self) -> list[Route]:
        def route(path: str, method: str, handler: Handler) -> Route:
            return Route(f"/api/v1{path}", self._guarded(handler), methods=[method])

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
            route("/groups/{key}", "GET", self._registered),
            route("/senders/{key}", "GET", self._registered),
            route("/groups/{key}", "PATCH", self._register),
            route("/senders/{key}", "PATCH", self._register),
            route("/settings", "GET", self._settings),
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

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not key.strip() or key != (self.settings.key or key):
                return answers.error(401, "Invalid or missing API key", request, code="UNAUTHORIZED")
            try:
                return await handler(request)
            except Invalid as invalid:
                return answers.error(422, str(invalid), request)

        return guarded

    # -- writing

    async def _add(self, request: Request) -> Response:
        body, scope = await _read(request)
        raw = body.get("messages")
        sent = [m for m in raw if isinstance(m, dict)] if isinstance(raw, list) else []
        ids = tuple(str(m.get("message_id") or "") for m in sent)

        async def add(call: _Call) -> Response:
            messages = check_add(body, group=scope.user_id is None)
            work = Work(scope=scope, messages=messages)
            if call.fault is not None and call.fault.does == "partial":
                keep = len(messages) // 2 if call.fault.keep is None else call.fault.keep
                self.store.store(call.entry.seq, Work(scope=scope, messages=messages[:keep]))
                return answers.error(call.fault.status, "Internal server error", request)
            if body.get("async_mode"):
                return self._accept(call, work)
            await asyncio.sleep(self.settings.latency.of(len(messages)))
            status = self.store.store(call.entry.seq, work)
            return JSONResponse({"data": answers.added(len(messages), status=status)})

        return await self._answer(request, "add", scope.conversation, add, message_ids=ids)

    def _accept(self, call: _Call, work: Work) -> Response:
        does = call.fault.does if call.fault else ""
        fate = does.removeprefix("task_") if does.startswith("task_") else "success"
        late_s = call.fault.delay_s if call.fault and does == "slow_task" else 0.0
        due_s = time.time() + self.settings.latency.of(len(work.messages)) + late_s
        task_id = self.store.accept(call.entry.seq, work, fate=fate, due_s=due_s)
        self.store.amend(call.entry.seq, task_id=task_id)
        self._work(task_id, due_s)
        told = None if does == "no_task_id" else task_id
        return JSONResponse({"data": answers.added(len(work.messages), task_id=told)}, status_code=202)

    def _work(self, task_id: str, due_s: float) -> None:
        async def run() -> None:
            await asyncio.sleep(max(0.0, due_s - time.time()))
            self.store.run_task(task_id)

        task = asyncio.create_task(run())
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _flush(self, request: Request) -> Response:
        body, scope = await _read(request)

        async def flush(call: _Call) -> Response:
            check_owner(body, group=scope.user_id is None)
            await asyncio.sleep(self.settings.latency.flush_s)
            status = self.store.flush(call.entry.seq, scope)
            return JSONResponse({"data": {"status": status, "message": "Flush completed", "request_id": ""}})

        return await self._answer(request, "flush", scope.conversation, flush)

    async def _register(self, request: Request) -> Response:
        body = parse_object(await request.body())
        kind = "group" if request.url.path.startswith("/api/v1/groups") else "sender"

        async def register(_: _Call) -> Response:
            key = request.path_params.get("key") or body.get(f"{kind}_id")
            if not isinstance(key, str) or not key:
                raise Invalid(f"Missing required field: {kind}_id")
            if key.startswith(RESERVED):
                raise Invalid(f"{kind}_id must not start with '{RESERVED}' (reserved)")
            if "key" in request.path_params and self.store.named(kind, key) is None:
                return answers.error(404, f"{kind} not found", request)
            return JSONResponse({"data": answers.named(kind, self.store.name(kind, key, body))})

        return await self._answer(request, "register", None, register)

    # -- reading

    async def _registered(self, request: Request) -> Response:
        kind = "group" if request.url.path.startswith("/api/v1/groups") else "sender"

        async def registered(_: _Call) -> Response:
            row = self.store.named(kind, request.path_params["key"])
            if row is None:
                return answers.error(404, f"{kind} not found", request)
            return JSONResponse({"data": answers.named(kind, row)})

        return await self._answer(request, "get", None, registered)

    async def _task(self, request: Request) -> Response:
        task_id = request.path_params["task_id"]

        async def task(_: _Call) -> Response:
            state = self.store.task_state(task_id, kept_s=self.settings.task_kept_s)
            if state is None:
                return answers.error(404, "Task not found or expired", request)
            return JSONResponse({"data": {"task_id": task_id, "status": state}})

        return await self._answer(request, "task", None, task, task_id=task_id)

    async def _search(self, request: Request) -> Response:
        body = parse_object(await request.body())

        async def search(_: _Call) -> Response:
            return JSONResponse({"data": answers.search(self.store, body)})

        return await self._answer(request, "search", _searched(body), search)

    async def _get(self, request: Request) -> Response:
        body = parse_object(await request.body())

        async def get(_: _Call) -> Response:
            return JSONResponse({"data": answers.get(self.store, body)})

        return await self._answer(request, "get", _searched(body), get)

    async def _settings(self, request: Request) -> Response:
        async def settings(_: _Call) -> Response:
            return JSONResponse({"data": answers.settings()})

        return await self._answer(request, "settings", None, settings)

    # -- every call goes through here

    async def _answer(
        self,
        request: Request,
        kind: str,
        conversation: str | None,
        work: Callable[[_Call], Awaitable[Response]],
        **known: Any,
    ) -> Response:
        """Journal a call, do it, and let the fault that it meets happen before or after."""
        fault = self.faults.strike(kind, conversation, known.get("message_ids", ()))
        now = time.time()
        entry = self.store.record(
            Entry(
                seq=0, kind=kind, conversation=conversation, arrived_s=now, started_s=now, fault=_name(fault), **known
            )
        )
        call = _Call(entry, fault)
        response = await self._before(call, request)
        if response is None:
            try:
                response = await work(call)
            except Invalid as invalid:
                self.store.amend(entry.seq, status=422, detail=str(invalid))
                raise
            response = await self._after(call, request, response)
        if response.status_code != answers.CUT:
            self.store.amend(entry.seq, status=response.status_code)
        return response

    async def _before(self, call: _Call, request: Request) -> Response | None:
        await asyncio.sleep(self.settings.latency.answer_s)
        if call.fault is None:
            return None
        match call.fault.does:
            case "status":
                return answers.faulty(call.fault, request)
            case "rate_limit":
                return answers.faulty(msgspec.structs.replace(call.fault, status=429), request)
            case "refuse":
                return answers.error(422, "message refused by the stand-in on request", request)
            case "reset_before" | "hang_before":
                return await self._cut(call.fault, request)
        return None

    async def _after(self, call: _Call, request: Request, response: Response) -> Response:
        if call.fault is None:
            return response
        match call.fault.does:
            case "status_after":
                return answers.faulty(call.fault, request)
            case "reset_after" | "hang_after":
                return await self._cut(call.fault, request)
            case "slow":
                await asyncio.sleep(call.fault.delay_s)
        return response

    async def _cut(self, fault: Fault, request: Request) -> Response:
        if fault.does.startswith("hang"):
            await self._connections.hang(request, fault.delay_s)
        await self._connections.reset(request)
        return Response(status_code=answers.CUT)


def _name(fault: Fault | None) -> str | None:
    if fault is None:
        return None
    return f"{fault.does} {fault.status}" if fault.does in ("status", "status_after") else fault.does


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
