"""
## After an import: an example

Runs after *Chat history to EverOS* has loaded something: it is scheduled on the asset `everos`, whose events have the
figures of the import. A run that loads nothing does not start it. Switch it on to see the figures in the log of
`figures`, or copy it and add your own work: refresh a prompt, notify a team, search the memory with `EverOSHook`.

An event that was created by hand (*Create asset event*) or by another DAG has no figures, or different ones.
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
    description="Logs the figures of the import that has started it.",
    doc_md=__doc__,
    schedule=[EVEROS],
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,
    tags=["everos", "example"],
)
def example_after_import() -> None:
    """Define one task. The figures are in the extra of an event."""

    @task
    def figures(**context: Any) -> list[dict[str, Any]]:
        """Return the figures of each event; an empty list if no event has started the run."""
        extras = [dict(event.extra or {}) for event in context["triggering_asset_events"].get(EVEROS, [])]
        for extra in extras:
            if "run_id" in extra and all(isinstance(extra.get(name), int) for name in COUNTS):
                log.info(
                    "%s: messages loaded %d, conversations %d, loaded already %d",
                    extra["run_id"],
                    *(extra[name] for name in COUNTS),
                )
            else:
                log.info("The event has no figures: it was not created by an import")
        return extras

    figures()


example_after_import()
