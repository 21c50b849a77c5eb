"""The DAG's id and the names of a run's parameters. Unknown names are refused with the nearest known one."""

import difflib
from collections.abc import Collection, Iterable

from include.errors import ConfigurationError

DAG_ID = "chat_history_to_everos"

PARAMETERS = (
    "source",
    "dry_run",
    "include",
    "exclude",
    "include_private",
    "bots",
    "conversation_id",
    "redact",
    "since",
    "until",
    "lookback_days",
    "segments",
    "memory_of",
    "batch_size",
    "concurrency",
    "max_model_calls",
    "existing",
)
"""Parameters of a run, in the order of the form; ``everos_provider.params`` has their types."""


def refuse_unknown(what: str, given: Iterable[object], known: Collection[str]) -> None:
    """
    Raise for unknown names: with a misspelt ``dry_run``, a run would send messages.

    :param what: Kind of name, for the message: ``parameter``.
    :raises ConfigurationError: with each unknown name and the nearest known one; with all known ones if none is near.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        nearest = {str(name): _nearest(name, known) for name in unknown}
        told = [f"{name!r}" + (f" (did you mean {near!r}?)" if near else "") for name, near in nearest.items()]
        raise ConfigurationError(
            f"unknown {what}: {', '.join(told)}. Nothing was read or sent.",
            remedy="Correct the name." if all(nearest.values()) else f"Known: {', '.join(known)}.",
        )


def _nearest(name: object, known: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(name).lower().replace("-", "_"), known, n=1)), None)
