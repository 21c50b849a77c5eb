"""
Rejected messages, corrected by the user and loaded by another run: ``source=rejects:<run id>``.

A run writes ``corrections.json`` to its folder: an array of conversations, each with its rejected messages in the shape
of EverOS JSON and the reason of each. Messages that the target rejected are in it as they were sent, messages that a
parser rejected as far as they could be read. The user edits that file; the other run reads it in place
(:mod:`include.parsers.everos.documents`) and loads into the same conversations. Messages that have landed are in the
ledger and are not sent again; messages that are still broken are rejected again. No other file of a run beside its
Parquet files has message text.

The run of the corrections takes :data:`PARAMETERS` from the run that rejected the messages, whatever its own say: with
another ``conversation_id`` they would be loaded into other conversations. ``redact`` holds if either run has it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import ConfigurationError
from include.files import write_private
from include.ids import platform_id_of
from include.ledger import Snapshot
from include.logs import get_logger
from include.parsers.everos.documents import CORRECTIONS
from include.plan.chunk_file import conversations_of
from include.records import BROKEN_SCHEMA, Conversation
from include.run_folder import RunFolder

log = get_logger(__name__)

PREFIX = "rejects:"

PARAMETERS = ("conversation_id", "include_private", "segments", "memory_of")
"""Parameters that decide whether and where a message of the file is loaded."""

FIELDS = ("reason", "origin", "message_id", "sender_id", "sender_name", "role", "timestamp", "content")
"""Fields of a message in the file, in order. The first two are for the user only."""

ALWAYS = {"sender_id": "", "sender_name": "", "role": "user", "timestamp": None, "content": ""}
"""Fields of every message, with their empty values. A missing ``message_id`` is left out: the parser derives one."""


def is_corrections(source: str) -> bool:
    """Return whether a run's source is the corrections of another run."""
    return source.startswith(PREFIX)


def path_of(source: str) -> Path:
    """
    Return the file or folder of a run's source.

    :param source: A path, or ``rejects:`` and the id of a run.
    :raises ConfigurationError: that run has no corrections; nothing was read.
    """
    if not is_corrections(source):
        return Path(source)
    path = RunFolder.of(run_of(source)).corrections
    if not path.is_file():
        raise no_corrections(source, path)
    return path


def run_of(source: str) -> str:
    """Return the id of the run that rejected the messages."""
    return source.removeprefix(PREFIX).strip()


def no_corrections(source: str, place: object) -> ConfigurationError:
    """Return the error for a run without corrections."""
    return ConfigurationError(
        f"{source}: {place} does not exist, nothing was read. Either that run rejected no message that can be "
        "corrected, or its folder was removed.",
        remedy="Check the id: it is in the report of the run that rejected the messages.",
    )


def keep_parameters(run: RunFolder, params: Mapping[str, Any]) -> None:
    """Write the parameters that the corrections of a run are loaded with to its folder."""
    run.make()
    kept = {name: params[name] for name in (*PARAMETERS, "redact")}
    write_private(run.parameters, json.dumps(kept).encode())


def kept_parameters(run: RunFolder) -> dict[str, Any]:
    """Return what :func:`keep_parameters` wrote; nothing for a run of an older version."""
    return dict(json.loads(run.parameters.read_bytes())) if run.parameters.exists() else {}


def parameters_for(source: str, params: Mapping[str, Any], first: RunFolder) -> dict[str, Any]:
    """
    Return the parameters of a run of corrections: :data:`PARAMETERS` of the run that rejected them, the others its own.

    :param source: Of the run of corrections.
    :param first: Folder of the run that rejected the messages.
    """
    kept = kept_parameters(first)
    if not kept:
        log.warning("%s: that run did not keep its parameters, so those of this run are used", source)
        return dict(params)
    taken = {name: kept[name] for name in PARAMETERS}
    log.info("%s: as in that run, %s", source, ", ".join(f"{name}={value}" for name, value in taken.items()))
    return {**params, **taken, "redact": params["redact"] or kept["redact"]}


def write_corrections(run: RunFolder, ledger: Snapshot) -> int:
    """
    Write ``corrections.json`` of a run, if it rejected any message that can be corrected.

    An existing file with other content, which the user may have edited, is renamed to ``corrections.previous.json``.

    :returns: The number of messages in the file.
    """
    messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for conversation_id, message in (*_rejected_by_parsers(run), *_rejected_by_target(run, ledger)):
        messages[conversation_id].append(message)
    known = conversations_of(run, messages.keys()) if messages and run.conversations.exists() else {}
    documents = [
        {"format": CORRECTIONS, "conversation": _fields_of(known[key]), "messages": messages[key]}
        for key in sorted(messages.keys() & known.keys())
    ]
    content = json.dumps(documents, indent=2, ensure_ascii=False).encode(errors="replace") if documents else b""
    if run.corrections.exists() and run.corrections.read_bytes() != content:
        write_private(_previous(run), run.corrections.read_bytes())
        run.corrections.unlink()
    if content:
        write_private(run.corrections, content)
    return sum(len(document["messages"]) for document in documents)


def clear_run(run: RunFolder) -> None:
    """Empty a run's folder. Its corrections, which the user may have edited, stay as ``corrections.previous.json``."""
    kept = next((path.read_bytes() for path in (run.corrections, _previous(run)) if path.exists()), None)
    run.remove(run.root)
    if kept is not None:
        run.make()
        write_private(_previous(run), kept)


def _previous(run: RunFolder) -> Path:
    return run.corrections.with_suffix(".previous.json")


def _fields_of(conversation: Conversation) -> dict[str, Any]:
    """Return the fields of a conversation that are not empty."""
    members = {name: getattr(conversation, name) for name in Conversation.__struct_fields__}
    return {name: value for name, value in members.items() if value not in (None, "", False)}


def _rejected_by_parsers(run: RunFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the messages that parsers rejected, as far as they could be read."""
    files = run.extracted_files("broken.parquet")
    for row in pa.concat_tables([BROKEN_SCHEMA.empty_table(), *map(pq.read_table, files)]).to_pylist():
        fields = ALWAYS | {"reason": row["reason"], "origin": row["origin"]} | json.loads(row["entry"])
        yield row["conversation_id"], {name: fields[name] for name in FIELDS if name in fields}


def _rejected_by_target(run: RunFolder, ledger: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the messages of this run's exports that the target rejected, in this or an earlier run."""
    exported = [str(path) for path in run.extracted_files("messages-*.parquet")]
    with ledger.tables({}) as connection:
        if not exported or not connection.sql("SELECT 1 FROM rejected LIMIT 1").fetchall():
            return
        connection.read_parquet(exported).create_view("messages")
        for conversation_id, *values in connection.sql(_REJECTED_BY_TARGET).fetchall():
            message = dict(zip(FIELDS, values, strict=True))
            yield conversation_id, message | {"sender_id": _platform_id(message["sender_id"])}


_REJECTED_BY_TARGET = """
    SELECT DISTINCT ON (conversation_id, message_id)
        conversation_id, reason, origin, message_id, sender_id, sender_name, role, timestamp_ms, text
    FROM messages JOIN rejected USING (conversation_id, message_id)
    ORDER BY conversation_id, message_id, edited_at_us DESC NULLS LAST, sent_at_us
    """


def _platform_id(sender_id: str) -> str:
    """Return the platform's id, which the parser makes safe again; a digest is returned unchanged."""
    try:
        return platform_id_of(sender_id)
    except ValueError:
        return sender_id
