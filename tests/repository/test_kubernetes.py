"""The values for Airflow's Helm chart name what the code, the image and Compose have."""

import importlib
import re
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from include.run_folder import PROJECT

PAGE = (PROJECT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
[SNIPPET] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
VALUES: dict[str, Any] = yaml.safe_load(SNIPPET)
ENVIRON = {each["name"]: each["value"] for each in VALUES["env"]}
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]["scheduler"]["environment"]


def test_the_values_have_no_other_keys_than_those_of_the_chart() -> None:
    """The keys that this page uses, as in the parameters reference of chart 1.22."""
    assert VALUES.keys() <= {
        "airflowVersion",
        "config",
        "createUserJob",
        "defaultAirflowRepository",
        "defaultAirflowTag",
        "env",
        "executor",
        "secret",
        "triggerer",
    }
    assert all(each.keys() == {"name", "value"} for each in VALUES["env"])
    assert all(each.keys() == {"envName", "secretName", "secretKey"} for each in VALUES["secret"])
    assert all(isinstance(value, str) for value in ENVIRON.values()), "Kubernetes refuses other types"


def test_every_variable_is_one_that_compose_passes_on() -> None:
    assert {*ENVIRON, *(each["envName"] for each in VALUES["secret"])} <= COMPOSE.keys()


@pytest.mark.parametrize("name", ["PYTHONPATH", "EVEROS_IMPORT_HOME"])
def test_folders_of_the_image_are_those_of_compose(name: str) -> None:
    assert ENVIRON[name] == COMPOSE[name]


def test_every_key_of_the_secret_is_created_and_used() -> None:
    assert {each["secretName"] for each in VALUES["secret"]} == set(re.findall(r"secret generic (\S+)", PAGE))
    assert {each["secretKey"] for each in VALUES["secret"]} == set(re.findall(r"--from-literal=(\w+)=", PAGE))


def test_every_setting_of_airflow_exists() -> None:
    known = conf.configuration_description
    for section, settings in VALUES["config"].items():
        assert settings.keys() <= known[section]["options"].keys()
    module, _, name = VALUES["config"]["core"]["auth_manager"].rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_the_image_is_the_one_of_compose() -> None:
    image = f"{VALUES['defaultAirflowRepository']}:{VALUES['defaultAirflowTag']}"
    assert PAGE.count(image) == 2
    text = (PROJECT / "docker-compose.yaml").read_text()
    assert f"image: {image.rpartition('/')[2]}\n" in text
    assert f"-{VALUES['airflowVersion']}-" in (PROJECT / "Dockerfile").read_text()
