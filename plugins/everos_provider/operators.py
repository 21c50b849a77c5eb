"""The two tasks that write to EverOS: load a chunk of conversations, flush the complete conversations."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from airflow.sdk import BaseAsyncOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from everos_provider.failures import without_traceback
from everos_provider.hooks import EverOSHook
from everos_provider.run import begin_sending, ledger_of
from everos_provider.staging.task_files import FLUSH, LOAD, task_folder
from include.delivery.flush import flush_conversations
from include.delivery.loader import LoadSettings, load_chunk
from include.errors import ImportIncomplete
from include.plan import chunk_name
from include.records import Chunk
from include.run_folder import RunFolder


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

    def __init__(self, *, chunk: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk

    @without_traceback
    def execute(self, context: Context) -> dict[str, int]:
        """Load the chunk and return counts."""
        begin_sending(context, EverOSHook(self.everos_conn_id).target)
        chunk = chunk_name(self.chunk["number"])
        with task_folder(context["run_id"], LOAD, chunk=chunk) as self._run:
            counts: dict[str, int] = super().execute(context)  # type: ignore[no-untyped-call]
        return counts

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
