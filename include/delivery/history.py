"""What the ledger knows of one chunk's conversations, kept up to date while others may still be appending."""

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from include.delivery.chunkfile import batch_keys, planned_messages
from include.delivery.fold import Fold, Settled, Tail
from include.delivery.known import Known
from include.delivery.ledger import Ledger
from include.delivery.states import Attempt


class History:
    """
    The ledger as one load task sees it: of its own conversations, measured against its own plan.

    :param chunk_path: The chunk's plan; ``None`` where nothing is planned and only what is open matters.
    """

    def __init__(self, ledger: Ledger, conversations: Collection[str], chunk_path: Path | None) -> None:
        self._ledger = ledger
        self._conversations = frozenset(conversations)
        self._chunk_path = chunk_path
        self._planned_keys = batch_keys(chunk_path) if chunk_path else frozenset()
        self._known: dict[str, Known] = {}
        self._fold = Fold(on_settled=self._note, wants=self._conversations.__contains__)
        self._tails: dict[Path, Tail] = {}
        self._read: set[Path] = set()

    def refresh(self) -> None:
        """
        Read what has been added since the last time. Blocks for a moment; for longer while the ledger is compacted.

        :raises LedgerError: a line or file is damaged.
        """
        with self._ledger.locked():
            files = self._ledger.files()
            landed, rejected = (
                [path for path in paths if path not in self._read] for paths in (files.landed, files.rejected)
            )
            if self._chunk_path:
                self._read_tables(landed, self._chunk_path)
                self._read_tables(rejected, self._chunk_path, of=self._ledger.rejections_of)
            self._read.update(landed, rejected)
            for path in files.segments:
                tail = self._tails.setdefault(
                    path, Tail(path, wants=lambda header: not self._conversations.isdisjoint(header.conversations))
                )
                for line in tail.read():
                    self._fold.feed(line)

    def known(self, conversation_id: str) -> Known:
        """Return what is settled of a conversation; the object is kept up to date by :meth:`refresh`."""
        return self._known.setdefault(conversation_id, Known())

    def open(self, conversation_id: str) -> list[Attempt]:
        """Return the calls whose outcome is not known, oldest first."""
        every = list(self._fold.open.values())  # at one stroke: a refresh may be going on in another thread
        return [attempt for attempt in every if attempt.conversation_id == conversation_id]

    def flushed(self, conversation_id: str) -> int:
        """Return how many messages had landed when somebody last flushed, as far as segments still tell; else 0."""
        every = list(self._fold.flushes)
        return max((line.landed for line in every if line.conversation == conversation_id), default=0)

    def has_seen(self, conversation_id: str, key: str) -> bool:
        """Tell whether the ledger holds any call of this key."""
        known = self.known(conversation_id)
        return (
            key in known.keys
            or key in known.attempted
            or any(attempt.key == key for attempt in self.open(conversation_id))
        )

    def _note(self, settled: Settled) -> None:
        attempt = settled.attempt
        known = self.known(attempt.conversation_id)
        if settled.reason is not None and self._ledger.rejections_of not in (None, attempt.run_id):
            known.attempted.add(attempt.key)
        elif len(settled.message_ids) == len(attempt.message_ids) and attempt.key in self._planned_keys:
            known.keys.add(attempt.key)
        else:
            known.message_ids.update(settled.message_ids)
            known.attempted.add(attempt.key)

    def _read_tables(self, paths: Sequence[Path], chunk_path: Path, *, of: str | None = None) -> None:
        """
        Only planned messages matter here; as a rule none of them is settled, since the transform left those out.

        :param of: Only what this run's calls came to.
        """
        if not paths:
            return
        with duckdb.connect() as connection:
            connection.register("planned", planned_messages([chunk_path]))
            rows = connection.execute(
                "SELECT conversation_id, message_id FROM read_parquet($paths) "
                "SEMI JOIN planned USING (conversation_id, message_id) WHERE $run IS NULL OR run_id = $run",
                {"paths": [str(path) for path in paths], "run": of},
            )
            while block := rows.fetchmany(10_000):
                for conversation_id, message_id in block:
                    self.known(conversation_id).message_ids.add(message_id)
