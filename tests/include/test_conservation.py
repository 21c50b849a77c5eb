"""
Every entry of every export at hand is a message, skipped or rejected, counted from the raw files by other means.

``pytest tests/include/test_conservation.py --samples DIR`` does the same with each file and folder in ``DIR``: real
exports that cannot be part of this project. Some are known by name, with what they hold.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.entry_strategies import raw_entries
from tests.support.read_exports import Reading, read
from tests.support.slack_contents import BODIES, Combination
from tests.support.slack_generator import generate

HERE = Path(__file__).parents[1]
OURS = [
    *(path for path in sorted((HERE / "fixtures").glob("*/*")) if path.parent.name != "cases"),
    *sorted((HERE / "fixtures" / "cases").glob("*/*")),
    *sorted((HERE.parent / "include" / "samples").iterdir()),
]


_FILE = re.compile(r"([^/]*\.(?:jsonl?|ndjson|csv))[^/]*$")


class Holds(NamedTuple):
    """What an export is known to hold."""

    messages: int
    skipped: Mapping[str, int]
    rejected: int


KNOWN = {
    "fixtures/slack/slack_awkward.zip": Holds(28, {"channel_join": 1, "deleted": 1, "event": 1}, 5),
    # Of zulip (zerver/tests/fixtures): exports of 2017, 2023 and 2026.
    "slack/test_slack_importer.zip": Holds(82, {"channel_join": 8, "pinned_item": 1}, 0),
    "slack/test_unicode_slack_importer.zip": Holds(2, {"channel_join": 3}, 0),
    "discord/channels": Holds(16, {"GuildMemberJoin": 2, "ChannelPinnedMessage": 1, "empty": 1}, 0),
}
"""By the end of the path."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Add the samples to what is at hand."""
    samples = metafunc.config.getoption("--samples")
    if "source" in metafunc.fixturenames:
        sources = [*OURS, *(sorted(samples.iterdir()) if samples else ())]
        metafunc.parametrize("source", sources, ids=lambda path: f"{path.parent.name}/{path.name}")
    if "known" in metafunc.fixturenames:
        places = [path for folder in (HERE / "fixtures", samples) if folder for path in sorted(folder.rglob("*"))]
        known = [(path, key) for path in places for key in KNOWN if path.as_posix().endswith(f"/{key}")]
        metafunc.parametrize(("known", "key"), known, ids=[key for _, key in known])


def by_file(result: Reading) -> Counter[str]:
    """Return how many outcomes came from each file, by its own name."""
    outcomes = (*result.messages, *result.skipped, *result.rejected)
    return Counter(_FILE.findall(record.origin)[0] for record in outcomes)


@pytest.mark.parametrize("options", [{}, {"include_private": True}, {"bots": "skip", "exclude": ("*general*",)}])
def test_every_entry_is_a_message_skipped_or_rejected(source: Path, options: dict[str, object]) -> None:
    """A file that is no export is not counted, it is reported by name."""
    result = read(source, **options)
    reported = {Path(record.origin).name for record in result.unknown if record.reason.startswith("not an export")}
    counted = {name: count for name, count in raw_entries(source).items() if name not in reported}
    assert by_file(result) == counted
    assert result.entries.total() == sum(counted.values())


def test_known_exports_hold_what_they_are_known_to_hold(known: Path, key: str) -> None:
    result = read(known, include_private=True)
    assert Holds(len(result.messages), result.reasons, len(result.rejected)) == KNOWN[key]


@pytest.mark.parametrize("seed", range(4))
def test_a_made_up_export_holds_what_its_maker_wrote_down(tmp_path: Path, seed: int) -> None:
    """Three counts by three programs: the generator's, the plain one's and the parser's."""
    path = tmp_path / ("export.zip" if seed % 2 else "export")
    truth = generate(path, messages=2_000, channels=5, days=8, seed=seed, keep=False)
    result = read(path)
    assert by_file(result) == raw_entries(path)
    assert result.entries == truth.entries
    assert (len(result.messages), result.reasons, len(result.rejected)) == (
        truth.messages,
        truth.skipped,
        truth.rejected,
    )


@pytest.mark.parametrize("shape", ["official", *BODIES])
def test_every_entry_counts_in_every_shape_of_an_export(tmp_path: Path, shape: str) -> None:
    source = Combination("folder", shape).write(tmp_path)
    result = read(source)
    assert by_file(result) == raw_entries(source)
    assert result.entries.total() == raw_entries(source).total()
