"""Rules of the table of figures: the report has all of them, the sum is that of the parts, and each is documented."""

import re

import pytest

from include.report.columns import COLUMNS, PARTS, TOTALS, count_of, is_conserved, shown_columns
from include.report.figures import totals_of
from include.run_folder import PROJECT, RunFolder


def a_row(**figures: object) -> dict[str, object]:
    nothing = {column.key: {} if column.kind == "reasons" else 0 for column in TOTALS}
    return nothing | {"conversation_id": "a"} | figures


def test_each_part_counts_in_the_sum() -> None:
    for part in PARTS:
        value = {"private": 2, "bot": 3} if part.kind == "reasons" else 5
        assert is_conserved(a_row(extracted=5) | {part.key: value})
        assert not is_conserved(a_row(extracted=6) | {part.key: value})
        assert count_of(value) == 5


def test_totals_are_the_sums_over_the_conversations(tmp_path: object) -> None:
    rows = [a_row(extracted=3, loaded=2, skipped={"bot": 1}), a_row(extracted=4, skipped={"bot": 2, "private": 2})]
    totals = totals_of(rows, RunFolder.of("none"))
    assert totals.keys() == {column.key for column in TOTALS}
    assert (totals["extracted"], totals["loaded"], totals["skipped"]) == (7, 2, {"bot": 3, "private": 2})


def test_a_column_is_shown_for_the_kind_of_run_and_if_any_conversation_has_it() -> None:
    shown = [column.key for column in shown_columns([a_row(pending=1)], dry_run=True)]
    assert {"pending", "tokens", "skipped"} <= set(shown)
    assert not {"loaded", "flushed", "unknown", "shifted_ms"} & set(shown)


def test_every_figure_is_described_in_the_documentation() -> None:
    text = (PROJECT / "docs" / "report.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert {column.key for column in COLUMNS} <= described


@pytest.mark.parametrize("name", ["README.md", "docs/report.md"])
def test_the_documented_sum_is_that_of_the_parts(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert f"extracted = {' + '.join(part.key for part in PARTS)}" in text
