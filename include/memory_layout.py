"""
The layout of a target's memory: its sessions and its owners.

========== ================= =====================================================================================
name       value             meaning
========== ================= =====================================================================================
segments   ``thread-day``    a thread is a session, the rest of a conversation is one session per day (UTC)
segments   ``conversation``  a conversation is one session
memory_of  ``workspace``     the public conversations of a workspace are one memory, asked with one query
memory_of  ``conversation``  each conversation is a memory of its own
memory_of  ``person``        each person has a memory, and all of them hold a copy of what several people talked about
========== ================= =====================================================================================

API v1 reads by group and has no sessions in groups: there a segment is the conversation and senders stay who they are.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from include.errors import ConfigurationError

type Segmentation = Literal["thread-day", "conversation"]
type MemoryOf = Literal["workspace", "conversation", "person"]

SEGMENTATIONS = ("thread-day", "conversation")
MEMORIES = ("workspace", "conversation", "person")


_KEY = "memory_layout"


class MemoryLayout(msgspec.Struct, frozen=True, kw_only=True):
    """One layout; a store that was loaded in one is never continued in another."""

    segments: Segmentation = "conversation"
    memory_of: MemoryOf = "person"

    def __str__(self) -> str:
        return f"segments={self.segments}, memory_of={self.memory_of}"

    def metadata(self) -> dict[str, str]:
        """Return what :func:`layout_in` reads, for a Parquet schema."""
        return {_KEY: msgspec.json.encode(self).decode()}


PLAIN = MemoryLayout()
"""A session per conversation and a memory per person: the layout of API v1."""


def memory_layout(api_version: str, segments: str | None = None, memory_of: str | None = None) -> MemoryLayout:
    """
    Return the layout for a target.

    :param segments: Empty: ``thread-day`` for v2, ``conversation`` for v1.
    :param memory_of: Empty: ``workspace`` for v2, ``person`` for v1.
    :raises ConfigurationError: v1 cannot do what was asked for, or a value is unknown; nothing was sent.
    """
    given = {"segments": segments or None, "memory_of": memory_of or None}
    default = PLAIN if api_version == "v1" else MemoryLayout(segments="thread-day", memory_of="workspace")
    for name, allowed in (("segments", SEGMENTATIONS), ("memory_of", MEMORIES)):
        value = given[name]
        if value is not None and value not in allowed:
            raise ConfigurationError(f"{name} must be {' or '.join(allowed)}, not {value!r}; nothing was sent")
        if api_version == "v1" and value not in (None, getattr(default, name)):
            raise ConfigurationError(
                f"{name}={value} needs API v2: v1 has no sessions in groups and reads by group. Nothing was sent. "
                f"Leave {name} empty, or use a connection with api_version v2"
            )
    return msgspec.structs.replace(default, **{name: value for name, value in given.items() if value is not None})


def layout_in(metadata: Mapping[bytes, bytes] | None) -> MemoryLayout:
    """Return the layout in a Parquet schema's metadata; :data:`PLAIN` where it says none."""
    said = (metadata or {}).get(_KEY.encode())
    return msgspec.json.decode(said, type=MemoryLayout) if said else PLAIN
