"""Decodes JSON that is nearly right: half of a surrogate pair, bytes that are no UTF-8, a byte order mark, NaN."""

import codecs
import json
from collections.abc import Callable
from typing import Any

import msgspec


def decode_loose(data: bytes) -> Any:
    """
    Decode a JSON text, repairing what a strict decoder refuses.

    :raises ValueError: if it is no JSON after the repair either; the message quotes nothing of it.
    """
    try:
        return msgspec.json.decode(without_mark(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(repaired(data))


def repaired(data: bytes, fraction: Callable[[str], Any] = str) -> bytes:
    """
    Return the JSON text so that strict decoders accept it; what encodes no character becomes ``?``.

    :param fraction: Makes the value of a number with a fraction of its digits. Default: a string, so that a Slack
        ``ts`` written as a number keeps all its digits.
    :raises ValueError: as for :func:`decode_loose`.
    """
    try:
        value = json.loads(
            without_mark(data).decode("utf-8", "replace"),
            parse_float=fraction,
            parse_constant=lambda _: None,
            strict=False,
        )
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("brackets nested too deep") from None
    except ValueError:
        raise ValueError("a whole number of thousands of digits") from None


def without_mark(data: bytes) -> bytes:
    """Return the text without a UTF-8 byte order mark; UTF-16 with a mark (PowerShell's ``>``) becomes UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)
