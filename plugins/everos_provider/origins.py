"""
The place that the settings of a target come from.

Airflow looks for a connection in a secrets backend, if one is configured, then in the environment, then in its
database: a connection that was made in the UI has no effect if ``AIRFLOW_CONN_<ID>`` is set.
"""

import os
from collections.abc import Iterable

from everos_provider.airflow_internals import has_secrets_backend


def variable_of(conn_id: str) -> str:
    """Return the name of the environment variable in which Airflow looks for a connection."""
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def overruling_variable(conn_id: str) -> str | None:
    """Return the environment variable that Airflow takes a connection from, ``None`` if it is not set."""
    name = variable_of(conn_id)
    return name if os.environ.get(name) and not has_secrets_backend() else None


def origin_of_connection(conn_id: str) -> str:
    """Return the place of an existing connection: an environment variable, or Airflow."""
    variable = overruling_variable(conn_id)
    return f"the environment variable {variable}" if variable else f"the connection {conn_id} in Airflow"


def origin_of_variables(names: Iterable[str]) -> str:
    """Return the place of settings that are given without a connection."""
    return f"the environment variables {', '.join(names)}"
