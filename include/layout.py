"""Where everything of a local home and of a run lies: the only module that joins these paths."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parents[1]
"""The project's own root, with the Makefile and the locks."""

HOME_VARIABLE = "EVEROS_IMPORT_HOME"

STAGING_VARIABLE = "EVEROS_IMPORT_STAGING"
"""Names an object store for what otherwise lies in ``<home>/runs/``; Airflow's part of the project reads it."""


def home() -> Path:
    """Folder of everything kept between runs: ``EVEROS_IMPORT_HOME``, default ``.local`` below the working folder."""
    return Path(os.environ.get(HOME_VARIABLE) or ".local").resolve()


@dataclass(frozen=True)
class RunFolder:
    """
    One run's staged data: ``<home>/runs/<run id>/``.

    Run ids hold ``:`` and ``+``; they are percent-encoded to be safe as folder names everywhere.
    """

    root: Path

    @classmethod
    def of(cls, run_id: str, base: Path | None = None) -> "RunFolder":
        """Return the folder of a run (created lazily by whoever writes into it)."""
        return cls((base or home()) / "runs" / quote(run_id, safe="-_."))

    def extracted(self, export: str) -> Path:
        """One export's ``messages-*``, ``conversations``, ``skipped``, ``rejected`` and ``notes.parquet``."""
        return self.root / "extracted" / export

    def all_extracted(self) -> list[Path]:
        """
        Return the folder of each export that was read to its end; what begins with a dot is being written.

        Where transform has written one again (:mod:`include.transform.restated`), that one.
        """
        read = sorted((self.root / "extracted").glob("[!.]*"))
        return [again if (again := self.restated / folder.name).is_dir() else folder for folder in read]

    @property
    def restated(self) -> Path:
        """Extracted folders that transform has written again."""
        return self.root / "restated"

    @property
    def messages(self) -> Path:
        """Transform's output: ``messages/part-*.parquet``, sorted by conversation and time."""
        return self.root / "messages"

    @property
    def conversations(self) -> Path:
        """All conversations of the run, merged over exports (one row each)."""
        return self.root / "conversations.parquet"

    @property
    def notes(self) -> Path:
        """Notes on all exports together (:data:`include.records.NOTE_SCHEMA`); each export has its own beside it."""
        return self.root / "notes.parquet"

    @property
    def plan(self) -> Path:
        """``conversations.parquet`` (:class:`include.records.PlannedConversation`) and ``chunk-000.parquet`` …."""
        return self.root / "plan"

    @property
    def report_json(self) -> Path:
        """The machine-readable report."""
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        """The same report as a page that opens anywhere."""
        return self.root / "report.html"

    @property
    def estimate(self) -> Path:
        """What the plan will cost (:class:`include.plan.estimate.Estimate`)."""
        return self.root / "estimate.json"

    @property
    def loading(self) -> Path:
        """When what landed (:class:`include.report.loading.Landings` by segment of the ledger)."""
        return self.root / "loading.json"

    def rejects(self, form: str) -> Path:
        """The rejected entries; ``csv`` or ``jsonl``."""
        return self.root / f"rejects.{form}"

    @property
    def corrections(self) -> Path:
        """The rejected messages with their text, for a person to correct (:mod:`include.redo`)."""
        return self.root / "corrections.json"

    @property
    def loaded(self) -> Path:
        """What the run put into EverOS, call by call (:mod:`include.report.loaded`)."""
        return self.root / "loaded.csv"


def ledger_root(base: Path | None = None) -> Path:
    """Folder of the ledgers of all targets."""
    return (base or home()) / "ledger"
