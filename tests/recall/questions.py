"""The records of a recall set: exports of a history, questions about it, and the messages that answer each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, and the messages that a passage must show to answer it."""

    kind: str
    """``fact``, ``who``, ``when``, ``context``, ``mention``, ``late``, ``edited``, ``bot``, ``across`` …."""

    text: str

    workspace: str
    """Slack team in which it is asked."""

    evidence: tuple[str, ...]
    """Message ids (Slack's ``ts``), unique in the set."""

    answer: str = ""
    """Words that must stand on the line of one of these messages; empty where the messages themselves are enough."""

    one_passage: bool = False
    """Whether the messages mean something only side by side: in one passage, with no other thread's message between."""

    stale: str = ""
    """Text before an edit, which no passage may show."""

    day: date | None = None
    """The local date that the passage's time must give, for questions of when."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    """The time zone of ``day``."""


@dataclass(frozen=True, kw_only=True)
class RecallSet:
    """A history as Slack export folders on disk, with questions about it."""

    folder: Path
    """Holds ``exports``, and nothing else: the source of a run."""

    exports: tuple[Path, ...]
    """Export folders in the order in which they were made."""

    current: tuple[Path, ...]
    """The newest export of each workspace: the ones that a plain converter is given."""

    questions: tuple[Question, ...]

    speakers: Mapping[str, str]
    """Name of the author by message id, over everything in the set."""

    threads: Mapping[str, str]
    """Message id of the thread's root by message id, for messages in threads (roots among them)."""
