"""The files of a run that the pages show: those of its folder or, with staging, up-to-date copies of small files."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from everos_provider.staging.object_store import Objects
from everos_provider.staging.task_files import complete_files, is_staged, matches, objects_of
from include.run_folder import RunFolder


class RunView:
    """A run's folder for reading; with staging its copies are downloaded again when they have changed."""

    def __init__(self, run_id: str) -> None:
        self.run = RunFolder.of(run_id)
        self._objects = objects_of(run_id) if is_staged() else None
        self._versions: dict[str, str] = {}
        self._refreshing = threading.Lock()
        if self._objects:
            self._copies = TemporaryDirectory(prefix="everos-pages-")  # removed together with this object
            self.run = RunFolder(Path(self._copies.name) / "run")

    def refresh(self, *patterns: str) -> RunFolder:
        """Return the folder, with the current version of all files that match."""
        if self._objects:
            with self._refreshing:
                self._download(self._objects, patterns)
        return self.run

    def _download(self, objects: Objects, patterns: Sequence[str]) -> None:
        now = complete_files(objects, patterns)
        changed = [name for name in now if now[name] != self._versions.get(name)]
        objects.download({name: self.run.root / name for name in changed})
        for name in [name for name in self._versions if name not in now and matches(name, patterns)]:
            (self.run.root / name).unlink(missing_ok=True)
            with suppress(OSError):  # the folder has other files
                (self.run.root / name).parent.rmdir()
            del self._versions[name]
        self._versions |= now


def report_files(run_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the content of ``report.json`` by run id, for the runs that have one."""

    def content(run_id: str) -> bytes | None:
        if is_staged():
            return objects_of(run_id).content("report.json")
        path: Path = RunFolder.of(run_id).report_json
        return path.read_bytes() if path.is_file() else None

    with ThreadPoolExecutor() as pool:
        found = zip(run_ids, pool.map(content, run_ids), strict=True)
        return {run_id: report for run_id, report in found if report is not None}
