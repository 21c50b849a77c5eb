"""Serves a run's report to those who may see the DAG in Airflow."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse

from include.layout import RunFolder

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The page needs nothing but itself; names from exports that would be more than text stay harmless."""

DAG_ID = "chat_history_to_everos"


def build_app() -> FastAPI:
    """Return the app that Airflow mounts; every page asks for Airflow's login and for access to the DAG."""
    app = FastAPI(title="EverOS import reports", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(
        "/reports/{dag_id}/{run_id:path}",
        response_class=HTMLResponse,
        dependencies=[Depends(requires_access_dag(method="GET"))],
    )
    def show(dag_id: str, run_id: Annotated[str, PathParameter(min_length=1)]) -> HTMLResponse:
        page = RunFolder.of(run_id).report_html
        if dag_id != DAG_ID or not page.is_file():
            raise HTTPException(404, "This run has no import report (yet): it is written by the task 'report'.")
        return HTMLResponse(
            page.read_text(encoding="utf-8"),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    return app
