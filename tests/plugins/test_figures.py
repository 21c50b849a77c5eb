"""Rules of the counts that others see: Airflow's metrics, and the lineage of Airflow's OpenLineage provider."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics import stats
from everos_provider import operators
from everos_provider.figures import calls_by_outcome, counts_of_report, emit
from everos_provider.operators import EverOSReportOperator

from include.errors import ImportIncomplete
from include.ledger import CallState, Ledger, ledger_url
from include.memory_api.contract import Target
from include.run_folder import HOME_VARIABLE
from tests.support.ledgers import a_call, write

TARGET = Target(base_url="http://127.0.0.1:9", api_version="v2", key_fingerprint="0", project_id="acme")
COUNTS = {"extracted": 10, "loaded": 4, "already_loaded": 1, "out_of_range": 0, "pending": 1, "unknown": 1}
DOCUMENT: dict[str, Any] = {
    **COUNTS,
    "skipped": {"private": 2},
    "rejected": {"ts is missing": 1},
    "target": {name: getattr(TARGET, name) for name in ("base_url", "api_version", "account", "app_id", "project_id")},
}


class State(dict[str, Any]):
    """The state store of a task."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Counters:
    """A backend of Airflow's metrics that keeps what is added to them."""

    def __init__(self) -> None:
        self.added: Counter[str] = Counter()

    def incr(self, stat: str, count: int = 1, **_: Any) -> None:
        self.added[stat] += count


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    backend = Counters()
    monkeypatch.setattr(stats, "_factory", lambda: backend)
    monkeypatch.setattr(stats, "_backend", None)
    return backend.added


def test_the_counts_of_a_report_add_up_to_what_was_read() -> None:
    counts = counts_of_report(DOCUMENT)
    assert (counts["read"], counts["sent"], counts["skipped"], counts["rejected"]) == (10, 4, 2, 1)
    assert counts.pop("read") == sum(counts.values())


def test_metrics_count_messages_and_calls_by_outcome_once_in_all_tries(counters: Counter[str]) -> None:
    first = emit(DOCUMENT, {"landed": 2, "unknown": 1}, {})
    assert (counters["everos.messages.landed"], counters["everos.messages.skipped"]) == (4, 2)
    assert (counters["everos.calls.landed"], counters["everos.calls.unknown"]) == (2, 1)
    emit(DOCUMENT | {"loaded": 5}, {"landed": 3, "unknown": 0}, first)
    assert (counters["everos.messages.landed"], counters["everos.calls.landed"]) == (5, 3)
    assert counters["everos.messages.skipped"] == 2


def test_the_calls_of_a_run_are_counted_by_outcome(tmp_path: Path) -> None:
    ledger = Ledger.open(ledger_url(tmp_path), TARGET)
    states = [CallState.LANDED, CallState.LANDED, CallState.NOT_STORED, CallState.INTENT, CallState.UNKNOWN]
    write(ledger, *(a_call(f"c{number}", f"m{number}", state=state) for number, state in enumerate(states)))
    write(ledger, a_call("other", "m9", run_id="run 2"), run_id="run 2")
    assert calls_by_outcome(ledger.database, "run 1") == {"landed": 2, "not_stored": 1, "unknown": 2}


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        ("/data/acme.zip", "file", "/data/acme.zip"),
        ("s3://aws_default@bucket/exports/acme.zip", "s3://bucket", "exports/acme.zip"),
        ("rejects:manual__1", "file", "rejects:manual__1"),
    ],
)
def test_the_report_gives_its_lineage_also_when_it_fails(
    monkeypatch: pytest.MonkeyPatch, counters: Counter[str], tmp_path: Path, source: str, namespace: str, name: str
) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    from openlineage.client.serde import Serde  # noqa: PLC0415

    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))

    def failing(_: Any, written: Any) -> None:
        written(DOCUMENT)
        raise ImportIncomplete("1 message is pending.")

    monkeypatch.setattr(operators, "report", failing)
    task = EverOSReportOperator(task_id="report")
    assert task.get_openlineage_facets_on_complete(None) is None
    with pytest.raises(ImportIncomplete):
        task.execute({"params": {"source": source}, "run_id": "run", "task_state_store": State()})  # type: ignore[typeddict-item]
    lineage = task.get_openlineage_facets_on_complete(None)
    facet = Serde.to_dict(lineage.run_facets["everosImport"])
    assert facet.items() >= {"read": 10, "sent": 4, "sentBefore": 1, "skipped": 2, "rejected": 1}.items()
    [given], [written] = lineage.inputs, lineage.outputs
    assert (given.namespace, given.name) == (namespace, name)
    assert (written.namespace, written.name) == ("http://127.0.0.1:9", "default/acme")
    assert written.outputFacets["outputStatistics"].rowCount == 4
    assert counters["everos.messages.landed"] == 4
