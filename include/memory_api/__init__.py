"""Clients of the memory APIs: EverOS v1 and v2, with one interface."""

from include.memory_api.contract import MemoryAPI
from include.memory_api.settings import Settings

__all__ = ["MemoryAPI", "Settings", "connect"]


def connect(settings: Settings) -> MemoryAPI:
    """Return the client for these settings; it does not connect yet."""
    # Imported here: each SDK takes most of a second to import, and a process needs at most one.
    if settings.api_version == "v2":
        from include.memory_api.v2 import V2Client  # noqa: PLC0415

        return V2Client(settings)
    from include.memory_api.v1 import V1Client  # noqa: PLC0415

    return V1Client(settings)
