"""Rules of the pages in Airflow: access, and the content for each kind of run."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.tasklog import LogTemplate
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from everos_provider.ledger import database
from everos_provider.page_files import page_files
from everos_provider.pages import HEADERS, RUNS_A_PAGE, build_app
from everos_provider.staging.task_files import TaskFiles, task_folder
from fastapi.testclient import TestClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from include import steps
from include.errors import ChatImportError, ConfigurationError, ImportIncomplete, NotSent
from include.ledger.database import LEDGER_VARIABLE
from include.memory_api.contract import Target
from include.parameters import DAG_ID
from include.parsers import ParseOptions
from include.report.failure import Failure, failure_of, state_of, write_failure
from include.report.page import SERVED_POLICY
from include.report.problems import Problem, problems_of_tasks
from include.report.target import write_target
from include.report.waiting import Waiting, write_waiting
from include.run_folder import HOME_VARIABLE, STAGING_VARIABLE, RunFolder
from include.window import Window

SAMPLES = Path(__file__).parents[2] / "include" / "samples"
TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
RUN = "manual__2026-03-01T00:00:00+00:00"
ADDRESSES = [
    "/imports",
    f"/imports/runs/{quote(RUN, safe='')}",
    f"/imports/progress/{quote(RUN, safe='')}",
    f"/dags/{DAG_ID}/runs/{quote(RUN, safe='')}",
    *(f"/imports/files/{name}/{quote(RUN, safe='')}" for name in ("report.json", "report.html", "rejects.csv")),
]


class FakeAuthManager:
    """Takes the place of Airflow's auth manager and records the calls."""

    def __init__(self, *, allows: bool) -> None:
        self.allows = allows
        self.asked: list[tuple[str, str | None, str | None]] = []

    def is_authorized_dag(self, *, method: str, access_entity: Any, details: Any, user: object) -> bool:
        self.asked.append((method, access_entity and access_entity.value, details.id))
        return self.allows


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    page_files.cache_clear()


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine, tables=[DagRun.__table__, LogTemplate.__table__])
    with Session(engine) as session:
        yield session


@pytest.fixture
def client(session: Session, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A user who is logged in and may see the DAG's runs."""
    app = build_app()
    app.dependency_overrides[security.get_user] = object
    app.dependency_overrides[_get_session] = lambda: session
    monkeypatch.setattr(security, "get_auth_manager", lambda: FakeAuthManager(allows=True))
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _dag_id: None)
    return TestClient(app)


def add_run(
    session: Session, run_id: str = RUN, state: DagRunState = DagRunState.SUCCESS, day: int = 1, dag_id: str = DAG_ID
) -> None:
    run = DagRun(dag_id=dag_id, run_id=run_id, run_type=DagRunType.MANUAL, state=state)
    run.run_after = run.start_date = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)
    session.add(run)
    session.commit()


def import_samples(run_id: str = RUN, problems: Sequence[Problem] = (), target_from: str = "") -> RunFolder:
    """Go through the steps of a dry run."""
    run, ledger = RunFolder.of(run_id), steps.open_ledger(TARGET)
    for export in steps.discover(SAMPLES, run):
        steps.extract(export, ParseOptions(), run)
    steps.transform(run, Window(), ledger)
    steps.plan(run, batch_size=None)
    now = datetime.now(UTC)
    steps.report(
        run,
        ledger,
        run_id=run_id,
        target=TARGET,
        target_from=target_from,
        started_at=now,
        dry_run=True,
        problems=problems,
    )
    return run


def test_no_page_is_shown_without_a_login(session: Session) -> None:
    add_run(session)
    import_samples()
    app = build_app()
    app.dependency_overrides[_get_session] = lambda: session
    without_login = TestClient(app)
    assert {address: without_login.get(address).status_code for address in ADDRESSES} == dict.fromkeys(ADDRESSES, 401)


def test_a_user_without_access_to_the_dags_runs_sees_no_page(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(session)
    import_samples()
    auth_manager = FakeAuthManager(allows=False)
    monkeypatch.setattr(security, "get_auth_manager", lambda: auth_manager)
    assert {address: client.get(address).status_code for address in ADDRESSES} == dict.fromkeys(ADDRESSES, 403)
    assert set(auth_manager.asked) == {("GET", "RUN", DAG_ID)}


def test_a_run_shows_its_report_under_a_strict_policy(client: TestClient, session: Session) -> None:
    add_run(session)
    import_samples()
    for address in (f"/imports/runs/{quote(RUN, safe='')}", f"/dags/{DAG_ID}/runs/{quote(RUN, safe='')}"):
        answer = client.get(address)
        assert "Every entry is accounted for" in answer.text
        assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert "unsafe" not in SERVED_POLICY


def test_a_run_that_freed_its_place_names_the_run_that_it_freed_it_for(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.FAILED)
    day = "2026-02-28T00:00:00+00:00"
    write_waiting(
        database(),
        Waiting(run_id=RUN, interval_start=day, older_run_id="older", older_state="queued", since=day, ended=True),
    )
    page = client.get(f"/imports/runs/{quote(RUN, safe='')}").text
    assert "freed its place for older, which is queued and loads an older interval" in page
    assert "(seen since 2026-02-28 00:00:00 UTC)" in page


CAUSE = "the key is refused; nothing was stored."
REMEDY = "Check the API key in the connection acme in Airflow."


def fail(task_id: str, error: ChatImportError, run_id: str = RUN, *, tries_again: bool = False) -> Failure:
    """Note the failure of a task."""
    state = state_of(database(), run_id)
    failure = failure_of(error, state, run_id=run_id, task_id=task_id, label="slack_a <b>", tries_again=tries_again)
    write_failure(database(), failure)
    return failure


SHOWN = f"<b>load (slack_a &lt;b&gt;) failed.</b> {CAUSE}<br><b>{REMEDY}</b>"


@pytest.mark.parametrize("with_report", [False, True])
def test_a_failed_run_shows_the_first_cause_with_the_remedy_on_a_line_of_its_own(
    with_report: bool, client: TestClient, session: Session
) -> None:
    add_run(session, state=DagRunState.FAILED)
    if with_report:
        import_samples()
    fail("load", ConfigurationError(CAUSE, remedy=REMEDY))
    fail("report", ImportIncomplete("59 messages are pending."))
    page = client.get(f"/imports/runs/{quote(RUN, safe='')}").text
    assert SHOWN in page
    assert "59 messages" not in page
    assert ("Every entry is accounted for" in page) == with_report
    assert "no report" not in page


def test_a_cause_that_the_report_has_is_shown_once(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.FAILED)
    load = fail("load", ConfigurationError(CAUSE, remedy=REMEDY))
    import_samples(problems=problems_of_tasks([load], []))
    page = client.get(f"/imports/runs/{quote(RUN, safe='')}").text
    assert page.count(CAUSE) == page.count(REMEDY) == 1


def test_the_list_shows_the_first_cause_of_each_failed_run(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.FAILED)
    add_run(session, "good", day=2)
    fail("load", ConfigurationError(CAUSE, remedy=REMEDY))
    fail("load", ConfigurationError("mended since"), "good")
    page = client.get("/imports").text
    assert SHOWN in page
    assert "mended since" not in page


@pytest.mark.parametrize("is_newer", [False, True])
def test_counts_at_the_time_of_a_failure_are_not_shown_beside_a_newer_report(
    is_newer: bool, client: TestClient, session: Session
) -> None:
    add_run(session, state=DagRunState.FAILED)
    if not is_newer:
        import_samples()
    write_failure(database(), failure_of(ConfigurationError(CAUSE), "30 have landed.", run_id=RUN, task_id="load"))
    if is_newer:
        import_samples()
    for page in ("", f"/runs/{quote(RUN, safe='')}"):
        assert ("30 have landed." in client.get(f"/imports{page}").text) != is_newer


def test_a_running_import_shows_why_a_task_is_tried_again(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.RUNNING)
    fail("load", NotSent("EverOS is away; nothing was sent."), tries_again=True)
    for page in ("runs", "progress"):
        assert "EverOS is away" in client.get(f"/imports/{page}/{quote(RUN, safe='')}").text


def test_pages_say_where_the_target_comes_from(client: TestClient, session: Session) -> None:
    origin = "the environment variable AIRFLOW_CONN_EVEROS_DEFAULT"
    add_run(session, state=DagRunState.RUNNING)
    write_target(RunFolder.of(RUN), TARGET.base_url, origin)
    add_run(session, "done")
    import_samples("done", target_from=origin)
    for run_id in (RUN, "done"):
        page = client.get(f"/imports/runs/{quote(run_id, safe='')}").text
        assert f"{TARGET.base_url} <small>from {origin}</small>" in page


def test_an_unfinished_run_shows_its_progress(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.RUNNING)
    import_samples()
    page = client.get(f"/imports/runs/{quote(RUN, safe='')}").text
    assert "Import in progress" in page
    assert "0 of 93 messages" in page
    part = client.get(f"/imports/progress/{quote(RUN, safe='')}")
    assert "<html" not in part.text
    assert "X-Import-Ended" not in part.headers


def test_the_progress_of_a_run_that_is_over_says_so(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.FAILED)
    answer = client.get(f"/imports/progress/{quote(RUN, safe='')}")
    assert (answer.text, answer.headers["X-Import-Ended"]) == ("", "failed")


def test_a_run_without_a_report_says_why(client: TestClient, session: Session) -> None:
    add_run(session, state=DagRunState.FAILED)
    assert "This run has no report" in client.get(f"/imports/runs/{quote(RUN, safe='')}").text


def test_the_runs_of_other_dags_have_no_import_report(client: TestClient) -> None:
    assert "imports nothing into EverOS" in client.get("/dags/etl/runs/manual__1").text


def test_no_file_is_read_for_a_run_that_does_not_exist(client: TestClient, session: Session) -> None:
    add_run(session, "another")
    add_run(session, "elsewhere", dag_id="etl")
    import_samples("elsewhere")
    for name in ("elsewhere", "../runs/elsewhere"):
        assert client.get(f"/imports/files/report.json/{quote(name, safe='')}").status_code == 404


def test_only_files_without_message_text_can_be_downloaded(client: TestClient, session: Session) -> None:
    add_run(session)
    run = import_samples()
    (run.root / "corrections.json").write_text("[]", encoding="utf-8")
    address = f"/imports/files/{{}}/{quote(RUN, safe='')}"
    report = client.get(address.format("report.json"))
    assert report.json() == json.loads(run.report_json.read_text(encoding="utf-8"))
    assert client.get(address.format("rejects.csv")).headers["Content-Disposition"].startswith("attachment")
    for name in ("corrections.json", "conversations.parquet", "estimate.json"):
        assert client.get(address.format(name)).status_code == 422


@pytest.mark.parametrize("state", [DagRunState.RUNNING, DagRunState.SUCCESS])
def test_pages_are_the_same_with_a_run_in_a_store_and_in_a_folder(
    state: DagRunState, client: TestClient, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(session, state=state)
    run = import_samples()
    in_a_folder = [client.get(address).text for address in ADDRESSES]
    monkeypatch.setenv(STAGING_VARIABLE, f"file://{tmp_path}/bucket")
    with task_folder(RUN, TaskFiles(writes=["*"])) as scratch:
        shutil.copytree(run.root, scratch.root)
    shutil.rmtree(run.root)
    page_files.cache_clear()
    assert [client.get(address).text for address in ADDRESSES] == in_a_folder
    copies = page_files(RUN).run.root
    assert list(copies.rglob("*messages*")) == list(copies.rglob("chunk*")) == []


def test_a_page_names_a_store_that_cannot_be_read(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(session)
    monkeypatch.setenv(STAGING_VARIABLE, "gopher://nobody@nowhere")
    for address in ADDRESSES[:2]:
        answer = client.get(address)
        assert answer.status_code == 503
        assert "gopher://nobody@nowhere: no installed package opens addresses with gopher://" in answer.text
        assert "<br><b>Use a path, or an address with" in answer.text


def test_the_list_shows_no_runs_of_other_dags(client: TestClient, session: Session) -> None:
    add_run(session, "of-another-dag", dag_id="etl")
    add_run(session, "an-import")
    page = client.get("/imports").text
    assert ("an-import" in page, "of-another-dag" in page) == (True, False)


def test_the_list_shows_the_newest_first_with_their_totals(client: TestClient, session: Session) -> None:
    for day in range(RUNS_A_PAGE + 1):
        add_run(session, f"run-{day:03}", day=day)
    import_samples(f"run-{RUNS_A_PAGE:03}")
    page = client.get("/imports").text
    assert page.index(f"run-{RUNS_A_PAGE:03}") < page.index("run-049") < page.index("run-001")
    assert "run-000" not in page
    assert ">104<" in page
    assert "run-000" in client.get("/imports", params={"offset": RUNS_A_PAGE}).text


def test_addresses_include_the_path_that_airflow_is_served_below(client: TestClient, session: Session) -> None:
    add_run(session)
    below = TestClient(client.app, root_path="/airflow/everos")
    page = below.get("/imports").text
    assert f'href="/airflow/everos/imports/runs/{quote(RUN, safe="")}"' in page
    assert f'href="/airflow/dags/{DAG_ID}"' in page


@pytest.mark.parametrize("offset", [str(2**31 - 1), str(2**31), str(2**63), "9" * 400, "-1", "x", ""])
def test_an_offset_after_all_runs_or_an_invalid_one_is_not_a_server_error(client: TestClient, offset: str) -> None:
    assert client.get("/imports", params={"offset": offset}).status_code in (200, 422)


@pytest.mark.parametrize("run_id", ["a/b", "x" * 250, "雑談", "a.", ".a"])
def test_a_run_of_any_id_has_its_own_report(
    client: TestClient, session: Session, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", "(?s).*")
    import_samples()
    add_run(session, run_id, day=2)
    address = quote(run_id, safe="")
    assert "no report" in client.get(f"/imports/runs/{address}").text
    import_samples(run_id)
    assert "no report" not in client.get(f"/imports/runs/{address}").text
    file = client.get(f"/imports/files/report.json/{address}")
    assert file.json()["conserved"]
    assert file.headers["Content-Disposition"].isprintable()


def test_a_page_names_a_connection_of_the_ledger_that_does_not_exist(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(session, state=DagRunState.RUNNING)
    monkeypatch.setenv(LEDGER_VARIABLE, "nowhere")
    answer = client.get(ADDRESSES[2])
    assert answer.status_code == 503
    assert "EVEROS_IMPORT_LEDGER names the connection" in answer.text
