"""
Checks parameters and target of an import before Airflow is started.

``python -m everos_provider.precheck '{…}' [--from-database]``: the argument holds the run's parameters as JSON, the
option is that of :mod:`everos_provider.print_settings`. Prints lines for people, and last a JSON object: empty if all
is right, else with ``cause`` and ``remedy``.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from everos_provider.airflow_internals import read_connections_of_database
from everos_provider.hooks import EverOSHook, no_target_sentence
from everos_provider.params import check_params
from everos_provider.staging.object_store import Objects, is_url
from include.errors import ChatImportError, ConfigurationError
from include.ids import check_id_template
from include.memory_api.check import WITHIN_S, check_target
from include.window import window_of_parameters


def main() -> int:
    """Check, print, and return 0; the JSON object says whether the import can work."""
    if "--from-database" in sys.argv:
        read_connections_of_database()
    try:
        _check(json.loads(sys.argv[1]))
    except ChatImportError as error:
        _say(json.dumps({"cause": error.cause, "remedy": error.remedy}))
    else:
        _say("{}")
    return 0


def _check(conf: Mapping[str, Any]) -> None:
    """Raise :class:`include.errors.ChatImportError` for what discover, or a later task, would refuse."""
    context: Any = {"params": conf, "dag_run": SimpleNamespace(conf=None)}
    check_params(context)
    window_of_parameters(conf.get("since"), conf.get("until"))
    if template := conf.get("conversation_id"):
        check_id_template(template)
    if is_url(conf["source"]):
        Objects.below(conf["source"])
    try:
        settings = EverOSHook().settings()
    except ConfigurationError as error:
        if not conf.get("dry_run"):
            raise
        _say(no_target_sentence(error))
        return
    if conf.get("dry_run"):
        return
    _say(f"The target is EverOS {settings.api_version} at {settings.address}, from {settings.origin}.")
    _say(f"Checking it, for at most {WITHIN_S} s …")
    _say(asyncio.run(check_target(settings)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
