"""
Rejected messages, corrected by a person and loaded by another run: ``source=rejects:<run id>``.

A run leaves ``corrections.json`` in its folder: an array of conversations, each with its rejected messages in EverOS's
shape and the reason of each. What the target refused stands there as it was sent, what a parser rejected as far as it
could be read. A person mends that file; the other run reads it in place (:mod:`include.parsers.everos.documents`) and
loads into the same conversations. What landed once is known to the ledger and not sent again; what is still broken is
rejected again. This is the one file beside the staged Parquet that holds message text.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import ConfigurationError
from include.ids import platform_id_of
from include.layout import RunFolder, write_private
from include.ledger import Snapshot
from include.parsers.everos.documents import CORRECTIONS
from include.plan.chunk_file import conversations_of
from include.records import BROKEN_SCHEMA, Conversation

PREFIX = "rejects:"

FIELDS = ("reason", "origin", "message_id", "sender_id", "sender_name", "role", "timestamp", "content")
"""Of a message, in the order in which a person meets them; the first two only explain."""

ALWAYS = {"sender_id": "", "sender_name": "", "role": "user", "timestamp": None, "content": ""}
"""Stand there to be filled in. A missing ``message_id`` is left out: the parser makes the one it always makes."""


def is_redo(source: str) -> bool:
    """Tell whether a run's source is another run's corrections."""
    return source.startswith(PREFIX)


def path_of(source: str) -> Path:
    """
    Return the file or folder that a run's source names.

    :param source: A path, or ``rejects:`` and the id of a run.
    :raises ConfigurationError: that run has left no corrections; nothing was read.
    """
    if not is_redo(source):
        return Path(source)
    path = RunFolder.of(run_of(source)).corrections
    if not path.is_file():
        raise nothing_to_correct(source, path)
    return path


def run_of(source: str) -> str:
    """Return the id of the run whose corrections a source names."""
    return source.removeprefix(PREFIX).strip()


def nothing_to_correct(source: str, place: object) -> ConfigurationError:
    """Say that a run has left no corrections at the place where they would be."""
    return ConfigurationError(
        f"{source}: {place} does not exist, nothing was read. Either no message of that run can be corrected (none "
        "was rejected, or nothing of it could be read), or the run's folder is gone."
    )


def write_corrections(run: RunFolder, ledger: Snapshot) -> int:
    """
    Write ``corrections.json`` of a run; none when nothing was rejected that could be corrected.

    A file that says something else, perhaps because a person is at work on it, stays as ``corrections.previous.json``.

    :returns: How many messages stand in it.
    """
    messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for conversation_id, message in (*_broken(run), *_refused(run, ledger)):
        messages[conversation_id].append(message)
    known = conversations_of(run, messages.keys()) if messages and run.conversations.exists() else {}
    documents = [
        {"format": CORRECTIONS, "conversation": _described(known[key]), "messages": messages[key]}
        for key in sorted(messages.keys() & known.keys())
    ]
    content = json.dumps(documents, indent=2, ensure_ascii=False).encode(errors="replace") if documents else b""
    if run.corrections.exists() and run.corrections.read_bytes() != content:
        write_private(_previous(run), run.corrections.read_bytes())
        run.corrections.unlink()
    if content:
        write_private(run.corrections, content)
    return sum(len(document["messages"]) for document in documents)


def clear(run: RunFolder) -> None:
    """Empty a run's folder for a new start; what a person may have corrected stays as ``corrections.previous.json``."""
    kept = next((path.read_bytes() for path in (run.corrections, _previous(run)) if path.exists()), None)
    run.remove(run.root)
    if kept is not None:
        run.make()
        write_private(_previous(run), kept)


def _previous(run: RunFolder) -> Path:
    return run.corrections.with_suffix(".previous.json")


def _described(conversation: Conversation) -> dict[str, Any]:
    """Return what tells the conversation, without what is empty."""
    members = {name: getattr(conversation, name) for name in Conversation.__struct_fields__}
    return {name: value for name, value in members.items() if value not in (None, "", False)}


def _broken(run: RunFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the parsers rejected and could read something of."""
    files = run.extracted_files("broken.parquet")
    for row in pa.concat_tables([BROKEN_SCHEMA.empty_table(), *map(pq.read_table, files)]).to_pylist():
        given = ALWAYS | {"reason": row["reason"], "origin": row["origin"]} | json.loads(row["entry"])
        yield row["conversation_id"], {name: given[name] for name in FIELDS if name in given}


def _refused(run: RunFolder, ledger: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the target refused of this run's exports, now or in an earlier run."""
    exported = [str(path) for path in run.extracted_files("messages-*.parquet")]
    with ledger.tables({}) as connection:
        if not exported or not connection.sql("SELECT 1 FROM rejected LIMIT 1").fetchall():
            return
        connection.read_parquet(exported).create_view("messages")
        for conversation_id, *values in connection.sql(_REFUSED).fetchall():
            message = dict(zip(FIELDS, values, strict=True))
            yield conversation_id, message | {"sender_id": _as_given(message["sender_id"])}


_REFUSED = """
    SELECT DISTINCT ON (conversation_id, message_id)
        conversation_id, reason, origin, message_id, sender_id, sender_name, role, timestamp_ms, text
    FROM messages JOIN rejected USING (conversation_id, message_id)
    ORDER BY conversation_id, message_id, edited_at_us DESC NULLS LAST, sent_at_us
    """


def _as_given(sender_id: str) -> str:
    """Return the platform's id, which the parser makes safe again; that of a digest is not known."""
    try:
        return platform_id_of(sender_id)
    except ValueError:
        return sender_id
