"""Connects the import to Airflow: hook, operators, retry policy, parameters, pages, provider info."""

__version__ = "0.1.0"
