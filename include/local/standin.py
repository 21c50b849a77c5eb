"""Starts the v1 stand-in as a separate process, with its data in the state folder."""

import sys
import time

import httpx
import msgspec

from include.errors import ChatImportError
from include.local.child_processes import ChildProcesses, own_environment
from include.local.state_folder import StateFolder, kept_port
from include.memory_api.settings import Settings
from include.run_folder import PROJECT

KEY = "stand-in"
_TIMEOUT_S = 30


def connection_to(base_url: str) -> str:
    """Return ``AIRFLOW_CONN_EVEROS_DEFAULT`` for a stand-in."""
    # a stand-in on another port is another target with the same key
    name = Settings(base_url=base_url, api_key=KEY).target.name
    fields = {"conn_type": "everos", "host": base_url, "password": KEY, "extra": {"new_ledger": name}}
    return msgspec.json.encode(fields).decode()


def start_standin(state_folder: StateFolder, processes: ChildProcesses, *options: str) -> str:
    """
    Start it, on the same port each time for one state folder, wait until it answers, and return its base URL.

    :param options: Of ``python -m include.standin``, such as ``--latency-s 0.1``.
    """
    port = kept_port(state_folder.root / "standin" / "port")
    data = state_folder.standin(port)
    data.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "include.standin", "--port", str(port), "--data", str(data), *options]
    processes.start("stand-in", argv, own_environment(), PROJECT)
    base_url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        processes.check()
        try:
            httpx.get(f"{base_url}/standin/stats", trust_env=False).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise ChatImportError(f"the stand-in did not answer within {_TIMEOUT_S} s") from None
            time.sleep(0.1)
        else:
            return base_url
