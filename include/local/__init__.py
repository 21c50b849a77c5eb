"""Runs the project on one machine: a command starts Airflow, and a target for the demo, and ends them again."""
