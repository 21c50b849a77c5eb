"""Registers the plugin of a project that is not installed; that of an installed one has an entry point."""

from importlib.metadata import entry_points
from pathlib import Path

try:
    from everos_provider import plugin
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] not in {"everos_provider", "include"}:
        raise
    raise ImportError(
        f"{error}. The project's root, the folder that holds include/ and plugins/, has to be on PYTHONPATH of every "
        f"component of Airflow (scheduler, DAG processor, API server, workers): PYTHONPATH={Path(__file__).parents[1]}"
    ) from error

if not entry_points(group="airflow.plugins", name="everos"):  # Airflow warns of a plugin that is registered twice
    EverOSPlugin = plugin.EverOSPlugin
