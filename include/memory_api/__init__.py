"""The memory APIs that messages can go to, behind one small interface."""

from include.errors import ConfigurationError
from include.memory_api.contract import MemoryAPI
from include.memory_api.settings import Settings
from include.memory_api.v1 import V1Client

__all__ = ["MemoryAPI", "Settings", "connect"]


def connect(settings: Settings) -> MemoryAPI:
    """
    Return the client for a target; no byte is sent yet.

    :raises ConfigurationError: the API version is not available.
    """
    if settings.api_version == "v1":
        return V1Client(settings)
    raise ConfigurationError(f"api_version {settings.api_version} is not available yet: set it to v1")
