"""The targets of the demo: a self-hosted EverOS, or the stand-in for v1 on a machine too small for it."""

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
    """A running target of the demo, which ends with Airflow."""

    name: str
    settings: Settings
    connection: str
    """``AIRFLOW_CONN_EVEROS_DEFAULT`` for it."""
    description: str
    """A description to print."""

    markdown: Path | None = None
    """Its folder of memories as Markdown files."""


def start_target(
    name: str, state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]
) -> Embedded:
    """
    Start a target by its name and return when it answers.

    :raises ConfigurationError: There is none of that name.
    """
    if name not in TARGETS:
        raise ConfigurationError(f"TARGET={name} is not one of {', '.join(TARGETS)}")
    return TARGETS[name](state_folder, processes, environ)


def _selfhosted(state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]) -> Embedded:
    server = start_selfhosted(state_folder, processes, environ)
    connection = {"conn_type": "everos", "host": server.base_url, "extra": {"api_version": "v2"}}
    return Embedded(
        name="EverOS",
        settings=Settings(api_version="v2", base_url=server.base_url),
        connection=msgspec.json.encode(connection).decode(),
        description=f"The target is a self-hosted EverOS {server.version}: {server.base_url}\n{_model(server)}",
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
        description=f"The target is a STAND-IN for EverOS v1 (not EverOS): {base_url}",
    )


TARGETS: Mapping[str, Callable[[StateFolder, ChildProcesses, Mapping[str, str]], Embedded]] = {
    "selfhosted": _selfhosted,
    "standin-v1": _standin,
}
"""The first is the default."""
