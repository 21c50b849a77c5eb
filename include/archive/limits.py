"""What an archive may cost: settings with defaults that honest exports never meet."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold. An entry over its limit costs itself, an archive over its limits is refused whole."""

    entry_bytes: int = 16 << 30
    """Of one file, decompressed. Single DiscordChatExporter files of 3 GB are real."""

    total_bytes: int = 256 << 30
    """Of everything read from one archive, decompressed."""

    entries: int = 2_000_000

    ratio: int = 250
    """Decompressed to packed bytes of one zip entry, from 1 MiB on."""


DEFAULT_LIMITS = Limits()
