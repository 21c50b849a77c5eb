"""Keeps log lines and errors in one printable line: an id from an export may contain newlines or terminal codes."""

import logging
import time
from typing import Any


def printable(text: object) -> str:
    r"""
    Return a text in one line, with every character that is not printable escaped as Python writes it.

    >>> printable("general\n2026-11-22 ERROR"), printable("général 雑談")
    ('general\\n2026-11-22 ERROR', 'général 雑談')
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)


def counted(count: int, one: str, several: str = "") -> str:
    """
    Return a number and its noun.

    >>> counted(1, "call"), counted(2_000, "call"), counted(0, "entry", "entries")
    ('1 call', '2,000 calls', '0 entries')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


class _PrintableArguments(logging.Filter):
    """Escapes the arguments of a log line; numbers stay numbers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_shown(argument) for argument in record.args)
        return True


def _shown(argument: Any) -> Any:
    return argument if isinstance(argument, int | float | None) else printable(argument)


_FILTER = _PrintableArguments()


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; its lines hold only printable arguments."""
    logger = logging.getLogger(name)
    logger.addFilter(_FILTER)
    return logger


class PeriodicLine:
    """
    Logs how far a long step is: a line with a count, at most every few seconds.

    :param message: Format of the line; its last argument is the count, as text.
    """

    def __init__(self, log: logging.Logger, message: str, *args: object, every_s: float = 5) -> None:
        self._log, self._message, self._args, self._every_s = log, message, args, every_s
        self._logged_s = time.monotonic()

    def reached(self, count: int) -> None:
        """Log the count if it is time."""
        if time.monotonic() - self._logged_s >= self._every_s:
            self._logged_s = time.monotonic()
            self._log.info(self._message, *self._args, f"{count:,}")
