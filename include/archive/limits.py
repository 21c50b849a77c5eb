"""What an archive may cost: settings with defaults that honest exports never meet."""

import os

import msgspec

from include.errors import ConfigurationError

VARIABLE = "EVEROS_IMPORT_LIMITS"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an archive may hold. An entry over its limit costs itself, an archive over its limits is refused whole."""

    entry_bytes: int = 16 << 30
    """Of one file, decompressed. Single DiscordChatExporter files of 3 GB are real."""

    total_bytes: int = 256 << 30
    """Of everything read from one archive, decompressed."""

    entries: int = 2_000_000

    ratio: int = 250
    """Decompressed to packed bytes, of one zip entry and of all entries of an archive together; each from 1 MiB on."""


def limits_of_environment() -> Limits:
    """
    Return the defaults, but for those that ``EVEROS_IMPORT_LIMITS`` names as a JSON object: ``{"ratio": 1000}``.

    :raises ConfigurationError: if it names anything else; nothing was read.
    """
    given = os.environ.get(VARIABLE) or "{}"
    try:
        return msgspec.json.decode(given, type=Limits)
    except msgspec.MsgspecError as error:
        names = ", ".join(Limits.__struct_fields__)
        raise ConfigurationError(
            f"{VARIABLE}: {error}; expected a JSON object with whole numbers for some of {names}"
        ) from error
