"""The tasks that write to EverOS, load and flush, and the one that reports; load and report give their lineage."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from airflow.sdk import BaseAsyncOperator, BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from everos_provider.failures import without_traceback
from everos_provider.figures import calls_by_outcome, counts_of_report, emit
from everos_provider.hooks import EverOSHook
from everos_provider.ledger import database
from everos_provider.run import begin_sending, ledger_of, report
from everos_provider.staging.task_files import FLUSH, LOAD, task_folder
from include.delivery.flush import flush_conversations
from include.delivery.loader import LoadSettings, load_chunk
from include.errors import ImportIncomplete
from include.memory_api.contract import Target
from include.plan import chunk_name
from include.records import Chunk
from include.run_folder import RunFolder

EMITTED = "emitted"
"""Key of the metrics in the state of the report's task."""

_STORE = ("base_url", "api_version", "account", "app_id", "project_id")


class TaskStateCheckpoint:
    """
    Delivery's checkpoint in Airflow's task state store: it survives retries, clears and killed workers.

    The store's calls run in a thread, so that they do not block other conversations.
    """

    def __init__(self, context: Context) -> None:
        self._store = context["task_state_store"]

    async def get(self, key: str) -> Any:
        """Return the stored value, or ``None``."""
        return await asyncio.to_thread(self._store.get, key)

    async def set(self, key: str, value: Any) -> None:
        """Store a JSON value below 64 KiB."""
        await asyncio.to_thread(self._store.set, key, value)


class EverOSOperator(BaseAsyncOperator):
    """
    Base of both tasks: the connection, and delivery's settings from the run's parameters.

    :param everos_conn_id: Connection of type ``everos``.
    """

    def __init__(self, *, everos_conn_id: str = EverOSHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.everos_conn_id = everos_conn_id

    def load_settings(self, context: Context) -> LoadSettings:
        """Return delivery's settings for this run."""
        params = context["params"]
        return LoadSettings(concurrency=params["concurrency"], existing=params["existing"])


class EverOSLoadOperator(EverOSOperator):
    """
    Load one chunk: its conversations in parallel, each in order, one batch at a time.

    A retry, a cleared task and a task after a killed worker first settle the batches in flight, then go on after them.
    Raises :class:`include.errors.RetryableError` if messages are pending, :class:`include.errors.PermanentError` if the
    user has to act.

    :param chunk: A :class:`include.records.Chunk` as a mapping, one for each mapped task.
    """

    _run: RunFolder
    _target: Target
    _counts: dict[str, int] | None = None

    def __init__(self, *, chunk: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk

    @without_traceback
    def execute(self, context: Context) -> dict[str, int]:
        """Load the chunk and return counts."""
        self._target = EverOSHook(self.everos_conn_id).target
        begin_sending(context, self._target)
        chunk = chunk_name(self.chunk["number"])
        with task_folder(context["run_id"], LOAD, chunk=chunk) as self._run:
            counts: dict[str, int] = super().execute(context)  # type: ignore[no-untyped-call]
        self._counts = {"sent": counts["landed"], "rejected": counts["rejected"], "recovered": counts["recovered"]}
        return counts

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Return the lineage for Airflow's OpenLineage provider, ``None`` for a load that did not end."""
        return _lineage(self._counts, self._target) if self._counts else None

    async def aexecute(self, context: Context) -> dict[str, int]:
        """Load the chunk from local files."""
        async with aclosing(await EverOSHook(self.everos_conn_id).client()) as api:
            outcome = await load_chunk(
                msgspec.convert(self.chunk, Chunk),
                self._run,
                api,
                ledger_of(context, api.target),
                TaskStateCheckpoint(context),
                self.load_settings(context),
                context["run_id"],
            )
        counts: dict[str, int] = msgspec.to_builtins(outcome)
        return counts


class EverOSFlushOperator(EverOSOperator):
    """
    Flush the conversations of the run that have new landed messages since their last flush, and no open ones.

    It fails if a conversation has open messages, so that clearing a run's failed tasks clears this task too.
    """

    _run: RunFolder

    @without_traceback
    def execute(self, context: Context) -> dict[str, int]:
        """Flush and return counts."""
        with task_folder(context["run_id"], FLUSH) as self._run:
            if context["params"]["dry_run"] or not self._run.conversations.exists():
                raise AirflowSkipException("nothing was loaded, so there is nothing to flush")
            begin_sending(context, EverOSHook(self.everos_conn_id).target)
            counts: dict[str, int] = super().execute(context)  # type: ignore[no-untyped-call]
        return counts

    async def aexecute(self, context: Context) -> dict[str, int]:
        """Flush, with local files of the run."""
        async with aclosing(await EverOSHook(self.everos_conn_id).client()) as api:
            ledger = ledger_of(context, api.target)
            outcome = await flush_conversations(self._run, api, ledger, self.load_settings(context), context["run_id"])
        if outcome.held_back:
            raise ImportIncomplete(
                f"{outcome.flushed} conversations were flushed. {outcome.held_back} were not, because they have "
                "pending or unknown messages: clear the failed load tasks together with this one, or run again."
            )
        counts: dict[str, int] = msgspec.to_builtins(outcome)
        return counts


class EverOSReportOperator(BaseOperator):
    """
    Write the report, account for every entry, and fail if the run is incomplete.

    It adds the run's counts to Airflow's metrics, and gives them to Airflow's OpenLineage provider.
    """

    _document: Mapping[str, Any] | None = None
    _source = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the report and return its address and counts."""
        self._source = context["params"]["source"]

        def written(document: Mapping[str, Any]) -> None:
            self._document = document
            state: Any = context["task_state_store"]
            calls = calls_by_outcome(database(), context["run_id"])
            state.set(EMITTED, emit(document, calls, state.get(EMITTED) or {}))

        return report(context, written)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Return the lineage for Airflow's OpenLineage provider, also of a run that is incomplete."""
        if self._document is None:
            return None
        target = Target(**{name: self._document["target"][name] for name in _STORE}, key_fingerprint="")
        return _lineage(counts_of_report(self._document), target, self._source)


def _lineage(counts: Mapping[str, int], target: Target, source: str = "") -> Any:
    from everos_provider.lineage import lineage_of  # noqa: PLC0415 - needs Airflow's OpenLineage provider

    store = target.account if target.api_version == "v1" else f"{target.app_id}/{target.project_id}"
    return lineage_of(counts, target=target.base_url, store=store, source=source)
