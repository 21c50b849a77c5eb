"""How many credentials of the corpus are found, and how many false alarms there are (``make bench``)."""

import time

from include.redact import redact
from tests.support.credential_corpus import credentials, innocents

SEEDS = 20
"""Each makes other strings for the same sentences."""


def print_redaction() -> None:
    """Print recall, false alarms and speed."""
    planted = [each for seed in range(SEEDS) for each in credentials(seed)]
    harmless = [text for seed in range(SEEDS) for text in innocents(seed)]
    began = time.process_time()
    missed = sum(secret in redact(text, everything=True)[0] for _, text, secret in planted)
    hit = sum(redact(text, everything=True)[0] != text for text in harmless)
    took_us = (time.process_time() - began) / (len(planted) + len(harmless)) * 1e6
    number = len(planted) // SEEDS
    print(f"\nredaction: {number} credentials and {len(harmless) // SEEDS} other messages, {SEEDS} times each")
    recall, alarms = 1 - missed / len(planted), hit / len(harmless)
    print(f"found {recall:.1%}, false alarms {alarms:.1%}, {took_us:.0f} us a message")
