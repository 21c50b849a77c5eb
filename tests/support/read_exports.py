"""Reads exports as a run does, with discovery, and sorts the records by kind."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.parsers import ParseOptions, discover, parse
from include.records import Conversation, Entries, Message, Note, Rejected, Skipped


@dataclass
class Reading:
    """Everything that the parsers yielded for one source."""

    conversations: dict[str, Conversation] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    entries: Counter[str] = field(default_factory=Counter)
    unknown: list[Rejected] = field(default_factory=list)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By code and detail."""
    formats: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(record.reason for record in self.skipped)

    def outcomes(self) -> Counter[str]:
        """Outcomes per conversation: what ``entries`` must equal."""
        return Counter(record.conversation_id for record in (*self.messages, *self.skipped, *self.rejected))


def read(source: Path, **options: Any) -> Reading:
    """Read a file or folder with the given :class:`ParseOptions`."""
    exports, unknown = discover(source)
    result = Reading(unknown=unknown, formats=[export.format for export in exports])
    for export in exports:
        for record in parse(export, ParseOptions(**options)):
            match record:
                case Conversation():
                    result.conversations.setdefault(record.conversation_id, record)
                case Message():
                    result.messages.append(record)
                case Skipped():
                    result.skipped.append(record)
                case Rejected():
                    result.rejected.append(record)
                case Note():
                    result.notes[record.code, record.detail] += record.count
                case Entries():
                    result.entries[record.conversation_id] += record.count
    return result
