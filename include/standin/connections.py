"""Connections that stall, are cut, or get an answer no web framework sends: endless, byte by byte, or gigabytes."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, repeat
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from include.standin.faults import Fault

_MOST_WAITING = 2**20
_LOOK_S = 0.01
"""Bytes that may wait for a client that does not read, and seconds between two checks of them."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""``SO_LINGER`` on, zero seconds: closing sends a TCP reset."""

_CHUNK = 64 * 1024
_BLOCK = 64 * 2**20
_BLOCKS = 64
_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""RFC 1952: gzip, deflate, no name, no time, unknown system."""


class Connections:
    """Open connections by the client's address; :meth:`protocol` is handed to uvicorn as ``http``."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self.closing = asyncio.Event()
        """Set when the server stops, so that nothing keeps hanging."""

    def protocol(self) -> type[asyncio.Protocol]:
        """Return uvicorn's own HTTP protocol, with its connections noted here."""
        transports = self._transports

        class Noted(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
            def connection_made(self, transport: Any) -> None:
                transports[tuple(transport.get_extra_info("peername")[:2])] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(tuple(self.transport.get_extra_info("peername")[:2]), None)
                super().connection_lost(exc)

        return Noted

    async def hang(self, request: Request, longest_s: float) -> bool:
        """Wait until the client disconnects, the server stops, or the time is over; return whether the time is over."""
        await request.body()  # else the next that is received is the body, and not the client's end
        ends = {asyncio.ensure_future(request.receive()), asyncio.ensure_future(self.closing.wait())}
        ended, _ = await asyncio.wait(ends, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        return not ended

    async def send_raw(self, request: Request, pieces: Iterable[bytes], pause_s: float) -> None:
        """
        Write pieces of an answer past the server, pausing after each, until the client gives up.

        The connection is of no use afterwards: :meth:`reset` it.
        """
        transport = self._transport(request)
        for piece in pieces:
            if transport is None or transport.is_closing():
                return
            transport.write(piece)
            while transport.get_write_buffer_size() > _MOST_WAITING:
                if not await self.hang(request, _LOOK_S):
                    return
            if not await self.hang(request, pause_s):
                return

    async def reset(self, request: Request) -> None:
        """Send a TCP reset on the connection of a call and wait until it is closed."""
        transport = self._transport(request)
        if transport is None:
            return
        client = transport.get_extra_info("peername")[:2]
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
        while client in self._transports:  # noqa: ASYNC110 - two turns of the loop
            await asyncio.sleep(0)

    def _transport(self, request: Request) -> asyncio.Transport | None:
        return self._transports.get((request.client.host, request.client.port)) if request.client else None


def pieces(fault: Fault, response: Response) -> Iterator[bytes]:
    """Return an answer as the pieces in which it is to be written to the connection."""
    body = bytes(response.body)
    head = _head(response, f"content-length: {len(body)}")
    match fault.does:
        case "trickle_headers":
            return (bytes([byte]) for byte in head + body)
        case "trickle_body":
            return chain([head], (bytes([byte]) for byte in body))
        case "endless":
            opening = body.removesuffix(b"}") + b', "more": "'
            return chain([_head(response, "connection: close"), opening], repeat(b"x" * _CHUNK))
    head = _head(response, "content-encoding: gzip", "connection: close")
    return chain([head, _GZIP_HEAD], repeat(_block(), _BLOCKS))


@cache
def _block() -> bytes:
    """Return 64 MiB of blanks as deflate blocks that depend on nothing before them."""
    deflate = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return deflate.compress(b" " * _BLOCK) + deflate.flush(zlib.Z_FULL_FLUSH)


def _head(response: Response, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status_code} OK", "content-type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
