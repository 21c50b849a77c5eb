"""The commands ``make demo``, ``make up``, ``make import`` and ``make preview``."""

import asyncio
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.errors import ConfigurationError
from include.local.airflow import has_connection, start_airflow
from include.local.child_processes import child_processes
from include.local.demo import show
from include.local.importing import import_once
from include.local.preview import parameters_of, preview
from include.local.state_folder import lock_state_folder
from include.local.targets import Embedded, start_target
from include.parameters import PARAMETERS, refuse_unknown
from include.run_folder import PROJECT, STAGING_VARIABLE, RunFolder, home

SAMPLES = PROJECT / "include" / "samples"
SCHEDULE, CONNECTION, API_KEY = "EVEROS_IMPORT_SCHEDULE", "AIRFLOW_CONN_EVEROS_DEFAULT", "EVEROS_API_KEY"
UI_PORT = 8080


def demo(target: str, *, stay: bool) -> int:
    """
    Load the sample exports into an EverOS on this machine, and ask it a question.

    :param target: One of :data:`include.local.targets.TARGETS`.
    :param stay: Leave everything running until Ctrl-C (``make up``).
    :return: Exit status: 0 when the run succeeded and every entry is accounted for.
    """
    with (
        lock_state_folder(home(), "make up" if stay else "make demo") as state_folder,
        child_processes(state_folder) as processes,
    ):
        embedded = start_target(target, state_folder, processes, os.environ)
        say(embedded.description)
        environ = _with(embedded, os.environ, schedule=os.environ.get(SCHEDULE, "") if stay else "")
        api = start_airflow(state_folder, processes, environ, say=say, port=UI_PORT if stay else None)
        imported = import_once(state_folder, processes, api, {"source": str(SAMPLES)}, say)
        if imported.good:
            say("")
            asyncio.run(_show(embedded, imported.run))
            if embedded.markdown:
                say(f"\nThe memories are Markdown files: {embedded.markdown}")
        if stay:
            say(f"\n{'Airflow':8}  {api.base_url}  (user {api.user}, password {api.password})")
            say(f"{embedded.name:8}  {embedded.settings.base_url}\nCtrl-C ends both.")
            while True:
                processes.check()
                time.sleep(0.5)
    return 0 if imported.good else 1


def import_source(source: str, conf_json: str) -> int:
    """
    Load one export into the EverOS that the environment names.

    :param conf_json: More parameters of the run as a JSON object; may be empty.
    :return: Exit status: 0 when the run succeeded and every entry is accounted for.
    """
    conf = {**_parameters(conf_json), "source": _resolved(source)}
    with lock_state_folder(home(), "make import") as state_folder, child_processes(state_folder) as processes:
        if not (
            os.environ.get(CONNECTION) or os.environ.get(API_KEY) or has_connection(state_folder, "everos_default")
        ):
            raise ConfigurationError(NO_TARGET)
        api = start_airflow(state_folder, processes, os.environ | {SCHEDULE: "", STAGING_VARIABLE: ""}, say=say)
        return 0 if import_once(state_folder, processes, api, conf, say).good else 1


def preview_source(source: str, conf_json: str, messages: str) -> int:
    """
    Print what an import of an export on this machine would send. Nothing is started, sent or kept.

    :param conf_json: As for :func:`import_source`.
    :param messages: Number of messages to show; may be empty.
    """
    if messages and not messages.isdecimal():
        raise ConfigurationError(f"N={messages} is not a number of messages; an example: N=20")
    if not source or "://" in source:
        raise ConfigurationError("no export on this machine is given: make preview SOURCE=path/to/export.zip")
    given = parameters_of(_parameters(conf_json))
    api_version = os.environ.get("EVEROS_API_VERSION") or "v1"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    lines = preview(Path(_resolved(source)), given, messages=int(messages or 20), api_version=api_version)
    with contextlib.closing(lines):
        try:
            for line in lines:
                say(line)
        except BrokenPipeError:  # of `| head`, which has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def _show(embedded: Embedded, run: RunFolder) -> None:
    async for line in show(embedded.settings, run):
        say(line)


NO_TARGET = (
    f"no EverOS is configured to load into: set {API_KEY} (and EVEROS_BASE_URL for another server than EverOS Cloud) "
    f"or {CONNECTION}, in the environment or in .env. `make demo` needs none of them."
)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def _with(embedded: Embedded, environ: Mapping[str, str], *, schedule: str) -> dict[str, str]:
    """Use the embedded target; remove the settings and keys of the user's own EverOS."""
    ours = {name: value for name, value in environ.items() if not name.startswith("EVEROS_")}
    return ours | {CONNECTION: embedded.connection, SCHEDULE: schedule}


def _parameters(conf_json: str) -> dict[str, Any]:
    try:
        conf = json.loads(conf_json or "{}", object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"CONF is not JSON ({error}); an example: CONF='{{\"dry_run\": true}}'") from None
    if not isinstance(conf, dict):
        raise ConfigurationError("CONF is not a JSON object; an example: CONF='{\"dry_run\": true}'")
    if "source" in conf:
        raise ConfigurationError("CONF holds a source: name it with SOURCE=… instead")
    refuse_unknown("parameter in CONF", conf, PARAMETERS)
    return conf


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that is given twice: JSON does not define which value counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ConfigurationError("CONF names a parameter twice")
    return members


def _resolved(source: str) -> str:
    if not source:
        raise ConfigurationError("no export is given: make import SOURCE=path/to/export.zip (or a folder)")
    if "://" in source:
        return source
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist")
    return str(path)
