"""Tells the target the names that its messages do not carry: beside the load, each once, and never before a batch."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from include.delivery.retry import retry_until_answered
from include.delivery.settings import LoadSettings
from include.delivery.side_by_side import side_by_side
from include.delivery.throttle import Throttle
from include.errors import ChatImportError, LedgerError, PermanentError
from include.ledger import CallWriter
from include.logs import counted, get_logger
from include.memory_api.contract import MemoryAPI, Name
from include.records import Conversation, Outgoing

log = get_logger(__name__)

AT_ONCE = 2
"""Calls in flight: names have no place among the batches, and must not delay them."""

_PORTION = 100
"""Names that share a query before they are told, and a commit afterwards."""


class Names:
    """
    The names that one task tells. What the ledger says was told before is not told again.

    Names help people read: a target that refuses them still gets the messages. One that does not answer for
    ``give_up_after_s`` gets no messages either. An async context manager: it waits until all names are told, unless the
    load was stopped; what is left then is told by the next load of its conversation.

    :param halt: Stops the load.
    """

    def __init__(
        self,
        api: MemoryAPI,
        writer: CallWriter,
        throttle: Throttle,
        settings: LoadSettings,
        halt: Callable[[ChatImportError], None],
    ) -> None:
        self._api, self._writer, self._throttle, self._settings = api, writer, throttle, settings
        self._halt = halt
        self._known: dict[tuple[str, str], Name] = {}
        """The latest name of each conversation and person, by kind and id."""
        self._waiting: dict[tuple[str, str], Name] = {}
        self._telling: asyncio.Task[None] | None = None
        self._stopped = self._closing = False
        self._untold = 0
        self._reason: ChatImportError | None = None
        """Names that could not be told, and the first reason."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._telling is not None:
            if kind is not None or self._stopped:
                self._telling.cancel()
            await asyncio.wait([self._telling])
        if self._untold:
            log.warning(
                "%s could not be set, the messages are not affected: %s", counted(self._untold, "name"), self._reason
            )

    def stop(self) -> None:
        """Tell nothing more."""
        self._stopped = True

    def note(self, conversation: Conversation, messages: Sequence[Outgoing] = ()) -> None:
        """Take the names to tell for messages that the target has accepted; returns at once."""
        for name in self._api.names_in(conversation, messages):
            key = name.kind, name.id
            if self._known.get(key) != name:
                self._known[key] = self._waiting[key] = name
        if self._waiting and self._telling is None and not self._stopped:
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._waiting and not self._stopped:
                portion = dict(islice(self._waiting.items(), _PORTION))
                for key in portion:
                    del self._waiting[key]
                await self._tell(portion)
        except LedgerError as error:
            self._halt(error)
        finally:
            self._telling = None

    async def _tell(self, portion: dict[tuple[str, str], Name]) -> None:
        ids = {name.id for name in portion.values()}
        told = await self._writer.read(lambda known: known.told_names(ids))
        new = [key for key, name in portion.items() if told.get(key) != name.digest]
        done: dict[tuple[str, str], str] = {}

        async def tell(key: tuple[str, str]) -> None:
            name = portion[key]
            if self._stopped:
                return
            try:
                await retry_until_answered(
                    lambda: self._throttle.question(lambda: self._api.set_name(name)), self._settings
                )
            except ChatImportError as error:
                self._untold += 1
                self._reason = self._reason or error
                if not isinstance(error, PermanentError):  # a target that refuses the caller refuses the batches too
                    self.stop()
                    if not self._closing:  # else everything has landed
                        self._halt(error)
            else:
                done[key] = name.digest

        await side_by_side(new, tell, AT_ONCE)
        await self._writer.keep_told(done)
