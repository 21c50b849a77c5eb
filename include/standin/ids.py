"""Ids that EverOS v1 makes up itself (reference server, ``api_specs/id_generator.py``)."""

import hashlib

RESERVED = "gen_"
"""Ids that begin so are the server's: a client's are refused."""

NO_SESSION = "-1"
"""Session of groups, and of a user who named none."""


def derived(kind: str, of: str) -> str:
    """Return ``gen_<kind>_<12 hex digits>``: ``solo`` groups of users, ``sdr`` of assistants, ``msg`` of messages."""
    return f"{RESERVED}{kind}_{hashlib.md5(of.encode(), usedforsecurity=False).hexdigest()[:12]}"
