"""Compares what a command prints with a text that is checked in. ``GOLDEN=write`` writes the texts again."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_OF_THE_RUN = {
    r"(manual|scheduled|backfill)__\d{4}-\d\d-\d\dT[\d:%A.]+(\+|%2B)00(:|%3A)00": "RUN",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"for \d+ s": "for N s",
    r"http://127\.0\.0\.1:\d+": "http://127.0.0.1:PORT",
}


def assert_golden(path: Path, output: str, names: Mapping[object, str], *, words_only: bool = False) -> None:
    """
    Compare an output with its text.

    :param names: Texts that differ from run to run, such as paths, and the name that the text has for each. Ids of
        runs, ports and durations are replaced without it.
    :param words_only: The lines are wrapped, and the length of a path decides where.
    """
    for value, name in names.items():
        output = output.replace(str(value), name)
    for pattern, name in _OF_THE_RUN.items():
        output = re.sub(pattern, name, output)
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(output, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    if words_only:
        assert output.split() == expected.split()
    else:
        assert output.splitlines() == expected.splitlines()
    assert "Traceback" not in output
