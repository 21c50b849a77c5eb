"""The self-hosted EverOS server as a component of this project: its own environment, and one process to start."""

from include.selfhosted.server import SelfHosted

__all__ = ["SelfHosted"]
