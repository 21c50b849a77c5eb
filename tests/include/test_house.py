"""Files that only break on somebody else's machine."""

import re

import pytest
import yaml

from include.layout import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
AIRFLOW = {name: service for name, service in COMPOSE["services"].items() if name != "postgres"}


@pytest.mark.parametrize("name", AIRFLOW)
def test_every_airflow_service_can_import_the_project_and_reach_its_state(name: str) -> None:
    service = AIRFLOW[name]
    assert service["environment"]["PYTHONPATH"] == "/opt/airflow"
    assert "state:/opt/airflow/state" in service["volumes"]
    assert service["environment"]["EVEROS_IMPORT_HOME"] == "/opt/airflow/state"


@pytest.mark.parametrize("name", COMPOSE["services"].keys() - {"migrate"})
def test_every_lasting_service_has_a_health_check(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_images_are_pinned() -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text()
    images = [service["image"] for service in COMPOSE["services"].values()]
    for image in [*images, *re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)]:
        assert re.search(r":.*\d+\.\d+", image), image


def test_the_image_has_the_airflow_of_the_lock() -> None:
    (version,) = re.findall(r"^apache-airflow==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert f"-{version}-" in (PROJECT / "Dockerfile").read_text()


def test_no_secret_stands_in_the_compose_file() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD$|SECRET|FERNET|CONN$", name):
                assert "${" in value, name


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)[:}-]", (PROJECT / "docker-compose.yaml").read_text()))
    example = (PROJECT / ".env.example").read_text()
    assert {name for name in used if not re.search(rf"^#? ?{name}=", example, re.MULTILINE)} == set()


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_locks_name_exact_versions_and_no_machine(lock: str) -> None:
    lines = [line for line in (PROJECT / lock).read_text().splitlines() if line and not line.lstrip().startswith("#")]
    assert [line for line in lines if not re.match(r"[\w.-]+==\S+( ; .+)?$", line)] == []
