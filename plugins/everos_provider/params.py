"""
The import's parameters: title, type, default and help in Airflow's trigger form.

Help is plain text: in the form's small print, Markdown code would overlap the lines above and below.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow.sdk import Context, Param
from airflow.sdk.exceptions import ParamValidationError

from everos_provider.hooks import described_target
from include.errors import ConfigurationError
from include.memory_api.contract import MAX_MESSAGES_PER_ADD
from include.memory_layout import MEMORIES, SEGMENTATIONS
from include.parameters import refuse_unknown
from include.parsers import DEFAULT_ID_TEMPLATE
from include.run_folder import home

SOURCE_VARIABLE = "EVEROS_IMPORT_SOURCE"

_WHAT, _PERIOD, _LOAD = "What to import", "Which period (manual runs)", "How to load it"

_SWITCH = {"type": "boolean"}
_NAMES = {"type": ["null", "array"], "items": {"type": "string"}}
_TIME = {"type": ["null", "string"], "format": "date-time"}


class _Row(NamedTuple):
    section: str
    title: str
    default: Any
    schema: Mapping[str, Any]
    help: str | None = None


_FORM = {
    "source": _Row(
        _WHAT,
        "Source",
        None,  # from the environment, see import_params
        {"type": "string", "minLength": 1},
        "Path on the workers of an export (zip, folder or file), or of a folder with several. Example: "
        "/data/exports/acme-slack.zip. In an object store, with its Airflow connection: "
        "s3://aws_default@exports/acme-slack.zip; the address of a folder ends in /. For corrected messages: rejects: "
        "and the id of the run that rejected them.",
    ),
    "dry_run": _Row(
        _WHAT,
        "Dry run",
        False,
        _SWITCH,
        "Stop after the plan and send nothing. The report estimates the load: messages, calls, tokens, calls of "
        "EverOS's language model and time, for each conversation.",
    ),
    "include": _Row(
        _WHAT,
        "Only these conversations",
        None,
        _NAMES,
        "Names or ids, * allowed, one per line. Empty: all. Example: general, slack_team-*. A name that matches "
        "nothing stops the run before anything is sent.",
    ),
    "exclude": _Row(
        _WHAT,
        "Not these conversations",
        None,
        _NAMES,
        "Names or ids, * allowed, one per line. Takes precedence over the field above.",
    ),
    "include_private": _Row(
        _WHAT,
        "Private channels and direct messages",
        False,
        _SWITCH,
        "Off: they are not imported, and the report has the number of their messages.",
    ),
    "bots": _Row(
        _WHAT,
        "Messages of bots and apps",
        "assistant",
        {
            "type": "string",
            "enum": ["assistant", "skip"],
            "values_display": {"assistant": "Import, as role “assistant”", "skip": "Leave out"},
        },
    ),
    "conversation_id": _Row(
        _WHAT,
        "Conversation id",
        DEFAULT_ID_TEMPLATE,
        {"type": "string", "pattern": r"\{channel(_id)?\}"},
        "Template of the ids in EverOS, with {source}, {workspace}, {channel} and {channel_id}. Do not change it "
        "later: another template creates new conversations.",
    ),
    "redact": _Row(
        _WHAT,
        "Remove credentials",
        False,
        _SWITCH,
        "Replace keys, tokens and passwords of known formats in message texts, and count them. Tokens and passwords in "
        "URLs are always removed.",
    ),
    "since": _Row(
        _PERIOD,
        "Written from",
        None,
        _TIME,
        "Inclusive; UTC if no zone is given. Scheduled and backfill runs use their data interval.",
    ),
    "until": _Row(
        _PERIOD,
        "Written before",
        None,
        _TIME,
        "Exclusive; UTC if no zone is given. Scheduled and backfill runs use their data interval.",
    ),
    "lookback_days": _Row(
        _PERIOD,
        "Lookback (days)",
        3,
        {"type": "integer", "minimum": 0, "maximum": 3650},
        "Scheduled and backfill runs begin this number of days before their data interval, for messages that arrived "
        "late. Messages that are loaded already are not sent again.",
    ),
    "segments": _Row(
        _LOAD,
        "Sessions",
        None,
        {
            "type": ["null", "string"],
            "enum": [None, *SEGMENTATIONS],
            "values_display": {
                "thread-day": "Each thread, and each day outside threads",
                "conversation": "Conversations",
            },
        },
        "The unit of a session in EverOS. Empty: threads and days for API v2, conversations for v1. A store that was "
        "loaded with one value cannot be continued with another: that takes a new project_id.",
    ),
    "memory_of": _Row(
        _LOAD,
        "Owner of the memory",
        None,
        {
            "type": ["null", "string"],
            "enum": [None, *MEMORIES],
            "values_display": {
                "workspace": "The workspace, for all its public conversations",
                "conversation": "Each conversation",
                "person": "Each person",
            },
        },
        "API v2 only: one query finds what one owner holds. Empty: the workspace; each private conversation then has "
        "a separate owner. A store that was loaded with one value cannot be continued with another.",
    ),
    "batch_size": _Row(
        _LOAD,
        "Messages per call",
        None,
        {"type": ["null", "integer"], "minimum": 1, "maximum": MAX_MESSAGES_PER_ADD},
        "Empty: 50, and 100 in conversations of more than 10,000 messages.",
    ),
    "concurrency": _Row(
        _LOAD,
        "Batches in parallel",
        8,
        {"type": "integer", "minimum": 1, "maximum": 64},
        "Per load task. Within a session, batches are sent one at a time.",
    ),
    "max_model_calls": _Row(
        _LOAD,
        "Calls of the language model at most",
        0,
        {"type": "integer", "minimum": 0},
        "By the estimate. Messages that would exceed it are left for another run, and the report counts them. 0: any.",
    ),
    "existing": _Row(
        _LOAD,
        "Batches that an earlier run left unknown",
        "ask",
        {
            "type": "string",
            "enum": ["ask", "resend", "skip"],
            "values_display": {
                "ask": "Stop the conversation if EverOS cannot tell",
                "resend": "Send again if EverOS cannot tell",
                "skip": "Treat as loaded if EverOS cannot tell",
            },
        },
        "EverOS is always asked first. The report of the earlier run names these batches.",
    ),
}
"""In the order of the form."""


def import_params() -> dict[str, Param]:
    """Return the parameters in the order of the form."""
    defaults = {"source": os.environ.get(SOURCE_VARIABLE) or str(home() / "drop")}
    added = {"dry_run": f" Off: messages are sent to {described_target()}."}
    return {
        name: Param(
            defaults.get(name, row.default),
            description=row.help and row.help + added.get(name, ""),
            section=row.section,
            title=row.title,
            **row.schema,
        )
        for name, row in _FORM.items()
    }


def check_params(context: Context) -> None:
    """
    Refuse unknown names and invalid values of a run, from the form, the REST API, another DAG or a backfill.

    Airflow adds unknown names to a run's parameters, and checks values late or not at all.

    :raises ConfigurationError: a name is unknown, or a value is invalid; nothing was read or sent.
    """
    dag = context.get("dag")
    params = import_params()
    given = {**context["params"], **(getattr(context["dag_run"], "conf", None) or {})}
    refuse_unknown("parameter", given, {**params, **(dag.params if dag else {})})
    for name, param in params.items():
        if name in given and not _is_valid(param, given[name]):
            raise ConfigurationError(
                f"parameter {name}: {repr(given[name])[:80]} is not allowed. Nothing was read or sent.",
                remedy=f"Give {_expected(param)}.",
            )


def _is_valid(param: Param, value: Any) -> bool:
    try:
        param.resolve(value)
    except ParamValidationError:
        return False
    return not (isinstance(value, float) and "integer" in param.schema["type"])  # JSON Schema accepts 8.0


def _expected(param: Param) -> str:
    """Return in words what the schema allows."""
    schema = param.schema
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if "enum" in schema:
        words = [f"one of {', '.join(str(value) for value in schema['enum'] if value is not None)}"]
    elif schema.get("format") == "date-time":
        words = ["a date or a time such as 2026-03-01T10:00:00Z"]
    else:
        words = [_KINDS[kind] for kind in kinds if kind != "null"]
    if "minimum" in schema:
        words[0] += f", at least {schema['minimum']}"
    if "maximum" in schema:
        words[0] += f", at most {schema['maximum']}"
    if schema.get("minLength"):
        words[0] += " that is not empty"
    if schema.get("pattern"):
        words[0] += " with {channel} or {channel_id}"
    return ", or ".join([*words, *(["null"] if "null" in kinds else [])])


_KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "string": "a text",
    "array": "a list of texts",
}
