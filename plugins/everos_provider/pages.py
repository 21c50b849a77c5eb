"""Routes of the pages about imports: the list, a run's report or progress, and downloads. Airflow checks the access."""

from typing import Annotated, Literal

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse

from everos_provider.addresses import PREFIX, Addresses
from everos_provider.airflow_internals import UNFINISHED, Runs, may_read_runs_of, runs_of
from everos_provider.page_files import failures_of, page_files, totals_of
from include.errors import ChatImportError, LedgerError, StorageError, StoreUnavailable
from include.parameters import DAG_ID
from include.report.page import (
    MOST_REJECTS,
    SERVED_POLICY,
    Place,
    failure_page,
    imports_page,
    message_page,
    report_page,
    running_page,
    running_part,
)
from include.report.rejects import first_rejects
from include.run_folder import RunFolder, folder_name

RUNS_A_PAGE = 50
MOST_RUNS = 2**31 - 1
"""A larger offset is refused: databases count rows in 32 or 64 bits."""

FAILED = "failed"
"""State of a run that ended with a failed task."""

HEADERS = {
    "Content-Security-Policy": f"{SERVED_POLICY}; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

NO_REPORT = (
    "This run has no report: it ended before its plan, or its folder was removed. "
    "The log of its failed task says what happened; nothing is lost, run it again."
)


def addresses_for(request: Request) -> Addresses:
    """Return the addresses below the path that Airflow is served below."""
    return Addresses(str(request.scope.get("root_path", "")).removesuffix(PREFIX))


Imports = Annotated[Runs, Depends(runs_of(DAG_ID))]
At = Annotated[Addresses, Depends(addresses_for)]
Offset = Annotated[int, Query(ge=0, le=MOST_RUNS)]
RunId = Annotated[str, PathParameter(min_length=1)]
FileName = Literal["report.json", "report.html", "rejects.csv", "rejects.jsonl", "loaded.csv"]


def build_app() -> FastAPI:
    """Return the app that Airflow mounts. Each page requires a login and access to the DAG's runs."""
    app = FastAPI(
        title="EverOS import reports",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(may_read_runs_of(DAG_ID))],
    )
    app.exception_handler(StorageError)(show_error)
    app.exception_handler(StoreUnavailable)(show_error)
    app.exception_handler(LedgerError)(show_error)
    app.get("/imports", response_class=HTMLResponse)(show_imports)
    app.get("/dags/{dag_id}/runs/{run_id:path}", response_class=HTMLResponse)(show_tab)
    app.get("/imports/progress/{run_id:path}", response_class=HTMLResponse)(show_progress)
    app.get("/imports/files/{name}/{run_id:path}")(download)
    app.get("/imports/runs/{run_id:path}", response_class=HTMLResponse)(show_run)
    return app


def show_imports(imports: Imports, at: At, offset: Offset = 0) -> HTMLResponse:
    """Show the list of imports, newest first."""
    found = imports.newest(offset=offset, limit=RUNS_A_PAGE + 1)
    shown = found[:RUNS_A_PAGE]
    totals = totals_of([run.run_id for run in shown])
    causes = failures_of([run.run_id for run in shown if run.state == FAILED])
    rows = [
        {
            "run_id": run.run_id,
            "url": at.run(run.run_id),
            "state": run.state,
            "unfinished": run.state in UNFINISHED,
            "started_at": run.started_at,
            "took_s": run.took_s,
            "report": totals.get(run.run_id),
            "failure": causes.get(run.run_id),
        }
        for run in shown
    ]
    page = imports_page(
        rows,
        Place(links=[(at.dag, "DAG")], policy=SERVED_POLICY),
        newer=max(offset - RUNS_A_PAGE, 0) if offset else None,
        older=offset + RUNS_A_PAGE if len(found) > RUNS_A_PAGE else None,
    )
    return _html(page)


def show_tab(imports: Imports, at: At, dag_id: str, run_id: RunId) -> HTMLResponse:
    """Show the tab of a run. Airflow adds it to the runs of every DAG."""
    if dag_id != DAG_ID:
        place = Place(policy=SERVED_POLICY)
        return _html(message_page("This DAG imports nothing into EverOS, so its runs have no import report.", place))
    return show_run(imports, at, run_id)


def show_run(imports: Imports, at: At, run_id: RunId) -> HTMLResponse:
    """Show a run's report, or its progress while it is unfinished."""
    state = _state(imports, run_id)
    files = page_files(run_id)
    if state in UNFINISHED:
        progress = files.progress()
        place = _place(at, files.run, run_id, state)
        return _html(running_page(progress, place, look_at=at.progress(run_id), failure=files.failure()))
    run = files.report()
    place = _place(at, run, run_id, state)
    waiting = files.waiting()
    if waiting and waiting.ended:
        return _html(message_page(waiting.sentence(), place))
    failure = files.failure() if state == FAILED else None
    if not run.report_json.is_file():
        return _html(failure_page(failure, place) if failure else message_page(NO_REPORT, place))
    report = msgspec.json.decode(run.report_json.read_bytes())
    return _html(report_page(report, list(first_rejects(run, MOST_REJECTS)), place, failure))


def show_progress(imports: Imports, at: At, run_id: RunId) -> Response:
    """Return the part of an unfinished run's page that changes; for a run that is over, an empty body and a header."""
    state = _state(imports, run_id)
    if state not in UNFINISHED:
        return Response(status_code=200, headers=HEADERS | {"X-Import-Ended": state})
    files = page_files(run_id)
    progress = files.progress()
    return _html(running_part(progress, _place(at, files.run, run_id, state), failure=files.failure()))


def download(name: FileName, run_id: RunId, imports: Imports) -> FileResponse:
    """Return a file of a run's report. None of these files holds message text."""
    _state(imports, run_id)
    path = page_files(run_id).file(name).root / name
    if not path.is_file():
        raise HTTPException(404, f"{name} does not exist: {NO_REPORT}")
    headers = HEADERS | {"Content-Security-Policy": "sandbox; default-src 'none'"}
    return FileResponse(path, filename=f"{folder_name(run_id).replace('/', '')}-{name}", headers=headers)


def show_error(_: Request, error: Exception) -> HTMLResponse:
    """Show why the files of a run cannot be read."""
    told = (error.cause, error.remedy) if isinstance(error, ChatImportError) else (str(error), "")
    page = message_page(told[0], Place(policy=SERVED_POLICY), told[1])
    return HTMLResponse(page, status_code=503, headers=HEADERS)


def _state(imports: Runs, run_id: str) -> str:
    state = imports.state(run_id)
    if state is None:
        raise HTTPException(404, "There is no such import run.")
    return state


def _place(at: Addresses, run: RunFolder, run_id: str, state: str) -> Place:
    """Return what a page shows around a run's report: state, links and downloads."""
    offered = ["loaded.csv"] if run.loaded.is_file() else []
    return Place(
        state=state,
        links=[(at.all_imports, "All imports"), (at.dag_run(run_id), "Run")],
        downloads=[(at.file(name, run_id), name) for name in ("report.html", "report.json", *offered)],
        reject_files=[(at.file("rejects.csv", run_id), "CSV"), (at.file("rejects.jsonl", run_id), "JSON lines")],
        policy=SERVED_POLICY,
    )


def _html(page: str) -> HTMLResponse:
    return HTMLResponse(page, headers=HEADERS)
