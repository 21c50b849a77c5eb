"""Starts a self-hosted EverOS on this machine, and the stand-in for its model if no model is configured."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from include.errors import ChatImportError
from include.local.child_processes import ChildProcesses, child_processes, own_environment
from include.local.state_folder import StateFolder, free_port, kept_port, lock_state_folder
from include.run_folder import PROJECT
from include.standin_model.app import MODEL_ID

ENVIRONMENT = PROJECT / ".venv-selfhosted"
"""The server's own environment: the package ``everos`` is the server from version 1 on, and the SDK below 1."""

_MODEL_BASE_URL, _MODEL_KEY, _MODEL = "EVEROS_LLM__BASE_URL", "EVEROS_LLM__API_KEY", "EVEROS_LLM__MODEL"
DEFAULTS = {
    # conversations between people; the server's own default is the trajectories of agents
    "EVEROS_MEMORIZE__MODE": "chat",
    # milliseconds that a writer waits for another one; with the server's own 5,000 batches fail on a busy machine
    "EVEROS_SQLITE__BUSY_TIMEOUT_MS": "60000",
}
"""Settings that differ from the server's own defaults; the image in ``Dockerfile`` has the same."""

_CONFIGURATION = "everos.toml", "ome.toml"
"""
The server does not start without these. Empty: ``everos init`` would write copies of its defaults, which then outlive
an upgrade. Users may put their own settings there.
"""
_GRACE_S = 40
"""
Seconds. The server takes at most 30 s (``_STOP_GRACE_SECONDS``) to finish the batches in progress. It repeats an
interrupted batch after the next start, and memories that it had already made of that batch are then there twice.
"""

_READY_S = 600
"""It is healthy after 15 s on two idle cores, later on a busy machine; a server that ends is detected at once."""


class NotInstalled(ChatImportError):
    """The server's environment could not be made; nothing was started."""


def prepared() -> Path:
    """
    Return the environment's folder; ``scripts/environment selfhosted`` makes it if it is missing or out of date.

    That takes up to some minutes the first time, and the script prints so; later calls return at once.

    :raises NotInstalled: The script failed and has printed the reason.
    """
    made = subprocess.run([PROJECT / "scripts" / "environment", "selfhosted"], check=False)
    if made.returncode != 0:
        raise NotInstalled("the self-hosted EverOS could not be installed; the lines above give the reason")
    return ENVIRONMENT


@dataclass(frozen=True, kw_only=True)
class SelfHosted:
    """
    A running self-hosted EverOS. Its data stays when it ends.

    It has no authentication and listens on 127.0.0.1 only; it accepts any API key.
    """

    base_url: str
    data: Path
    """Its memory root: Markdown, SQLite and the search index."""

    version: str
    model: str
    """``extractive-stand-in``, or the model that the environment names."""

    @property
    def markdown(self) -> Path:
        """The memories as files: ``<sender id>/episodes/`` and others below it."""
        return self.data / "default_app" / "default_project" / "users"

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, folder: Path, *, model_base_url: str | None = None, environ: Mapping[str, str] | None = None
    ) -> Iterator["SelfHosted"]:
        """
        Run one in its own folder until the block ends, without Airflow.

        :param folder: Has data, port and logs; a second call with the same folder uses them again.
        :param model_base_url: OpenAI-compatible endpoint of a model; without it the stand-in answers.
        :param environ: ``EVEROS_<SECTION>__<KEY>`` settings of the server; by default none of this process's.
        """
        settings = dict(environ or {})
        if model_base_url:
            settings |= {_MODEL_BASE_URL: model_base_url, _MODEL_KEY: settings.get(_MODEL_KEY, "none")}
        with (
            lock_state_folder(folder, "a self-hosted EverOS") as state_folder,
            child_processes(state_folder) as processes,
        ):
            yield start_selfhosted(state_folder, processes, settings)


def start_selfhosted(state_folder: StateFolder, processes: ChildProcesses, environ: Mapping[str, str]) -> SelfHosted:
    """
    Start it, on the same port each time for one state folder, and return when it is healthy.

    :param environ: Its ``EVEROS_<SECTION>__<KEY>`` settings among others; without a model's address or key in them
        (``EVEROS_LLM__BASE_URL``, ``EVEROS_LLM__API_KEY``) the stand-in for a model is started, too.
    :raises NotInstalled: Its environment could not be made.
    :raises ComponentEnded: It has ended.
    """
    venv = prepared()
    port = kept_port(state_folder.root / "everos" / "port")
    data = state_folder.root / "everos" / str(port)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _CONFIGURATION:
        (data / name).touch()
    model = _model_of(environ) or _start_model(processes)
    env = {name: value for name, value in os.environ.items() if not name.startswith("EVEROS_")}
    env |= DEFAULTS
    env |= {name: value for name, value in environ.items() if name.startswith("EVEROS_") and "__" in name}
    env |= model | {
        "EVEROS_ROOT": str(data),
        "EVEROS_API__HOST": "127.0.0.1",
        "EVEROS_API__PORT": str(port),
        "TIKTOKEN_CACHE_DIR": str(venv / "tiktoken"),
    }
    processes.start("everos", [str(venv / "bin" / "everos"), "server", "start"], env, data, grace_s=_GRACE_S)
    base_url = f"http://127.0.0.1:{port}"
    version = _wait_until_healthy(base_url, processes)
    return SelfHosted(base_url=base_url, data=data, version=version, model=model.get(_MODEL, "the server's default"))


def _model_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the model's settings; empty without an endpoint and a key."""
    given = {name: value for name, value in environ.items() if name.startswith("EVEROS_LLM__") and value}
    return given if {_MODEL_BASE_URL, _MODEL_KEY} & given.keys() else {}


def _start_model(processes: ChildProcesses) -> dict[str, str]:
    port = free_port()
    argv = [sys.executable, "-m", "include.standin_model", "--port", str(port)]
    processes.start("model", argv, own_environment(), PROJECT, outlives_others=True)
    reached_directly = ",".join(["127.0.0.1", *filter(None, [os.environ.get("NO_PROXY")])])
    return {
        _MODEL_BASE_URL: f"http://127.0.0.1:{port}/v1",
        _MODEL_KEY: "none",
        _MODEL: MODEL_ID,
        "NO_PROXY": reached_directly,
    }


def _wait_until_healthy(base_url: str, processes: ChildProcesses) -> str:
    """Return the server's version."""
    deadline = time.monotonic() + _READY_S
    while True:
        processes.check()
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"{base_url}/health", trust_env=False)
            if answer.is_success:
                return str(answer.json()["version"])
        if time.monotonic() > deadline:
            raise ChatImportError(f"the self-hosted EverOS was not healthy within {_READY_S} s; see {processes.logs}")
        time.sleep(0.2)
