"""Rules of the records: each has one list of fields, and every reason to skip an entry is described."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from include import records
from include.parsers.discord.message import SYSTEM_KINDS
from include.parsers.slack.messages import IMPORTED, NOISE
from include.records import SKIP_REASONS, repeated_columns, schema_of
from include.run_folder import PROJECT
from tests.support.read_exports import read

EXPORTS = [
    *sorted((PROJECT / "tests" / "fixtures" / "cases").glob("*/*")),
    *sorted((PROJECT / "include" / "samples").iterdir()),
]


class Inner(msgspec.Struct, kw_only=True):
    name: str


class Outer(msgspec.Struct, kw_only=True):
    role: records.Role
    at_ms: int | None = None
    many: tuple[Inner, ...] = ()


def test_a_field_is_a_column_of_its_type() -> None:
    inner = pa.field("element", pa.struct([pa.field("name", pa.string(), nullable=False)]), nullable=False)
    fields: list[Any] = [
        pa.field("role", pa.string(), nullable=False),
        pa.field("at_ms", pa.int64(), nullable=True),
        pa.field("many", pa.list_(inner), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
    assert schema_of(Outer, count=int).equals(pa.schema(fields))
    assert schema_of(Outer, without=["many"]).names == ["role", "at_ms"]


def test_every_column_with_repeated_values_is_a_column_of_a_record() -> None:
    schemas = [schema for schema in vars(records).values() if isinstance(schema, pa.Schema)]
    assert {name for schema in schemas for name in repeated_columns(schema)} == records._REPEATED


@pytest.mark.parametrize("source", EXPORTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_reason_is_described_or_is_a_subtype_of_the_platform(source: Path) -> None:
    reasons = set(read(source, bots="skip").reasons)
    assert reasons - SKIP_REASONS.keys() <= {*NOISE, *IMPORTED, *SYSTEM_KINDS.values(), "ThreadStarterMessage"}


def test_every_reason_that_a_parser_names_is_described() -> None:
    named = set()
    for path in (PROJECT / "include" / "parsers").rglob("*.py"):
        named.update(re.findall(r"Skip\(\"(.+?)\"", path.read_text(encoding="utf-8")))
    assert "empty" in named
    assert named <= SKIP_REASONS.keys()
