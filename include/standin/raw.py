"""Answers that no web framework sends: written byte by byte, endless, or unpacking to gigabytes."""

import zlib
from collections.abc import Iterator
from functools import cache
from itertools import chain, repeat

from starlette.responses import Response

from include.standin.faults import Fault

_CHUNK = 64 * 1024
_BLOCK = 64 * 2**20
_BLOCKS = 64
_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""RFC 1952: gzip, deflate, no name, no time, unknown system."""


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
