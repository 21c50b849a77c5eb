"""The memory APIs that messages can go to, behind one small interface."""

from include.memory_api.contract import MemoryAPI
from include.memory_api.settings import Settings

__all__ = ["MemoryAPI", "Settings", "connect"]


def connect(settings: Settings) -> MemoryAPI:
    """Return the client for a target; no byte is sent yet."""
    # Here, because each SDK costs a good part of a second to import, and a process needs one at most.
    if settings.api_version == "v2":
        from include.memory_api.v2 import V2Client  # noqa: PLC0415

        return V2Client(settings)
    from include.memory_api.v1 import V1Client  # noqa: PLC0415

    return V1Client(settings)
