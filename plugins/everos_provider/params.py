"""
The import's parameters as Airflow's trigger form shows and checks them.

Descriptions are plain text: in the form's small print Markdown's code marks cover the lines above and below.
"""

import os
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from include.errors import ConfigurationError
from include.layout import home
from include.memory_layout import MEMORIES, SEGMENTATIONS
from include.parameters import refuse_unknown
from include.parsers import DEFAULT_ID_TEMPLATE

SOURCE_VARIABLE = "EVEROS_IMPORT_SOURCE"

WHAT, WHEN, HOW = "What to import", "Which period (manual runs)", "How to load it"


def import_params() -> dict[str, Param]:
    """Return the parameters in the order of the form."""
    return {
        "source": Param(
            os.environ.get(SOURCE_VARIABLE) or str(home() / "drop"),
            type="string",
            minLength=1,
            title="Source",
            section=WHAT,
            description=(
                "A Slack export (zip or folder), DiscordChatExporter or Discord API JSON, EverOS-shaped JSON, or a "
                "folder with any mixture of them, as the workers see it. Example: /data/exports/acme-slack.zip. Or an "
                "address in an object store, with its Airflow connection: s3://aws_default@exports/acme-slack.zip; "
                "that of a folder ends in /. Or rejects: and the id of a run, to load what it rejected after a person "
                "has corrected it."
            ),
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            section=WHAT,
            description=(
                "Go as far as the plan, send nothing, and report what a load would take: messages, calls, tokens, "
                "calls of EverOS's language model and time, for each conversation."
            ),
        ),
        "include": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Only these conversations",
            section=WHAT,
            description="Names or ids, * allowed, one a line. Empty: all. Example: general, slack_team-*",
        ),
        "exclude": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Not these conversations",
            section=WHAT,
            description="Names or ids, * allowed, one a line. Wins over the field above.",
        ),
        "include_private": Param(
            False,
            type="boolean",
            title="Private channels and direct messages",
            section=WHAT,
            description="Off: they are left out, and the report says how many messages that were.",
        ),
        "bots": Param(
            "assistant",
            type="string",
            enum=["assistant", "skip"],
            values_display={"assistant": "Import, as role “assistant”", "skip": "Leave out"},
            title="Messages of bots and apps",
            section=WHAT,
        ),
        "conversation_id": Param(
            DEFAULT_ID_TEMPLATE,
            type="string",
            pattern=r"\{channel(_id)?\}",
            title="Conversation id",
            section=WHAT,
            description=(
                "How EverOS will name a conversation, from {source}, {workspace}, {channel}, {channel_id}. "
                "Keep it the same for good: another template is another conversation to EverOS."
            ),
        ),
        "redact": Param(
            False,
            type="boolean",
            title="Take out credentials",
            section=WHAT,
            description=(
                "Keys, tokens and passwords of known forms are replaced in what people wrote, and counted. Tokens and "
                "passwords in addresses are taken out in any case."
            ),
        ),
        "since": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Written from",
            section=WHEN,
            description="Inclusive; UTC unless it says otherwise. Scheduled and backfill runs use their data interval.",
        ),
        "until": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Written before",
            section=WHEN,
            description="Exclusive; UTC unless it says otherwise. Scheduled and backfill runs use their data interval.",
        ),
        "lookback_days": Param(
            3,
            type="integer",
            minimum=0,
            maximum=3650,
            title="Lookback (days)",
            section=WHEN,
            description=(
                "Scheduled and backfill runs also look this far before their data interval, for messages that "
                "arrived late. What is loaded already is not sent again."
            ),
        ),
        "segments": Param(
            None,
            type=["null", "string"],
            enum=[None, *SEGMENTATIONS],
            values_display={"thread-day": "Each thread, and each day outside threads", "conversation": "Conversations"},
            title="Sessions",
            section=HOW,
            description=(
                "What is one session in EverOS. Empty: threads and days for API v2, conversations for v1. Keep it the "
                "same for good: another one needs a project_id of its own."
            ),
        ),
        "memory_of": Param(
            None,
            type=["null", "string"],
            enum=[None, *MEMORIES],
            values_display={
                "workspace": "The workspace: one memory for all public conversations",
                "conversation": "Each conversation",
                "person": "Each person",
            },
            title="Whose memory",
            section=HOW,
            description=(
                "Who can be asked, API v2 only. Empty: the workspace. Private conversations are then memories of their "
                "own. Keep it the same for good: another one needs a project_id of its own."
            ),
        ),
        "batch_size": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=500,
            title="Messages per call",
            section=HOW,
            description="Empty: 50, and 100 in conversations of more than 10,000 messages.",
        ),
        "concurrency": Param(
            8,
            type="integer",
            minimum=1,
            maximum=64,
            title="Batches at once",
            section=HOW,
            description="Per load task. Within a session of EverOS there is always one batch at a time.",
        ),
        "max_model_calls": Param(
            0,
            type="integer",
            minimum=0,
            title="Calls of the language model at most",
            section=HOW,
            description=(
                "By the estimate. What would pass it is left for another run, and the report says how much. 0: none."
            ),
        ),
        "existing": Param(
            "ask",
            type="string",
            enum=["ask", "resend", "skip"],
            values_display={
                "ask": "Ask EverOS, and stop where it cannot tell",
                "resend": "Send them again where it cannot tell",
                "skip": "Take them as loaded where it cannot tell",
            },
            title="Batches that an earlier run left unknown",
            section=HOW,
            description="EverOS is asked first in any case. The last run's report names these batches.",
        ),
    }


def check_params(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """
    Refuse what Airflow lets pass: it adds unknown names to a run's parameters, and checks values late or not at all.

    :param given: Of a run: from the form, the REST API, another DAG or a backfill.
    :param known: The DAG's parameters, by name.
    :raises ConfigurationError: a name is not known, or a value is of a wrong type; nothing was read or sent.
    """
    refuse_unknown("parameter", given, known)
    for name, param in import_params().items():
        if name in given:
            value = given[name]
            try:
                param.resolve(value)
                good = not (isinstance(value, float) and "integer" in param.schema["type"])  # JSON Schema takes 8.0
            except ParamValidationError:
                good = False
            if not good:
                raise ConfigurationError(
                    f"parameter {name}: {repr(value)[:80]} is not allowed, expected {_expected(param)}. Nothing was "
                    "read or sent"
                )


def _expected(param: Param) -> str:
    """Say what the schema allows, without titles and descriptions."""
    kinds = ("type", "enum", "pattern", "format", "minimum", "maximum", "minLength", "items")
    return ", ".join(f"{kind} {param.schema[kind]}" for kind in kinds if kind in param.schema)
