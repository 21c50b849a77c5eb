"""Refuses names in ``include`` and ``exclude`` that match no conversation: with a misspelt name, others are sent."""

import difflib
from collections.abc import Collection, Iterator

from include.errors import ConfigurationError
from include.parsers import ParseOptions
from include.parsers.formats import matches

MOST_NEAREST = 3


def check_names(options: ParseOptions, names: Collection[str], loaded: Collection[str]) -> None:
    """
    Check both parameters against the conversations of all exports, with and without messages in the period.

    :param names: Ids and names of the conversations, as the parsers compared them with the patterns.
    :param loaded: Ids of conversations that the target has from earlier runs and that no export of this run has.
    :raises ConfigurationError: a pattern matches none of them; nothing was sent.
    """
    unknown = [
        *_unknown("include", options.include, names, loaded),
        *_unknown("exclude", options.exclude, names, loaded),
    ]
    if unknown:
        raise ConfigurationError(
            f"{'; '.join(unknown)}. Nothing was sent.", remedy="Correct or remove the name, and run again."
        )


def _unknown(
    parameter: str, patterns: Collection[str], names: Collection[str], loaded: Collection[str]
) -> Iterator[str]:
    for pattern in patterns:
        if not matches((pattern,), *names, *loaded):
            found = _nearest(pattern, names)
            yield f"{parameter} has {pattern!r}, which matches no conversation" + (
                f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""
            )


def _nearest(pattern: str, names: Collection[str]) -> list[str]:
    spelt = {name.casefold(): name for name in sorted(names)}
    nearest = difflib.get_close_matches(pattern.removeprefix("#").casefold(), spelt, n=MOST_NEAREST)
    return [spelt[name] for name in nearest]
