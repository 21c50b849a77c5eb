"""Checks an import before Airflow is started: source, parameters, target and key."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include import corrections
from include.errors import ConfigurationError, ExportError
from include.local.airflow import Say, has_connection
from include.local.child_processes import ComponentEnded, tail
from include.local.screen import wrapped
from include.local.settings import airflow_environment
from include.local.state_folder import StateFolder
from include.run_folder import PROJECT
from include.steps import find

CONNECTION = "everos_default"


def resolved(source: str) -> str:
    """
    Return the run's parameter ``source``: an absolute path, an address, or the corrections of a run.

    :raises ConfigurationError: none is given.
    :raises ExportError: it does not exist.
    """
    if not source:
        raise ConfigurationError(
            "no export is given.", remedy="Name a file or a folder: make import SOURCE=path/to/export.zip"
        )
    if "://" in source or corrections.is_corrections(source):
        return source
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise ExportError(f"{path} does not exist; nothing was read.", remedy="Check the path in SOURCE=….")
    return str(path)


def check_source(source: str, say: Say) -> None:
    """
    Look for exports in a source on this machine and name them; objects of a store are left to the run.

    :param source: From :func:`resolved`.
    :raises ChatImportError: there is nothing that can be imported.
    """
    if "://" in source:
        return
    exports, rejected = find(corrections.path_of(source))
    for export in exports:
        say(f"Found {export.format}: {export.label}")
    for each in rejected:
        say(wrapped(f"Not imported: {each.origin}: {each.reason}"))


def check_run(state_folder: StateFolder, environ: Mapping[str, str], conf: Mapping[str, Any], say: Say) -> None:
    """
    Check parameters, and target and key unless it is a dry run, as the tasks will read them.

    :raises ConfigurationError: the run cannot work; nothing was started or sent.
    """
    env = airflow_environment(environ, state_folder, port=0, dags=PROJECT / "dags")
    env["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    log = state_folder.root / "logs" / "precheck.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "everos_provider.precheck", json.dumps(conf)]
    if has_connection(state_folder, CONNECTION):
        argv.append("--from-database")
    result = None
    with (
        log.open("w") as errors,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, env=env, cwd=PROJECT, text=True) as process,
    ):
        for line in process.stdout or ():
            if line.startswith("{"):
                result = json.loads(line)
            else:
                say(wrapped(line.rstrip()))
    if result is None:
        raise ComponentEnded(f"the check before the start did not end; {log} ends with:\n{tail(log)}")
    if result:
        raise ConfigurationError(result["cause"], remedy=result["remedy"])
