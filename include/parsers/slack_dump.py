"""Loose Slack JSON: slackdump's one object per channel, and bare arrays of messages."""

from collections.abc import Iterator

from include.archive import Archive
from include.parsers.formats import Export, Format, ParseOptions
from include.parsers.head import Head
from include.records import Parsed


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """Yield nothing yet."""
    yield from ()


def owns(head: Head) -> bool:
    """Tell a dump object or an array of messages from anything else."""
    return head.has("", "channel_id", "messages") or head.has("item", "ts")


FORMAT = Format(
    name="slack_dump",
    looked_for="Slack messages (a slackdump object with channel_id and messages, or an array of objects with ts)",
    parse=parse,
    owns=owns,
)
