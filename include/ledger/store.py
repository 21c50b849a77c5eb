"""
The ledger of one target: opens the one that belongs to it, and refuses one that may be of another store or too old.

A ledger is found by the target's name, which its address, API version, account and store make. An address can be
written in several ways, an account can be named later, a server can have two names. A new and empty ledger for a
server that was loaded before would send everything twice, so it is begun only where a person has said that it is
another store.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, exists, insert, select, text, update

from include.errors import LedgerError
from include.ledger.calls import Call
from include.ledger.database import Database
from include.ledger.schema import CALLS, CONVERSATION_IDS, TARGETS
from include.ledger.snapshot import Snapshot
from include.ledger.writer import CallWriter
from include.memory_api.address import server_of
from include.memory_api.contract import Target
from include.memory_layout import MemoryLayout

_NO_KEY = ("", hashlib.sha256(b"").hexdigest()[:8])
"""Fingerprints of a server without keys: they tell nothing apart."""

_REMEMBER_ID = text(
    "INSERT INTO conversation_ids (target_id, template, identity, conversation_id) "
    "VALUES (:target_id, :template, :identity, :conversation_id) ON CONFLICT DO NOTHING"
)

_IDENTITY = ("base_url", "api_version", "account", "key_fingerprint", "app_id", "project_id")


class Ledger:
    """
    The ledger of one target. Any number of processes may read and write at once.

    :param rejections_of: As for :class:`include.ledger.snapshot.Snapshot`.
    """

    def __init__(self, database: Database, target: Target, target_id: int, *, rejections_of: str | None) -> None:
        self.database, self.target, self._target_id = database, target, target_id
        self.rejections_of = rejections_of

    @classmethod
    def open(cls, url: str, target: Target, *, rejections_of: str | None = None) -> "Ledger":
        """
        Open the target's ledger, or begin it.

        :param url: :func:`include.ledger.database.ledger_url`.
        :raises LedgerError: the database cannot be used, or belongs to another API key, hence perhaps to another
            account, or the ledger would be begun beside one of the same server; nothing was sent.
        """
        database = Database(url)
        with database.write_alone() as connection:
            target_id = _target_id(connection, target, database.name)
        return cls(database, target, target_id, rejections_of=rejections_of)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Yield queries that all see the ledger as of one moment."""
        with self.database.read() as connection:
            yield Snapshot(connection, self._target_id, rejections_of=self.rejections_of)

    def calls_of(self, segment_id: str, since_ms: int) -> list[Call]:
        """Return what :meth:`include.ledger.snapshot.Snapshot.calls_of` yields."""
        with self.snapshot() as snapshot:
            return list(snapshot.calls_of(segment_id, since_ms))

    def landed(self) -> int:
        """Return how many messages have landed, in all conversations."""
        with self.snapshot() as snapshot:
            return sum(status.landed for status in snapshot.statuses().values())

    def writer(self, run_id: str) -> CallWriter:
        """Return a writer for one task."""
        return CallWriter(self.database, self._target_id, run_id=run_id)

    def check_layout(self, layout: MemoryLayout) -> None:
        """
        Compare a layout with the one that the target was loaded in.

        :raises LedgerError: it is another; nothing was sent.
        """
        with self.database.read() as connection:
            self._compare_layout(connection, layout)

    def keep_layout(self, layout: MemoryLayout) -> None:
        """
        Remember the layout in which the target is loaded; call it before anything is sent.

        :raises LedgerError: as :meth:`check_layout`.
        """
        with self.database.write_alone() as connection:
            self._compare_layout(connection, layout)
            self._set(connection, layout=msgspec.json.encode(layout).decode())

    def _compare_layout(self, connection: Connection, layout: MemoryLayout) -> None:
        stored = self._column(connection, "layout")
        if stored is None or (own := msgspec.json.decode(stored, type=MemoryLayout)) == layout:
            return
        if connection.execute(select(exists().where(CALLS.c.target_id == self._target_id))).scalar():
            raise LedgerError(
                f"{self.target.base_url} was loaded with {own}, and this run has {layout}. Nothing was sent: in one "
                "store the two layouts would mix, and what is loaded would not be found as a whole. Go on with the "
                "parameters that it was loaded with; or load everything again into another store: write a new "
                "project_id into the extra of the connection."
            )

    def check_generation(self, known: int) -> None:
        """
        Compare the ledger's generation with the one noted outside of it.

        :param known: What :meth:`raise_generation` returned last, as noted outside of the ledger; 0 where nothing was.
        :raises LedgerError: the ledger's own is smaller: an older copy was restored. Nothing was sent.
        """
        with self.database.read() as connection:
            self._compare(self._column(connection, "generation"), known)

    def raise_generation(self, known: int) -> int:
        """
        Raise the ledger's generation; call it before a task sends, and note the result outside of the ledger.

        :raises LedgerError: as :meth:`check_generation`; the generation is as it was.
        """
        with self.database.write() as connection:
            self._set(connection, generation=TARGETS.c.generation + 1)  # first: the row is this transaction's now
            generation = int(self._column(connection, "generation"))
            self._compare(generation - 1, known)
            return generation

    def witnesses[T](self, kind: type[T]) -> tuple[T, ...]:
        """Return what :meth:`keep_witnesses` has kept."""
        with self.database.read() as connection:
            return msgspec.json.decode(self._column(connection, "witnesses"), type=tuple[kind, ...])  # type: ignore[valid-type]

    def keep_witnesses(self, witnesses: Sequence[Any]) -> None:
        """Keep questions that the target has answered (:mod:`include.delivery.witnesses`)."""
        with self.database.write() as connection:
            self._set(connection, witnesses=msgspec.json.encode(witnesses).decode())

    def conversation_ids(self, template: str) -> dict[tuple[str, ...], str]:
        """Return the conversation ids made of a template so far, by the channel's identity."""
        ids = CONVERSATION_IDS.c
        query = select(ids.identity, ids.conversation_id).where(
            ids.target_id == self._target_id, ids.template == template
        )
        with self.database.read() as connection:
            return {
                msgspec.json.decode(identity, type=tuple[str, ...]): id_ for identity, id_ in connection.execute(query)
            }

    def remember_ids(self, template: str, ids: Mapping[tuple[str, ...], str]) -> None:
        """Add conversation ids; one that another run has added meanwhile stays."""
        rows = [
            {
                "target_id": self._target_id,
                "template": template,
                "identity": msgspec.json.encode(identity).decode(),
                "conversation_id": id_,
            }
            for identity, id_ in ids.items()
        ]
        if rows:
            with self.database.write() as connection:
                connection.execute(_REMEMBER_ID, rows)

    def _column(self, connection: Connection, name: str) -> Any:
        return connection.execute(select(TARGETS.c[name]).where(TARGETS.c.target_id == self._target_id)).scalar_one()

    def _set(self, connection: Connection, **values: object) -> None:
        connection.execute(update(TARGETS).where(TARGETS.c.target_id == self._target_id).values(**values))

    def _compare(self, own: int, known: int) -> None:
        if own < known:
            name = self.target.name
            raise LedgerError(
                f"{self.database.name} is older than what was sent: it is at generation {own}, Airflow's asset state "
                f"at {known}. An older copy was restored, or this is another home. Nothing was sent: what was loaded "
                "since that copy would be sent twice. Bring the newest copy of the ledger back; or, if the memory was "
                f"put back to the same time too, delete the keys 'generation {name}' and 'target {name}' from the "
                "state of the asset 'everos' in Airflow."
            )


def _target_id(connection: Connection, target: Target, database: str) -> int:
    """Return the target's row, written if it is missing."""
    rows = connection.execute(select(TARGETS)).mappings().all()
    own = next((row for row in rows if row["name"] == target.name), None)
    values = {name: getattr(target, name) for name in _IDENTITY}
    if own is None:
        rivals = [row for row in rows if _is_rival(row, target) and _is_used(connection, row)]
        if rivals and target.new_ledger != target.name:
            raise LedgerError(_choice(database, target, rivals[0]))
        result = connection.execute(insert(TARGETS).values(name=target.name, **values))
        return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
    is_other_key = own["key_fingerprint"] != target.key_fingerprint and not target.account_named
    if is_other_key and _is_used(connection, own):
        raise LedgerError(
            f"the ledger of {target.base_url} ({target.api_version}) was written with another API key, and a key "
            "does not show its account. Nothing was sent. If it is a new key of the same account, write "
            f'"account": "{target.account}" into the extra of the connection, and the ledger goes on; if it is '
            "another account, give it a name of its own there, and it gets a ledger of its own."
        )
    if any(own[name] != value for name, value in values.items()):
        connection.execute(update(TARGETS).where(TARGETS.c.target_id == own["target_id"]).values(**values))
    return int(own["target_id"])


def _is_rival(row: RowMapping, target: Target) -> bool:
    """Tell whether both may be one store; an account of another key that a person has named is none."""
    if any(row[name] != getattr(target, name) for name in ("api_version", "app_id", "project_id")):
        return False
    same_key = row["key_fingerprint"] == target.key_fingerprint
    if server_of(row["base_url"]) == server_of(target.base_url):
        return bool(same_key or not target.account_named)
    return bool(same_key and target.key_fingerprint not in _NO_KEY)


def _is_used(connection: Connection, row: RowMapping) -> bool:
    """Tell whether anything was ever sent; dry runs begin ledgers, too."""
    return bool(connection.execute(select(exists().where(CALLS.c.target_id == row["target_id"]))).scalar())


def _choice(database: str, target: Target, other: RowMapping) -> str:
    same = "server" if server_of(other["base_url"]) == server_of(target.base_url) else "API key"
    return (
        f"{database} holds no ledger of {target.base_url} ({target.api_version}, account {target.account}), but one of "
        f"the same {same}: {other['base_url']}, account {other['account']}. Nothing was sent: if both are one store, "
        "everything would be sent twice. If they are one, go on with that ledger: write "
        f'{other["base_url"]} as the base URL and "account": "{other["account"]}" into the extra of the connection. If '
        f'this is another store, or one that was emptied, write "new_ledger": "{target.name}" into the extra (without '
        "a connection: EVEROS_NEW_LEDGER), and it gets a ledger of its own."
    )
