"""Slack exports: a zip or folder with index files and one folder of ``YYYY-MM-DD.json`` day files per channel."""

from collections.abc import Iterator, Mapping, Sequence

from include.archive import Archive
from include.parsers.formats import Export, Format, ParseOptions
from include.records import Parsed


def parse(archive: Archive, export: Export, options: ParseOptions) -> Iterator[Parsed]:
    """Yield nothing yet."""
    yield from ()


def trees(archive: Archive) -> Mapping[str, Sequence[str]]:
    """Find nothing yet."""
    return {}


FORMAT = Format(
    name="slack",
    looked_for="a Slack export (users.json or channels.json beside folders of YYYY-MM-DD.json)",
    parse=parse,
    trees=trees,
)
TXT_FORMAT = Format(name="slack_txt", looked_for="", parse=parse, refusal="…")
