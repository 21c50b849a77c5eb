"""
## Chat history to EverOS

discover ─▶ extract ─▶ transform ─▶ plan ─▶ load ─▶ flush ─▶ report

| step | what it does | what it leaves behind |
| --- | --- | --- |
| **discover** | finds the exports in `source` and detects their formats | one descriptor per export |
| **extract** | reads one export per task, or part of a large one | Parquet of messages, skipped and rejected entries |
| **transform** | sorts by conversation and time, removes duplicates, applies range and ledger | `messages/*.parquet` |
| **plan** | cuts batches (one API call each) and chunks (one load task each) | `plan/*.parquet` |
| **load** | sends one chunk per task: conversations in parallel, each in order | the ledger, this run's cursors |
| **flush** | ends each conversation's current episode in EverOS, once per load | the ledger |
| **report** | accounts for every entry, reads back from EverOS | `report.json`, `report.html`, `corrections.json` … |

**Running it again sends nothing twice**: the ledger has every message that has landed. A failed or killed load
continues where it stopped: clear it, or let it retry. The run fails if anything is pending, unknown or unaccounted for,
and the report names it.

**Nightly**: scheduled and backfill runs load the messages that were written in their data interval, and
`lookback_days` before it. A run waits until the runs of older intervals are over. If an older run is queued and cannot
start, the waiting run fails, frees its place, and is queued again automatically when the older one is over. Other DAGs
can be scheduled on the asset `everos`: every run that has loaded something updates it.
**Rejected messages**: correct them in `corrections.json` of the run's folder, then *Trigger* with the source
`rejects:<run id>`.
**By hand**: *Trigger* loads everything, or the period you give. Start with *Dry run* to see what it would send, and an
estimate of calls, tokens and time.

**Reports**: [Imports](plugin/imports) lists all runs, and each run has a tab *Import report*: its progress, the count
of every kind of entry, and the rejected messages with reasons.

Chat text is in the run's folder (Parquet, `corrections.json`) and nowhere else: not in logs, XCom or this page.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

from airflow.sdk import Context, CronDataIntervalTimetable, TriggerRule, dag, task

try:
    from everos_provider import alerts, failures, run
    from everos_provider.assets import EVEROS, LOADED
    from everos_provider.operators import EverOSFlushOperator, EverOSLoadOperator, EverOSReportOperator
    from everos_provider.params import import_params
    from everos_provider.retry_policy import LOAD_RETRIES

    from include.parameters import DAG_ID
    from include.plan.estimate import LOADS_AT_ONCE
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

EXTRACT_LABEL = (
    "{% set export = task.op_kwargs['export'] %}{{ export['label'] }}"
    "{% if export['parts'] > 1 %}, part {{ export['part'] }} of {{ export['parts'] }}{% endif %}"
)

RETRIES: dict[str, Any] = {
    "retries": 5,
    # A task that cannot start while Airflow's API server is down uses up a try: together the tries last five minutes.
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": LOAD_RETRIES,
}


@dag(
    dag_id=DAG_ID,
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
    default_args=RETRIES | failures.callbacks(),
    tags=["everos", "chat", "memory"],
)
def chat_history_to_everos() -> None:
    """Define the tasks of the diagram."""

    @task
    def discover(**context: Unpack[Context]) -> list[dict[str, str]]:
        return run.discover(context)

    @task(map_index_template=EXTRACT_LABEL)
    def extract(export: dict[str, str], **context: Unpack[Context]) -> dict[str, int]:
        return run.extract(export, context)

    @task(inlets=[EVEROS], trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def transform(**context: Unpack[Context]) -> dict[str, int]:
        return run.transform(context)

    @task
    def plan(**context: Unpack[Context]) -> list[dict[str, Any]]:
        return run.plan(context)

    chunks = plan()
    load = EverOSLoadOperator.partial(
        task_id="load",
        map_index_template="{{ task.chunk['label'] }}",
        max_active_tis_per_dagrun=LOADS_AT_ONCE,
        inlets=[EVEROS],
    ).expand(chunk=chunks)
    flush = EverOSFlushOperator(task_id="flush", inlets=[EVEROS], trigger_rule=TriggerRule.ALL_DONE)

    extract.expand(export=discover()) >> transform() >> chunks
    report = EverOSReportOperator(
        task_id="report", inlets=[EVEROS], outlets=[LOADED], trigger_rule=TriggerRule.ALL_DONE
    )
    load >> flush >> report


if not __package__:  # in the wheel this is the module everos_provider.dag, whose function a DAG file calls
    chat_history_to_everos()
