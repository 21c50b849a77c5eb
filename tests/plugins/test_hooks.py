"""Rules of the hook: from an Airflow connection, or the environment, to a client."""

import json
import logging
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from everos_provider.connection_test import ConnectionTest
from everos_provider.hooks import TESTED_ID, EverOSHook, described_target
from everos_provider.origins import overruling_variable
from everos_provider.params import import_params
from everos_provider.provider_info import get_provider_info
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from include.errors import ConfigurationError
from include.run_folder import PROJECT
from include.standin import StandIn

VARIABLES = (
    "AIRFLOW_CONN_EVEROS_DEFAULT",
    "EVEROS_API_KEY",
    "EVEROS_BASE_URL",
    "EVEROS_API_VERSION",
    "EVEROS_ACCOUNT",
    "EVEROS_APP_ID",
    "EVEROS_PROJECT_ID",
)
SECRET = "sk-do-not-show-me"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    TESTED_ID.set("")


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Start a server that answers every request with one status; return its address."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Answers))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn.running(tmp_path) as server:
        yield server


def connect_with(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    connection = {"conn_type": "everos", "password": SECRET} | fields
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", json.dumps(connection))


def test_docker_compose_loads_into_its_own_everos(monkeypatch: pytest.MonkeyPatch) -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    default = services["scheduler"]["environment"]["AIRFLOW_CONN_EVEROS_DEFAULT"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_EVEROS_DEFAULT", default.removeprefix("${AIRFLOW_CONN_EVEROS_DEFAULT:-").rstrip("}")
    )
    target = EverOSHook().target
    assert (target.base_url, target.api_version) == ("http://everos:8000", "v2")
    assert "everos" in services


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({}, "https://api.evermind.ai"),
        ({"host": "https://memory.example"}, "https://memory.example"),
        ({"host": "memory.example"}, "https://memory.example"),
        ({"host": "memory.example", "schema": "http", "port": 8010}, "http://memory.example:8010"),
        ({"host": "http://memory.example/", "port": 8010}, "http://memory.example:8010"),
        ({"host": "https://memory.example", "port": 443}, "https://memory.example"),
        ({"host": "http://memory.example:8010", "port": 8010}, "http://memory.example:8010"),
    ],
)
def test_a_base_url_can_be_given_in_any_form_of_a_connection(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], base_url: str
) -> None:
    connect_with(monkeypatch, **fields)
    assert EverOSHook().target.base_url == base_url


def test_a_connection_may_be_written_as_json_or_as_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"host": "memory.example", "schema": "http", "port": 8010}
    connect_with(monkeypatch, **fields, extra={"api_version": "v2", "app_id": "crm", "timeout_s": 5})
    as_json = EverOSHook().settings()
    uri = f"everos://:{SECRET}@memory.example:8010/http?api_version=v2&app_id=crm&timeout_s=5"
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", uri)
    assert EverOSHook().settings() == as_json
    assert (as_json.base_url, as_json.api_key, as_json.app_id) == ("http://memory.example:8010", SECRET, "crm")


def test_a_connection_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_with(monkeypatch, host="https://one.example", extra={"account": "acme", "timeout_s": "5"})
    monkeypatch.setenv("EVEROS_API_KEY", "other")
    monkeypatch.setenv("EVEROS_BASE_URL", "https://two.example")
    settings = EverOSHook().settings()
    assert (settings.base_url, settings.api_key, settings.account, settings.read_timeout_s) == (
        "https://one.example",
        SECRET,
        "acme",
        5.0,
    )


def test_the_environment_is_used_if_there_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVEROS_API_KEY", SECRET)
    monkeypatch.setenv("EVEROS_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVER_OS_BASE_URL", "https://not-this-one.example")
    target = EverOSHook().target
    assert (target.base_url, target.api_version, target.account_named) == ("http://127.0.0.1:9", "v1", False)


def test_a_self_hosted_server_needs_an_address_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVEROS_API_VERSION", "v2")
    with pytest.raises(ConfigurationError, match="EVEROS_BASE_URL"):
        EverOSHook().settings()
    monkeypatch.setenv("EVEROS_BASE_URL", "http://127.0.0.1:8000")
    monkeypatch.setenv("EVEROS_APP_ID", "shop")
    monkeypatch.setenv("EVEROS_PROJECT_ID", "eu")
    target = EverOSHook().target
    assert (target.api_version, target.app_id, target.project_id) == ("v2", "shop", "eu")
    connect_with(monkeypatch, password=None, host="http://127.0.0.1:8000", extra={"api_version": "v2", "app_id": "b"})
    assert EverOSHook().target.app_id == "b"


def test_without_connection_and_environment_the_error_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="no EVEROS_API_KEY, so nothing can be sent"):
        EverOSHook().settings()


@pytest.mark.parametrize(
    "fields",
    [
        {"password": ""},
        {"extra": {"api_version": "v9"}},
        {"host": "ftp://memory.example"},
        {"host": "https://api.evermind.ai/api/v1"},
        {"extra": {"timeout_s": "soon"}},
        {"extra": {"acount": "acme"}},
        {"extra": {"account": 5}},
        {"extra": {"account": ["acme"]}},
        {"extra": {"API_VERSION": "v2"}},
        {"extra": '{"account": "acme"'},
        {"extra": '["account"]'},
        {"extra": "account=acme"},
    ],
)
def test_a_connection_that_cannot_work_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    connect_with(monkeypatch, **fields)
    with pytest.raises(ConfigurationError, match="connection everos_default: ") as caught:
        EverOSHook().settings()
    assert SECRET not in str(caught.value)


def test_a_misspelt_name_in_the_extra_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_with(monkeypatch, extra={"projectid": SECRET})
    with pytest.raises(ConfigurationError, match=r"'projectid' \(did you mean 'project_id'\?\)") as caught:
        EverOSHook().settings()
    assert SECRET not in str(caught.value)


def test_the_test_button_calls_the_server_and_writes_nothing(monkeypatch: pytest.MonkeyPatch, standin: StandIn) -> None:
    connect_with(monkeypatch, host=standin.base_url)
    good, sentence = EverOSHook().test_connection()
    assert good, sentence
    assert [entry for entry in standin.journal() if entry.kind in {"add", "flush"}] == []


def test_the_test_button_shows_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_with(monkeypatch, host="http://127.0.0.1:9")
    good, sentence = EverOSHook().test_connection()
    assert not good
    assert "127.0.0.1:9" in sentence
    assert SECRET not in sentence


def test_the_key_is_in_no_log_and_no_repr(
    monkeypatch: pytest.MonkeyPatch, standin: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    connect_with(monkeypatch, host=standin.base_url)
    with caplog.at_level(logging.DEBUG):
        hook = EverOSHook()
        hook.test_connection()
    assert SECRET not in caplog.text
    assert SECRET not in repr(hook.settings())
    assert SECRET not in repr(hook.target)


def test_the_connection_form_offers_what_the_hook_reads() -> None:
    [form] = get_provider_info()["connection-types"]
    assert form["connection-type"] == EverOSHook.conn_type
    assert set(form["conn-fields"]) == {"api_version", "account", "app_id", "project_id", "timeout_s", "new_ledger"}
    assert form["ui-field-behaviour"]["relabeling"]["password"] == "API key"


def test_messages_name_the_connection_by_its_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps({"conn_type": "everos", "password": ""}))
    with pytest.raises(ConfigurationError, match="connection acme: the API key is empty"):
        EverOSHook("acme").settings()
    with pytest.raises(ConfigurationError, match="no connection nowhere"):
        EverOSHook("nowhere").settings()


@pytest.mark.parametrize(("api_version", "status"), [("v1", 401), ("v2", 401), ("v1", 403)])
def test_a_key_that_is_refused_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch, answering: Callable[[int], str], api_version: str, status: int
) -> None:
    url = answering(status)
    connect_with(monkeypatch, host=url, extra={"api_version": api_version})
    with pytest.raises(ConfigurationError) as caught:
        EverOSHook().call(lambda api: api.check())
    assert "EverOS refuses" in caught.value.cause
    assert caught.value.remedy.startswith("Check the API key in the environment variable AIRFLOW_CONN_EVEROS_DEFAULT")
    monkeypatch.delenv("AIRFLOW_CONN_EVEROS_DEFAULT")
    for name, value in {"API_KEY": SECRET, "BASE_URL": url, "API_VERSION": api_version}.items():
        monkeypatch.setenv(f"EVEROS_{name}", value)
    with pytest.raises(ConfigurationError, match="the environment variables EVEROS_API_KEY, EVEROS_BASE_URL"):
        EverOSHook().call(lambda api: api.check())


def test_a_test_fails_if_imports_use_another_target(monkeypatch: pytest.MonkeyPatch, standin: StandIn) -> None:
    connect_with(monkeypatch, host="http://127.0.0.1:9")
    tested = {"conn_type": "everos", "host": standin.base_url, "password": "k"}
    monkeypatch.setenv("AIRFLOW_CONN_RANDOM", json.dumps(tested))
    TESTED_ID.set("everos_default")
    good, sentence = EverOSHook("random").test_connection()
    assert not good
    assert "answers and accepts the API key. Imports do not use this connection" in sentence
    assert "AIRFLOW_CONN_EVEROS_DEFAULT (http://127.0.0.1:9) takes precedence over the connection eve" in sentence
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "a.backend.that.is.asked.First")
    assert overruling_variable("everos_default") is None
    monkeypatch.delenv("AIRFLOW__SECRETS__BACKEND")
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", f"everos://:k@{standin.base_url.removeprefix('http://')}/http")
    assert EverOSHook("random").test_connection()[0]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "the connection everos_default in Airflow (Admin, Connections)"),
        ({"EVEROS_API_KEY": "k"}, "if there is none, to https://api.evermind.ai, from the environment variables EVE"),
        ({"AIRFLOW_CONN_EVEROS_DEFAULT": "everos://:k@memory.example/https"}, "https://memory.example, from the envi"),
        ({"AIRFLOW_CONN_EVEROS_DEFAULT": "{"}, "the target in the environment variable AIRFLOW_CONN_EVEROS_DEFAULT"),
    ],
)
def test_the_trigger_form_says_which_target_a_run_uses(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert told in described_target()
    assert told in str(import_params()["dry_run"].description)


def posted(given: object, status: int = 200) -> tuple[Any, list[Any]]:
    """Return the answer to a test of a connection, and what the app behind the middleware got."""
    got = []

    async def test(request: Request) -> JSONResponse:
        got.append((await request.json(), TESTED_ID.get()))
        return JSONResponse({"detail": "Bad Request"} if status == 400 else {"status": True}, status)

    app = Starlette(routes=[Route("/below/api/v2/connections/test", test, methods=["POST"])])
    client = TestClient(ConnectionTest(app))
    return client.post("/below/api/v2/connections/test", json=given), got


def test_the_test_button_works_without_a_port() -> None:
    given = {"conn_type": "everos", "connection_id": "acme", "port": 0, "host": "http://memory.example"}
    answer, got = posted(given)
    assert answer.json() == {"status": True}
    assert got == [(given | {"port": None}, "acme")]
    other = given | {"conn_type": "http"}
    assert posted(other)[1] == [(other, "")]
    assert posted(["x"])[1] == [(["x"], "")]


def test_the_test_button_says_that_a_variable_overrules_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"conn_type": "everos", "connection_id": "everos_default", "port": None}
    assert posted(given, 400)[0].status_code == 400
    connect_with(monkeypatch, host="http://127.0.0.1:9")
    answer = posted(given, 400)[0]
    assert (answer.status_code, answer.json()["status"]) == (200, False)
    assert "the environment variable AIRFLOW_CONN_EVEROS_DEFAULT takes precedence" in answer.json()["message"]
