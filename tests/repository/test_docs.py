"""Documents name only commands, files, variables and parameters that exist, and name all that a user needs."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
import yaml

from include.ledger import Ledger, ledger_url
from include.memory_api.contract import Target
from include.parameters import PARAMETERS
from include.run_folder import PROJECT

TARGETS = set(re.findall(r"^([a-z.-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
PAGES = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    *sorted(f"docs/{path.name}" for path in PROJECT.glob("docs/*.md")),
]
FOLDERS = ("dags", "docs", "include", "plugins", "scripts", "tests")
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for pattern in (*(f"{folder}/**/*.py" for folder in FOLDERS), ".env.example", "docker-compose.yaml")
    for path in PROJECT.glob(pattern)
)


def text_of(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def headings(text: str) -> set[str]:
    """Return the anchors of a document, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("name", [*PAGES, ".pre-commit-config.yaml", "docker-compose.yaml"])
def test_every_make_target_of_a_document_exists(name: str) -> None:
    named = set(re.findall(r"(?:`|^    |\$ )make ([a-z.-]+)", text_of(name), re.MULTILINE))
    assert named <= TARGETS


@pytest.mark.parametrize("name", PAGES)
def test_every_path_of_a_document_exists(name: str) -> None:
    named = set(re.findall(rf"(?:`|\s)((?:{'|'.join(FOLDERS)})/[\w./-]*\w)", text_of(name)))
    assert {path for path in named if not (PROJECT / path).exists()} == set()


@pytest.mark.parametrize("name", PAGES)
def test_every_link_between_documents_leads_to_a_file_and_a_heading(name: str) -> None:
    for path, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#?)([^)]*)\)", text_of(name)):
        linked = (PROJECT / name).parent / path if path else PROJECT / name
        assert linked.is_file(), path
        assert not anchor or anchor in headings(linked.read_text(encoding="utf-8")), anchor


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_of_a_document_is_used(name: str) -> None:
    named = set(re.findall(r"\b((?:EVEROS|AIRFLOW|COMPOSE)_[A-Z_]+[A-Z])\b", text_of(name)))
    assert {variable for variable in named if variable not in CODE} == set()


def test_every_variable_of_the_settings_is_documented() -> None:
    settings = set(re.findall(r"^#? ?(EVEROS_[A-Z_]+)=", text_of(".env.example"), re.MULTILINE))
    documents = "\n".join(map(text_of, PAGES))
    assert {name for name in settings if name not in documents and name != "EVEROS_PORT"} == set()


def test_every_parameter_is_documented_and_no_other() -> None:
    table = text_of("docs/parameters.md").partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)
    assert sorted(re.findall(r"\w+", " ".join(rows))) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PAGES)
def test_every_example_of_parameters_is_valid(name: str) -> None:
    for example in re.findall(r"CONF='([^']+)'", text_of(name)):
        assert json.loads(example).keys() <= set(PARAMETERS)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_inside_a_compose_service_names_a_service(name: str) -> None:
    services = yaml.safe_load(text_of("docker-compose.yaml"))["services"]
    assert set(re.findall(r"docker compose exec ([\w-]+)", text_of(name))) <= services.keys()


def test_every_query_of_the_ledger_runs(tmp_path: Path) -> None:
    Ledger.open(ledger_url(tmp_path), Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0"))
    queries = re.findall(r"^    (SELECT .+;)$", text_of("docs/ledger.md"), re.MULTILINE)
    assert len(queries) > 2
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        for query in queries:
            if "::jsonb" not in query:
                connection.execute(query)
