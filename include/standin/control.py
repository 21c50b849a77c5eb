"""Routes below ``/standin/`` for tests and the demo: read the journal, arm faults, start anew. No key needed."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.standin.app import Api
from include.standin.faults import Fault


def routes(api: Api) -> list[Route]:
    """Return the control routes of a stand-in."""

    async def journal(request: Request) -> Response:
        entries = api.store.journal(after=int(request.query_params.get("after", 0)))
        return Response(msgspec.json.encode(entries), media_type="application/json")

    async def arm(request: Request) -> Response:
        try:
            faults = msgspec.json.decode(await request.body(), type=list[Fault])
        except msgspec.DecodeError as error:
            return JSONResponse({"message": str(error)}, status_code=422)
        api.faults.arm(faults)
        return JSONResponse({"armed": len(faults)})

    async def reset(_: Request) -> Response:
        api.faults.arm([])
        api.store.clear()
        return JSONResponse({"reset": True})

    async def stats(_: Request) -> Response:
        return JSONResponse(api.store.totals())

    return [
        Route("/standin/journal", journal, methods=["GET"]),
        Route("/standin/faults", arm, methods=["POST"]),
        Route("/standin/reset", reset, methods=["POST"]),
        Route("/standin/stats", stats, methods=["GET"]),
    ]
