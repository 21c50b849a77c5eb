"""Generated exports, all the way: what the stand-in holds is what the generator meant to be delivered."""

import sqlite3
from pathlib import Path

import pytest

from include.standin import StandIn, judge
from tests.bench.importing import Import, start
from tests.support import discord_generator
from tests.support.delivery_runs import QUICK
from tests.support.read_exports import read
from tests.support.slack_generator import Expected, Truth, generate


def imported(export: Path, standin: StandIn, home: Path, run_id: str) -> None:
    import_ = Import(source=str(export), run_id=run_id, base_url=standin.base_url, settings=QUICK)
    home.mkdir(exist_ok=True)
    with (home / "log").open("wb") as log, start(import_, home, log) as process:
        process.communicate()
    assert process.returncode == 0, (home / "log").read_text(encoding="utf-8")[-2000:]


def held(standin: StandIn, conversation: str) -> list[Expected]:
    """What the stand-in was sent, in order of arrival; threads are not its business."""
    columns = "message_id, sender_id, sender_name, role, text, NULL"
    with sqlite3.connect(standin.data / "standin.sqlite") as database:
        rows = database.execute(f"SELECT {columns} FROM messages WHERE conversation = ? ORDER BY row", [conversation])  # noqa: S608
        return [Expected(*row) for row in rows]


def meant(truth: Truth, conversation: str) -> list[Expected]:
    return [message._replace(thread_id=None) for message in truth.delivered[conversation]]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_arrives_is_what_was_written_in_order_and_once(tmp_path: Path, seed: int) -> None:
    export = tmp_path / "slack.zip"
    truth = generate(export, messages=1500, channels=6, days=20, seed=seed)
    with StandIn.running(tmp_path / "standin") as standin:
        imported(export, standin, tmp_path / "home", "first")
        calls = len(standin.journal())
        imported(export, standin, tmp_path / "home", "second")
        assert len(standin.journal()) == calls
        expected = {name: [message.message_id for message in delivered] for name, delivered in truth.delivered.items()}
        verdicts = judge(standin.journal(), expected)
        assert {name: verdict for name, verdict in verdicts.items() if not verdict.clean} == {}
        for name in truth.delivered:
            assert held(standin, name) == meant(truth, name)


def test_a_generated_discord_file_is_a_message_per_entry(tmp_path: Path) -> None:
    count = discord_generator.generate(tmp_path / "general.json", size_bytes=300_000)
    reading = read(tmp_path / "general.json")
    assert (len(reading.messages), reading.skipped, reading.rejected) == (count, [], [])
