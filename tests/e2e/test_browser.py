"""An import as a person does it: in a real browser, by what is on the screen."""

import csv
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from include.ledger import Database, ledger_url
from include.local.airflow import DAG_ID
from include.report.waiting import Waiting, write_waiting
from include.standin import Fault, StandIn
from tests.e2e.browser import browsing, let_in
from tests.e2e.conftest import LocalAirflow
from tests.e2e.test_import import MARKER, group, write

pytestmark = pytest.mark.browser

PATIENCE_MS = 300_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, airflow: LocalAirflow) -> Iterator[Page]:
    """A tab of somebody who likes the dark."""
    context = browser.new_context(base_url=airflow.api.base_url, viewport={"width": 1400, "height": 1000})
    let_in(context, airflow.api)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script("localStorage.setItem('theme', 'dark')")
    yield context.new_page()
    context.close()


def test_an_import_is_triggered_from_the_form_watched_and_its_rejects_are_downloaded(
    airflow: LocalAirflow, faultless: StandIn, page: Page, tmp_path: Path
) -> None:
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=2))
    broken = group("screen-broken", 6)
    broken["messages"][1]["timestamp"] = "yesterday"
    broken["messages"][2] = None
    source = write(tmp_path / "in", group("screen-long", 60), broken)

    page.goto(f"/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.locator("[role=dialog][data-state=open]")
    form.get_by_text("What to import").click()
    form.locator("[name=element_source]").fill(str(source))
    form.get_by_text("How to load it").click()
    form.locator("[name=element_batch_size]").fill("4")
    form.get_by_role("button", name="Trigger").click()
    expect(form).to_be_hidden()
    run_id = airflow.get(f"dags/{DAG_ID}/dagRuns", order_by="-run_after", limit=1)["dag_runs"][0]["dag_run_id"]

    page.goto(f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}")
    page.get_by_role("link", name="Import report").click()
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", name="Import in progress")).to_be_visible()
    assert page.frames[-1].evaluate("document.documentElement.style.colorScheme") == "dark"
    expect(report.get_by_text("of 64 messages")).to_be_visible()
    report.get_by_label("Search conversations").fill("broken")
    expect(report.locator("#conversations tbody tr:visible")).to_have_count(1)

    expect(report.get_by_text("Every entry is accounted for.")).to_be_visible()
    report.get_by_role("button", name="Rejected", exact=True).click()
    expect(report.locator("#conversations tbody tr").first).to_contain_text("screen-broken")
    with page.expect_download() as download:
        report.get_by_role("link", name="CSV", exact=True).click()
    download.value.save_as(tmp_path / "rejects.csv")
    content = (tmp_path / "rejects.csv").read_text(encoding="utf-8")
    assert {row["conversation_id"] for row in csv.DictReader(content.splitlines())} == {"screen-broken"}
    assert len(content.splitlines()) == 3
    assert MARKER not in content + page.frames[-1].content()

    report.get_by_role("link", name="All imports").click()
    imports = page.frame_locator("iframe")
    row = imports.locator("#runs tbody tr", has_text=run_id)
    expect(row).to_contain_text("Success")
    row.get_by_role("link").click()
    expect(page.frame_locator("iframe").get_by_text("Every entry is accounted for.")).to_be_visible()


def test_a_connection_is_made_in_the_form_and_tested_before_anything_is_written(page: Page, tmp_path: Path) -> None:
    with StandIn.running(tmp_path, key="sk-good-one") as standin:
        port = standin.base_url.rsplit(":", 1)[1]
        for name, key, where, answer in (
            ("fine", "sk-good-one", port, "answers and accepts the API key"),
            ("wrong_key", "sk-other-one", port, "401"),
            ("dead_host", "sk-good-one", "9", "no connection"),
        ):
            page.goto("/connections")
            page.get_by_role("button", name="Add Connection").first.click()
            form = page.locator("[role=dialog][data-state=open]")
            form.locator("input[role=combobox]").first.fill("EverOS")
            page.get_by_role("option", name="EverOS").click()
            form.locator("[name=connection_id]").fill(name)
            form.locator("[name=host]").fill(f"http://127.0.0.1:{where}")
            form.locator("[name=password]").fill(key)
            form.get_by_role("button", name="Save").click()
            expect(form).to_be_hidden()
            row = page.locator("tbody tr", has_text=name)
            with page.expect_response(lambda response: "connections/test" in response.url) as told:
                row.get_by_role("button", name="Test Connection").click()
            assert answer in told.value.json()["message"]
            assert key not in told.value.text()
        assert [entry for entry in standin.journal() if entry.kind in {"add", "flush"}] == []


def test_a_failed_run_says_why_and_what_to_do_on_its_tab_and_in_the_list(airflow: LocalAirflow, page: Page) -> None:
    run = airflow.run_import("/no/such/export.zip")
    assert run.state == "failed"
    page.goto(f"/dags/{DAG_ID}/runs/{quote(run.run_id, safe='')}")
    page.get_by_role("link", name="Import report").click()
    report = page.frame_locator("iframe")
    expect(report.get_by_text("discover failed. /no/such/export.zip does not exist")).to_be_visible()
    expect(report.locator(".problem b").last).to_have_text("Check path and mounts.")

    page.set_viewport_size({"width": 600, "height": 900})
    page.goto("/everos/imports")
    cause = page.locator(f"tr:has-text('{run.run_id}') + .cause .problem")
    expect(cause).to_contain_text("Check path and mounts.")
    assert cause.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert cause.evaluate("box => box.getBoundingClientRect().right <= innerWidth")


def test_a_run_that_waits_says_for_which_and_since_when(
    airflow: LocalAirflow, faultless: StandIn, page: Page, tmp_path: Path
) -> None:
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=2))
    run_id = airflow.start_import(write(tmp_path / "in", group("screen-waiting", 20)), {"batch_size": 4})
    waiting = Waiting(
        run_id=run_id,
        interval_start="2026-03-02T00:00:00+00:00",
        older_run_id="backfill__2026-03-01",
        older_state="running",
        since="2026-03-03T02:00:00+00:00",
    )
    write_waiting(Database(ledger_url(airflow.state_folder.root)), waiting)
    page.goto(f"/everos/imports/runs/{quote(run_id, safe='')}")
    expect(page.get_by_text("Waiting for backfill__2026-03-01, which is running")).to_be_visible()
    expect(page.get_by_text("2026-03-03T02:00:00+00:00")).to_be_visible()
    airflow.wait(run_id)
