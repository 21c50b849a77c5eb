"""Registers what Airflow's UI shows of an import: the report, as a tab on the run."""

import sys

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/everos"


def _apps() -> list[dict[str, object]]:
    """Build the page only where it is served: every component runs this file."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from everos_provider.pages import build_app  # noqa: PLC0415

    return [{"app": build_app(), "url_prefix": PREFIX, "name": "EverOS import reports"}]


class EverOSPlugin(AirflowPlugin):
    """The report page."""

    name = "everos"
    fastapi_apps = _apps()
    external_views = [  # noqa: RUF012 - Airflow's own declaration
        {
            "name": "Import report",
            "href": f"{PREFIX}/reports/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "import-report",
        }
    ]
