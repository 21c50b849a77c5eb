"""
## Chat history to EverOS

discover ─▶ extract ─▶ transform ─▶ plan ─▶ load ─▶ flush ─▶ report

| step | what it does | what it leaves behind |
| --- | --- | --- |
| **discover** | looks into `source` and tells exports apart by their content | one descriptor per export |
| **extract** | reads an export; one task each | Parquet of messages, what was skipped, what is broken |
| **transform** | sorts by conversation and time, removes duplicates, applies range and ledger | `messages/*.parquet` |
| **plan** | cuts batches (one API call each) and chunks (one load task each) | `plan/*.parquet` |
| **load** | sends a chunk: conversations side by side, each strictly in order | the ledger, this run's cursors |
| **flush** | tells EverOS that a conversation is complete, once per load | the ledger |
| **report** | accounts for every entry, reads EverOS back | `report.json`, `report.html`, `corrections.json` … |

**Running it again sends nothing twice**: the ledger knows every message that has landed. A failed or killed load
goes on where it stood: clear it, or let it retry. The run fails when anything is pending, unknown or unaccounted for,
and the report says what.

**Nightly**: scheduled and backfill runs load what was written in their data interval, and `lookback_days` before it;
a run waits until those of older intervals are over. Where an older one is queued and cannot start, the run that waits
fails, frees its place, and is queued again by itself when the older one is over. Other DAGs can wait for the asset
`everos`: it is updated by every run that loaded something.
**Rejected messages**: correct them in `corrections.json` of the run's folder, then *Trigger* with the source
`rejects:<run id>`.
**By hand**: *Trigger* loads everything, or the period you give. Start with *Dry run* to see what it would send, and
what that would take.

**What happened**: [Imports](plugin/imports) lists all runs, and each run has a tab *Import report*: how far it has
come, every entry accounted for, what was rejected and why.

Chat text is in the run's folder (Parquet, `corrections.json`) and nowhere else: not in logs, XCom or this page.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, task

try:
    from everos_provider import alerts, run
    from everos_provider.assets import EVEROS, LOADED
    from everos_provider.operators import EverOSFlushOperator, EverOSLoadOperator
    from everos_provider.params import import_params
    from everos_provider.retry_policy import LOAD_RETRIES
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] not in {"everos_provider", "include"}:
        raise
    root = Path(__file__).resolve().parents[1]
    raise ImportError(
        f"{error}. The project's root, the folder that holds include/ and plugins/, has to be on PYTHONPATH of every "
        f"component of Airflow (scheduler, DAG processor, API server, workers), and its plugins/ has to be Airflow's "
        f"plugins folder, or the project be installed: PYTHONPATH={root}, AIRFLOW__CORE__PLUGINS_FOLDER={root}/plugins"
    ) from error

SCHEDULE = os.environ.get("EVEROS_IMPORT_SCHEDULE", "0 2 * * *")

PATIENT: dict[str, Any] = {
    "retries": 5,
    # a task that cannot even start while Airflow's API server is away uses up a try: together they last five minutes
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": LOAD_RETRIES,
}


@dag(
    dag_id="chat_history_to_everos",
    dag_display_name="Chat history to EverOS",
    description="Slack and Discord history into EverOS: complete, once, in order, accounted for.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC") if SCHEDULE else None,
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=import_params(),
    on_failure_callback=alerts.on_failure(),
    deadline=alerts.deadline(),
    default_args=PATIENT,
    tags=["everos", "chat", "memory"],
)
def chat_history_to_everos() -> None:
    """Draw the diagram."""

    @task
    def discover(**context: Any) -> list[dict[str, str]]:
        return run.discover(context)

    @task(map_index_template="{{ task.op_kwargs['export']['label'] }}")
    def extract(export: dict[str, str], **context: Any) -> dict[str, int]:
        return run.extract(export, context)

    @task(inlets=[EVEROS], trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def transform(**context: Any) -> dict[str, int]:
        return run.transform(context)

    @task
    def plan(**context: Any) -> list[dict[str, Any]]:
        return run.plan(context)

    @task(inlets=[EVEROS], outlets=[LOADED], trigger_rule=TriggerRule.ALL_DONE)
    def report(**context: Any) -> dict[str, Any]:
        return run.report(context)

    chunks = plan()
    load = EverOSLoadOperator.partial(
        task_id="load",
        map_index_template="{{ task.chunk['label'] }}",
        max_active_tis_per_dagrun=4,
        inlets=[EVEROS],
    ).expand(chunk=chunks)
    flush = EverOSFlushOperator(task_id="flush", inlets=[EVEROS], trigger_rule=TriggerRule.ALL_DONE)

    extract.expand(export=discover()) >> transform() >> chunks
    load >> flush >> report()


chat_history_to_everos()
