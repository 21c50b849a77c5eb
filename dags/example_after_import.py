"""
## After an import: an example

Runs whenever *Chat history to EverOS* has loaded something: it waits for the asset `everos`, whose events say what and
how much. A night that brings nothing new starts nothing. Switch it on to see the figures in the log of `figures`, or
copy it and put your own work there: refresh a prompt, tell a team, ask the memory through `EverOSHook`.

An event that was made by hand (*Create asset event*) or by another DAG has no figures of an import, or some of its own.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

try:
    from everos_provider.assets import EVEROS
except ModuleNotFoundError as error:
    if error.name != "everos_provider":
        raise
    root = Path(__file__).resolve().parents[1]
    raise ImportError(
        f"{error}. Make {root}/plugins Airflow's plugins folder (AIRFLOW__CORE__PLUGINS_FOLDER), or install the project"
    ) from error

COUNTS = ("loaded", "conversations", "already_loaded")

log = logging.getLogger(__name__)


@dag(
    dag_id="example_after_import",
    dag_display_name="Example: after an import",
    description="Says what the import that it waited for has loaded.",
    doc_md=__doc__,
    schedule=[EVEROS],
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    tags=["everos", "example"],
)
def example_after_import() -> None:
    """Define one task: an event's extra holds the figures."""

    @task
    def figures(**context: Any) -> list[dict[str, Any]]:
        """Return the figures of each event, nothing for a run that no event has started."""
        extras = [dict(event.extra or {}) for event in context["triggering_asset_events"].get(EVEROS, [])]
        for extra in extras:
            if "run_id" in extra and all(isinstance(extra.get(name), int) for name in COUNTS):
                log.info(
                    "%s loaded %d messages into %d conversations; EverOS had %d of the others already",
                    extra["run_id"],
                    *(extra[name] for name in COUNTS),
                )
            else:
                log.info("The event has no figures: no import made it")
        return extras

    figures()


example_after_import()
