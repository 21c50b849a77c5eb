"""How many credentials of the corpus are found, and how many false alarms there are (``make bench``)."""

import runpy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.redact import redact

SEEDS = 20
"""Each makes other strings for the same sentences."""


def print_redaction(corpus: Path) -> None:
    """
    Print recall, false alarms and speed.

    :param corpus: ``tests/credential_corpus.py``.
    """
    made: Mapping[str, Any] = runpy.run_path(str(corpus))
    credentials = [each for seed in range(SEEDS) for each in made["credentials"](seed)]
    innocents = [text for seed in range(SEEDS) for text in made["innocents"](seed)]
    began = time.process_time()
    missed = sum(secret in redact(text, everything=True)[0] for _, text, secret in credentials)
    hit = sum(redact(text, everything=True)[0] != text for text in innocents)
    took_us = (time.process_time() - began) / (len(credentials) + len(innocents)) * 1e6
    number = len(credentials) // SEEDS
    print(f"\nredaction: {number} credentials and {len(innocents) // SEEDS} other messages, {SEEDS} times each")
    recall, alarms = 1 - missed / len(credentials), hit / len(innocents)
    print(f"found {recall:.1%}, false alarms {alarms:.1%}, {took_us:.0f} us a message")
