"""Commands refuse what cannot work in one clear sentence, before anything is started."""

import json
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from include.errors import ConfigurationError
from include.local.airflow import has_connection
from include.local.commands import ask_memory, demo, import_source, own_target
from include.local.settings import airflow_environment, new_password
from include.local.state_folder import StateFolder
from include.run_folder import PROJECT


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test works in the person's own home or with their key."""
    for name in ("EVEROS_API_KEY", "AIRFLOW_CONN_EVEROS_DEFAULT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVEROS_IMPORT_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "conf", "sentence"),
    [
        (".", "{dry_run}", r"CONF is not JSON"),
        (".", "[1]", r"CONF is not a JSON object"),
        (".", '{"source": "x"}', r"SOURCE="),
        (".", '{"dryrun": true}', r"did you mean 'dry_run'"),
    ],
)
def test_an_import_that_cannot_work_says_what_is_missing(
    elsewhere: Path, source: str, conf: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        import_source(source, conf)
    assert not (elsewhere / "home").exists()


def test_a_target_that_nobody_knows_is_refused_with_those_that_there_are(elsewhere: Path) -> None:
    with pytest.raises(ConfigurationError, match="TARGET=cloud is not one of selfhosted, standin-v1"):
        demo("cloud", stay=False)


@pytest.mark.parametrize(
    ("question", "limit", "sentence"),
    [
        (" ", 5, "no question is given.*make ask Q="),
        ("why?", 0, "N=0 is not a number of answers, 1 to 100"),
        ("why?", 101, "N=101 is not"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(elsewhere: Path, question: str, limit: int, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ask_memory(question, limit=limit)


def test_a_connection_made_in_the_ui_counts_as_a_target(tmp_path: Path) -> None:
    state_folder = StateFolder(tmp_path, 0)
    assert not has_connection(state_folder, "everos_default")
    state_folder.airflow.mkdir()
    with closing(sqlite3.connect(state_folder.airflow / "airflow.db")) as metadata, metadata:
        assert not has_connection(state_folder, "everos_default"), "its tables are not made yet"
        metadata.execute("CREATE TABLE connection (conn_id)")
        metadata.execute("INSERT INTO connection VALUES ('everos_default')")
    assert has_connection(state_folder, "everos_default")
    assert not has_connection(state_folder, "another")


def environment(tmp_path: Path, **environ: str) -> dict[str, str]:
    return airflow_environment(environ, StateFolder(tmp_path, 0), port=8123, dags=PROJECT / "dags")


def test_settings_of_another_airflow_are_left_out_and_connections_are_kept(tmp_path: Path) -> None:
    settings = environment(
        tmp_path,
        AIRFLOW_HOME="/opt/other",
        AIRFLOW__CORE__AUTH_MANAGER="other",
        AIRFLOW_CONN_EVEROS_DEFAULT="{}",
        AIRFLOW_VAR_X="1",
        HTTPS_PROXY="proxy",
    )
    assert "AIRFLOW__CORE__AUTH_MANAGER" not in settings
    assert settings["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert (settings["AIRFLOW_CONN_EVEROS_DEFAULT"], settings["AIRFLOW_VAR_X"]) == ("{}", "1")
    assert settings["HTTPS_PROXY"] == "proxy"


def test_nothing_listens_beyond_this_machine_and_nobody_gets_in_without_a_password(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    assert "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS" not in settings
    assert settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin"
    assert settings["EVEROS_IMPORT_UI_HOSTS"] == "127.0.0.1,localhost"
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_each_start_has_another_password_which_only_this_user_of_the_machine_can_read(tmp_path: Path) -> None:
    state_folder = StateFolder(tmp_path, 0)
    state_folder.airflow.mkdir()
    first, second = new_password(state_folder), new_password(state_folder)
    path = Path(environment(tmp_path)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert first != second
    assert json.loads(path.read_text()) == {"admin": second}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_start_has_secrets_of_its_own(tmp_path: Path) -> None:
    names = ("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
    first, second = environment(tmp_path), environment(tmp_path)
    assert all(first[name] != second[name] for name in names)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [({}, "No suitable Python found: install Python 3.12"), ({"PYTHON": "false"}, "PYTHON=false is no Python 3.12")],
)
def test_the_set_up_names_what_is_missing(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    """On a machine with a shell and nothing else."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("cat", "cksum", "dirname", "false"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    project = tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    for name in ("scripts/environment", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        (project / name).write_bytes((PROJECT / name).read_bytes())
    run = subprocess.run(
        ["/bin/sh", str(project / "scripts" / "environment")],
        env={"PATH": str(tools), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert sentence in run.stderr
    assert not (project / ".venv").exists()


def test_an_own_target_is_named_by_the_place_that_airflow_takes_it_from(elsewhere: Path) -> None:
    state_folder = StateFolder(elsewhere / "home", lock=-1)
    key, variable = {"EVEROS_API_KEY": "k"}, {"AIRFLOW_CONN_EVEROS_DEFAULT": "everos://"}
    assert "none yet: make the connection everos_default" in own_target(state_folder, {})
    assert "EVEROS_…, until you make the connection" in own_target(state_folder, key)
    state_folder.airflow.mkdir(parents=True)
    with closing(sqlite3.connect(state_folder.airflow / "airflow.db")) as database:
        database.execute("CREATE TABLE connection (conn_id)")
        database.execute("INSERT INTO connection VALUES ('everos_default')")
        database.commit()
    assert own_target(state_folder, key) == "the connection everos_default (Admin, Connections)"
    assert "AIRFLOW_CONN_EVEROS_DEFAULT, which takes precedence" in own_target(state_folder, key | variable)
