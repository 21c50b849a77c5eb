"""Whom the tests' Airflow tells of failed and late runs: a file."""

import json
from typing import Any

from include.layout import home

TOLD = "told.jsonl"


def write_down(context: Any) -> None:
    """Take Airflow's context as any notifier does."""
    with (home() / TOLD).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"run_id": context["run_id"], "reason": context["reason"]}) + "\n")
