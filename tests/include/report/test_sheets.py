"""Rules of the CSV files: no cell is taken for a formula, and all is read back as it was."""

import csv
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import run_folder
from include.report.sheets import harmless, read_sheet, write_sheet

COLUMNS = ("one", "two")


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", " =", "\n=", "\u00a0@", "\ufeff=", "\u200b-", "'=", "\uff1d"]
)
def test_a_cell_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(start: str) -> None:
    assert harmless([f"{start}HYPERLINK(1)"]) == [f"'{start}HYPERLINK(1)"]


@pytest.mark.parametrize("cell", [-5, 3, "-5", "+1.5", "general", "a=b", "'quoted'", "", "U1-2"])
def test_numbers_and_words_stay_as_they_are(cell: str | int) -> None:
    assert harmless([cell]) == [cell]


def test_a_cell_does_not_end_where_a_spreadsheet_divides_at_semicolons(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.csv", COLUMNS, [["a;=1+1", None]])
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == '"a;=1+1",""'


@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8")) | st.text("=+-@'\t\r\n \ufeff1")] * 2), max_size=5))
def test_a_sheet_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str]]
) -> None:
    path = tmp_path_factory.mktemp("sheet") / "a.csv"
    write_sheet(path, COLUMNS, rows)
    assert [tuple(row.values()) for row in read_sheet(path)] == rows
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=@\t\r")]


def test_every_csv_file_is_written_in_one_place() -> None:
    writing = [
        path.name
        for folder in ("include", "plugins")
        for path in (run_folder.PROJECT / folder).rglob("*.py")
        if "csv.writer(" in (text := path.read_text(encoding="utf-8")) or "csv.DictWriter(" in text
    ]
    assert writing == ["sheets.py"]
