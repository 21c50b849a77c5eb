"""Limits on the size of archives; real exports stay far below the defaults."""

import os

import msgspec

from include.errors import ConfigurationError

VARIABLE = "EVEROS_IMPORT_LIMITS"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry above its limit is rejected and the others are read; an archive above its limits is rejected."""

    entry_bytes: int = 16 << 30
    """Of one file, decompressed. Single DiscordChatExporter files of 3 GB are real."""

    total_bytes: int = 256 << 30
    """Of everything read from one archive, decompressed."""

    entries: int = 2_000_000

    ratio: int = 250
    """Decompressed to packed bytes, of one zip entry and of all entries of an archive together; each from 1 MiB on."""


def limits_of_environment() -> Limits:
    """
    Return the defaults, changed by the JSON object in ``EVEROS_IMPORT_LIMITS``: ``{"ratio": 1000}``.

    :raises ConfigurationError: The object has another name or a wrong value; nothing was read.
    """
    given = os.environ.get(VARIABLE) or "{}"
    try:
        return msgspec.json.decode(given, type=Limits)
    except msgspec.MsgspecError as error:
        names = ", ".join(Limits.__struct_fields__)
        raise ConfigurationError(
            f"{VARIABLE}: {error}; expected a JSON object with whole numbers for some of {names}"
        ) from error
