"""Fits sentences to the width of the terminal."""

import shutil
import textwrap


def wrapped(text: str, indent: str = "") -> str:
    """
    Return a sentence in lines of the terminal's width, 100 characters where there is no terminal.

    Addresses and paths stay whole, to be copied.

    :param indent: Of all lines.
    """
    width = shutil.get_terminal_size((100, 24)).columns
    return textwrap.fill(
        text,
        max(width, len(indent) + 20),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
