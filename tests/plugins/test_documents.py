"""Examples of the documents that Airflow reads: commands and connections."""

import re
import shlex

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.sdk import Connection
from everos_provider.params import import_params

from include.parameters import DAG_ID
from include.run_folder import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
OPERATING = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
PARAMETERS = (PROJECT / "docs" / "parameters.md").read_text(encoding="utf-8")
CONNECTIONS = re.findall(r"^    AIRFLOW_CONN_EVEROS_DEFAULT='(.+)'$", README, re.MULTILINE)
COMMANDS = re.findall(r"^ +airflow (.+)$", OPERATING, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_airflow_knows_every_command(command: str) -> None:
    arguments = get_parser().parse_args(shlex.split(command))
    assert arguments.dag_id == DAG_ID


@pytest.mark.parametrize("value", CONNECTIONS)
def test_every_example_of_a_connection_is_one_to_the_cloud(value: str) -> None:
    value = value.replace("<API key>", "KEY")
    read = Connection.from_json if value.startswith("{") else Connection.from_uri
    connection = read(value, "everos_default")
    assert (connection.conn_type, connection.password) == ("everos", "KEY")
    assert "api.evermind.ai" in str(connection.host)


@pytest.mark.parametrize(("name", "default"), re.findall(r"^\| `(\w+)` \| `?([\w{}]+)`? \|", PARAMETERS, re.MULTILINE))
def test_every_default_is_the_documented_one(name: str, default: str) -> None:
    value = import_params()[name].value
    assert default == (str(value).lower() if isinstance(value, bool) else str(value))


def test_there_are_examples() -> None:
    assert (len(COMMANDS), len(CONNECTIONS)) == (1, 2)
