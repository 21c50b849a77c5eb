"""
One import without Airflow, as a process that can be killed: it runs the tasks of the DAG in order, each once.

A second start with the same run id does what Airflow does after a worker's death: it repeats the load tasks with the
existing plan, checkpoints and ledger.
"""

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec

from include import steps
from include.delivery.flush import flush_conversations
from include.delivery.loader import load_chunk
from include.delivery.settings import LoadSettings
from include.errors import ChatImportError
from include.memory_api import Settings, connect
from include.parsers import ParseOptions
from include.plan import MAX_CHUNKS, plan
from include.records import Chunk
from include.run_folder import HOME_VARIABLE, RunFolder
from include.window import Window

PROJECT = Path(__file__).parents[2]
KEY = "stand-in"

INCOMPLETE = 3
"""Exit status of an import that reports messages left to load; 1 is an unexpected error."""


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of one process, as JSON on its command line."""

    source: str
    run_id: str
    base_url: str
    batch_size: int | None = None
    max_chunks: int = MAX_CHUNKS
    """Number of load tasks; they share only the ledger."""

    read_timeout_s: float = 60.0
    settings: LoadSettings = LoadSettings()
    ledger: str | None = None
    """URL of the ledger's database; default: :func:`include.ledger.ledger_url`."""

    def connection(self) -> Settings:
        """Return the settings of the connection."""
        return Settings(
            base_url=self.base_url,
            api_key=KEY,
            connect_timeout_s=min(10, 2 * self.read_timeout_s),
            read_timeout_s=self.read_timeout_s,
        )


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """Printed as JSON by a process at its end, unless it was killed."""

    load_s: float
    load_cpu_s: float
    """Of all threads."""

    flush_s: float
    errors: tuple[str, ...]


def start(import_: Import, home: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start an import with the state folder ``home``."""
    command = [sys.executable, "-m", "tests.bench.importing", msgspec.json.encode(import_).decode()]
    return subprocess.Popen(
        command, cwd=PROJECT, env=os.environ | {HOME_VARIABLE: str(home)}, stdout=subprocess.PIPE, stderr=log
    )


def main() -> int:
    """Run one import; the exit status is 0, or :data:`INCOMPLETE`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    import_ = msgspec.json.decode(sys.argv[1], type=Import)
    run = RunFolder.of(import_.run_id)
    took = asyncio.run(_deliver(import_, run, _planned(import_, run)))
    sys.stdout.write(msgspec.json.encode(took).decode())
    return INCOMPLETE if took.errors else 0


def _planned(import_: Import, run: RunFolder) -> list[Chunk]:
    """Return the run's chunks: those of an earlier try, which Airflow keeps in XCom, or new ones."""
    kept = run.root / "chunks.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=list[Chunk])
    for export in steps.discover(Path(import_.source), run):
        steps.extract(export, ParseOptions(), run)
    steps.transform(run, Window(), steps.open_ledger(import_.connection().target, url=import_.ledger))
    chunks = plan(run, batch_size=import_.batch_size, max_chunks=import_.max_chunks)
    _write(kept, chunks)
    return chunks


async def _deliver(import_: Import, run: RunFolder, chunks: Sequence[Chunk]) -> Took:
    await connect(import_.connection()).aclose()  # the time of a load is without that of importing libraries
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    loads = await asyncio.gather(*(_load(import_, run, chunk) for chunk in chunks))
    loaded_s, load_cpu_s = time.monotonic(), time.process_time() - began_cpu_s
    flush = await _flush(import_, run)
    errors = tuple(error for error in (*loads, flush) if error is not None)
    return Took(load_s=loaded_s - began_s, load_cpu_s=load_cpu_s, flush_s=time.monotonic() - loaded_s, errors=errors)


async def _load(import_: Import, run: RunFolder, chunk: Chunk) -> str | None:
    api = connect(import_.connection())
    ledger = steps.open_ledger(api.target, url=import_.ledger)
    checkpoint = FileCheckpoint(run.root / "checkpoints" / str(chunk.number))
    try:
        await load_chunk(chunk, run, api, ledger, checkpoint, import_.settings, import_.run_id)
    except ChatImportError as error:
        return _message(error)
    finally:
        await api.aclose()
    return None


async def _flush(import_: Import, run: RunFolder) -> str | None:
    api = connect(import_.connection())
    try:
        await flush_conversations(
            run, api, steps.open_ledger(api.target, url=import_.ledger), import_.settings, import_.run_id
        )
    except ChatImportError as error:
        return _message(error)
    finally:
        await api.aclose()
    return None


def _message(error: ChatImportError) -> str:
    return " ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


@dataclass(frozen=True)
class FileCheckpoint:
    """The checkpoint of a load task as one file per key, in place of Airflow's task state store."""

    folder: Path

    async def get(self, key: str) -> Any:
        """Return the stored value, or ``None``."""
        path = self._path(key)
        return msgspec.json.decode(path.read_bytes()) if path.exists() else None

    async def set(self, key: str, value: Any) -> None:
        """Store a value, in a thread, as Airflow's store is called."""
        await asyncio.to_thread(_write, self._path(key), value)

    def _path(self, key: str) -> Path:
        return self.folder / f"{quote(key, safe='')}.json"


def _write(path: Path, value: Any) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(value))
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
