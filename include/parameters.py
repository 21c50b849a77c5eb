"""Names that a person writes: what is not known is refused with the nearest name, not passed over."""

import difflib
from collections.abc import Collection, Iterable

from include.errors import ConfigurationError

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
"""Of a run, in the order of the form; ``everos_provider.params`` says what each of them takes."""


def refuse_unknown(what: str, given: Iterable[object], known: Collection[str]) -> None:
    """
    Raise for names that are not known: a misspelt ``dry_run`` would load for real.

    :param what: Kind of name, for the message: ``parameter``.
    :raises ConfigurationError: naming each, the nearest known name, and all that are known.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigurationError(
            f"unknown {what}: {', '.join(_with_nearest(name, known) for name in unknown)}. Nothing was read or sent. "
            f"Known: {', '.join(known)}"
        )


def _with_nearest(name: object, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(str(name).lower().replace("-", "_"), known, n=1)
    return f"{name!r}" + (f" (did you mean {nearest[0]!r}?)" if nearest else "")
