"""Trouble with files, in words a person can act on: a full disk, a folder that cannot be written, a file gone."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from include.errors import ChatImportError, StorageError

TROUBLE = (OSError, duckdb.IOException, duckdb.OutOfMemoryException)
"""Errors of the system, Parquet and DuckDB; the last one is that of DuckDB without room to spill."""

REMEDY = "Make room there or mend its permissions, then clear the failed task or run again."


@contextmanager
def file_trouble(folder: Path, truth: str, as_error: type[ChatImportError] = StorageError) -> Iterator[None]:
    """
    Turn what goes wrong with files into one error: which folder, what happened, what is true now, what to do.

    :param folder: What is read and written meanwhile lies below it; it need not be there.
    :param truth: What is true after a failure, in a sentence.
    :param as_error: What to raise.
    """
    try:
        yield
    except TROUBLE as error:
        raise as_error(f"{folder}: {described(error, folder)}. {truth} {REMEDY}") from error


def described(error: Exception, folder: Path) -> str:
    """Say what happened, in a line, and how much room there is: a full disk is the usual reason."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return f"{str(error).partition('\n')[0].rstrip('.')} ({shutil.disk_usage(there).free / 1e6:,.0f} MB free)"
