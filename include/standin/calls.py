"""The common part of all calls: check the key, write the journal, produce the fault."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from include.standin import answers
from include.standin.connections import Connections, pieces
from include.standin.faults import Fault, Faults
from include.standin.journal import Entry
from include.standin.settings import Settings
from include.standin.store import Store
from include.standin.validation import Invalid

Handler = Callable[[Request], Awaitable[Response]]


class Call(msgspec.Struct, frozen=True):
    """A call while it is being answered."""

    seq: int
    fault: Fault | None


class Calls:
    """Answers calls, with their faults."""

    def __init__(self, store: Store, settings: Settings, faults: Faults, connections: Connections) -> None:
        self._store = store
        self._settings = settings
        self._faults = faults
        self._connections = connections

    def guarded(self, handler: Handler) -> Handler:
        """Let only calls with a key through, and turn :class:`Invalid` into 422."""

        async def answer(request: Request) -> Response:
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not key.strip() or key != (self._settings.key or key):
                return answers.error(401, "Invalid or missing API key", request, code="UNAUTHORIZED")
            try:
                return await handler(request)
            except Invalid as invalid:
                return answers.error(422, str(invalid), request)

        return answer

    async def answer(
        self,
        request: Request,
        kind: str,
        conversation: str | None,
        work: Callable[[Call], Awaitable[Response]],
        about: Sequence[str] = (),
        **known: Any,
    ) -> Response:
        """
        Record a call, carry it out, and produce its fault before or after.

        :param about: Ids of the messages that a question is about; a batch has its own.
        :param known: further fields of the journal's :class:`Entry`.
        """
        fault = self._faults.strike(kind, conversation, known.get("message_ids", about))
        now = time.time()
        fields = {"kind": kind, "conversation": conversation, "fault": _name(fault), **known}
        seq = self._store.record(Entry(seq=0, arrived_s=now, started_s=now, **fields))
        await asyncio.sleep(self._settings.latency.answer_s)
        response = await self._before(fault, request)
        if response is None:
            try:
                response = await work(Call(seq, fault))
            except Invalid as invalid:
                self._store.amend(seq, status=422, detail=str(invalid))
                raise
            response = await self._after(fault, request, response)
        if response.status_code != answers.CUT:
            self._store.amend(seq, status=response.status_code)
        return response

    async def _before(self, fault: Fault | None, request: Request) -> Response | None:
        if fault is None:
            return None
        match fault.does:
            case "status" | "rate_limit":
                status = 429 if fault.does == "rate_limit" else fault.status
                return answers.faulty(msgspec.structs.replace(fault, status=status), request)
            case "echo":
                return await answers.echo(fault, request)
            case "refuse":
                return answers.error(422, "message refused by the stand-in on request", request)
            case "reset_before" | "hang_before":
                return await self._cut(fault, request)
        return None

    async def _after(self, fault: Fault | None, request: Request, response: Response) -> Response:
        if fault is None:
            return response
        match fault.does:
            case "status_after":
                return answers.faulty(fault, request)
            case "reset_after" | "hang_after":
                return await self._cut(fault, request)
            case "slow":
                await self._connections.hang(request, fault.delay_s)
            case "trickle_headers" | "trickle_body" | "endless" | "gzip_bomb":
                await self._connections.send_raw(request, pieces(fault, response), _pause_s(fault))
                return await self._cut(fault, request)
        return response

    async def _cut(self, fault: Fault, request: Request) -> Response:
        if fault.does.startswith("hang"):
            await self._connections.hang(request, fault.delay_s)
        await self._connections.reset(request)
        return Response(status_code=answers.CUT)


def _pause_s(fault: Fault) -> float:
    return fault.delay_s if fault.does.startswith("trickle") else 0.0


def _name(fault: Fault | None) -> str | None:
    if fault is None:
        return None
    return f"{fault.does} {fault.status}" if fault.does in ("status", "status_after") else fault.does
