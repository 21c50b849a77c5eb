"""Finds the time of a Discord message, from its timestamp and its id."""

import re
import time

from include.parsers.json.values import microseconds

_SNOWFLAKE = re.compile(r"[0-9]{15,20}")
_SNOWFLAKE_EPOCH_MS = 1_420_070_400_000
"""Discord's first day, 2015-01-01 (docs.discord.com, "Snowflakes")."""

_DAY_MS = 86_400_000


def sent_at_us(message_id: str, timestamp: object) -> int | None:
    """
    Return when a message was sent, in microseconds, or ``None`` if neither its timestamp nor its id has it.

    The timestamp has priority: ids of edited exports may be other ids, or none. A snowflake of the same second adds the
    milliseconds to a timestamp of whole seconds, as data packages have it. It is used alone where there is no
    timestamp and it is between Discord's first day and tomorrow.
    """
    given_us = microseconds(timestamp)
    if given_us is not None and given_us > 0 and given_us % 1_000_000:
        return given_us
    if not _SNOWFLAKE.fullmatch(message_id):
        return given_us
    snowflake_ms = (int(message_id) >> 22) + _SNOWFLAKE_EPOCH_MS
    if given_us is not None and given_us > 0:
        same_second = given_us % 1_000_000 == 0 and given_us // 1_000_000 == snowflake_ms // 1000
        return snowflake_ms * 1000 if same_second else given_us
    return snowflake_ms * 1000 if snowflake_ms <= time.time() * 1000 + _DAY_MS else None
