"""Registers what Airflow's UI shows of imports, a page of all of them and a tab on each run, and when a run is late."""

import sys

from airflow.plugins_manager import AirflowPlugin
from everos_provider.alerts import ScheduledRunDue

PREFIX = "/everos"


def _apps() -> list[dict[str, object]]:
    """Build the pages only where they are served: every component runs this file."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from everos_provider.pages import build_app  # noqa: PLC0415

    return [{"app": build_app(), "url_prefix": PREFIX, "name": "EverOS import reports"}]


class EverOSPlugin(AirflowPlugin):
    """The pages. Their addresses are relative: Airflow may be served below a path of its own."""

    name = "everos"
    deadline_references = [ScheduledRunDue]  # noqa: RUF012 - Airflow's own declaration
    fastapi_apps = _apps()
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
