"""
Registers the ``everos`` connection type.

Airflow 3.2 and later take connection types only from an installed distribution with the entry point
``apache_airflow_provider``; the project's ``pyproject.toml`` is that distribution.
"""

from typing import Any

from everos_provider import __version__

DISTRIBUTION = "airflow-provider-everos"
"""Name of the wheel, as the Airflow registry wants it. Airflow compares it with that of the installed distribution."""


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in Airflow's ``provider_info`` shape."""
    return {
        "package-name": DISTRIBUTION,
        "name": "EverOS",
        "description": "Brings chat history into `EverOS <https://docs.evermind.ai>`__, memory for AI agents.",
        "versions": [__version__],
        "hook-class-names": ["everos_provider.hooks.EverOSHook"],
        "connection-types": [
            {
                "connection-type": "everos",
                "hook-name": "EverOS",
                "hook-class-name": "everos_provider.hooks.EverOSHook",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port", "extra"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {"host": "https://api.evermind.ai"},
                },
                "conn-fields": {
                    "api_version": {
                        "label": "API version",
                        "description": (
                            "v1 or v2 for EverOS Cloud, as enabled for the account: they are separate stores. "
                            "v2 for a self-hosted server, which needs no API key."
                        ),
                        "schema": {"type": ["string", "null"], "enum": ["v1", "v2"], "default": "v1"},
                    },
                    "account": {
                        "label": "Account",
                        "description": (
                            "Name of the account's ledger. Set it if several accounts share one base URL, or to keep "
                            "the ledger when the API key is rotated."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "app_id": {
                        "label": "App",
                        "description": "v2: the store to write to, together with the project. Empty: default.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "project_id": {
                        "label": "Project",
                        "description": "v2: the store to write to, together with the app. Empty: default.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "new_ledger": {
                        "label": "New ledger",
                        "description": (
                            "Leave it empty, unless an import stops because this server has a ledger already: the "
                            "error says what to enter here if this is another store."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "timeout_s": {
                        "label": "Timeout (seconds)",
                        "description": "Time limit of one call. After it the outcome of the call is unknown.",
                        "schema": {"type": ["number", "null"], "default": 60, "minimum": 1},
                    },
                },
            }
        ],
    }
