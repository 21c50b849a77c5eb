"""
The paths of the state folder and of a run; no other module joins them.

Only it lists a run's files, makes its folders and removes them, too. Runs hold message text: their folders are made
with mode 0700 and their files with 0600, whatever the umask and the mode of the home are.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from include.errors import StorageError
from include.files import make_private, private_folder

PROJECT = Path(__file__).resolve().parents[1]
"""The project's own root, with the Makefile and the locks."""

HOME_VARIABLE = "EVEROS_IMPORT_HOME"

STAGING_VARIABLE = "EVEROS_IMPORT_STAGING"
"""Names an object store for what otherwise lies in ``<home>/runs/``; Airflow's part of the project reads it."""


def home() -> Path:
    """
    Folder of everything kept between runs: ``EVEROS_IMPORT_HOME``.

    Default: ``.local`` below the working folder; for an installed wheel ``everos`` in Airflow's home, since the
    components of an Airflow need not have one working folder.
    """
    if given := os.environ.get(HOME_VARIABLE):
        return Path(given).resolve()
    if (PROJECT / "include").is_dir():
        return Path(".local").resolve()
    return (Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "everos").resolve()


PART_MARK = ".part-"
"""Stands before the number of a part in the name of its extracted folder; no other such name has a dot."""

LONGEST_NAME = 200
"""Bytes of a file name that every file system takes, with some left for what is written beside it."""


def folder_name(run_id: str) -> str:
    """
    Return the relative path of a run's folder, the same in a home and in an object store. :func:`run_id_of` undoes it.

    Everything but letters, digits and ``_.-~`` is percent-encoded, and so is a dot at either end: no name is ``.`` or
    ``..`` or hidden. A name of more than 200 bytes is cut into folders of 200 bytes, of which all but the last end in
    ``%``; its dots are encoded too. ``%`` alone stands for the empty id. No run's folder is inside another one's,
    because no other name ends in ``%``.

    >>> folder_name("manual__2026-11-22T21:41:17+00:00"), folder_name(".."), folder_name("a/b")
    ('manual__2026-11-22T21%3A41%3A17%2B00%3A00', '%2E%2E', 'a%2Fb')
    """
    name = quote(run_id, safe="-_.", errors="surrogatepass")
    inner = name.strip(".")
    start = name.find(inner) if inner else len(name)
    name = "%2E" * start + inner + "%2E" * (len(name) - start - len(inner))
    if len(name) <= LONGEST_NAME:
        return name or "%"
    name = name.replace(".", "%2E")
    return "%/".join(name[at : at + LONGEST_NAME] for at in range(0, len(name), LONGEST_NAME))


def run_id_of(name: str) -> str:
    """Return the run id that :func:`folder_name` made a path of."""
    return "" if name == "%" else unquote(name.replace("%/", ""), errors="surrogatepass")


@dataclass(frozen=True)
class RunFolder:
    """One run's staged data: ``<home>/runs/<run id>/``, the id as :func:`folder_name` writes it."""

    root: Path

    @classmethod
    def of(cls, run_id: str, base: Path | None = None) -> "RunFolder":
        """Return the folder of a run; what writes into it makes it."""
        return cls((base or home()) / "runs" / folder_name(run_id))

    def make(self) -> None:
        """Make the run's folder if it is missing."""
        private_folder(self.root)

    def remove(self, *paths: Path) -> None:
        """
        Remove files and folders of the run, or the run's folder itself; what is missing is removed already.

        :raises StorageError: a path is outside the run's folder, or a link; nothing was removed.
        """
        for path in paths:
            remove(path, within=self.root)

    def extracted(self, export: str) -> Path:
        """``messages-*``, ``conversations``, ``skipped``, ``rejected`` and ``notes.parquet`` of an export or a part."""
        return self.root / "extracted" / export

    def keep_extracted(self, exports: Collection[str]) -> None:
        """Remove the extracted folders of all other exports: an earlier try may have found others, or other parts."""
        for folder in (self.root / "extracted").glob("*"):
            if folder.name.strip(".").removesuffix(".partial") not in exports:
                self.remove(folder)

    def all_extracted(self) -> list[Path]:
        """
        Return the folder of each export, or part of one, that was read to its end.

        A folder whose name begins with a dot is not complete.

        Where transform has written one again (:mod:`include.transform.restated`), that one.
        """
        read = sorted((self.root / "extracted").glob("[!.]*"))
        return [again if (again := self.restated / folder.name).is_dir() else folder for folder in read]

    @property
    def restated(self) -> Path:
        """Extracted folders that transform has written again."""
        return self.root / "restated"

    def extracted_files(self, pattern: str) -> list[Path]:
        """
        Return the files of all exports that were read to their end.

        :param pattern: Name of the files in each export's folder: ``messages-*.parquet``, ``rejected.parquet`` ….
        """
        return [path for folder in self.all_extracted() for path in files_in(folder, pattern)]

    @property
    def messages(self) -> Path:
        """Transform's output: ``messages/part-*.parquet``, sorted by conversation and time."""
        return self.root / "messages"

    def message_parts(self) -> list[Path]:
        """Return the files of :attr:`messages`, in order."""
        return files_in(self.messages, "part-*.parquet")

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
        """``segments.parquet`` (:class:`include.records.PlannedSegment`) and ``chunk-000.parquet`` …."""
        return self.root / "plan"

    def chunks(self) -> list[Path]:
        """Return the chunk files of :attr:`plan`, in order."""
        return files_in(self.plan, "chunk-*.parquet")

    @property
    def target(self) -> Path:
        """The address of the target and the place of its settings, as the run's first task found them."""
        return self.root / "target.json"

    @property
    def parameters(self) -> Path:
        """The parameters of the run that its corrections are loaded with (:mod:`include.corrections`)."""
        return self.root / "parameters.json"

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
        """The cost of the plan (:class:`include.plan.estimate.Estimate`)."""
        return self.root / "estimate.json"

    def rejects(self, form: str) -> Path:
        """The rejected entries; ``csv`` or ``jsonl``."""
        return self.root / f"rejects.{form}"

    @property
    def corrections(self) -> Path:
        """The rejected messages with their text, for a person to correct (:mod:`include.corrections`)."""
        return self.root / "corrections.json"

    @property
    def owners(self) -> Path:
        """The owner of each conversation's memory (:mod:`include.report.owners`)."""
        return self.root / "owners.json"

    @property
    def loaded(self) -> Path:
        """The calls of the run that landed (:mod:`include.report.calls_csv`)."""
        return self.root / "loaded.csv"


def export_of(extracted: Path) -> str:
    """Return the key of the export that an extracted folder belongs to: that of all its parts, if it is one of them."""
    return extracted.name.partition(PART_MARK)[0]


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match, sorted; those that begin with a dot are being written."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def files_of_runs(base: Path, name: str) -> list[Path]:
    """Return the files of this name of all runs below a state folder; a run id may have slashes."""
    return sorted((base / "runs").glob(f"**/{name}"))


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """
    Give an empty folder that takes the place of ``folder`` when the block ends; after an error all is as it was.

    The draft is beside it, private, and its name begins with a dot; one that a killed process left is removed first.
    """
    draft = folder.with_name(f".{folder.name}.partial")
    remove(draft, within=folder.parent)
    private_folder(draft)
    try:
        yield draft
        make_private(draft)
        remove(folder, within=folder.parent)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def remove(path: Path, *, within: Path) -> None:
    """
    Remove a file or a folder with all that is in it, the only place that does so; a missing one is no error.

    :param within: The folder that ``path`` must be, or be inside of.
    :raises StorageError: it is neither, or holds the home, or a link leads elsewhere; nothing was removed.
    """
    place, limit = path.resolve(), within.resolve()
    if not place.is_relative_to(limit):
        raise StorageError(f"{path} is outside {within}: it was not removed. This is a defect, please report it")
    if home().is_relative_to(place) or (home() / "runs").is_relative_to(place) or path.is_symlink():
        raise StorageError(f"{path} is a link or holds more than one run: it was not removed")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
