"""The notifier of the tests' Airflow: it writes failed and late runs to a file."""

import json
from typing import Any

from include.run_folder import home

NOTICES = "notices.jsonl"


def write_down(context: Any) -> None:
    """Write a run and the reason, given Airflow's context."""
    with (home() / NOTICES).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"run_id": context["run_id"], "reason": context["reason"]}) + "\n")
