"""
## After an import: an example

Runs whenever *Chat history to EverOS* has loaded something: it waits for the asset `everos`, whose events say what and
how much. A night that brings nothing new starts nothing. Switch it on to see the figures in the log of `figures`, or
copy it and put your own work there: refresh a prompt, tell a team, ask the memory through `EverOSHook`.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import dag, task
from everos_provider.assets import EVEROS

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
    """One task: the event holds all there is to say."""

    @task
    def figures(**context: Any) -> list[dict[str, Any]]:
        events = context["triggering_asset_events"][EVEROS]
        for event in events:
            log.info(
                "%s loaded %d messages into %d conversations; EverOS had %d of the others already",
                *(event.extra[name] for name in ("run_id", "loaded", "conversations", "already_loaded")),
            )
        return [dict(event.extra) for event in events]

    figures()


example_after_import()
