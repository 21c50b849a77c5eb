"""Rules of notifications: invalid settings are refused when the DAG is parsed, not when a run fails."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from everos_provider import alerts
from everos_provider.ledger import database
from everos_provider.plugin import EverOSPlugin

from include.errors import ConfigurationError
from include.report.failure import failure_of, write_failure
from include.run_folder import HOME_VARIABLE

notified: list[Any] = []


def notifier(context: Any) -> None:
    notified.append(context)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"EVEROS_IMPORT_{name}", value)

    for name in (alerts.NOTIFY_VARIABLE, alerts.DEADLINE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    notified.clear()
    return set_


NOTIFIER = f"{__name__}.notifier"


def test_without_settings_there_are_no_notifications(settings: Any) -> None:
    assert (alerts.on_failure(), alerts.deadline()) == (None, None)


def test_the_notifier_is_called_with_airflows_context(settings: Any) -> None:
    settings(NOTIFY=NOTIFIER)
    callback = alerts.on_failure()
    assert callback is not None
    callback({"run_id": "r", "reason": "task_failure", "dag_run": "d"})
    remedy = "The log of its failed task says why."
    assert notified == [{"run_id": "r", "reason": "task_failure", "remedy": remedy, "dag_run": "d"}]


def test_the_reason_of_an_alert_is_the_first_cause(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(NOTIFY=NOTIFIER)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    error = ConfigurationError("the key is refused; nothing was stored.", remedy="Check the key.")
    for task_id in ("load", "report"):
        write_failure(database(), failure_of(error, "3 messages have landed.", run_id="r", task_id=task_id))
    alerts.notify({"run_id": "r", "reason": "task_failure"})
    reason = "load failed: the key is refused; nothing was stored. 3 messages have landed."
    assert notified == [{"run_id": "r", "reason": reason, "remedy": "Check the key."}]


def test_an_alert_is_sent_although_the_cause_cannot_be_read(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(NOTIFY=NOTIFIER, LEDGER="no_such_connection")
    alerts.notify({"run_id": "r", "reason": "task_failure"})
    assert [context["reason"] for context in notified] == ["task_failure"]


def test_the_context_of_a_late_run_has_the_names_of_a_failed_one(settings: Any) -> None:
    settings(NOTIFY=NOTIFIER)
    alerts.notify_late({"dag_run": {"dag_run_id": "r"}, "deadline": {"deadline_time": "2026-03-01 04:00"}})
    assert [(context["run_id"], context["reason"]) for context in notified] == [
        ("r", "r has not finished by 2026-03-01 04:00.")
    ]


def test_a_deadline_is_what_airflow_stores_and_reads_back(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registered = {"everos_provider.alerts.ScheduledRunDue": alerts.ScheduledRunDue}
    assert EverOSPlugin.deadline_references == list(registered.values())
    monkeypatch.setattr("airflow.plugins_manager.get_deadline_references_plugins", lambda: registered)
    settings(NOTIFY=NOTIFIER, DEADLINE_MINUTES="90")
    deadline = alerts.deadline()
    assert deadline is not None
    stored = decode_deadline_alert(encode_deadline_alert(deadline))
    assert stored.interval == timedelta(minutes=90)
    assert stored.callback.path == "everos_provider.alerts.notify_late"
    assert stored.reference.reference_name == "ScheduledRunDue"


@pytest.mark.parametrize("path", ["nowhere.at_all", "everos_provider.nothing", "json.__name__", "x"])
def test_a_name_that_cannot_be_called_is_refused(settings: Any, path: str) -> None:
    settings(NOTIFY=path)
    with pytest.raises(ConfigurationError, match="EVEROS_IMPORT_NOTIFY is"):
        alerts.on_failure()


@pytest.mark.parametrize("minutes", ["soon", "0", "-5", "1.5"])
def test_a_deadline_that_is_no_number_of_minutes_is_refused(settings: Any, minutes: str) -> None:
    settings(NOTIFY=NOTIFIER, DEADLINE_MINUTES=minutes)
    with pytest.raises(ConfigurationError, match="expected minutes"):
        alerts.deadline()


def test_a_deadline_without_a_notifier_is_refused(settings: Any) -> None:
    settings(DEADLINE_MINUTES="90")
    with pytest.raises(ConfigurationError, match="nobody would be notified"):
        alerts.deadline()
