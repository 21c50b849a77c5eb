"""Rule of an upgrade: what is not Airflow's public interface is used by one module."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PUBLIC = {
    "airflow.sdk",
    "airflow.sdk.exceptions",
    "airflow.sdk.observability.stats",
    "airflow.plugins_manager",
    "airflow.providers.openlineage.extractors",  # for operators that give their own lineage
}
INTERNALS = "airflow_internals.py"


def imported(source: str) -> set[str]:
    """Return the modules of Airflow that a source imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.partition(".")[0] == "airflow"}


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(PROJECT)
        for folder in ("plugins", "dags")
        for path in sorted((PROJECT / folder).rglob("*.py"))
        if path.name != INTERNALS
    ],
    ids=str,
)
def test_a_module_imports_only_airflows_public_interface(path: Path) -> None:
    assert imported((PROJECT / path).read_text(encoding="utf-8")) <= PUBLIC


def test_an_import_inside_a_function_is_found() -> None:
    assert imported("def f():\n    from airflow.models import DagRun\n") == {"airflow.models"}
