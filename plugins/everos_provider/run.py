"""The tasks of the DAG: each turns Airflow's context into arguments of :mod:`include.steps`."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import msgspec
from airflow.sdk import Context

from everos_provider.assets import EVEROS, LOADED
from everos_provider.failures import without_traceback
from everos_provider.hooks import EverOSHook, no_target, no_target_sentence
from everos_provider.ledger import address, database
from everos_provider.params import check_params
from everos_provider.staging.sources import local_export, local_source
from everos_provider.staging.task_files import (
    DISCOVER,
    EXTRACT,
    PARAMETERS,
    PLAN,
    REPORT,
    TRANSFORM,
    file_address,
    task_folder,
)
from everos_provider.turns import interval_of, queue_again, wait_for_turn
from include import corrections, steps
from include.delivery.verification import Checked, verify
from include.errors import ConfigurationError, ImportIncomplete, NotConserved, NotSent
from include.ledger import Ledger, ledger_url
from include.logs import get_logger
from include.memory_api.check import check_target
from include.memory_api.contract import Target
from include.memory_layout import memory_layout
from include.parsers import Export, ParseOptions
from include.report.columns import PARTS, count_of
from include.report.failure import Failure, failures
from include.report.problems import problems_in, problems_of_tasks
from include.report.target import write_target
from include.report.waiting import read_waiting
from include.run_folder import RunFolder
from include.window import Window, window_of_interval, window_of_parameters

log = get_logger(__name__)


def window_of(context: Context) -> Window:
    """Return the time range: the data interval for scheduled and backfill runs, else ``since`` and ``until``."""
    params = context["params"]
    if interval := interval_of(context):
        return window_of_interval(*interval, lookback_days=params["lookback_days"])
    return window_of_parameters(params["since"], params["until"])


def ledger_of(context: Context, target: Target, *, at_least: int = 0) -> Ledger:
    """Return the target's ledger. A run of corrections may send messages that the target rejected in earlier runs."""
    corrected = corrections.is_corrections(context["params"]["source"])
    return steps.open_ledger(
        target,
        url=address(),
        at_least=at_least,
        generation=_known(context, _generation_key(target)) or 0,
        rejections_of=context["run_id"] if corrected else None,
    )


@contextmanager
def _ledger(context: Context, *, complete: bool = False) -> Iterator[tuple[Ledger, str]]:
    """
    Give the ledger of the target, and the place of the target's settings.

    The ledger of a dry run without a target is empty, and is removed afterwards.

    :param complete: Compare it with what Airflow knows to have landed.
    """
    try:
        settings = EverOSHook().settings()
    except ConfigurationError as error:
        if not context["params"]["dry_run"]:
            raise
        log.warning("%s", no_target_sentence(error))
        with TemporaryDirectory(prefix="everos-dry-run-") as folder:
            yield Ledger.open(ledger_url(Path(folder)), no_target()), ""
        return
    known = (_known(context, _state_key(settings.target)) or {}) if complete else {}
    yield ledger_of(context, settings.target, at_least=known.get("messages", 0)), settings.origin


def _check_target(context: Context, run: RunFolder) -> None:
    """
    Note the target for the run's page, and ask it whether it answers and accepts the key; a load waits for it.

    A dry run needs none.

    :raises ConfigurationError: it does not accept the key, or is not configured; nothing was sent.
    """
    is_dry = context["params"]["dry_run"]
    try:
        settings = EverOSHook().settings()
    except ConfigurationError:
        if is_dry:
            return
        raise
    log.info("The target is %s, from %s", settings.target.base_url, settings.origin)
    write_target(run, settings.target.base_url, settings.origin)
    if is_dry:
        return
    try:
        log.info("%s", asyncio.run(check_target(settings)))
    except NotSent as error:
        log.warning("%s The load will wait for it.", error.cause)


def begin_sending(context: Context, target: Target) -> None:
    """
    Raise the generation of the target's ledger, and note it in Airflow: a task calls it before it sends.

    :raises LedgerError: the ledger is older than what was sent; nothing was sent.
    """
    ledger, key = ledger_of(context, target), _generation_key(target)
    generation = ledger.raise_generation(_known(context, key) or 0)
    if (state := _state(context)) is not None:
        state.set(key, generation)


def _state(context: Context) -> Any:
    """Return the state of the asset ``everos``, ``None`` for a task that does not name it as inlet or outlet."""
    try:
        return context["asset_state_store"][EVEROS]
    except KeyError:
        return None


def _known(context: Context, key: str) -> Any:
    state = _state(context)
    return None if state is None else state.get(key)


def options_of(params: Mapping[str, Any]) -> ParseOptions:
    """Return the parameters of the parsers."""
    return ParseOptions(
        id_template=params["conversation_id"],
        include=tuple(params["include"] or ()),
        exclude=tuple(params["exclude"] or ()),
        include_private=params["include_private"],
        bots=params["bots"],
    )


@without_traceback
def discover(context: Context) -> list[dict[str, str]]:
    """Find the exports in ``source``, and check the target; invalid parameters are refused before anything is read."""
    check_params(context)
    window_of(context)  # refuses invalid times
    wait_for_turn(context)
    with task_folder(context["run_id"], DISCOVER) as run, local_source(context["params"]["source"]) as source:
        params = _parameters(context["params"])
        may_be_empty = interval_of(context) is not None
        exports = steps.discover(source.path, run, may_be_empty=may_be_empty, divide=not source.is_copy)
        if exports:
            corrections.keep_parameters(run, params)
            _check_target(context, run)
        return [msgspec.to_builtins(source.for_workers(export)) for export in exports]


def _parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's parameters; those of a run of corrections are partly those of the run that rejected them."""
    source = params["source"]
    if not corrections.is_corrections(source):
        return dict(params)
    with task_folder(corrections.run_of(source), PARAMETERS) as first:
        return corrections.parameters_for(source, params, first)


@without_traceback
def extract(export: Mapping[str, str], context: Context) -> dict[str, int]:
    """Read one export."""
    found = msgspec.convert(export, Export)
    with task_folder(context["run_id"], EXTRACT, export=found.key) as run, local_export(found) as local:
        params = {**context["params"], **corrections.kept_parameters(run)}
        return steps.extract(local, options_of(params), run, redact=params["redact"])


@without_traceback
def transform(context: Context) -> dict[str, int]:
    """Sort and deduplicate the messages; leave out those that are out of range or loaded already."""
    with _ledger(context, complete=True) as (ledger, _), task_folder(context["run_id"], TRANSFORM) as run:
        params = {**context["params"], **corrections.kept_parameters(run)}
        layout = memory_layout(ledger.target.api_version, params["segments"], params["memory_of"])
        return steps.transform(
            run, window_of(context), ledger, options_of(params), layout=layout, dry_run=params["dry_run"]
        )


@without_traceback
def plan(context: Context) -> list[dict[str, Any]]:
    """Cut batches and chunks; a dry run returns no chunks."""
    params = context["params"]
    with task_folder(context["run_id"], PLAN) as run:
        chunks = steps.plan(
            run,
            batch_size=params["batch_size"],
            concurrency=params["concurrency"],
            max_model_calls=params["max_model_calls"],
        )
    return [] if params["dry_run"] else [msgspec.to_builtins(chunk) for chunk in chunks]


@without_traceback
def report(context: Context, written: Callable[[Mapping[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """
    Write the report, which accounts for every entry, and update the asset.

    :param written: Called with the report, also with one that fails the task.
    :raises NotConserved: the figures do not add up.
    :raises ImportIncomplete: messages are pending, unknown, unread or not extracted; the report names them.
    """
    queue_again(context)
    run_id, failed = context["run_id"], failures(database(), context["run_id"])
    with _ledger(context) as (ledger, origin):
        with task_folder(run_id, REPORT) as run:
            exports = context["ti"].xcom_pull(task_ids="discover")
            if exports is None or (exports and not run.conversations.exists()):
                raise _no_plan(run_id, failed)
            document = steps.report(
                run,
                ledger,
                run_id=run_id,
                target=ledger.target,
                target_from=origin,
                started_at=cast("datetime", context["dag_run"].start_date),  # set before the first task starts
                dry_run=context["params"]["dry_run"],
                checked=_read_back(context, run, ledger),
                problems=problems_of_tasks(
                    failed, [_name(export) for export in exports if not run.extracted(export["key"]).exists()]
                ),
            )
        _update_asset(context, ledger, document)
    written(document)
    path = file_address(run_id, "report.json")
    log.info("The report: %s", path)
    if document["problems"]:
        kind = ImportIncomplete if document["conserved"] else NotConserved
        causes, remedies = zip(*problems_in(document), strict=True)
        raise kind(" ".join(causes), remedy=" ".join(filter(None, remedies)))
    return {"report": path, "loaded": document["loaded"], "already_loaded": document["already_loaded"]}


def _name(export: Mapping[str, Any]) -> str:
    part = f" (part {export['part']} of {export['parts']})" if export["parts"] > 1 else ""
    return f"{export['label']}{part}"


def _no_plan(run_id: str, failed: Sequence[Failure]) -> ImportIncomplete:
    """Return the error for a run that has ended before its plan."""
    waiting = read_waiting(database(), run_id)
    if waiting and waiting.ended:
        return ImportIncomplete(waiting.sentence())
    told = "The run stopped before its plan, and nothing was sent."
    if not failed:
        return ImportIncomplete(f"{told} An earlier task failed.")
    return ImportIncomplete(f"{told} {failed[0].where} failed: {failed[0].lines[0]}", remedy=failed[0].remedy)


def _read_back(context: Context, run: RunFolder, ledger: Ledger) -> dict[str, Checked]:
    """Read from EverOS what it has made of the messages that this run loaded."""
    params = context["params"]
    if params["dry_run"] or not run.conversations.exists():
        return {}
    return EverOSHook().call(lambda api: verify(run, ledger, api, context["run_id"], concurrency=params["concurrency"]))


def _update_asset(context: Context, ledger: Ledger, document: Mapping[str, Any]) -> None:
    """Store a summary of each conversation and of the target, which also shows whether a ledger was lost."""
    state, target = context["asset_state_store"][EVEROS], ledger.target
    with ledger.snapshot() as snapshot:
        statuses = snapshot.statuses()
    for row in document["conversations"]:
        if row["loaded"] and (status := statuses.get(row["conversation_id"])):
            state.set(
                f"{row['conversation_id']} @ {target.name}",
                {"messages": status.landed, "last_ms": status.last_ms, "run_id": document["run_id"]},
            )
    landed = sum(status.landed for status in statuses.values())
    if landed:
        state.set(_state_key(target), {"messages": landed, "conversations": len(statuses)})
    if document["loaded"]:
        context["outlet_events"][LOADED].add(EVEROS, extra=_extra(document))


def _extra(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra of the asset event, for other DAGs: ids and counts."""
    return {
        "run_id": document["run_id"],
        "conversations": sum(bool(row["loaded"]) for row in document["conversations"]),
        **{part.key: count_of(document[part.key]) for part in PARTS},
    }


def _state_key(target: Target) -> str:
    return f"target {target.name}"


def _generation_key(target: Target) -> str:
    return f"generation {target.name}"
