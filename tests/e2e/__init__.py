"""Tests with a running Airflow or a self-hosted EverOS."""
