"""Examples in docstrings are true."""

import doctest
import importlib

import pytest

from include.run_folder import PROJECT

MODULES = [
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((PROJECT / "include").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_an_example_in_a_docstring_gives_what_it_shows(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted
    assert outcome.failed == 0


def test_there_are_examples() -> None:
    assert len(MODULES) > 5
