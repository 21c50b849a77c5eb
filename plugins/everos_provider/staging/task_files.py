"""
The files of a run that each task reads and writes: in the run's folder or, with ``EVEROS_IMPORT_STAGING``, in a store.

With the setting each task has a scratch folder. The files that it reads are downloaded before it starts, the files that
it wrote are uploaded when it has succeeded, and the scratch folder is removed in any case. Names are those of
:class:`include.run_folder.RunFolder`, in the store as on a disk::

    s3://aws_default@bucket/prefix/runs/<run id>/extracted/<export>/messages-000.parquet

A store writes an object completely or not at all, but not a folder of objects. So the files of a folder count only if
there is a ``_SUCCESS`` beside them: it is written last, and removed first when the folder is replaced.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from everos_provider.staging.object_store import Objects, is_url
from everos_provider.staging.scratch import scratch_folder
from include.errors import ConfigurationError
from include.run_folder import STAGING_VARIABLE, RunFolder, folder_name

DONE = "_SUCCESS"
"""The name that Hadoop and Spark use for it."""


@dataclass(frozen=True, kw_only=True)
class TaskFiles:
    """
    Patterns of the files that a task reads and writes, relative to the run's folder.

    ``{…}`` in a pattern is replaced by a value that differs between the tasks of one kind. After the task the store
    holds, of all files that match ``writes``, exactly those of the task's folder.
    """

    reads: Sequence[str] = ()
    writes: Sequence[str] = ()


DISCOVER = TaskFiles(reads=["corrections*"], writes=["*"])
EXTRACT = TaskFiles(reads=["parameters.json"], writes=["extracted/{export}/*"])
TRANSFORM = TaskFiles(
    reads=["extracted/*", "parameters.json"],
    writes=["messages/*", "conversations.parquet", "notes.parquet", "restated/*"],
)
PARAMETERS = TaskFiles(reads=["parameters.json"])
"""Of another run, whose corrections are loaded."""
PLAN = TaskFiles(reads=["messages/*", "conversations.parquet"], writes=["plan/*", "estimate.json"])
LOAD = TaskFiles(reads=["plan/{chunk}", "plan/segments.parquet", "conversations.parquet"])
FLUSH = TaskFiles(reads=["plan/*", "conversations.parquet"])
REPORT = TaskFiles(reads=["*"], writes=["report.*", "rejects.*", "corrections*", "loaded.csv", "owners.json"])


def is_staged() -> bool:
    """Return whether the files of runs are in an object store."""
    return _staging_url() is not None


def file_address(run_id: str, name: str) -> str:
    """Return the path of a run's file or, with staging, its address in the store."""
    return str(objects_of(run_id).root / name if is_staged() else RunFolder.of(run_id).root / name)


@contextmanager
def task_folder(run_id: str, files: TaskFiles, **names: str) -> Iterator[RunFolder]:
    """
    Give a task the run's folder or, with staging, a scratch folder with the files that it reads.

    Raises the errors of :class:`everos_provider.staging.object_store.Objects`. If the task fails, nothing is uploaded.

    :param names: Values for the ``{…}`` in ``files``.
    """
    if not is_staged():
        yield RunFolder.of(run_id)
        return
    objects = objects_of(run_id)
    reads, writes = ([pattern.format(**names) for pattern in patterns] for patterns in (files.reads, files.writes))
    with scratch_folder() as scratch:
        run = RunFolder(scratch / "run")
        objects.download({name: run.root / name for name in complete_files(objects, reads)})
        yield run
        if writes:
            _replace(objects, writes, run.root)


def objects_of(run_id: str) -> Objects:
    """Return a run's objects."""
    return Objects.below(_staging_url() or "", "runs", *folder_name(run_id).split("/"))


def complete_files(objects: Objects, patterns: Sequence[str]) -> dict[str, str]:
    """Return name and version of the objects that match; those of incomplete folders are left out."""
    if not patterns:
        return {}
    found = objects.versions()
    return {
        name: version
        for name, version in found.items()
        if matches(name, patterns)
        and not name.endswith(DONE)
        and not _is_partial(name)
        and ("/" not in name or _marker(name) in found)
    }


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name matches at least one pattern; ``*`` matches ``/`` too."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _staging_url() -> str | None:
    """Return the setting. Only this function reads it."""
    url = os.environ.get(STAGING_VARIABLE)
    if url and not is_url(url):
        raise ConfigurationError(
            f"{STAGING_VARIABLE} is {url!r}: expected an address like s3://aws_default@bucket/chat"
        )
    return url or None


def _replace(objects: Objects, patterns: Sequence[str], folder: Path) -> None:
    """Make the store hold the files of ``folder`` that match, and no others that do; safe to interrupt at any point."""
    before = {name for name in objects.versions() if matches(name, patterns)}
    markers = {name for name in before if name.endswith(DONE)}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    written = {name: path for name, path in files.items() if matches(name, patterns) and not _is_partial(name)}
    objects.remove(markers)
    objects.upload(written)
    objects.remove(before - markers - written.keys())
    objects.create_empty({_marker(name) for name in written if "/" in name})


def _marker(name: str) -> str:
    return f"{name.rpartition('/')[0]}/{DONE}"


def _is_partial(name: str) -> bool:
    """Return whether a file is still being written, or was when a task was killed."""
    return any(part.startswith(".") for part in name.split("/"))
