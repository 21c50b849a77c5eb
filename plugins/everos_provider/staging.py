"""
A run's data in an object store, for workers that share no folder: ``EVEROS_IMPORT_STAGING``.

The steps work on local files. With the setting each task gets a scratch folder: what it reads is brought from the
store, what it wrote goes there when its work is done, and the scratch folder is removed in any case. What of a run lies
where is :class:`include.layout.RunFolder`'s word, in the store as on a disk::

    s3://aws_default@bucket/prefix/runs/<run id>/extracted/<export>/messages-000.parquet

An object appears whole or not at all; a folder of them does not. Its files count when ``_SUCCESS`` stands beside them:
it is written last, and goes first when the folder is replaced.

The ledger is not here: it is a database (:mod:`everos_provider.ledger`).
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from everos_provider.scratch import scratch_folder
from everos_provider.store import Objects, is_url
from include.errors import ConfigurationError
from include.layout import STAGING_VARIABLE, RunFolder, folder_name

DONE = "_SUCCESS"
"""As Hadoop, Spark and what reads their folders call it."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """
    What a task needs of a run's folder and what it leaves there: patterns of names relative to it.

    ``{…}`` in them stands for what differs between the tasks of one kind. After the task the store holds, of all that
    ``writes`` matches, exactly what the task's folder held.
    """

    reads: Sequence[str] = ()
    writes: Sequence[str] = ()


def is_on() -> bool:
    """Tell whether staged data lies in an object store."""
    return _address() is not None


def place_of(run_id: str, name: str) -> str:
    """Return where a file of a run lies for everybody: a path or, with staging, an address."""
    return str(_objects(run_id).root / name if is_on() else RunFolder.of(run_id).root / name)


@contextmanager
def staged(run_id: str, data: Data, **names: str) -> Iterator[RunFolder]:
    """
    Give a task the run's folder: that of the home or, with staging, a scratch folder with what it reads.

    Raises what :class:`everos_provider.store.Objects` does. After an error of the task's nothing is written.

    :param names: What the ``{…}`` of ``data`` stand for.
    """
    if not is_on():
        yield RunFolder.of(run_id)
        return
    objects = _objects(run_id)
    reads, writes = ([pattern.format(**names) for pattern in patterns] for patterns in (data.reads, data.writes))
    with scratch_folder() as scratch:
        run = RunFolder(scratch / "run")
        objects.bring({name: run.root / name for name in _visible(objects, reads)})
        yield run
        if writes:
            _replace(objects, writes, run.root)


class View:
    """What a page needs of a run: with staging, copies of small files that are brought anew when they have changed."""

    def __init__(self, run_id: str) -> None:
        self.run = RunFolder.of(run_id)
        self._objects = _objects(run_id) if is_on() else None
        self._seen: dict[str, str] = {}
        self._refreshing = threading.Lock()
        if self._objects:
            self._copies = TemporaryDirectory(prefix="everos-pages-")  # goes with this view
            self.run = RunFolder(Path(self._copies.name) / "run")

    def refresh(self, *patterns: str) -> RunFolder:
        """Return the folder, of all that matches with what is in the store now."""
        if self._objects:
            with self._refreshing:
                self._copy(self._objects, patterns)
        return self.run

    def _copy(self, objects: Objects, patterns: Sequence[str]) -> None:
        now = _visible(objects, patterns)
        objects.bring({name: self.run.root / name for name in now if now[name] != self._seen.get(name)})
        for name in [name for name in self._seen if name not in now and _matches(name, patterns)]:
            (self.run.root / name).unlink(missing_ok=True)
            with suppress(OSError):  # others are in it
                (self.run.root / name).parent.rmdir()
            del self._seen[name]
        self._seen |= now


def reports_of(run_ids: Sequence[str]) -> dict[str, bytes]:
    """Return ``report.json`` of the runs that have left one, by run id."""

    def report(run_id: str) -> bytes | None:
        if is_on():
            return _objects(run_id).content("report.json")
        path = RunFolder.of(run_id).report_json
        return path.read_bytes() if path.is_file() else None

    with ThreadPoolExecutor() as pool:
        found = zip(run_ids, pool.map(report, run_ids), strict=True)
        return {run_id: content for run_id, content in found if content is not None}


def _objects(run_id: str) -> Objects:
    """Return a run's objects."""
    return Objects.below(_address() or "", "runs", *folder_name(run_id).split("/"))


def _address() -> str | None:
    """Return the setting; read here and nowhere else."""
    url = os.environ.get(STAGING_VARIABLE)
    if url and not is_url(url):
        raise ConfigurationError(
            f"{STAGING_VARIABLE} is {url!r}: expected an address like s3://aws_default@bucket/chat"
        )
    return url or None


def _visible(objects: Objects, patterns: Sequence[str]) -> dict[str, str]:
    """Return name and version of what matches, in folders only where they are complete."""
    if not patterns:
        return {}
    found = objects.versions()
    return {
        name: version
        for name, version in found.items()
        if _matches(name, patterns)
        and not name.endswith(DONE)
        and not _is_draft(name)
        and ("/" not in name or _marker(name) in found)
    }


def _replace(objects: Objects, patterns: Sequence[str], folder: Path) -> None:
    """Make the store hold, of what matches, what the folder does. Interrupted anywhere, no folder counts by halves."""
    before = {name for name in objects.versions() if _matches(name, patterns)}
    markers = {name for name in before if name.endswith(DONE)}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    written = {name: path for name, path in files.items() if _matches(name, patterns) and not _is_draft(name)}
    objects.remove(markers)
    objects.put(written)
    objects.remove(before - markers - written.keys())
    objects.mark({_marker(name) for name in written if "/" in name})


def _marker(name: str) -> str:
    return f"{name.rpartition('/')[0]}/{DONE}"


def _is_draft(name: str) -> bool:
    """Tell what is being written, or was when a task was killed."""
    return any(part.startswith(".") for part in name.split("/"))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
