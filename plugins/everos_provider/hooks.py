"""From an Airflow connection, or the ``EVEROS_*`` variables where there is none, to a client of EverOS."""

import asyncio
import json
import os
import re
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from include.errors import ChatImportError, ConfigurationError
from include.memory_api import MemoryAPI, connect
from include.memory_api.contract import Target
from include.memory_api.settings import Settings
from include.parameters import refuse_unknown

_VARIABLES = {
    "api_key": "EVEROS_API_KEY",
    "base_url": "EVEROS_BASE_URL",
    "api_version": "EVEROS_API_VERSION",
    "account": "EVEROS_ACCOUNT",
    "app_id": "EVEROS_APP_ID",
    "project_id": "EVEROS_PROJECT_ID",
    "new_ledger": "EVEROS_NEW_LEDGER",
}

_EXTRA = ("api_version", "account", "app_id", "project_id", "timeout_s", "new_ledger")
"""What the extra of a connection may hold; ``timeout_s`` is a number, the others are words."""

_DEFAULT_PORTS = {"https": 443, "http": 80}


class EverOSHook(BaseHook):
    """
    Talks to EverOS with the credentials of an Airflow connection.

    **Purpose.** Turns a connection of type ``everos`` (host: base URL, password: API key, extra ``api_version``,
    ``account``, ``app_id``, ``project_id``, ``new_ledger``, ``timeout_s``) into a
    :class:`include.memory_api.contract.MemoryAPI`.

    **Without a connection** ``EVEROS_API_KEY``, ``EVEROS_BASE_URL``, ``EVEROS_API_VERSION``, ``EVEROS_ACCOUNT``,
    ``EVEROS_APP_ID``, ``EVEROS_PROJECT_ID`` and ``EVEROS_NEW_LEDGER`` serve instead. For a self-hosted server (v2) the
    address is enough.

    **What it does not do.** It reads no settings of the SDKs' own (``EVER_OS_BASE_URL``), and never shows the key.

    :param everos_conn_id: Connection id.
    """

    conn_name_attr = "everos_conn_id"
    default_conn_name = "everos_default"
    conn_type = "everos"
    hook_name = "EverOS"

    def __init__(self, everos_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.everos_conn_id = everos_conn_id

    def settings(self) -> Settings:
        """
        Read connection or environment.

        :raises ConfigurationError: neither is there, or a value is missing or contradicts another; nothing was sent.
        """
        try:
            return self._checked(self.get_connection(self.everos_conn_id))
        except AirflowNotFoundException:
            return self._settings_from_environment()

    async def asettings(self) -> Settings:
        """Read as :meth:`settings` does, without blocking the event loop."""
        try:
            return self._checked(await self.aget_connection(self.everos_conn_id))
        except AirflowNotFoundException:
            return self._settings_from_environment()

    @property
    def target(self) -> Target:
        """Which server and account this is, without the secret: names the ledger."""
        return self.settings().target

    async def client(self) -> MemoryAPI:
        """Return a client for the running event loop, to be closed with ``aclose()``; no byte is sent yet."""
        return connect(await self.asettings())

    def test_connection(self) -> tuple[bool, str]:
        """Ask the server something that writes nothing: the *Test* button of the connection form."""
        try:
            return True, asyncio.run(_check(self.settings()))
        except ChatImportError as error:
            return False, str(error)

    def _checked(self, connection: Connection) -> Settings:
        try:
            return _settings_of(connection)
        except ConfigurationError as error:
            raise ConfigurationError(f"connection {self.everos_conn_id}: {error}") from error

    def _settings_from_environment(self) -> Settings:
        given = {field: os.environ.get(name) or None for field, name in _VARIABLES.items()}
        key = given.pop("api_key")
        if not key and not (given["api_version"] == "v2" and given["base_url"]):
            raise ConfigurationError(
                f"no connection {self.everos_conn_id} and no EVEROS_API_KEY: nothing was sent. Create a connection of "
                f"type EverOS with that id (or AIRFLOW_CONN_{self.everos_conn_id.upper()}), or set EVEROS_API_KEY and, "
                "for another host than EverOS Cloud, EVEROS_BASE_URL (a self-hosted server needs no key: "
                "EVEROS_BASE_URL and EVEROS_API_VERSION=v2)"
            )
        return Settings(api_key=key or "", **{name: value for name, value in given.items() if value})


async def _check(settings: Settings) -> str:
    api = connect(settings)
    try:
        return await api.check()
    finally:
        await api.aclose()


def _settings_of(connection: Connection) -> Settings:
    extra = _extra(connection.extra)
    given = {
        "api_version": extra.get("api_version"),
        "base_url": _base_url(connection),
        "account": extra.get("account"),
        "app_id": extra.get("app_id"),
        "project_id": extra.get("project_id"),
        "new_ledger": extra.get("new_ledger"),
        "read_timeout_s": _seconds(extra.get("timeout_s")),
    }
    return Settings(api_key=connection.password or "", **{name: value for name, value in given.items() if value})


def _extra(text: str | None) -> dict[str, Any]:
    """
    Read the extra; Airflow takes a broken one for an empty one, which would send to another store.

    :raises ConfigurationError: it is no JSON object, holds an unknown name, or a value that is no word.
    """
    try:
        extra = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the extra is not JSON ({error}); nothing was sent") from None
    if not isinstance(extra, dict):
        raise ConfigurationError("the extra is not a JSON object; nothing was sent")
    refuse_unknown("name in the extra", extra, _EXTRA)
    for name in _EXTRA:
        if name != "timeout_s" and not isinstance(extra.get(name, ""), str | None):
            raise ConfigurationError(f"{name} in the extra is no text: write it in quotes; nothing was sent")
    return extra


def _base_url(connection: Connection) -> str | None:
    """
    Put together what the form, JSON and URI forms of a connection keep apart.

    A port that says nothing new is left out: the address names the ledger, and it must not depend on how it is written.
    """
    host = connection.host
    if not host:
        return None
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    said = connection.port in (None, 0, _DEFAULT_PORTS.get(url.split("://")[0])) or re.search(r":\d+/?$", url)
    return url if said else f"{url.rstrip('/')}:{connection.port}"


def _seconds(value: Any) -> float | None:
    """Return the form's number; JSON and URI forms carry it as text."""
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"timeout_s is {value!r}: expected seconds, more than 0, such as 60")
    return seconds
