"""What the demo loads into: a self-hosted EverOS, or the light stand-in for v1 on a machine without room for one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from include.errors import ConfigurationError
from include.local.child_processes import ChildProcesses
from include.local.everos import SelfHosted, start_selfhosted
from include.local.standin import KEY, connection_to, start_standin
from include.local.state_folder import StateFolder
from include.memory_api.settings import Settings
from include.standin_model.app import MODEL_ID


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A target that runs beside Airflow and ends with it."""

    name: str
    settings: Settings
    connection: str
    """``AIRFLOW_CONN_EVEROS_DEFAULT`` for it."""
    said: str
    """What it is, and what it is not, for the person at the screen."""

    markdown: Path | None = None
    """Where it keeps memories that people can read."""


def start_target(
    name: str, state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]
) -> Embedded:
    """
    Start a target by its name and return when it answers.

    :raises ConfigurationError: There is none of that name.
    """
    if name not in TARGETS:
        raise ConfigurationError(f"TARGET={name} is none of {', '.join(TARGETS)}")
    return TARGETS[name](state_folder, processes, environ)


def _selfhosted(state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]) -> Embedded:
    server = start_selfhosted(state_folder, processes, environ)
    connection = {"conn_type": "everos", "host": server.base_url, "extra": {"api_version": "v2"}}
    return Embedded(
        name="EverOS",
        settings=Settings(api_version="v2", base_url=server.base_url),
        connection=msgspec.json.encode(connection).decode(),
        said=f"The target is a self-hosted EverOS {server.version}: {server.base_url}\n{_model(server)}",
        markdown=server.markdown,
    )


def _model(server: SelfHosted) -> str:
    if server.model != MODEL_ID:
        return f"Its language model is {server.model}."
    return (
        "Its language model is a STAND-IN that repeats what people wrote (not a model): "
        "EVEROS_LLM__BASE_URL, EVEROS_LLM__API_KEY and EVEROS_LLM__MODEL name a real one."
    )


def _standin(state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]) -> Embedded:
    base_url = start_standin(state_folder, processes)
    return Embedded(
        name="Stand-in",
        settings=Settings(api_version="v1", base_url=base_url, api_key=KEY),
        connection=connection_to(base_url),
        said=f"The target is a STAND-IN for EverOS v1 (not EverOS): {base_url}",
    )


TARGETS: Mapping[str, Callable[[StateFolder, ChildProcesses, Mapping[str, str]], Embedded]] = {
    "selfhosted": _selfhosted,
    "standin-v1": _standin,
}
"""The first is the default."""
