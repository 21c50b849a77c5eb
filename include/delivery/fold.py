"""From the ledger's lines, in whatever order they come, to what is open and what is settled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from include.delivery import events
from include.delivery.states import Attempt
from include.errors import LedgerError


class Settled(msgspec.Struct, frozen=True):
    """An attempt's last word. The messages landed, or were rejected when there is a ``reason``; none when it failed."""

    attempt: Attempt
    message_ids: tuple[str, ...]
    timestamps_ms: tuple[int, ...]
    reason: str | None = None


@dataclass
class Fold:
    """
    Merges lines into attempts. Reading a line twice changes nothing.

    :param on_settled: Called once for every attempt that has its last word.
    :param wants: Which conversations to fold; the others' lines are passed over.
    """

    on_settled: Callable[[Settled], None]
    wants: Callable[[str], bool] = field(default=lambda _: True)
    open: dict[str, Attempt] = field(default_factory=dict)
    """Attempts without a last word, by name, oldest first."""
    flushes: list[events.Flushed] = field(default_factory=list)
    early: dict[str, list[events.Line]] = field(default_factory=dict)
    """Lines about attempts whose intent has not been read (yet), by the attempt's name."""
    _closed: set[str] = field(default_factory=set)

    def feed(self, line: events.Line) -> None:
        """Take in one line."""
        if not self.wants(line.conversation):
            return
        match line:
            case events.Flushed():
                self.flushes.append(line)
            case events.Intent(attempt=name):
                if name not in self._closed and name not in self.open:
                    self.open[name] = _attempt(line)
                    for early in self.early.pop(name, ()):
                        self.feed(early)
            case (
                events.Accepted(attempt=name)
                | events.Unknown(attempt=name)
                | events.Landed(attempt=name)
                | events.Failed(attempt=name)
                | events.Rejected(attempt=name)
            ):
                if name in self.open:
                    self._apply(self.open[name], line)
                elif name not in self._closed:
                    self.early.setdefault(name, []).append(line)

    def _apply(self, attempt: Attempt, line: events.Line) -> None:
        match line:
            case events.Accepted(task_id=task_id):
                self.open[attempt.name] = msgspec.structs.replace(attempt, task_id=task_id)
            case events.Unknown():
                self.open[attempt.name] = msgspec.structs.replace(attempt, doubted=True)
            case _:
                del self.open[attempt.name]
                self._closed.add(attempt.name)
                self.on_settled(_settled(attempt, line))


@dataclass
class Tail:
    """How far a segment has been read; a live one grows."""

    path: Path
    wants: Callable[[events.Header], bool] = field(default=lambda _: True)
    unwanted: bool = False
    """Its header says that it speaks of nothing of interest."""
    _offset: int = 0
    _line: int = 0

    def read(self) -> Iterator[events.Line]:
        """
        Yield the lines that are new since the last call. Half a line at the end is what a crash left, or not there yet.

        :raises LedgerError: a whole line cannot be understood.
        """
        if self.unwanted or self.path.stat().st_size == self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                line = self._decode(raw)
                self._offset += len(raw)
                self._line += 1
                if not isinstance(line, events.Header):
                    yield line
                elif not self.wants(line):
                    self.unwanted = True
                    return

    def _decode(self, raw: bytes) -> events.Header | events.Line:
        problem = "it is not a line of a ledger"
        try:
            line = events.decode(raw)
            if isinstance(line, events.Header) == (self._line == 0):
                return line
        except msgspec.MsgspecError as error:
            problem = str(error)
        raise LedgerError(
            f"{self.path}, line {self._line + 1}: the ledger is damaged ({problem}). Nothing was sent: without "
            "this line it is unknown what the target holds. Restore the file from a backup or repair the line."
        )


def _attempt(line: events.Intent) -> Attempt:
    return Attempt(
        name=line.attempt,
        conversation_id=line.conversation,
        key=line.key,
        run_id=line.run,
        message_ids=line.ids,
        timestamps_ms=line.ms,
        senders=line.by,
        bots=line.bots,
        who=line.who,
    )


def _settled(attempt: Attempt, line: events.Line) -> Settled:
    match line:
        case events.Landed(ids=None):
            return Settled(attempt, attempt.message_ids, attempt.timestamps_ms)
        case events.Landed(ids=tuple(ids)):
            times = dict(zip(attempt.message_ids, attempt.timestamps_ms, strict=True))
            return Settled(attempt, ids, tuple(times[message_id] for message_id in ids))
        case events.Rejected(reason=reason):
            return Settled(attempt, attempt.message_ids, attempt.timestamps_ms, reason)
    return Settled(attempt, (), ())


def lines_of(attempt: Attempt) -> list[events.Line]:
    """Return the lines that say of an open attempt all that is known: what a compaction carries over."""
    conversation, name = attempt.conversation_id, attempt.name
    lines: list[events.Line] = [
        events.Intent(
            conversation=conversation,
            attempt=name,
            key=attempt.key,
            run=attempt.run_id,
            ids=attempt.message_ids,
            ms=attempt.timestamps_ms,
            by=attempt.senders,
            bots=attempt.bots,
            who=attempt.who,
        )
    ]
    if attempt.task_id is not None:
        lines.append(events.Accepted(conversation=conversation, attempt=name, task_id=attempt.task_id))
    if attempt.doubted:
        lines.append(events.Unknown(conversation=conversation, attempt=name, reason="carried over"))
    return lines
