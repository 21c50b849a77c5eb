"""Checks address and key of a target within seconds, with a call that writes nothing."""

import asyncio
from contextlib import aclosing

from include.errors import NotSent, OutcomeUnknown, Throttled
from include.memory_api import connect
from include.memory_api.settings import Settings

WITHIN_S = 10
"""A server that answers at all answers this call in milliseconds."""

AWAY = (
    "Start it, or wait until it answers, and run again; or correct its address: EVEROS_BASE_URL, or the host of the "
    "connection."
)


async def check_target(settings: Settings, within_s: float = WITHIN_S) -> str:
    """
    Return a sentence that says that the target answers and accepts the key.

    :param within_s: The time that all of it may take.
    :raises ConfigurationError: the key is refused, or the address is not that of such an API.
    :raises NotSent: the target is away: no connection, no answer in time, or an error of the server.
    """
    name = f"EverOS {settings.api_version} at {settings.address}"
    api = connect(settings)  # before the clock starts: importing an SDK takes seconds on a busy machine
    try:
        async with aclosing(api), asyncio.timeout(within_s):
            return await api.check()
    except (NotSent, Throttled) as error:
        raise NotSent(error.cause, remedy=AWAY) from error
    except TimeoutError:
        raise NotSent(f"{name}: no answer within {within_s:g} s; nothing was sent.", remedy=AWAY) from None
    except OutcomeUnknown as error:  # of a call that writes nothing
        raise NotSent(f"{error.cause.partition(';')[0]}; nothing was sent.", remedy=AWAY) from error
