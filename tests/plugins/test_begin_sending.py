"""Rules of a task that begins to send: it raises the ledger's generation and notes it in Airflow first."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from everos_provider import run
from everos_provider.assets import EVEROS
from sqlalchemy import select

from include.errors import LedgerError
from include.ledger.schema import TARGETS
from include.memory_api import Settings
from include.run_folder import HOME_VARIABLE, PROJECT, home

TARGET = Settings(base_url="http://127.0.0.1:9", api_key="test").target
KEY = f"generation {TARGET.name}"


class Store(dict[str, Any]):
    """A fake of Airflow's state store."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return {"run_id": "run", "params": {"source": "x"}, "asset_state_store": {EVEROS: Store()}}


def generation_in(context: Any) -> int:
    with run.ledger_of(context, TARGET).database.read() as connection:
        return int(connection.execute(select(TARGETS.c.generation)).scalar_one())


def copied(source: Path, to: Path) -> None:
    """Copy a database with nobody at work."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for path in source.glob("ledger.db*"):
        if path.is_file():
            shutil.copy(path, to / path.name)


def test_each_load_raises_the_generation_in_the_ledger_and_in_airflow(context: Any) -> None:
    for count in (1, 2, 3):
        run.begin_sending(context, TARGET)
        assert context["asset_state_store"][EVEROS][KEY] == count == generation_in(context)


def test_a_load_with_an_older_copy_of_the_ledger_sends_nothing(context: Any, tmp_path: Path) -> None:
    run.begin_sending(context, TARGET)
    copied(home(), tmp_path / "backup")
    run.begin_sending(context, TARGET)
    copied(tmp_path / "backup", home())
    for act in (run.begin_sending, run.ledger_of):
        with pytest.raises(LedgerError, match=f"delete the keys '{KEY}'"):
            act(context, TARGET)


def test_a_ledger_that_is_gone_is_noticed_before_any_report_knows_of_messages(context: Any) -> None:
    run.begin_sending(context, TARGET)
    shutil.rmtree(home())
    with pytest.raises(LedgerError, match="at generation 0, Airflow's asset state at 1"):
        run.begin_sending(context, TARGET)


def test_the_ledger_alone_counts_in_a_task_that_does_not_name_the_asset(context: Any) -> None:
    context["asset_state_store"] = {}
    run.begin_sending(context, TARGET)
    assert generation_in(context) == 1


@pytest.mark.parametrize("task_id", ["transform", "load", "flush", "report"])
def test_the_tasks_that_need_the_assets_state_name_it(task_id: str) -> None:
    dag = DagBag(PROJECT / "dags", bundle_name="test").dags["chat_history_to_everos"]
    assert EVEROS.name in [getattr(inlet, "name", None) for inlet in dag.get_task(task_id).inlets]
