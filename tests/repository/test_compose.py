"""Rules of docker-compose.yaml and its images, whose errors only show on another machine."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from everos_provider import __version__

from include.local.everos import DEFAULTS
from include.run_folder import PROJECT

FILE = PROJECT / "docker-compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SERVICES = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("chat-history-to-everos:")}
AIRFLOW = sorted(OURS - {"model"})
SECRETS = ("POSTGRES_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET")


def composes() -> list[list[str]]:
    """What this machine has of Compose, the plugin or the older program; checking a file needs no daemon."""
    known = [["docker", "compose"], ["docker-compose"]]
    return [command for command in known if shutil.which(command[0]) and succeeds(*command, "version")]


def succeeds(*argv: str) -> bool:
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def test_compose_accepts_the_file_with_and_without_celery(tmp_path: Path) -> None:
    """The rules below hold the YAML itself against what it needs; Compose judges it where there is one."""
    settings = tmp_path / "env"
    settings.write_text("".join(f"{name}=x\n" for name in SECRETS))
    for command in composes():
        for profile in ([], ["--profile", "celery"]):
            assert succeeds(*command, "--env-file", str(settings), *profile, "--file", str(FILE), "config", "--quiet")


@pytest.mark.parametrize("name", AIRFLOW)
def test_every_airflow_service_can_import_the_project_and_reach_its_state(name: str) -> None:
    service = SERVICES[name]
    assert "state:/opt/airflow/state" in service["volumes"]
    assert service["environment"]["EVEROS_IMPORT_HOME"] == "/opt/airflow/state"


@pytest.mark.parametrize("name", sorted(OURS))
def test_include_can_be_imported_in_every_service_that_runs_it(name: str) -> None:
    assert SERVICES[name]["environment"]["PYTHONPATH"] == "/opt/airflow"


def test_the_scheduler_forks_tasks_with_their_libraries_loaded() -> None:
    python, dash_m, *program = shlex.split(SERVICES["scheduler"]["command"])
    assert (python, dash_m, program) == ("python", "-m", ["include.local.preloaded", "airflow", "scheduler"])
    assert importlib.util.find_spec(program[0])


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_every_lasting_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_a_service_waits_only_for_services_that_are_there_whenever_it_is() -> None:
    for name, service in SERVICES.items():
        for needed in service.get("depends_on", {}):
            assert set(SERVICES[needed].get("profiles", [])) <= set(service.get("profiles", [])), (name, needed)


def test_every_volume_is_declared_and_every_build_target_exists() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in mounted if re.fullmatch(r"\w+", name)} == set(COMPOSE["volumes"])
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert targets == set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()]
    for image in [*images, *re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)]:
        assert re.search(r":.*\d+\.\d+\.\d+|postgres:\d+\.\d+", image), image


def test_the_images_have_the_version_of_the_project() -> None:
    tags = re.findall(r"image: chat-history-to-everos[\w-]*:(\S+)", FILE.read_text())
    assert set(tags) == {__version__}


def test_the_image_has_the_airflow_of_the_lock() -> None:
    (version,) = re.findall(r"^apache-airflow==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert f"-{version}-" in DOCKERFILE


def test_the_images_get_every_file_that_they_copy() -> None:
    sent = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    given = {path.relative_to(PROJECT).as_posix() for pattern in sent for path in PROJECT.glob(pattern)}
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (.+)", DOCKERFILE, re.MULTILINE)
        for source in shlex.split(line)[:-1]
        if not source.startswith("--")
    }
    assert copied - given == set()


def test_the_server_in_the_image_is_set_up_as_the_one_on_a_laptop() -> None:
    for name, value in DEFAULTS.items():
        assert re.search(rf"\b{name}={value}\b", DOCKERFILE), name


def test_no_secret_stands_in_the_compose_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD$|SECRET|FERNET|CONN$|KEY$|RESULT_BACKEND", name):
                assert "${" in value, name


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)[:}-]", FILE.read_text()))
    example = (PROJECT / ".env.example").read_text()
    assert {name for name in used if not re.search(rf"^#? ?{name}=", example, re.MULTILINE)} == set()


def test_the_example_becomes_settings_with_a_secret_for_each_name_that_needs_one(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/dotenv", ".env.example"):
        shutil.copy(PROJECT / name, tmp_path / name)
    subprocess.run([tmp_path / "scripts" / "dotenv"], check=True, capture_output=True)
    made = dict(re.findall(r"^(\w+)=(.*)$", (tmp_path / ".env").read_text(), re.MULTILINE))
    secrets = [made[name] for name in SECRETS]
    assert len(set(secrets)) == len(SECRETS)
    assert min(map(len, secrets)) > 40
