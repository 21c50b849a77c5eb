"""Tables and views of the ledger, the same in SQLite and PostgreSQL, and the steps between their versions."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    text,
)

from include.errors import LedgerError
from include.ledger.calls import CallState

METADATA = MetaData()


def _text(name: str, *, nullable: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> "Column[int]":
    return Column(name, BigInteger, nullable=nullable)


def _target() -> "Column[int]":
    return Column("target_id", Integer, ForeignKey("targets.target_id"), nullable=False)


TARGETS = Table(
    "targets",
    METADATA,
    Column("target_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    *map(_text, ("base_url", "api_version", "account", "key_fingerprint", "app_id", "project_id")),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("witnesses", Text, nullable=False, server_default=text("'[]'")),
    _text("layout", nullable=True),
)
"""
One row per store that calls are made to. ``generation`` counts the tasks that were about to send; ``layout`` is JSON
(:class:`include.memory_layout.MemoryLayout`), of the first of them.
"""

CALLS = Table(
    "calls",
    METADATA,
    Column("call_id", Text, primary_key=True),
    _target(),
    *map(_text, ("conversation_id", "segment_id", "key", "run_id", "state")),
    _text("task_id", nullable=True),
    _text("reason"),
    *map(_number, ("messages", "first_ms", "last_ms")),  # derived, for indexes: a status reads no other column
    *map(_text, ("message_ids", "after_first_ms", "writers")),  # JSON
    _number("asked_ms"),
    *(_number(name, nullable=True) for name in ("accepted_ms", "settled_ms")),
    CheckConstraint(f"state IN ({', '.join(repr(state.value) for state in CallState)})", name="known_state"),
    Index("calls_by_conversation", "target_id", "conversation_id", "last_ms"),
    Index("calls_by_segment", "target_id", "segment_id", "last_ms", "state", "messages", "run_id", "conversation_id"),
    Index("calls_by_run", "run_id", "settled_ms"),
    Index("calls_by_time", "target_id", "asked_ms"),
    Index(
        "calls_open",
        "target_id",
        "segment_id",
        sqlite_where=text("settled_ms IS NULL"),
        postgresql_where=text("settled_ms IS NULL"),
    ),
)
"""
One row per call to add messages. Times ``*_ms`` are Unix milliseconds: ``first_ms`` and ``last_ms`` of the messages,
``asked_ms`` (intent), ``accepted_ms`` (task) and ``settled_ms`` (outcome) of the writer's clock. Only
:mod:`include.delivery.moved` decides by them, with a margin of hours.
``after_first_ms`` is the time of each message after ``first_ms``; ``writers`` holds users, bots, and who wrote which.
"""

FLUSHES = Table(
    "flushes",
    METADATA,
    Column("flush_id", Text, primary_key=True),
    _target(),
    *map(_text, ("conversation_id", "segment_id", "run_id")),
    _number("landed"),
    _text("status", nullable=True),
    _number("asked_ms"),
    _number("answered_ms", nullable=True),
    Index("flushes_by_segment", "target_id", "segment_id"),
    Index("flushes_by_run", "run_id"),
)
"""One row per flush; ``landed`` messages were in the segment by then."""

CONVERSATION_IDS = Table(
    "conversation_ids",
    METADATA,
    _target(),
    *map(_text, ("template", "identity", "conversation_id")),
    UniqueConstraint("target_id", "template", "identity"),
)
"""The ids made of a template so far; ``identity`` is a JSON array (:attr:`include.records.Conversation.identity`)."""

TOLD_NAMES = Table(
    "told_names",
    METADATA,
    _target(),
    *map(_text, ("kind", "id", "digest")),
    UniqueConstraint("target_id", "kind", "id"),
)
"""Names that the target was told in a call of its own, as digests (:class:`include.memory_api.contract.Name`)."""

WAITING_RUNS = Table(
    "waiting_runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    *map(_text, ("interval_start", "older_run_id", "older_state", "since")),
    Column("ended", Integer, nullable=False),
)
"""Runs that wait for a run of an older interval (:mod:`include.report.waiting`)."""

FAILED_TASKS = Table(
    "failed_tasks",
    METADATA,
    *map(_text, ("run_id", "task_id")),
    Column("map_index", Integer, nullable=False),
    *map(_text, ("label", "kind", "cause", "state", "remedy")),
    Column("tries_again", Integer, nullable=False),
    _number("failed_ms"),
    UniqueConstraint("run_id", "task_id", "map_index"),
)
"""The last failure of each task of a run that has not succeeded since (:mod:`include.report.failure`)."""

VERSION = Table("ledger_version", METADATA, Column("version", Integer, nullable=False))

_VIEWS = (
    "CREATE VIEW open_calls AS SELECT * FROM calls WHERE settled_ms IS NULL",
    "CREATE VIEW landed_calls AS SELECT * FROM calls WHERE state = 'landed'",
    "CREATE VIEW rejected_calls AS SELECT * FROM calls WHERE state = 'rejected'",
    """
    CREATE VIEW segments AS
    SELECT found.*, coalesce(flushed.landed, 0) AS flushed, found.landed > coalesce(flushed.landed, 0) AS needs_flush
    FROM (
        SELECT target_id, segment_id, min(conversation_id) AS conversation_id,
            coalesce(sum(CASE WHEN state = 'landed' THEN messages END), 0) AS landed,
            coalesce(sum(CASE WHEN state = 'rejected' THEN messages END), 0) AS rejected,
            max(CASE WHEN state = 'landed' THEN last_ms END) AS last_ms
        FROM calls GROUP BY target_id, segment_id
    ) AS found
    LEFT JOIN (
        SELECT target_id, segment_id, max(landed) AS landed FROM flushes
        WHERE status IS NOT NULL GROUP BY target_id, segment_id
    ) AS flushed ON flushed.target_id = found.target_id AND flushed.segment_id = found.segment_id
    """,
    """
    CREATE VIEW conversations AS
    SELECT target_id, conversation_id, count(*) AS segments, sum(landed) AS landed, sum(rejected) AS rejected,
        max(last_ms) AS last_ms, sum(flushed) AS flushed, sum(landed) > sum(flushed) AS needs_flush
    FROM segments GROUP BY target_id, conversation_id
    """,
)


def _create(connection: Connection) -> None:
    METADATA.create_all(connection)
    for view in _VIEWS:
        connection.execute(text(view))


def _add_failed_tasks(connection: Connection) -> None:
    FAILED_TASKS.create(connection, checkfirst=True)


def _add_told_names(connection: Connection) -> None:
    TOLD_NAMES.create(connection, checkfirst=True)


MIGRATIONS = (_create, _add_failed_tasks, _add_told_names)
"""Step ``n`` brings a database from version ``n`` to ``n + 1``; steps are only ever added."""


def version_of(connection: Connection) -> int:
    """Return the version of the database's schema, 0 for an empty one."""
    if not inspect(connection).has_table(VERSION.name):
        return 0
    return int(connection.execute(select(VERSION.c.version)).scalar_one())


def migrate(connection: Connection) -> None:
    """
    Bring the database to the present version; call it in a transaction that no other can overlap.

    :raises LedgerError: a later version of this project has written it.
    """
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger has version {version}, this project knows {len(MIGRATIONS)}: a later version of the project "
            "has written it. Nothing was sent. Run that version, or a later one."
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    if version < len(MIGRATIONS):
        connection.execute(VERSION.delete())
        connection.execute(VERSION.insert().values(version=len(MIGRATIONS)))
