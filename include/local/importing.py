"""One run of the DAG from the command line: trigger it, follow it, show what it came to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.layout import RunFolder
from include.ledger import Database, ledger_url
from include.local.airflow import Say
from include.local.api import AirflowAPI
from include.local.follow import Progress, failures, follow
from include.local.summary import summary
from include.parameters import DAG_ID
from include.processes.home import Home
from include.processes.leashed import Leashed
from include.report.loading import history_of


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a run came to."""

    run: RunFolder
    good: bool
    """The run succeeded and every entry is accounted for."""


def import_once(home: Home, processes: Leashed, api: AirflowAPI, conf: Mapping[str, Any], say: Say) -> Imported:
    """
    Run the DAG once and say how it went.

    :param conf: The run's parameters.
    """
    run_id = api.trigger(DAG_ID, conf)
    say(f"Run {run_id}")
    run = RunFolder.of(run_id, home.root)

    def messages() -> str:
        chunks = api.xcom(DAG_ID, run_id, "plan") or []
        database = Database.existing(ledger_url(home.root)) if chunks else None
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
