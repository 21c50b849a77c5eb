"""Answers that no web framework sends: written byte by byte, endless, or unpacking to gigabytes."""

import gzip
from collections.abc import Iterator
from itertools import chain, repeat

from starlette.responses import Response

from include.standin.faults import Fault

_CHUNK = 64 * 1024
_UNPACKED = 64 * 2**20
_MEMBERS = 64
"""64 gzip members of 64 MiB, one behind the other, which count as one body."""


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
    member = gzip.compress(b" " * _UNPACKED)
    return chain([_head(response, "content-encoding: gzip", "connection: close")], repeat(member, _MEMBERS))


def _head(response: Response, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status_code} OK", "content-type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
