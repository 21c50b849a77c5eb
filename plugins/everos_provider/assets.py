"""The asset that an import updates: other DAGs can be scheduled on it, and its state shows what EverOS holds."""

from airflow.sdk import Asset

EVEROS = Asset(name="everos", uri="everos://memory", group="everos")
