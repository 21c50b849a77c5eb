"""The ledger's database: ``EVEROS_IMPORT_LEDGER`` names it by its URL or by a connection of Airflow."""

import os
from functools import lru_cache

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.errors import ConfigurationError
from include.ledger import Database, ledger_url
from include.ledger.database import LEDGER_VARIABLE


def address() -> str:
    """
    Return the URL of the ledger's database.

    :raises ConfigurationError: the variable names no connection.
    """
    given = os.environ.get(LEDGER_VARIABLE, "")
    if not given or "://" in given:
        return ledger_url()
    try:
        uri = BaseHook.get_connection(given).get_uri()
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"{LEDGER_VARIABLE} names the connection {given!r}, which does not exist. Nothing was sent. Create it "
            "(type Postgres), or set the variable to the URL of a database: postgresql+psycopg2://user@host/database."
        ) from error
    return uri.replace("postgres://", "postgresql+psycopg2://", 1)


def database() -> Database:
    """Return the ledger's database, for what is not about one target."""
    return _database(address())


def existing_database() -> Database | None:
    """Return it for those who only look, ``None`` where nothing was ever written."""
    return Database.existing(address())


@lru_cache(maxsize=1)
def _database(url: str) -> Database:
    return Database(url)
