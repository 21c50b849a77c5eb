"""Measures the ledger: its size, and the steps of a run that finds all of its messages landed before."""

from collections.abc import Iterator
from pathlib import Path

from include import steps
from include.ledger import Call, CallState, Database, Ledger, ledger_url
from include.ledger.calls import row_of
from include.ledger.schema import CALLS
from include.memory_api import Settings
from include.plan import chunk_name, read_batches, read_plan
from include.run_folder import RunFolder
from include.window import Window
from tests.bench.measure import measure, print_header, print_row

TARGET = Settings(base_url="http://127.0.0.1:9", api_key="bench").target
CALLS_AT_ONCE = 1_000


def print_ledger(export: Path, folder: Path) -> None:
    """
    Print a table.

    :param export: Extracted and planned here; all its messages count as landed then.
    :param folder: For the runs and the ledger, at first empty.
    """
    run = folder / "run"
    print_header("ledger")
    for step in ("extract", "transform", "plan", "land"):
        print_row(step, measure(step, export, run))
    for step in ("open", "nothing-new", "load-start"):
        print_row(step, measure(step, export, run))
    size = sum(path.stat().st_size for path in folder.glob("ledger.db*") if path.is_file())
    messages = sum(planned.messages for planned in read_plan(RunFolder(run)))
    print(f"{size / 1e6:.1f} MB, {size / messages:.0f} bytes per message")


def open_ledger(run: RunFolder) -> Ledger:
    """Return the ledger beside the run's folder."""
    return Ledger.open(ledger_url(run.root.parent), TARGET)


def land(run: RunFolder) -> int:
    """Write every planned batch as a call that landed; return the messages."""
    ledger = open_ledger(run)
    rows, messages = [], 0
    for call in _calls(run):
        stamps = {"target_id": 1, "asked_ms": 1, "accepted_ms": 2, "settled_ms": 3}
        rows.append(row_of(call) | stamps)
        messages += len(call.message_ids)
        if len(rows) == CALLS_AT_ONCE:
            _insert(ledger.database, rows)
            rows = []
    _insert(ledger.database, rows)
    return messages


def nothing_new(run: RunFolder) -> int:
    """Transform the same extracted messages against the ledger; return those it has left out."""
    result = steps.transform(run, Window(), open_ledger(run))
    if result["messages"]:
        raise AssertionError(f"{result['messages']} messages would be sent again")
    return result["already_loaded"]


def load_start(run: RunFolder) -> int:
    """Read what a load reads before its first call: the newest calls of every conversation; return the calls."""
    ledger = open_ledger(run)
    return sum(len(ledger.calls_of(planned.conversation_id, planned.last_ms)) for planned in read_plan(run))


def _calls(run: RunFolder) -> Iterator[Call]:
    for number, planned in enumerate(read_plan(run)):
        for batch in read_batches(run.plan / chunk_name(planned.chunk), planned):
            yield Call(
                call_id=f"{number}-{batch.number}",
                conversation_id=batch.conversation_id,
                key=batch.key,
                run_id="bench",
                message_ids=tuple(message.message_id for message in batch.messages),
                timestamps_ms=tuple(message.timestamp_ms for message in batch.messages),
                senders=tuple(sorted({message.sender_id for message in batch.messages})),
                who=tuple(range(len(batch.messages))),
                state=CallState.LANDED,
                task_id=f"{number:016x}{batch.number:016x}",
            )


def _insert(database: Database, rows: list[dict[str, object]]) -> None:
    if rows:
        with database.write() as connection:
            connection.execute(CALLS.insert(), rows)
