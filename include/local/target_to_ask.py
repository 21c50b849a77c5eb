"""Finds the EverOS to ask: the one that imports go to, or the one of ``make up`` and ``make demo``."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from include.errors import ConfigurationError
from include.local.airflow import Say, has_connection
from include.local.child_processes import child_processes
from include.local.settings import DATABASE, airflow_environment
from include.local.standin import KEY
from include.local.state_folder import StateFolder, lock_state_folder
from include.local.targets import TARGETS, start_target
from include.memory_api.contract import Target
from include.memory_api.settings import Settings
from include.run_folder import PROJECT

CONNECTION, API_KEY = "AIRFLOW_CONN_EVEROS_DEFAULT", "EVEROS_API_KEY"


@dataclass(frozen=True)
class _Local:
    """A target of the demo: its folder in the state folder, which holds its port, and how to recognise it."""

    folder: str
    health: str
    api_version: str
    api_key: str = ""


_LOCAL = {
    "selfhosted": _Local("everos", "/health", "v2"),
    "standin-v1": _Local("standin", "/standin/stats", "v1", KEY),
}


def is_configured(root: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the environment or the local Airflow names the EverOS to import into."""
    own_server = environ.get("EVEROS_BASE_URL") and environ.get("EVEROS_API_VERSION") == "v2"
    named = environ.get(CONNECTION) or environ.get(API_KEY) or own_server
    return bool(named) or has_connection(StateFolder(root, lock=-1), "everos_default")


@contextlib.contextmanager
def target_to_ask(
    root: Path, name: str, say: Say, check: Callable[[Target], object] = lambda _: None
) -> Iterator[tuple[Settings, str]]:
    """
    Give the settings of the target and a description; one that this starts ends with the block.

    :param name: Of a target of the demo (:data:`include.local.targets.TARGETS`). Empty: the target of ``make import``
        or, where none is configured, the first one of the demo that there is.
    :param check: Called before a server is started; its errors end the block.
    :raises ConfigurationError: There is none, or its settings are wrong; nothing was asked.
    """
    if name and name not in TARGETS:
        raise ConfigurationError(f"TARGET={name} is not one of {', '.join(TARGETS)}")
    if not name and is_configured(root, os.environ):
        settings = _configured(root)
        yield settings, f"EverOS {settings.api_version} at {settings.base_url}"
        return
    there = [each for each in ([name] if name else TARGETS) if _data(root, each)]
    for each in there:
        if running := _running(root, each):
            yield running, f"the target of `make up`, {each}: {running.base_url}"
            return
    if not there:
        raise ConfigurationError(
            f"no EverOS is configured, and {root} has none of `make demo` or `make up`; nothing was asked.",
            remedy=f"Set {API_KEY} (and EVEROS_BASE_URL for another server than EverOS Cloud) or {CONNECTION}, in the "
            "environment or in .env; or run `make demo` first, which needs none of them.",
        )
    check(_settings(root, there[0]).target)
    with lock_state_folder(root, "make ask") as state_folder, child_processes(state_folder) as processes:
        say(f"Starting {there[0]}, the target of `make demo`, for the question …")
        embedded = start_target(there[0], state_folder, processes, os.environ)
        yield embedded.settings, f"the target of `make demo`, {there[0]}: {embedded.settings.base_url}"


def _data(root: Path, name: str) -> Path | None:
    """Return the data of a target in the state folder; ``None`` if it was never started."""
    note = root / _LOCAL[name].folder / "port"
    data = note.with_name(note.read_text().strip()) if note.exists() else None
    return data if data and data.is_dir() else None


def _settings(root: Path, name: str) -> Settings:
    local, data = _LOCAL[name], _data(root, name)
    base_url = f"http://127.0.0.1:{data.name}" if data else ""
    return Settings(api_version=local.api_version, base_url=base_url, api_key=local.api_key)


def _running(root: Path, name: str) -> Settings | None:
    settings = _settings(root, name)
    try:
        httpx.get(f"{settings.base_url}{_LOCAL[name].health}", trust_env=False, timeout=10).raise_for_status()
    except httpx.HTTPError:
        return None
    return settings


def _configured(root: Path) -> Settings:
    """Return the settings as a task gets them; a process of its own asks Airflow, which this one does not import."""
    state_folder = StateFolder(root, lock=-1)
    environ, argv = dict(os.environ), [sys.executable, "-m", "everos_provider.print_settings"]
    if (state_folder.airflow / DATABASE).exists():
        environ = airflow_environment(os.environ, state_folder, port=0, dags=PROJECT / "dags")
        argv.append("--from-database")
    environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")])
    printed = subprocess.run(argv, env=environ, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
    last_line = printed.stdout.strip().rpartition("\n")[2]
    if printed.returncode != 0:
        raise ConfigurationError(last_line or "the settings of EverOS could not be read; nothing was asked.")
    return msgspec.json.decode(last_line, type=Settings)
