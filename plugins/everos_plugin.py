"""Registers what Airflow's UI shows of imports: a page of all of them, and the report as a tab on each run."""

import sys
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/everos"


def _apps() -> list[dict[str, object]]:
    """Build the pages only where they are served: every component runs this file."""
    if "airflow.api_fastapi.app" not in sys.modules:
        return []
    from everos_provider.pages import build_app  # noqa: PLC0415

    return [{"app": build_app(), "url_prefix": PREFIX, "name": "EverOS import reports"}]


def _icon(colour: str) -> str:
    """Return a tray with an arrow into it, drawn as Airflow's own icons are."""
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" stroke-width="2"'
        ' stroke-linecap="round" stroke-linejoin="round"><path d="M12 3v11m0 0-4-4m4 4 4-4M4 15v5h16v-5"/></svg>'
    )
    return f"data:image/svg+xml,{quote(drawing)}"


class EverOSPlugin(AirflowPlugin):
    """The pages. Their addresses are relative: Airflow may be served below a path of its own."""

    name = "everos"
    fastapi_apps = _apps()
    external_views = [  # noqa: RUF012 - Airflow's own declaration
        {
            "name": "Imports",
            "href": f"{PREFIX.lstrip('/')}/imports",
            "destination": "nav",
            "url_route": "imports",
            "nav_top_level": True,
            "icon": _icon("#3e5873"),
            "icon_dark_mode": _icon("#c6d2de"),
        },
        {
            "name": "Import report",
            "href": f"{PREFIX.lstrip('/')}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "import-report",
        },
    ]
