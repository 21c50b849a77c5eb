"""Writes and reads CSV files in which no cell is a formula to a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from include.files import open_private

_FORMULA = re.compile(r"'*[\t\r]|[\s'\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""
Start of a cell that a spreadsheet computes (OWASP, "CSV Injection"), also after characters that it trims, and after
apostrophes: :func:`read_sheet` has to distinguish an added apostrophe from one of the cell.
"""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """
    Write a table atomically. Numbers stay numbers, ``None`` is an empty cell.

    Text is quoted: a spreadsheet that separates cells at semicolons would find formulas in it.
    """
    with open_private(path) as file:
        table = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        writer = csv.writer(table, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows(map(harmless, rows))
        table.flush()
        table.detach()


def read_sheet(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows that :func:`write_sheet` was given, by column."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {name: _original(cell) for name, cell in row.items()}


def harmless(cells: Iterable[Any]) -> list[Any]:
    """Return a row with an apostrophe before each text that a spreadsheet would compute."""
    return [_cell(cell) for cell in cells]


def _cell(cell: Any) -> Any:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _original(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
