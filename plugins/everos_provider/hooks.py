"""Creates a client of EverOS from an Airflow connection or, if there is none, from the ``EVEROS_*`` variables."""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, TypedDict, cast

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from everos_provider.origins import (
    origin_of_connection,
    origin_of_variables,
    overruling_variable,
)
from include.errors import ChatImportError, ConfigurationError
from include.memory_api import MemoryAPI, connect
from include.memory_api.address import normal_address
from include.memory_api.contract import DEFAULT_BASE_URL, Target
from include.memory_api.settings import API_VERSIONS, Settings
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

TESTED_ID: ContextVar[str] = ContextVar("everos_tested_id", default="")
"""Id of the connection whose *Test* button was clicked (:mod:`everos_provider.connection_test`)."""

_EXTRA = ("api_version", "account", "app_id", "project_id", "timeout_s", "new_ledger")
"""Allowed names in the extra of a connection. ``timeout_s`` is a number, the others are strings."""


def no_target() -> Target:
    """Return the target of a dry run without a connection: nothing is sent, and nothing is known to be loaded."""
    version = os.environ.get(_VARIABLES["api_version"])
    return Target(base_url="none (dry run)", api_version=version if version in API_VERSIONS else API_VERSIONS[0])


def no_target_sentence(error: ConfigurationError) -> str:
    """Return a sentence for a dry run without a target."""
    return f"This dry run uses no EverOS and counts every message as new: {error.cause}"


class EverOSHook(BaseHook):
    """
    Connects to EverOS with the credentials of an Airflow connection.

    **Purpose.** Turns a connection of type ``everos`` (host: base URL, password: API key, extra ``api_version``,
    ``account``, ``app_id``, ``project_id``, ``new_ledger``, ``timeout_s``) into a
    :class:`include.memory_api.contract.MemoryAPI`.

    **Without a connection** it uses ``EVEROS_API_KEY``, ``EVEROS_BASE_URL``, ``EVEROS_API_VERSION``,
    ``EVEROS_ACCOUNT``, ``EVEROS_APP_ID``, ``EVEROS_PROJECT_ID`` and ``EVEROS_NEW_LEDGER``. For a self-hosted server
    (v2) the address is enough.

    **What it does not do.** It reads no settings of the SDKs (``EVER_OS_BASE_URL``), and never shows the key.

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
        Return the settings of the connection or of the environment.

        :raises ConfigurationError: both are missing, or a value is missing or contradicts another; nothing was sent.
        """
        try:
            return self._checked(self.get_connection(self.everos_conn_id))
        except AirflowNotFoundException:
            return self._settings_from_environment()

    async def asettings(self) -> Settings:
        """Return :meth:`settings` without blocking the event loop."""
        try:
            return self._checked(await self.aget_connection(self.everos_conn_id))
        except AirflowNotFoundException:
            return self._settings_from_environment()

    @property
    def target(self) -> Target:
        """Server and account, without the secret; identifies the ledger."""
        return self.settings().target

    async def client(self) -> MemoryAPI:
        """Return a client for the running event loop; close it with ``aclose()``. It does not connect yet."""
        return connect(await self.asettings())

    def call[T](self, work: Callable[[MemoryAPI], Awaitable[T]]) -> T:
        """Return the result of ``work``, called with a client in a new event loop."""
        settings = self.settings()

        async def with_client() -> T:
            async with aclosing(connect(settings)) as api:
                return await work(api)

        return asyncio.run(with_client())

    def test_connection(self) -> tuple[bool, str]:
        """
        Make a call that writes nothing: the *Test* button of the connection form.

        A connection that works fails the test if imports do not use it.
        """
        try:
            answer = self.call(lambda api: api.check())
            tested = self.settings()
        except ChatImportError as error:
            return False, str(error)
        reason = _overruled(self._own_id, tested)
        return not reason, f"{answer} {reason}".strip()

    @property
    def _own_id(self) -> str:
        """The id that the user gave the connection: during a test Airflow gives it another one."""
        return TESTED_ID.get() or self.everos_conn_id

    def _checked(self, connection: Connection) -> Settings:
        try:
            return _settings_of(connection, origin_of_connection(self._own_id))
        except ConfigurationError as error:
            raise ConfigurationError(f"connection {self._own_id}: {error.cause}", remedy=error.remedy) from error

    def _settings_from_environment(self) -> Settings:
        given = {field: os.environ.get(name) or None for field, name in _VARIABLES.items()}
        key = given.pop("api_key")
        if not key and not (given["api_version"] == "v2" and given["base_url"]):
            raise ConfigurationError(
                f"There is no connection {self._own_id} and no EVEROS_API_KEY, so nothing can be sent.",
                remedy="Create the connection in Airflow (Admin, Connections; type EverOS), or set EVEROS_API_KEY. For "
                "a self-hosted server set EVEROS_BASE_URL and EVEROS_API_VERSION=v2.",
            )
        return _settings_with(key, given | {"origin": origin_of_variables(_given_variables())})


def described_target(conn_id: str = EverOSHook.default_conn_name) -> str:
    """
    Return the target of imports as far as the environment tells, for the trigger form.

    It asks neither Airflow's database nor EverOS: a DAG file is parsed often.
    """
    if variable := overruling_variable(conn_id):
        try:
            address = f"{_settings_in(variable, conn_id).target.base_url}, from "
        except ConfigurationError:
            address = "the target in "
        return f"{address}the environment variable {variable}, which takes precedence over a connection in Airflow"
    without = ""
    if os.environ.get("EVEROS_API_KEY") or os.environ.get("EVEROS_BASE_URL"):
        address = os.environ.get("EVEROS_BASE_URL") or DEFAULT_BASE_URL
        without = f" or, if there is none, to {normal_address(address)}, from {origin_of_variables(_given_variables())}"
    return f"the connection {conn_id} in Airflow (Admin, Connections){without}"


def _overruled(conn_id: str, tested: Settings) -> str:
    """Return a sentence if imports use another target than the connection that was tested, else an empty one."""
    variable = overruling_variable(conn_id)
    if not variable:
        return ""
    try:
        used = _settings_in(variable, conn_id)
    except ConfigurationError:
        return not_used(conn_id, variable)
    return "" if used == tested else not_used(conn_id, variable, f" ({used.target.base_url})")


def not_used(conn_id: str, variable: str, address: str = "") -> str:
    """Return a sentence for a connection that an environment variable overrules."""
    return (
        f"Imports do not use this connection: the environment variable {variable}{address} takes precedence over "
        f"the connection {conn_id}. To use the connection, unset the variable and restart Airflow; with make up: make "
        "up TARGET=mine."
    )


def _settings_in(variable: str, conn_id: str) -> Settings:
    """
    Return the settings of a connection in the environment.

    :raises ConfigurationError: they cannot be used.
    """
    value = os.environ[variable]
    try:
        as_json = value.lstrip().startswith("{")
        connection = Connection.from_json(value, conn_id) if as_json else Connection.from_uri(value, conn_id)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{variable} is neither JSON nor a URI of a connection") from error
    return _settings_of(connection, f"the environment variable {variable}")


def _given_variables() -> list[str]:
    return [name for name in _VARIABLES.values() if os.environ.get(name)]


def _settings_of(connection: Connection, origin: str) -> Settings:
    extra = _extra(connection.extra)
    given = {
        "api_version": extra.get("api_version"),
        "base_url": _base_url(connection),
        "account": extra.get("account"),
        "app_id": extra.get("app_id"),
        "project_id": extra.get("project_id"),
        "new_ledger": extra.get("new_ledger"),
        "read_timeout_s": _seconds(extra.get("timeout_s")),
        "origin": origin,
    }
    return _settings_with(connection.password, given)


class _Given(TypedDict, total=False):
    api_version: str
    base_url: str
    account: str
    app_id: str
    project_id: str
    new_ledger: str
    read_timeout_s: float
    origin: str


def _settings_with(key: str | None, given: Mapping[str, str | float | None]) -> Settings:
    """Return settings with those of the given values that are not empty."""
    return Settings(api_key=key or "", **cast("_Given", {name: value for name, value in given.items() if value}))


def _extra(text: str | None) -> dict[str, Any]:
    """
    Return the extra. Airflow treats an invalid one as empty, and messages would be sent to another store.

    :raises ConfigurationError: it is not a JSON object, or it has an unknown name, or a value that is not a string.
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
            raise ConfigurationError(f"{name} in the extra is not a string: write it in quotes; nothing was sent")
    return extra


def _base_url(connection: Connection) -> str | None:
    """Return the base URL from host, schema and port. Form, JSON and URI of a connection split it differently."""
    host = connection.host
    if not host:
        return None
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    complete = not connection.port or re.search(r":\d+/?$", url)
    return url if complete else f"{url.rstrip('/')}:{connection.port}"


def _seconds(value: Any) -> float | None:
    """Return a number of seconds; in JSON and URI connections it is a string."""
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"timeout_s is {value!r}: expected seconds, more than 0, such as 60")
    return seconds
