"""Registers with Airflow: a page of all imports, a tab on each run, and the deadline of scheduled runs."""

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin

from everos_provider.addresses import IMPORTS, PREFIX
from everos_provider.airflow_internals import is_api_server, plugins_folder
from everos_provider.alerts import ScheduledRunDue
from everos_provider.provider_info import DISTRIBUTION
from include.logs import get_logger

IN_USE = Path(__file__).resolve().parent


def copies() -> Iterator[Path]:
    """Yield the folders of the provider: in Airflow's plugins folder, and in an installed wheel."""
    yield plugins_folder() / IN_USE.name
    try:
        wheel = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return
    for file in wheel.files or ():
        if file.as_posix() == f"{IN_USE.name}/__init__.py":
            yield Path(str(wheel.locate_file(file))).parent


for _other in {folder.resolve() for folder in copies() if folder.is_dir()} - {IN_USE}:
    get_logger(__name__).warning(
        "There are two copies of the EverOS provider: %s is used, %s is not, and changes to it have no effect. Remove "
        "one of them.",
        IN_USE,
        _other,
    )


def _apps() -> list[dict[str, object]]:
    """Return the pages in the API server, nothing elsewhere: every component runs this file."""
    if not is_api_server():
        return []
    from everos_provider.pages import build_app  # noqa: PLC0415

    return [{"app": build_app(), "url_prefix": PREFIX, "name": "EverOS import reports"}]


def _middlewares() -> list[dict[str, object]]:
    """
    Mend the *Test* button of connections, and refuse requests for host names that are not in the setting.

    The setting is for the local Airflow (include/local/settings).
    """
    if not is_api_server():
        return []
    from everos_provider.connection_test import ConnectionTest  # noqa: PLC0415

    tested = [{"middleware": ConnectionTest, "kwargs": {}, "name": "EverOS import: test of a connection"}]
    hosts = os.environ.get("EVEROS_IMPORT_UI_HOSTS")
    if not hosts:
        return tested
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415

    return [
        *tested,
        {
            "middleware": TrustedHostMiddleware,
            "kwargs": {"allowed_hosts": hosts.split(","), "www_redirect": False},
            "name": "EverOS import: host names",
        },
    ]


class EverOSPlugin(AirflowPlugin):
    """The pages. Their addresses are relative, since Airflow may be served below a path."""

    name = "everos"
    deadline_references = [ScheduledRunDue]  # noqa: RUF012 - Airflow's own declaration
    fastapi_apps = _apps()
    fastapi_root_middlewares = _middlewares()
    external_views = [  # noqa: RUF012 - Airflow's own declaration
        {
            "name": "Imports",
            "href": f"{PREFIX.lstrip('/')}/{IMPORTS}",
            "destination": "nav",
            "url_route": IMPORTS,
            "nav_top_level": True,
        },
        {
            "name": "Import report",
            "href": f"{PREFIX.lstrip('/')}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "import-report",
        },
    ]
