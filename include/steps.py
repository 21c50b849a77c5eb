"""The steps of an import, one function each. They take paths, ids and settings, and return counts."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from include import corrections
from include import extract as extraction
from include import plan as planning
from include import transform as transformation
from include.delivery.outcomes import outcomes_of
from include.delivery.verification import Checked
from include.errors import ExportError, LedgerError
from include.files import translate_file_errors
from include.ledger import Ledger, Snapshot, ledger_url
from include.logs import get_logger
from include.memory_api.contract import Target
from include.memory_layout import MemoryLayout, memory_layout
from include.parsers import Export, ParseOptions
from include.parsers import discover as find_exports
from include.parsers.parts import most_parts
from include.plan.estimate import held_sentence, hold_back, write_estimate
from include.records import Chunk, Rejected, named_files
from include.report.columns import duration
from include.report.problems import Problem
from include.run_folder import RunFolder
from include.window import Window

log = get_logger(__name__)

REPORT_MISSING = "Only the report is missing: the ledger has the loaded messages."

FORMATS_LISTED = "README lists the formats that are read."

NOTHING_SENT = "This step sends nothing. Its unfinished files are not used."


def find(source: Path, *, most_parts: int = 1, may_be_empty: bool = False) -> tuple[list[Export], list[Rejected]]:
    """
    Return the exports in ``source``, and the files that look like exports and are none; nothing is written.

    :param most_parts: Of a large export.
    :raises ExportError: ``source`` is empty, or it has files but no export.
    """
    exports, rejected = find_exports(source, most_parts=most_parts)
    if exports or (may_be_empty and not rejected):
        return exports, rejected
    if not rejected:
        raise ExportError(f"{source} is empty, so nothing was imported.", remedy="Check the path, and run again.")
    if source.is_file() and len(rejected) == 1:
        raise ExportError(f"{source}: {rejected[0].reason}. Nothing was imported.", remedy=FORMATS_LISTED)
    raise ExportError(
        f"{source} has no export that can be read, so nothing was imported: {named_files(rejected)}.",
        remedy=f"Check the path and the files, and run again. {FORMATS_LISTED}",
    )


def discover(source: Path, run: RunFolder, *, may_be_empty: bool = False, divide: bool = True) -> list[Export]:
    """
    Find the exports in ``source``; other files become rejected entries of the run.

    :param may_be_empty: An empty folder is no error: most nightly runs find an empty drop folder.
    :param divide: Whether a large export may be divided into parts, each of which opens ``source`` itself.
    :raises ConfigurationError: ``EVEROS_IMPORT_PARTS`` is no number; nothing was read.
    :raises ExportError: ``source`` is missing or empty, or it has files but no export.
    :raises StorageError: the run's folder cannot be written.
    """
    if not source.exists():
        raise ExportError(
            f"{source} does not exist where the workers run; nothing was read.", remedy="Check path and mounts."
        )
    with translate_file_errors(run.root, NOTHING_SENT):
        corrections.clear_run(run)
    exports, rejected = find(source, most_parts=most_parts() if divide else 1, may_be_empty=may_be_empty)
    for each in rejected:
        log.warning("Not imported: %s: %s", each.origin, each.reason)
    if not exports:
        log.warning("%s is empty: there is nothing to import", source)
        return []
    with translate_file_errors(run.root, NOTHING_SENT):
        run.keep_extracted({export.key for export in exports})
        extraction.write_rejected(rejected, run.extracted("000-not-imported"))
    for export in exports:
        if export.part == 1:
            parts = f", to read in {export.parts} parts" if export.parts > 1 else ""
            log.info("Found %s: %s%s", export.format, export.label, parts)
    return exports


def extract(export: Export, options: ParseOptions, run: RunFolder, *, redact: bool = False) -> dict[str, Any]:
    """Write one export to Parquet, without credentials in URLs or, with ``redact``, without any known credentials."""
    with translate_file_errors(run.root, NOTHING_SENT):
        return msgspec.structs.asdict(extraction.extract(export, options, run.extracted(export.key), redact=redact))


def transform(
    run: RunFolder,
    window: Window,
    ledger: Ledger,
    options: ParseOptions | None = None,
    *,
    layout: MemoryLayout | None = None,
    dry_run: bool = False,
) -> dict[str, int]:
    """
    Sort all messages, without those that are out of range, loaded already or rejected in an earlier run.

    :param layout: Of the target's memory; default: that of its API version.
    :raises ConfigurationError: a name of ``include`` or ``exclude`` matches no conversation; nothing was written.
    :raises LedgerError: the target was loaded in another layout; nothing was written.
    """
    options = options or ParseOptions()
    layout = layout or memory_layout(ledger.target.api_version)
    ledger.check_layout(layout)
    template = options.id_template
    known_ids = transformation.KnownIds(ids=ledger.conversation_ids(template))
    if not dry_run:
        known_ids = replace(known_ids, remember=partial(ledger.remember_ids, template))
    log.info("Sorting the messages")
    with ledger.snapshot() as known, translate_file_errors(run.root, NOTHING_SENT):
        run.remove(run.restated)  # of an earlier try
        result = transformation.transform(
            run.all_extracted(),
            run,
            landed=known.landed,
            refused=known.rejected,
            since_us=window.since_us,
            until_us=window.until_us,
            options=options,
            known_ids=known_ids,
            layout=layout,
            pinned=_pinned(known),
        )
    return msgspec.structs.asdict(result)


def _pinned(known: Snapshot) -> dict[str, dict[str, str]]:
    """Return the segments of messages whose calls have no outcome, by conversation and message id."""
    pinned: dict[str, dict[str, str]] = defaultdict(dict)
    for call in known.open():
        pinned[call.conversation_id].update(dict.fromkeys(call.message_ids, call.segment_id))
    return pinned


def plan(run: RunFolder, *, batch_size: int | None, concurrency: int = 8, max_model_calls: int = 0) -> list[Chunk]:
    """
    Divide the messages to load into batches and chunks, and estimate the load.

    :param concurrency: Segments that each load task loads in parallel, for the estimate.
    :param max_model_calls: The first segments whose estimate stays within this are loaded, the others left for another
        run; 0 for no limit.
    """
    with translate_file_errors(run.root, NOTHING_SENT):
        chunks = planning.plan(run, batch_size=batch_size)
        if max_model_calls:
            chunks = hold_back(run, chunks, max_model_calls)
        estimate = write_estimate(run, concurrency, max_model_calls)
        total = estimate.total
    log.info(
        "To load: %d messages in %d calls; about %d tokens, %d calls of the language model, %s",
        *(total.messages, total.calls, total.tokens, total.llm_calls, duration(total.seconds)),
    )
    if estimate.held:
        log.warning("%s", held_sentence(estimate))
    planned_ms = time.time_ns() // 1_000_000
    return [msgspec.structs.replace(chunk, planned_ms=planned_ms) for chunk in chunks]


def open_ledger(
    target: Target,
    *,
    url: str | None = None,
    at_least: int = 0,
    generation: int = 0,
    rejections_of: str | None = None,
) -> Ledger:
    """
    Open the target's ledger.

    :param url: URL of the database; default: :func:`include.ledger.ledger_url`.
    :param at_least: Number of landed messages in Airflow's asset state.
    :param generation: Of the ledger, in Airflow's asset state (:meth:`include.ledger.Ledger.raise_generation`).
    :param rejections_of: Id of a run that may send messages that the target rejected in earlier runs.
    :raises LedgerError: the ledger has fewer: it was deleted, moved, or is not on this machine. Nothing was sent.
    """
    ledger = Ledger.open(url or ledger_url(), target, rejections_of=rejections_of)
    ledger.check_generation(generation)
    if at_least and (landed := ledger.landed()) < at_least:
        raise LedgerError(
            f"{ledger.database.name} knows of {landed} landed messages, Airflow's asset state of {at_least}. Nothing "
            "was sent: with an incomplete ledger messages would be sent twice. Bring the ledger back (backup, mount, "
            f"EVEROS_IMPORT_HOME, EVEROS_IMPORT_LEDGER); or, if the memory of {target.base_url} was emptied too, "
            f"delete the key 'target {target.name}' from the state of the asset 'everos' in Airflow."
        )
    return ledger


def report(  # noqa: PLR0913 - the parts of a report
    run: RunFolder,
    ledger: Ledger,
    *,
    run_id: str,
    target: Target,
    target_from: str = "",
    started_at: datetime,
    dry_run: bool,
    problems: Sequence[Problem],
    checked: Mapping[str, Checked] | None = None,
) -> Mapping[str, Any]:
    """
    Write ``report.json``, ``report.html`` and the CSV files, and return the report.

    :param target_from: The place of the target's settings.
    :param checked: Results of :func:`include.delivery.verification.verify`.
    """
    # Imported here: with pandas, parsing the DAG would take half a second longer.
    from include.report.calls_csv import write_calls  # noqa: PLC0415
    from include.report.document import build_report, write_report  # noqa: PLC0415
    from include.report.figures import known_conversations  # noqa: PLC0415
    from include.report.owners import write_owners  # noqa: PLC0415
    from include.report.page import write_page  # noqa: PLC0415
    from include.report.rejects import write_rejects  # noqa: PLC0415
    from include.report.speed import history_of  # noqa: PLC0415

    names = set(known_conversations(run)["conversation_id"])
    with ledger.snapshot() as snapshot, translate_file_errors(run.root, REPORT_MISSING):
        document = build_report(
            run,
            outcomes_of(run, snapshot, run_id),
            run_id=run_id,
            target=target,
            target_from=target_from,
            started_at=started_at,
            dry_run=dry_run,
            open_calls=[call for call in snapshot.open() if call.conversation_id in names],
            history=history_of(snapshot.connection, run_id, snapshot.target_id),
            checked=checked,
            problems=problems,
        )
        write_rejects(run, snapshot)
        corrections.write_corrections(run, snapshot)
        if not dry_run:
            write_calls(run, snapshot, run_id)
        if run.conversations.exists() and not dry_run:
            write_owners(run, run_id, target)
        document["files"] = [path.name for path in (run.corrections, run.loaded, run.owners) if path.exists()]
        write_report(document, run.report_json)
        write_page(document, run.report_html)
    return document
