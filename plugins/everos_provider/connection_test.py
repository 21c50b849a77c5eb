"""
Mends the *Test* button for connections of type EverOS, in Airflow's API server.

- Airflow 3.3.2 answers "Bad Request" if the port is empty: its UI sends 0 (apache/airflow#73298, mended after 3.3.2).
- It also does so if an environment variable overrules the connection: it compares the form with that variable. The
  answer is then the reason.
- It tests the connection under a random id; messages need that of the user (:data:`everos_provider.hooks.TESTED_ID`).
"""

import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everos_provider.hooks import TESTED_ID, EverOSHook, not_used
from everos_provider.origins import overruling_variable

_PATH = "/api/v2/connections/test"


class ConnectionTest:
    """A middleware that passes on every other request unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(_PATH):
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        given = _object(body)
        if given.get("conn_type") != EverOSHook.conn_type:
            await self._app(scope, _receives(body, receive), send)
            return
        if given.get("port") == 0:
            body = json.dumps({**given, "port": None}).encode()
            headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        conn_id = str(given.get("connection_id") or "")
        token = TESTED_ID.set(conn_id)
        try:
            await self._app(scope, _receives(body, receive), _explains(conn_id, scope, receive, send))
        finally:
            TESTED_ID.reset(token)


def _explains(conn_id: str, scope: Scope, receive: Receive, send: Send) -> Send:
    """Return ``send``, with the reason in place of a "Bad Request" for a connection that is overruled."""
    replaced = False

    async def explained(message: Message) -> None:
        nonlocal replaced
        is_bad = message["type"] == "http.response.start" and message["status"] == HTTPStatus.BAD_REQUEST
        if is_bad and (variable := overruling_variable(conn_id)):
            replaced = True
            answer = {"status": False, "message": f"Not tested. {not_used(conn_id, variable)}"}
            await JSONResponse(answer)(scope, receive, send)
        elif not replaced:
            await send(message)

    return explained


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _receives(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives a body that was read already."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
