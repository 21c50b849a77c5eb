"""The asset that an import updates: other DAGs can be scheduled on it, and its state shows what EverOS holds."""

from airflow.sdk import Asset, AssetAlias

EVEROS = Asset(name="everos", uri="everos://memory", group="everos")

LOADED = AssetAlias(name="everos_loaded", group="everos")
"""The report updates :data:`EVEROS` through this alias, and only if the run has loaded something."""
