"""The two tasks that talk to EverOS: load a chunk of conversations, flush those that are complete."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from airflow.sdk import Context
from airflow.sdk.bases.operator import BaseAsyncOperator
from airflow.sdk.exceptions import AirflowSkipException

from everos_provider.hooks import EverOSHook
from everos_provider.run import FLUSH, LOAD, begin_sending, ledger_of
from everos_provider.staging import staged
from include.delivery.flush import flush_conversations
from include.delivery.loader import LoadSettings, load_chunk
from include.errors import ImportIncomplete
from include.layout import RunFolder
from include.plan import chunk_name
from include.records import Chunk


class TaskStateCheckpoint:
    """
    Delivery's checkpoint in Airflow's task state store: survives retries, clears and killed workers.

    The store of Airflow 3.3 has no asynchronous calls; a thread waits for them, so that the loads go on meanwhile.
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
    What both tasks share: target, ledger and settings, taken from the connection and the run's parameters.

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
    Load one chunk: its conversations side by side, each in order, one batch at a time.

    A retry, a cleared task and the successor of a killed worker settle what was in flight and go on behind it. Raises
    :class:`include.errors.RetryableError` when something is pending, :class:`include.errors.PermanentError` when a
    person is needed.

    :param chunk: A :class:`include.records.Chunk` as a mapping, one for each mapped task.
    """

    _run: RunFolder

    def __init__(self, *, chunk: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk

    def execute(self, context: Context) -> dict[str, int]:
        """Load the chunk and return counts."""
        begin_sending(context, EverOSHook(self.everos_conn_id).target)
        chunk = chunk_name(self.chunk["number"])
        with staged(context["run_id"], LOAD, chunk=chunk) as self._run:
            return super().execute(context)

    async def aexecute(self, context: Context) -> dict[str, int]:
        """Load it, where its data lies at hand."""
        api = await EverOSHook(self.everos_conn_id).client()
        try:
            outcome = await load_chunk(
                msgspec.convert(self.chunk, Chunk),
                self._run,
                api,
                ledger_of(context, api.target),
                TaskStateCheckpoint(context),
                self.load_settings(context),
                context["run_id"],
            )
        finally:
            await api.aclose()
        return msgspec.to_builtins(outcome)


class EverOSFlushOperator(EverOSOperator):
    """
    Flush every conversation of the run in which messages have landed since its last flush and none is open.

    It fails when it had to hold one back, so that clearing a run's failed tasks clears this one too.
    """

    _run: RunFolder

    def execute(self, context: Context) -> dict[str, int]:
        """Flush and return counts."""
        with staged(context["run_id"], FLUSH) as self._run:
            if context["params"]["dry_run"] or not self._run.conversations.exists():
                raise AirflowSkipException("nothing was loaded: there is nothing to flush")
            begin_sending(context, EverOSHook(self.everos_conn_id).target)
            return super().execute(context)

    async def aexecute(self, context: Context) -> dict[str, int]:
        """Flush, where the run's data lies at hand."""
        api = await EverOSHook(self.everos_conn_id).client()
        try:
            ledger = ledger_of(context, api.target)
            outcome = await flush_conversations(self._run, api, ledger, self.load_settings(context), context["run_id"])
        finally:
            await api.aclose()
        if outcome.held_back:
            raise ImportIncomplete(
                f"{outcome.flushed} conversations were flushed and {outcome.held_back} not, because they have messages "
                "pending or unknown: clear the failed load tasks together with this one, or run again."
            )
        return msgspec.to_builtins(outcome)
