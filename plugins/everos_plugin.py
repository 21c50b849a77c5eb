"""Registers what Airflow's UI shows of imports, a page of all of them and a tab on each run, and when a run is late."""

import os
import sys
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin

try:
    import everos_provider
    from everos_provider.alerts import ScheduledRunDue

    from include.logs import get_logger
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] not in {"everos_provider", "include"}:
        raise
    raise ImportError(
        f"{error}. The project's root, the folder that holds include/ and plugins/, has to be on PYTHONPATH of every "
        f"component of Airflow (scheduler, DAG processor, API server, workers): PYTHONPATH={Path(__file__).parents[1]}"
    ) from error

PREFIX = "/everos"

_HERE = Path(__file__).resolve().with_name("everos_provider")
_IN_USE = Path(str(everos_provider.__file__)).resolve().parent
if _HERE.is_dir() and _HERE != _IN_USE:
    get_logger(__name__).warning(
        "There are two copies of the provider: %s is used, %s is not. Changes to the second one have no effect: remove "
        "one of them, or install the project with `pip install --no-deps --editable .`, which makes no copy.",
        _IN_USE,
        _HERE,
    )


def _apps() -> list[dict[str, object]]:
    """Build the pages only where they are served: every component runs this file."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from everos_provider.pages import build_app  # noqa: PLC0415

    return [{"app": build_app(), "url_prefix": PREFIX, "name": "EverOS import reports"}]


def _middlewares() -> list[dict[str, object]]:
    """Refuse requests for other host names where the setting names those that are answered (include/local/settings)."""
    hosts = os.environ.get("EVEROS_IMPORT_UI_HOSTS")
    if not hosts or "airflow.api_fastapi.app" not in sys.modules:
        return []
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

    return [
        {
            "middleware": TrustedHostMiddleware,
            "kwargs": {"allowed_hosts": hosts.split(","), "www_redirect": False},
            "name": "EverOS import: host names",
        }
    ]


class EverOSPlugin(AirflowPlugin):
    """The pages. Their addresses are relative: Airflow may be served below a path of its own."""

    name = "everos"
    deadline_references = [ScheduledRunDue]  # noqa: RUF012 - Airflow's own declaration
    fastapi_apps = _apps()
    fastapi_root_middlewares = _middlewares()
    external_views = [  # noqa: RUF012 - Airflow's own declaration
        {
            "name": "Imports",
            "href": f"{PREFIX.lstrip('/')}/imports",
            "destination": "nav",
            "url_route": "imports",
            "nav_top_level": True,
        },
        {
            "name": "Import report",
            "href": f"{PREFIX.lstrip('/')}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "import-report",
        },
    ]
