"""Triggers one run of the DAG, prints its progress, and then its summary."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.ledger import Database, ledger_url
from include.local.airflow import Say
from include.local.api import AirflowAPI
from include.local.child_processes import ChildProcesses
from include.local.follow import Progress, failures, follow
from include.local.state_folder import StateFolder
from include.local.summary import summary
from include.parameters import DAG_ID
from include.report.speed import history_of
from include.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run that has ended."""

    run: RunFolder
    good: bool
    """The run succeeded and every entry is accounted for."""


def import_once(
    state_folder: StateFolder, processes: ChildProcesses, api: AirflowAPI, conf: Mapping[str, Any], say: Say
) -> Imported:
    """
    Run the DAG once and print its progress, summary and errors.

    :param conf: The run's parameters.
    """
    run_id = api.trigger(DAG_ID, conf)
    say(f"Run {run_id}")
    run = RunFolder.of(run_id, state_folder.root)

    def messages() -> str:
        chunks = api.xcom(DAG_ID, run_id, "plan") or []
        database = Database.existing(ledger_url(state_folder.root)) if chunks else None
        if database is None:
            return ""
        with database.read() as ledger:
            landed = history_of(ledger, run_id).landed.total()
        return f"{landed:,} of {sum(chunk['messages'] for chunk in chunks):,} messages"

    state = follow(api, DAG_ID, run_id, Progress(say, messages), processes.check)
    report = _report(run.report_json)
    say("")
    if report:
        for line in summary(report):
            say(line)
        if report["already_loaded"] and not report["loaded"] and not report["pending"]:
            say("Nothing was sent: everything had been loaded before.")
        say(f"Report: {run.report_json}")
    for sentence in failures(api, DAG_ID, run_id):
        say(f"FAILED: {sentence}")
    return Imported(run=run, good=state == "success" and bool(report and report["conserved"]))


def _report(path: Path) -> dict[str, Any] | None:
    """Return the report, ``None`` when the run ended before it was written."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
