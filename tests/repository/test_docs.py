"""Documents name only commands and files that exist."""

import re

import pytest

from include.layout import PROJECT

TARGETS = set(re.findall(r"^([a-z.-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", ".pre-commit-config.yaml", "docker-compose.yaml")
FOLDERS = ("dags", "docs", "include", "plugins", "scripts", "tests")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_of_a_document_exists(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^    |\$ )make ([a-z.-]+)", text, re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md"])
def test_every_path_of_a_document_exists(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    named = set(re.findall(rf"(?:`|\s|\()((?:{'|'.join(FOLDERS)})/[\w./-]*\w)", text))
    assert named
    assert {path for path in named if not (PROJECT / path).exists()} == set()
