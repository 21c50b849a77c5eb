"""How many messages have landed since a moment: read from what the load tasks append to the ledger."""

from pathlib import Path

from include.delivery import events


class LandedCounter:
    """Counts messages that land after it was made; each call reads only what was appended since the one before."""

    def __init__(self, ledgers: Path) -> None:
        self._ledgers = ledgers
        self._read_bytes = {path: path.stat().st_size for path in self._segments()}
        self._sizes: dict[str, int] = {}
        self._landed = 0

    def count(self) -> int:
        """Return the number of messages so far."""
        for path in self._segments():
            self._read(path)
        return self._landed

    def _segments(self) -> list[Path]:
        return sorted(self._ledgers.glob("*/*.jsonl"))

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as segment:
                segment.seek(self._read_bytes.get(path, 0))
                for line in segment:
                    if not line.endswith(b"\n"):
                        break
                    self._read_bytes[path] = self._read_bytes.get(path, 0) + len(line)
                    self._take(events.decode(line))
        except FileNotFoundError:
            return  # a compaction took it over between the listing and now

    def _take(self, line: object) -> None:
        if isinstance(line, events.Intent):
            self._sizes[line.attempt] = len(line.ids)
        elif isinstance(line, events.Landed):
            size = self._sizes.pop(line.attempt, 0)
            self._landed += size if line.ids is None else len(line.ids)
