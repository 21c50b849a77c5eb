"""Rules of a ledger's identity: one store has one ledger, however its address and account are written."""

from dataclasses import replace
from pathlib import Path

import pytest

from include.errors import LedgerError
from include.ledger import Ledger, ledger_url
from include.memory_api import Settings
from include.memory_api.address import normal_address, server_of
from include.memory_api.contract import Target
from tests.support.ledgers import a_call, write

KEY = "sk-one"


def settings(base_url: str = "http://127.0.0.1:8000", **fields: object) -> Settings:
    return Settings(**{"base_url": base_url, "api_key": KEY} | fields)  # type: ignore[arg-type]


def load(home: Path, target: Target) -> Ledger:
    """Begin a ledger and note one message in it."""
    ledger = Ledger.open(ledger_url(home), target)
    write(ledger, a_call("a", "m1"))
    return ledger


def goes_on(ledger: Ledger, target: Target) -> bool:
    return bool(Ledger.open(ledger.database.url, target).landed())


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("HTTPS://API.Example/", "https://api.example"),
        ("https://api.example:443", "https://api.example"),
        ("http://api.example:80/x//", "http://api.example/x"),
        ("https://api.example.:8443", "https://api.example:8443"),
        ("https://me:secret@api.example", "https://api.example"),
        ("http://localhost:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://127.0.0.1:8000"),
        ("http://[::ffff:127.0.0.1]:8000/", "http://127.0.0.1:8000"),
        ("http://127.1:8000", "http://127.0.0.1:8000"),
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("http://everos.localhost:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.2:8000", "http://127.0.0.2:8000"),
        ("http://[2001:DB8:0:0::1]:80", "http://[2001:db8::1]"),
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://api.example/Team-A", "https://api.example/Team-A"),
        ("http://everos:8000", "http://everos:8000"),
        ("https://api.example:99999", "https://api.example:99999"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_has_one_normal_form(written: str, normal: str) -> None:
    assert normal_address(written) == normal
    assert normal_address(normal) == normal
    assert isinstance(server_of(written)[0], str)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:8000",
        "HTTP://LOCALHOST.:8000//",
        "http://[::1]:8000",
        "http://127.1:8000/",
        "http://ip6-localhost:8000",
    ],
)
def test_the_same_server_written_otherwise_has_the_same_ledger(tmp_path: Path, base_url: str) -> None:
    ledger = load(tmp_path, settings().target)
    assert goes_on(ledger, settings(base_url).target)


def test_a_client_connects_to_the_address_as_it_was_given() -> None:
    assert settings("http://localhost:8000/").address == "http://localhost:8000"


@pytest.mark.parametrize(
    "other",
    [
        settings(account="acme"),
        settings("https://127.0.0.1:8000"),
        settings("http://127.0.0.1:8000/gateway"),
        settings("http://10.0.0.5:8000"),
        settings("https://memory.example"),
        settings("https://127.0.0.1:8000", api_key="sk-two"),
    ],
    ids=["account named later", "scheme", "path", "host, same key", "name, same key", "scheme, other key"],
)
def test_a_second_ledger_that_may_be_of_the_same_store_is_begun_only_when_a_person_says_so(
    tmp_path: Path, other: Settings
) -> None:
    ledger = load(tmp_path, settings().target)
    with pytest.raises(LedgerError, match="Nothing was sent: if both are one store") as caught:
        Ledger.open(ledger_url(tmp_path), other.target)
    assert f'"new_ledger": "{other.target.name}"' in str(caught.value)
    assert '"account": "default"' in str(caught.value)
    assert "http://127.0.0.1:8000" in str(caught.value)
    assert not goes_on(ledger, replace(other.target, new_ledger=other.target.name))
    assert not goes_on(ledger, other.target), "once begun, it needs no word any more"
    with pytest.raises(LedgerError, match="Nothing was sent"):
        third = settings(account="a third")
        Ledger.open(ledger_url(tmp_path), replace(third.target, new_ledger=other.target.name))


def v2(base_url: str = "http://127.0.0.1:8000", **fields: object) -> Settings:
    return settings(base_url, api_version="v2", **fields)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (settings(), v2()),
        (v2(), v2(project_id="eu")),
        (v2(project_id="eu"), v2(project_id="us")),
        (v2(project_id="eu"), v2(app_id="shop", project_id="eu")),
        (v2(project_id="eu"), v2()),
        (v2(api_key=""), v2("http://127.0.0.1:9000", api_key="")),
        (settings(), settings(account="acme", api_key="sk-two")),
        (settings(), settings("https://memory.example", api_key="sk-two")),
    ],
    ids=["version", "project", "other project", "app", "default project", "port", "account with its key", "server"],
)
def test_another_store_gets_a_ledger_of_its_own_unasked(tmp_path: Path, first: Settings, second: Settings) -> None:
    assert not goes_on(load(tmp_path, first.target), second.target)


def test_the_same_server_without_keys_under_another_account_is_asked_about(tmp_path: Path) -> None:
    load(tmp_path, v2(api_key="").target)
    with pytest.raises(LedgerError, match="one of the same server"):
        Ledger.open(ledger_url(tmp_path), v2(api_key="", account="acme").target)


def test_a_ledger_that_nothing_was_sent_through_is_in_nobodys_way(tmp_path: Path) -> None:
    Ledger.open(ledger_url(tmp_path), settings("https://wrong.example").target)
    assert Ledger.open(ledger_url(tmp_path), settings().target).landed() == 0


def test_a_mistyped_key_through_which_nothing_was_sent_is_in_nobodys_way(tmp_path: Path) -> None:
    Ledger.open(ledger_url(tmp_path), settings(api_key="sk-mistyped").target)
    ledger = load(tmp_path, settings().target)
    with pytest.raises(LedgerError, match="another API key"):
        Ledger.open(ledger.database.url, settings(api_key="sk-mistyped").target)


def test_another_key_is_refused_with_the_two_ways_out(tmp_path: Path) -> None:
    ledger = load(tmp_path, settings().target)
    with pytest.raises(LedgerError, match=r'Nothing was sent.*write "account": "default".*name of its own'):
        Ledger.open(ledger.database.url, settings(api_key="sk-two").target)


def test_a_new_key_of_an_account_that_is_named_goes_on(tmp_path: Path) -> None:
    ledger = load(tmp_path, settings(account="default").target)
    rotated = settings(account="default", api_key="sk-two").target
    assert goes_on(ledger, rotated)
    assert goes_on(ledger, rotated), "the new key is noted"
