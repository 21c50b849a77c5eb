"""Rules of the DAG: its tasks, schedule, parameters and retries."""

import importlib
import itertools
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chat_history_to_everos as dag_file
import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from everos_provider import plugin, run
from everos_provider.assets import EVEROS
from everos_provider.retry_policy import LOAD_RETRIES
from jinja2 import Template

from include import errors
from include.window import Window

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(PROJECT / "dags", bundle_name="test")
    assert bag.import_errors == {}
    return bag.dags["chat_history_to_everos"]


@pytest.fixture
def reloaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def reload(schedule: str | None) -> Any:
        if schedule is None:
            monkeypatch.delenv("EVEROS_IMPORT_SCHEDULE", raising=False)
        else:
            monkeypatch.setenv("EVEROS_IMPORT_SCHEDULE", schedule)
        return importlib.reload(dag_file).chat_history_to_everos()

    yield reload
    monkeypatch.undo()
    importlib.reload(dag_file)


def test_the_example_waits_for_the_asset_and_starts_switched_off() -> None:
    [example] = [dag for dag in DagBag(PROJECT / "dags", bundle_name="test").dags.values() if "example" in dag.tags]
    assert example.is_paused_upon_creation
    assert [asset.name for asset in example.timetable.asset_condition.objects] == ["everos"]


@pytest.mark.parametrize(
    ("extra", "logged"),
    [
        (None, "no figures"),
        ({}, "no figures"),
        ({"from": "a form"}, "no figures"),
        ({"run_id": "r", "loaded": "3", "conversations": 1, "already_loaded": 0}, "no figures"),
        (
            {"run_id": "r", "loaded": 3, "conversations": 1, "already_loaded": 0},
            "r: messages loaded 3",
        ),
    ],
)
def test_the_example_takes_any_event(extra: Any, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    """The extra of an event that a user created in the UI may be anything."""
    bag = DagBag(PROJECT / "dags", bundle_name="test")
    figures = bag.dags["example_after_import"].get_task("figures").python_callable
    caplog.set_level("INFO")
    events = {EVEROS: [SimpleNamespace(extra=extra)]}
    assert figures(triggering_asset_events=events) == [extra or {}]
    assert logged in caplog.text
    assert figures(triggering_asset_events={}) == []


def loaded_in_a_process(folder: Path, **environ: str) -> list[str]:
    """Return the DAGs and import errors that Airflow finds in a folder, in a process with other paths."""
    code = (
        "import json, sys; from pathlib import Path; from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag(Path(sys.argv[1]), bundle_name='test')\n"
        "print(json.dumps([*(f'dag {name}' for name in sorted(bag.dags)), *bag.import_errors.values()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environ,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_the_whole_repository_can_be_a_dag_bundle() -> None:
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")])
    found = loaded_in_a_process(PROJECT, PYTHONPATH=path, AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"))
    assert found == ["dag chat_history_to_everos", "dag example_after_import"]


def test_if_the_project_root_is_not_on_the_path_the_error_names_the_setting(tmp_path: Path) -> None:
    """DAG files and provider are on the path; `include` is not."""
    for name in ("dags", "plugins"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    # a finder of an editable install would find `include` beside the copy's original
    (tmp_path / "plugins" / "include").mkdir()
    (tmp_path / "plugins" / "include" / "__init__.py").write_text("")
    path = str(tmp_path / "plugins")
    found = "\n".join(loaded_in_a_process(tmp_path / "dags", PYTHONPATH=path, AIRFLOW__CORE__PLUGINS_FOLDER=path))
    assert "No module named 'include." in found
    assert f"PYTHONPATH={tmp_path}" in found


def warnings_of_a_second_copy(caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    importlib.reload(plugin)
    return [record.getMessage() for record in caplog.records]


def test_a_second_copy_of_the_provider_in_the_plugins_folder_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(PROJECT / "plugins"))
    assert warnings_of_a_second_copy(caplog) == []
    shutil.copytree(PROJECT / "plugins", tmp_path / "plugins")
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(tmp_path / "plugins"))
    [warning] = warnings_of_a_second_copy(caplog)
    here, there = PROJECT / "plugins" / "everos_provider", tmp_path / "plugins" / "everos_provider"
    assert f"{here} is used, {there} is not" in warning


def test_a_second_copy_of_the_provider_in_an_installed_wheel_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT / "plugins" / "everos_provider", tmp_path / "everos_provider")
    installed = tmp_path / "airflow_provider_everos-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: airflow-provider-everos\nVersion: 0.1.0\n")
    (installed / "RECORD").write_text("everos_provider/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    [warning] = warnings_of_a_second_copy(caplog)
    assert f"is used, {tmp_path / 'everos_provider'} is not" in warning


@pytest.mark.parametrize("installed", [True, False])
def test_the_plugin_is_registered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """Airflow's plugins folder registers it only where no entry point of an installed package does."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ["everos"] if installed else [])
    found = runpy.run_path(str(PROJECT / "plugins" / "everos_plugin.py"))
    assert ("EverOSPlugin" in found) == (not installed)


def test_the_tasks_follow_the_diagram(dag: DAG) -> None:
    order = ["discover", "extract", "transform", "plan", "load", "flush", "report"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for before, after in itertools.pairwise(order):
        assert after in dag.get_task(before).downstream_task_ids


def test_exports_and_chunks_are_mapped(dag: DAG) -> None:
    assert {task.task_id for task in dag.tasks if task.is_mapped} == {"extract", "load"}


def test_a_part_of_an_export_is_labelled_as_one() -> None:
    label = Template(dag_file.EXTRACT_LABEL)
    exports = [{"label": "acme.zip", "part": 2, "parts": number} for number in (1, 3)]
    found = [label.render(task=SimpleNamespace(op_kwargs={"export": export})) for export in exports]
    assert found == ["acme.zip", "acme.zip, part 2 of 3"]


def test_one_run_at_a_time_and_no_catch_up(dag: DAG) -> None:
    assert (dag.max_active_runs, dag.catchup) == (1, False)


def test_nightly_runs_have_a_real_interval(reloaded: Any) -> None:
    nightly = reloaded(None)
    assert nightly.timetable.expression == "0 2 * * *"
    assert type(nightly.timetable).__name__ == "CronDataIntervalTimetable"


def test_with_an_empty_schedule_all_runs_are_manual(reloaded: Any) -> None:
    assert type(reloaded("").timetable).__name__ == "NullTimetable"


def test_the_docs_of_the_dag_explain_each_task(dag: DAG) -> None:
    for task in dag.tasks:
        assert f"**{task.task_id}**" in dag.doc_md


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", ""),
        ("bots", "maybe"),
        ("batch_size", 0),
        ("batch_size", 501),
        ("concurrency", 0),
        ("lookback_days", -1),
        ("include", "general"),
        ("include_private", "yes"),
        ("redact", "yes"),
        ("conversation_id", "{source}"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused(dag: DAG, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


@pytest.mark.parametrize(("name", "value"), [("since", "2026-03-01"), ("until", "2026-03-01T10:00:00+01:00")])
def test_dates_may_come_with_or_without_a_time(dag: DAG, name: str, value: str) -> None:
    assert dag.params.get_param(name).resolve(value) == value


def test_every_parameter_has_a_title_and_a_section(dag: DAG) -> None:
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema["title"], name
        assert schema["section"], name


def a_context(run_type: str, **params: Any) -> Any:
    return {
        "params": {"since": "2020-01-01", "until": None, "lookback_days": 1} | params,
        "dag_run": SimpleNamespace(run_type=run_type),
        "data_interval_start": pendulum.datetime(1970, 1, 3),  # as Airflow has them
        "data_interval_end": pendulum.datetime(1970, 1, 4),
    }


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_scheduled_and_backfill_runs_load_their_interval_and_the_lookback(run_type: str) -> None:
    day_us = 86_400_000_000
    assert run.window_of(a_context(run_type)) == Window(since_us=day_us, until_us=3 * day_us)


def test_manual_runs_load_what_the_form_says() -> None:
    assert run.window_of(a_context("manual", since=None)) == Window()


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.Refused("no", status=401, reason="no"), "fail"),
        (errors.LedgerError("damaged"), "fail"),
        (errors.OutcomesUnknown("3 batches"), "fail"),
        (errors.QuotaExhausted("used up"), "fail"),
        (errors.Throttled("slow down"), "retry"),
        (errors.NotSent("refused"), "retry"),
        (errors.LoadIncomplete("2 pending"), "retry"),
        (RuntimeError("anything else"), "default"),
    ],
)
def test_each_error_says_whether_a_retry_can_help(error: Exception, action: str) -> None:
    assert LOAD_RETRIES.evaluate(error, try_number=1, max_tries=3).action.value == action
