"""The commands ``make demo``, ``make up``, ``make import``, ``make preview`` and ``make ask``."""

import asyncio
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from include.errors import ConfigurationError
from include.local.airflow import has_connection, start_airflow
from include.local.answers import lines
from include.local.asking import Answers, Memories, ask, memories_of
from include.local.child_processes import child_processes
from include.local.demo import show
from include.local.importing import import_once
from include.local.precheck import check_run, check_source, resolved
from include.local.preview import parameters_of, preview
from include.local.state_folder import StateFolder, lock_state_folder
from include.local.target_to_ask import CONNECTION, target_to_ask
from include.local.targets import Embedded, start_target
from include.memory_api import Settings, connect
from include.memory_api.contract import MOST_EPISODES, Target
from include.parameters import PARAMETERS, refuse_unknown
from include.report.owners import OwnedConversation
from include.run_folder import PROJECT, STAGING_VARIABLE, RunFolder, home

SAMPLES = PROJECT / "include" / "samples"
SCHEDULE = "EVEROS_IMPORT_SCHEDULE"
UI_PORT = 8080


def demo(target: str, *, stay: bool) -> int:
    """
    Load the sample exports into an EverOS on this machine, and ask it a question.

    :param target: One of :data:`include.local.targets.TARGETS`.
    :param stay: Leave everything running until Ctrl-C (``make up``).
    :return: Exit status: 0 when the run succeeded and every entry is accounted for.
    """
    with (
        lock_state_folder(home(), "make up" if stay else "make demo", say) as state_folder,
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


def up_for_own_target() -> NoReturn:
    """Start Airflow without a target and without a run, until Ctrl-C: the connection that is made in its UI counts."""
    with lock_state_folder(home(), "make up") as state_folder, child_processes(state_folder) as processes:
        environ = {SCHEDULE: ""} | os.environ
        api = start_airflow(state_folder, processes, environ, say=say, port=UI_PORT)
        say(f"\n{'Airflow':8}  {api.base_url}  (user {api.user}, password {api.password})")
        say(f"{'Target':8}  {own_target(state_folder, environ)}\nCtrl-C ends it.")
        while True:
            processes.check()
            time.sleep(0.5)


def own_target(state_folder: StateFolder, environ: Mapping[str, str]) -> str:
    """Return where the tasks of a local Airflow take the target from, in the order in which Airflow looks."""
    if environ.get(CONNECTION):
        return f"from the environment variable {CONNECTION}, which takes precedence over a connection made in Airflow"
    if has_connection(state_folder, "everos_default"):
        return "the connection everos_default (Admin, Connections)"
    if environ.get("EVEROS_API_KEY") or environ.get("EVEROS_BASE_URL"):
        return "from the environment variables EVEROS_…, until you make the connection everos_default in Airflow"
    return "none yet: make the connection everos_default in Airflow (Admin, Connections; type EverOS)"


def import_source(source: str, conf_json: str) -> int:
    """
    Load one export into the EverOS that the environment names.

    :param conf_json: More parameters of the run as a JSON object; may be empty.
    :return: Exit status: 0 when the run succeeded and every entry is accounted for.
    :raises ChatImportError: the import cannot work; nothing was sent.
    """
    conf = {**_parameters(conf_json), "source": resolved(source)}
    with lock_state_folder(home(), "make import", say) as state_folder, child_processes(state_folder) as processes:
        check_source(conf["source"], say)
        check_run(state_folder, os.environ, conf, say)
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
    with contextlib.closing(
        preview(Path(resolved(source)), given, messages=int(messages or 20), api_version=api_version)
    ) as shown:
        _print_texts(shown)
    return 0


def ask_memory(question: str, *, place: str = "", limit: int = 5, private: bool = False, target: str = "") -> int:
    """
    Ask the EverOS of the imports a question and print the passages that answer it.

    :param place: Id or name of the one conversation to ask; empty: all public ones.
    :param private: Ask private conversations and personal histories as well.
    :param target: One of :data:`include.local.targets.TARGETS`; empty: the target of ``make import``, if configured.
    :return: Exit status.
    """
    if not question.strip():
        raise ConfigurationError(
            "no question is given; nothing was asked.",
            remedy='An example: make ask Q="Who owns the billing migration?"',
        )
    if not 1 <= limit <= MOST_EPISODES:
        raise ConfigurationError(f"N={limit} is not a number of answers, 1 to {MOST_EPISODES}; nothing was asked.")
    with target_to_ask(home(), target, say, lambda found: _memories(found, place)) as (settings, description):
        say(f"Asking {description}")
        _print_texts(lines(asyncio.run(_ask(settings, question, place, limit, private))))
    return 0


def _memories(target: Target, place: str) -> tuple[Memories, OwnedConversation | None]:
    """Return what was loaded into a target, and the conversation of this id or name, if one is given."""
    memories = memories_of(home(), target)
    return memories, memories.named(place) if place else None


async def _ask(settings: Settings, question: str, place: str, limit: int, private: bool) -> Answers:
    memories, only = _memories(settings.target, place)
    api = connect(settings)
    try:
        return await ask(api, memories, question, only=only, private=private, limit=limit)
    finally:
        await api.aclose()


def _print_texts(shown: Iterable[str]) -> None:
    """Print lines with texts of messages, also on a terminal that is not UTF-8 and into ``| head``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in shown:
            say(line)
    except BrokenPipeError:  # its reader has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _show(embedded: Embedded, run: RunFolder) -> None:
    async for line in show(embedded.settings, run):
        say(line)


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
