"""Connects the import to Airflow: hook, operators, retry policy, parameters, pages, provider info."""
