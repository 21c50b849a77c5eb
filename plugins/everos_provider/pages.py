"""
Serves the pages of imports to those who may see the runs of the DAG in Airflow.

Nothing is kept here: the pages are made from Airflow's list of runs and from the files that a run leaves behind.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dagrun import DagRun
from airflow.utils.state import State
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse
from sqlalchemy import select

from everos_provider.ledger import existing_database
from everos_provider.staging import View, reports_of
from include.errors import LedgerError, StorageError, StoreUnavailable
from include.layout import RunFolder, folder_name
from include.report.loading import LoadHistory, history_of
from include.report.page import (
    MOST_REJECTS,
    SERVED_POLICY,
    Place,
    imports_page,
    message_page,
    report_page,
    running_page,
    running_part,
)
from include.report.progress import progress_of
from include.report.rejects import first_rejects
from include.report.waiting import Waiting, read_waiting

DAG_ID = "chat_history_to_everos"
PREFIX = "/everos"

RUNS_A_PAGE = 50
MOST_RUNS = 2**31 - 1
"""A larger offset is refused: databases count rows in 32 or 64 bits."""

HEADERS = {
    "Content-Security-Policy": f"{SERVED_POLICY}; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

PROGRESS = (
    "conversations.parquet",
    "plan/conversations.parquet",
    "extracted/*/skipped.parquet",
    "extracted/*/rejected.parquet",
    "extracted/*/redacted.parquet",
    "estimate.json",
)
REPORT = ("report.json", "rejects.jsonl", "loaded.csv")
"""What a page reads of a run under way, and of one that is over: no message text."""

NO_REPORT = (
    "This run has no report: it ended before its plan, or its folder was removed. "
    "The log of its failed task says what happened; nothing is lost, run it again."
)

Offset = Annotated[int, Query(ge=0, le=MOST_RUNS)]
RunId = Annotated[str, PathParameter(min_length=1)]
FileName = Literal["report.json", "report.html", "rejects.csv", "rejects.jsonl", "loaded.csv"]


class Totals(msgspec.Struct, kw_only=True):
    """What the list shows of a report; the conversations are passed over unread."""

    target: dict[str, str]
    dry_run: bool
    conserved: bool
    extracted: int
    loaded: int
    already_loaded: int
    out_of_range: int
    skipped: dict[str, int]
    rejected: dict[str, int]
    pending: int
    unknown: int


def build_app() -> FastAPI:
    """Return the app that Airflow mounts; every page asks for Airflow's login and for access to the DAG's runs."""
    allowed = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    app = FastAPI(
        title="EverOS import reports", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[allowed]
    )
    app.exception_handler(StorageError)(show_trouble)
    app.exception_handler(StoreUnavailable)(show_trouble)
    app.exception_handler(LedgerError)(show_trouble)
    app.get("/imports", response_class=HTMLResponse)(show_imports)
    app.get("/dags/{dag_id}/runs/{run_id:path}", response_class=HTMLResponse)(show_tab)
    app.get("/imports/progress/{run_id:path}", response_class=HTMLResponse)(show_progress)
    app.get("/imports/files/{name}/{run_id:path}")(download)
    app.get("/imports/runs/{run_id:path}", response_class=HTMLResponse)(show_run)
    return app


def show_imports(
    request: Request, session: SessionDep, offset: Annotated[int, Query(ge=0, le=MOST_RUNS)] = 0
) -> HTMLResponse:
    """List the imports, the newest first."""
    newest_first = select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.run_after.desc(), DagRun.id.desc())
    found = list(session.scalars(newest_first.offset(offset).limit(RUNS_A_PAGE + 1)))
    reports = reports_of([run.run_id for run in found[:RUNS_A_PAGE]])
    runs = [
        {
            "run_id": run.run_id,
            "url": f"{_home(request)}{PREFIX}/imports/runs/{quote(run.run_id, safe='')}",
            "state": str(run.state),
            "unfinished": run.state in State.unfinished_dr_states,
            "started_at": run.start_date or run.run_after,
            "took_s": (run.end_date - run.start_date).total_seconds() if run.end_date and run.start_date else None,
            "report": _totals(reports.get(run.run_id)),
        }
        for run in found[:RUNS_A_PAGE]
    ]
    place = Place(links=[(f"{_home(request)}/dags/{DAG_ID}", "DAG")], policy=SERVED_POLICY)
    return _html(
        imports_page(
            runs,
            place,
            newer=max(offset - RUNS_A_PAGE, 0) if offset else None,
            older=offset + RUNS_A_PAGE if len(found) > RUNS_A_PAGE else None,
        )
    )


def show_tab(request: Request, session: SessionDep, dag_id: str, run_id: RunId) -> HTMLResponse:
    """Show the tab of a run; Airflow offers it on every DAG's runs."""
    if dag_id != DAG_ID:
        place = Place(policy=SERVED_POLICY)
        return _html(message_page("This DAG imports nothing into EverOS, so its runs have no import report.", place))
    return show_run(request, session, run_id)


def show_run(request: Request, session: SessionDep, run_id: RunId) -> HTMLResponse:
    """Show a run's report, or how far it has come."""
    state = _state(session, run_id)
    view = _view(run_id)
    if state in State.unfinished_dr_states:
        look_at = f"{_home(request)}{PREFIX}/imports/progress/{quote(run_id, safe='')}"
        progress = progress_of(view.refresh(*PROGRESS), *_from_ledger(run_id), run_id)
        return _html(running_page(progress, _place(request, view.run, run_id, state), look_at=look_at))
    run = view.refresh(*REPORT)
    place = _place(request, run, run_id, state)
    _, waiting = _from_ledger(run_id)
    if waiting and waiting.ended:
        return _html(message_page(waiting.sentence(), place))
    if not run.report_json.is_file():
        return _html(message_page(NO_REPORT, place))
    report = msgspec.json.decode(run.report_json.read_bytes())
    return _html(report_page(report, list(first_rejects(run, MOST_REJECTS)), place))


def show_progress(request: Request, session: SessionDep, run_id: RunId) -> Response:
    """Return the part of a running import's page that changes; an empty answer with a header when it has ended."""
    state = _state(session, run_id)
    if state not in State.unfinished_dr_states:
        return Response(status_code=200, headers=HEADERS | {"X-Import-Ended": state})
    view = _view(run_id)
    progress = progress_of(view.refresh(*PROGRESS), *_from_ledger(run_id), run_id)
    return _html(running_part(progress, _place(request, view.run, run_id, state)))


def download(name: FileName, run_id: RunId, session: SessionDep) -> FileResponse:
    """Hand out a file of a run's report; none of them holds message text."""
    _state(session, run_id)
    path = _view(run_id).refresh(name).root / name
    if not path.is_file():
        raise HTTPException(404, f"{name} is not there: {NO_REPORT}")
    headers = HEADERS | {"Content-Security-Policy": "sandbox; default-src 'none'"}
    return FileResponse(path, filename=f"{folder_name(run_id).replace('/', '')}-{name}", headers=headers)


def show_trouble(_: Request, error: Exception) -> HTMLResponse:
    """Say that what the page shows cannot be read just now."""
    return HTMLResponse(message_page(str(error), Place(policy=SERVED_POLICY)), status_code=503, headers=HEADERS)


@lru_cache(maxsize=8)
def _view(run_id: str) -> View:
    """Remember what of a run's files has been read, so that each look reads only what is new."""
    return View(run_id)


def _from_ledger(run_id: str) -> tuple[LoadHistory, Waiting | None]:
    """Return a run's calls, and what it waits for."""
    database = existing_database()
    if database is None:
        return LoadHistory(), None
    with database.read() as connection:
        return history_of(connection, run_id), read_waiting(database, run_id)


def _state(session: Any, run_id: str) -> str:
    state = session.scalar(select(DagRun.state).where(DagRun.dag_id == DAG_ID, DagRun.run_id == run_id))
    if state is None:
        raise HTTPException(404, "There is no such import run.")
    return str(state)


def _totals(report: bytes | None) -> Mapping[str, Any] | None:
    return msgspec.to_builtins(msgspec.json.decode(report, type=Totals)) if report is not None else None


def _place(request: Request, run: RunFolder, run_id: str, state: str) -> Place:
    home, name = _home(request), quote(run_id, safe="")
    offered = ["loaded.csv"] if run.loaded.is_file() else []
    files = f"{home}{PREFIX}/imports/files"
    return Place(
        state=state,
        links=[(f"{home}/plugin/imports", "All imports"), (f"{home}/dags/{DAG_ID}/runs/{name}", "Run")],
        downloads=[(f"{files}/{file}/{name}", file) for file in ("report.html", "report.json", *offered)],
        reject_files=[(f"{files}/rejects.csv/{name}", "CSV"), (f"{files}/rejects.jsonl/{name}", "JSON lines")],
        policy=SERVED_POLICY,
    )


def _home(request: Request) -> str:
    """Return the path that Airflow is served below, empty for most."""
    return str(request.scope.get("root_path", "")).removesuffix(PREFIX)


def _html(page: str) -> HTMLResponse:
    return HTMLResponse(page, headers=HEADERS)
