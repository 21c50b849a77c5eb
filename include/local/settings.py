"""The environment of a local Airflow: all settings, and none from the user's own Airflow."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from include.local.state_folder import StateFolder
from include.run_folder import HOME_VARIABLE, PROJECT

DATABASE = "airflow.db"
USER = "admin"
"""The one user of a local Airflow."""

HOSTS_VARIABLE = "EVEROS_IMPORT_UI_HOSTS"
"""
Host names, separated by commas, that the API server accepts (``everos_provider/plugin.py``). A page of another site
that resolves its own name to 127.0.0.1 (DNS rebinding) gets no answer. Without this setting all names are accepted.
"""


def airflow_environment(
    environ: Mapping[str, str], state_folder: StateFolder, *, port: int, dags: Path
) -> dict[str, str]:
    """
    Return the environment for all components.

    :param port: Of the API server and UI, on 127.0.0.1.
    :param dags: Folder of DAG files.
    :param environ: The caller's environment, without ``AIRFLOW__*`` and ``AIRFLOW_HOME``, which belong to another
        Airflow; ``AIRFLOW_CONN_*``, ``AIRFLOW_VAR_*`` and all others stay.
    """
    ours = {name: value for name, value in environ.items() if not _of_another_airflow(name)}
    url = f"http://127.0.0.1:{port}"
    # Airflow shows the deprecations of its own code in every task's log, unless the environment says otherwise
    return (
        {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
        | ours
        | {
            HOME_VARIABLE: str(state_folder.root),
            # with plugins/: this project's provider takes precedence over an installed one
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
            "AIRFLOW_HOME": str(state_folder.airflow),
            # seconds that a writer waits for another one; SQLite's own default of 5 is short on a busy laptop
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{state_folder.airflow}/{DATABASE}?timeout=60",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(state_folder)),
            HOSTS_VARIABLE: "127.0.0.1,localhost",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__WORKERS": "1",
            # new for each start: tokens of an earlier Airflow's tasks are invalid
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            # parsing the DAG takes seconds of CPU; a change is seen after a minute, or by the next start
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            # seconds between two scheduling loops; each of the seven steps waits for one
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            # a load whose process was killed is retried after this, not after five minutes
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state_folder.airflow / "logs"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
    )


def new_password(state_folder: StateFolder) -> str:
    """Make a password for :data:`USER`, write it to a file with mode 0600, and return it."""
    password = secrets.token_urlsafe(18)
    path = _passwords(state_folder)
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=_private) as file:
        json.dump({USER: password}, file)
    return password


def _passwords(state_folder: StateFolder) -> Path:
    return state_folder.airflow / "passwords.json"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _of_another_airflow(name: str) -> bool:
    return name.startswith("AIRFLOW__") or name in {"AIRFLOW_HOME", "AIRFLOW_CONFIG"}
