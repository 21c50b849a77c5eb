"""Rules of what `make ask` asks: the target of `make import`, else the one of the demo, running or not."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import msgspec
import pytest

from include.errors import ConfigurationError
from include.local.commands import ask_memory
from include.local.standin import KEY
from include.local.state_folder import free_port
from include.local.target_to_ask import is_configured, target_to_ask
from include.memory_api import Settings
from include.memory_layout import memory_layout
from include.report.owners import OwnedConversation, Owners
from include.run_folder import RunFolder


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the person's own EverOS."""
    for name in ("EVEROS_API_KEY", "EVEROS_BASE_URL", "EVEROS_API_VERSION", "AIRFLOW_CONN_EVEROS_DEFAULT"):
        monkeypatch.delenv(name, raising=False)


def was_started(root: Path, name: str, port: int) -> None:
    """Leave in the state folder what a target of the demo leaves there."""
    (root / name / str(port)).mkdir(parents=True)
    (root / name / "port").write_text(f"{port}\n")


def asked(root: Path, name: str = "") -> tuple[Settings, str]:
    with target_to_ask(root, name, print) as found:
        return found


@pytest.mark.parametrize(
    ("environ", "configured"),
    [
        ({}, False),
        ({"EVEROS_BASE_URL": "http://127.0.0.1:8000"}, False),
        ({"EVEROS_BASE_URL": "http://127.0.0.1:8000", "EVEROS_API_VERSION": "v2"}, True),
        ({"EVEROS_API_KEY": "key"}, True),
        ({"AIRFLOW_CONN_EVEROS_DEFAULT": "{}"}, True),
    ],
)
def test_a_key_or_a_connection_or_the_address_of_an_own_server_names_a_target(
    tmp_path: Path, environ: dict[str, str], configured: bool
) -> None:
    assert is_configured(tmp_path, environ) == configured


def test_without_any_target_the_error_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing was asked. Set EVEROS_API_KEY .*`make demo`"):
        asked(tmp_path)


def test_a_target_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TARGET=cloud is not one of selfhosted, standin-v1"):
        asked(tmp_path, "cloud")


def test_the_target_of_a_running_make_up_is_asked(tmp_path: Path) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    was_started(tmp_path, "everos", server.server_port)
    try:
        settings, description = asked(tmp_path)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert settings == Settings(api_version="v2", base_url=f"http://127.0.0.1:{server.server_port}")
    assert description == f"the target of `make up`, selfhosted: {settings.base_url}"


def test_the_target_of_an_earlier_demo_is_started_and_ends_with_the_question(tmp_path: Path) -> None:
    port = free_port()
    was_started(tmp_path, "standin", port)
    with target_to_ask(tmp_path, "", print) as (settings, description):
        assert settings.target == Settings(base_url=f"http://127.0.0.1:{port}", api_key=KEY).target
        assert description.startswith("the target of `make demo`, standin-v1: ")
        assert httpx.get(f"{settings.base_url}/standin/stats", trust_env=False).is_success
    with pytest.raises(httpx.ConnectError):
        httpx.get(settings.base_url, trust_env=False)


def test_a_mistyped_conversation_is_refused_with_the_nearest_names_before_a_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVEROS_IMPORT_HOME", str(tmp_path))
    port = free_port()
    was_started(tmp_path, "standin", port)
    target = Settings(base_url=f"http://127.0.0.1:{port}", api_key=KEY).target
    owners = Owners(
        run_id="r",
        written_at="2026-03-02T00:00:00+00:00",
        target=target.name,
        layout=memory_layout("v1"),
        owners=(),
        conversations=tuple(
            OwnedConversation(conversation_id=f"slack_{name}", name=name, kind="group", private=False)
            for name in ("general", "incidents", "leads", "billing")
        ),
    )
    run = RunFolder.of("r", tmp_path)
    run.make()
    run.owners.write_bytes(msgspec.json.encode(owners))
    with pytest.raises(ConfigurationError, match=r"'genral' was imported; nothing was asked. Nearest names: 'general'"):
        ask_memory("why?", place="genral")
    assert capsys.readouterr().out == ""


def test_the_connection_of_imports_takes_precedence_and_is_read_as_a_task_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_started(tmp_path, "standin", free_port())
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", "everos://:secret@memory.example/https?api_version=v2&account=a")
    settings, description = asked(tmp_path)
    expected = Settings(api_version="v2", base_url="https://memory.example", api_key="secret", account="a")
    assert (settings, description) == (expected, "EverOS v2 at https://memory.example")


def test_an_error_in_the_connection_is_reported_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "everos", "host": "https://memory.example", "extra": {"acount": "a"}}
    monkeypatch.setenv("AIRFLOW_CONN_EVEROS_DEFAULT", json.dumps(connection))
    with pytest.raises(ConfigurationError, match=r"did you mean 'account'\?"):
        asked(tmp_path)
