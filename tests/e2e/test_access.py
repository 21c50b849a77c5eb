"""Who gets an answer from the local Airflow."""

import stat

import httpx
import pytest

from include.local.settings import USER
from tests.e2e.conftest import LocalAirflow

PAGES = ("/api/v2/dags", "/everos/imports", "/api/v2/connections")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_login_there_is_no_answer(airflow: LocalAirflow, path: str) -> None:
    assert httpx.get(airflow.api.base_url + path).status_code == httpx.codes.UNAUTHORIZED
    assert airflow.api.http.get(airflow.api.base_url + path).is_success


def test_a_browser_that_has_logged_in_is_let_in_by_its_cookie(airflow: LocalAirflow) -> None:
    for path in PAGES:
        answer = httpx.get(airflow.api.base_url + path, cookies={"_token": airflow.api.token})
        assert answer.is_success


def test_no_token_is_given_without_the_password(airflow: LocalAirflow) -> None:
    url = f"{airflow.api.base_url}/auth/token"
    assert not httpx.get(url).is_success
    assert not httpx.post(url, json={"username": USER, "password": USER}).is_success


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/auth/login", "/api/v2/monitor/health", "/execution/health"])
def test_another_sites_name_for_this_machine_gets_no_answer(airflow: LocalAirflow, host: str, path: str) -> None:
    answer = airflow.api.http.get(airflow.api.base_url + path, headers={"Host": host})
    assert answer.status_code == httpx.codes.BAD_REQUEST


def test_localhost_is_answered_too(airflow: LocalAirflow) -> None:
    port = airflow.api.base_url.rpartition(":")[2]
    assert httpx.get(f"{airflow.api.base_url}/auth/login", headers={"Host": f"localhost:{port}"}).is_success


def test_the_password_can_be_read_by_nobody_else_on_the_machine(airflow: LocalAirflow) -> None:
    path = airflow.state_folder.airflow / "passwords.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
