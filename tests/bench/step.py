"""Runs one step of the benchmark in a separate process and prints its time and peak memory."""

import argparse
import json
import resource
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.extract import extract
from include.parsers import ParseOptions, discover
from include.plan import plan
from include.run_folder import RunFolder
from include.transform import transform
from tests.bench import ledger
from tests.bench.converters import convert, decode_typed


def main() -> None:
    """Run the step that the command line names and print its figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.step", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("export", type=Path)
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    libraries_bytes = _peak_bytes()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    count = STEPS[given.step](given.export, RunFolder(given.run))
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    figures = {"count": count, "wall_s": wall_s, "cpu_s": cpu_s, "peak_bytes": _peak_bytes()}
    print(json.dumps(figures | {"libraries_bytes": libraries_bytes}))


def _decode(export: Path, _: RunFolder) -> int:
    """Read and decode every JSON file and keep nothing: the least work of any importer."""
    decoder = msgspec.json.Decoder()
    entries = 0
    for _name, content in _contents(export):
        with suppress(msgspec.DecodeError):  # exports hold broken files too
            entries += len(decoder.decode(content))
    return entries


def _plain(export: Path, run: RunFolder) -> int:
    """
    Convert as a script that follows the vendor's guide (https://docs.evermind.ai/cookbook/batch-processing).

    Channel by channel each message becomes one of the guide's group format; all are sorted, as the guide asks for, and
    written to Parquet. It has no files in between, no roster, no markup, no bots, no duplicates, no broken entries and
    no bound on memory: less than the three steps do.
    """
    messages: list[dict[str, Any]] = []
    for name, content in _contents(export):
        channel = name.split("/")[-2] if "/" in name else ""
        with suppress(ValueError):
            entries = json.loads(content) if channel else []
            messages += [_plain_message(entry, channel) for entry in entries if isinstance(entry, dict)]
    messages.sort(key=itemgetter("group_id", "timestamp"))
    run.root.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(messages), run.root / "plain.parquet")
    return len(messages)


def _plain_message(entry: dict[str, Any], channel: str) -> dict[str, Any]:
    profile = entry.get("user_profile") or {}
    try:
        timestamp = int(float(entry.get("ts", 0)) * 1000)
    except (TypeError, ValueError):
        timestamp = 0
    return {
        "group_id": f"slack_{channel}",
        "role": "user",
        "sender_id": str(entry.get("user", "unknown")),
        "sender_name": str(profile.get("real_name", entry.get("user", "Unknown"))),
        "timestamp": timestamp,
        "content": str(entry.get("text", "")),
        "message_id": str(entry.get("ts", "")),
    }


def _extract(export: Path, run: RunFolder) -> int:
    exports, _ = discover(export)
    return sum(extract(found, ParseOptions(), run.extracted(found.key)).entries for found in exports)


def _half(number: int, export: Path, run: RunFolder) -> int:
    """Extract one of two parts."""
    parts, _ = discover(export, most_parts=2)
    return extract(parts[number], ParseOptions(), run.extracted(parts[number].key)).entries


def _transform(_: Path, run: RunFolder) -> int:
    return transform(run.all_extracted(), run).entries


def _plan(_: Path, run: RunFolder) -> int:
    return sum(chunk.messages for chunk in plan(run))


def _typed(export: Path, _: RunFolder) -> int:
    return decode_typed(export)


def _converter(export: Path, run: RunFolder) -> int:
    return convert(export, run.root / "converted" / "messages.parquet")


def _open(_: Path, run: RunFolder) -> int:
    return len(ledger.open_ledger(run).database.name)


def _land(_: Path, run: RunFolder) -> int:
    return ledger.land(run)


def _nothing_new(_: Path, run: RunFolder) -> int:
    return ledger.nothing_new(run)


def _load_start(_: Path, run: RunFolder) -> int:
    return ledger.load_start(run)


STEPS: dict[str, Callable[[Path, RunFolder], int]] = {
    "typed": _typed,
    "converter": _converter,
    "decode": _decode,
    "plain": _plain,
    "extract": _extract,
    "first-half": partial(_half, 0),
    "second-half": partial(_half, 1),
    "transform": _transform,
    "plan": _plan,
    "open": _open,
    "land": _land,
    "nothing-new": _nothing_new,
    "load-start": _load_start,
}


def _contents(export: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON files of a folder or zip, named from its root, ``/``-separated."""
    if export.is_dir():
        yield from ((path.relative_to(export).as_posix(), path.read_bytes()) for path in export.rglob("*.json"))
        return
    with zipfile.ZipFile(export) as archive:
        yield from ((name, archive.read(name)) for name in archive.namelist() if name.endswith(".json"))


def _peak_bytes() -> int:
    """Return the peak memory of this process; Linux reports kilobytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
