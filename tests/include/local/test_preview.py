"""A preview shows what would be sent, on the terminal only, and leaves nothing behind."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import ExportError, PermanentError
from include.local.commands import preview_source
from include.local.preview import MOST_CHARACTERS, parameters_of, preview, share
from include.run_folder import PROJECT
from tests.support.builders import slack_channel, slack_message

SAMPLES = PROJECT / "include" / "samples"
GOLDEN = PROJECT / "tests" / "fixtures" / "preview" / "samples.txt"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def lines_of(source: Path, messages: int = 20, most_entries: int = 10_000, **conf: Any) -> list[str]:
    return list(preview(source, parameters_of(conf), messages=messages, most_entries=most_entries))


def everos_file(folder: Path, *messages: dict[str, Any], **meta: Any) -> Path:
    path = folder / "group.json"
    people = [{"sender": "u1", "sender_name": "Ann", "role": "user", **message} for message in messages]
    path.write_text(json.dumps({"conversation_meta": {"group_id": "g1", **meta}, "conversation_list": people}))
    return path


def slack_folder(folder: Path, **channels: int) -> Path:
    """Make an export with so many messages in each public channel."""
    for number, (name, count) in enumerate(channels.items()):
        (folder / name).mkdir(parents=True)
        day = [slack_message(f"{1767312000 + each}.{number:06d}", text=f"{name} {each}") for each in range(count)]
        (folder / name / "2026-01-02.json").write_text(json.dumps(day))
    listed = [slack_channel(f"C{number}", name) for number, name in enumerate(channels)]
    (folder / "channels.json").write_text(json.dumps(listed))
    (folder / "users.json").write_text("[]")
    return folder


def test_the_preview_of_the_samples_is_the_one_that_is_stored() -> None:
    assert "\n".join(lines_of(SAMPLES, messages=9)) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_a_private_conversation_is_named_with_its_reason_and_shown_when_it_is_included() -> None:
    private = "  slack_leads: 3 entries; listed in groups.json"
    without = lines_of(SAMPLES / "slack")
    assert private in without
    assert "slack_leads" not in without
    included = lines_of(SAMPLES / "slack", include_private=True)
    assert private not in included
    assert "slack_leads" in included


def test_an_excluded_conversation_is_listed_without_its_messages() -> None:
    lines = lines_of(SAMPLES / "slack", include=["general"])
    assert "  slack_incidents: 12 excluded" in lines
    assert [line for line in lines if line.startswith("slack_")] == [
        next(line for line in lines if line.startswith("slack_general  ")),
        "slack_general",
    ]


def test_a_time_is_shown_in_the_zone_of_the_export_and_in_utc(tmp_path: Path) -> None:
    at = {"create_time": "2026-01-02 02:30:00", "content": "hello", "message_id": "m1"}
    lines = lines_of(everos_file(tmp_path, at, default_timezone="Asia/Shanghai"))
    assert "  2026-01-02 02:30:00 Asia/Shanghai = 2026-01-01 18:30:00 UTC  Ann:" in lines
    lines = lines_of(everos_file(tmp_path, at))
    assert "  2026-01-02 02:30:00 UTC  Ann:" in lines


def test_each_conversation_shows_its_first_messages(tmp_path: Path) -> None:
    lines = lines_of(slack_folder(tmp_path / "export", big=50, small=1), messages=5)
    assert [line.strip() for line in lines if line.startswith("    ")] == [
        *(f"big {number}" for number in range(4)),
        "small 0",
    ]


@pytest.mark.parametrize("make", ["slack", "everos"])
def test_a_large_export_is_read_in_part_and_the_preview_says_so(tmp_path: Path, make: str) -> None:
    if make == "slack":
        source = slack_folder(tmp_path / "export", one=30_000, two=5)
    else:
        entries = [
            {"create_time": 1767312000 + each, "content": "x", "message_id": str(each)} for each in range(30_000)
        ]
        source = everos_file(tmp_path, *entries)
    lines = lines_of(source, most_entries=2_500)
    read = int(lines[0].split(" entries")[0].rsplit(" ", 1)[1].replace(",", ""))
    assert 2_500 <= read < 30_000
    assert lines[0].endswith(f"only the first {read:,} entries read")
    assert "The counts are of the part that was read; a dry run reads everything." in lines
    [total] = [line for line in lines if line.startswith("all ")]
    assert total.split() == ["all", f"{read:,}"]


def test_messages_outside_of_the_period_are_neither_counted_nor_shown(tmp_path: Path) -> None:
    source = slack_folder(tmp_path / "export", one=3_000)
    lines = lines_of(source, since="2026-01-02T00:10:00", until="2026-01-02T00:40:00")
    assert ["slack_one", "1,800", "0", "0", "2026-01-02"] in [line.split() for line in lines]
    assert "    one 600" in lines
    assert "    one 599" not in lines


def test_what_could_change_the_terminal_is_escaped_and_a_long_text_is_cut(tmp_path: Path) -> None:
    texts = ["a\x1b[2Jb\nsecond line", "x" * (MOST_CHARACTERS + 2_000), "half \ud83d"]
    entries = [{"create_time": 1767312000 + n, "content": text, "message_id": str(n)} for n, text in enumerate(texts)]
    lines = lines_of(everos_file(tmp_path, *entries))
    assert lines[lines.index("    a\\x1b[2Jb") + 1] == "    second line"
    assert f"    {'x' * MOST_CHARACTERS} … and 2,000 more characters" in lines
    assert all(character.isprintable() for line in lines for character in line)


def test_nothing_is_left_on_disk_and_nothing_is_logged(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        lines_of(SAMPLES)
        begun = preview(SAMPLES, parameters_of({}), messages=3)
        next(begun)
        assert [each.stat().st_mode & 0o777 for each in temporary.iterdir()] == [0o700]
        begun.close()
    assert list(temporary.iterdir()) == []
    assert caplog.records == []


def test_nothing_is_left_on_disk_after_an_error(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("include.local.preview.transform", full)
    with pytest.raises(OSError, match="no space left"):
        lines_of(SAMPLES)
    assert list(temporary.iterdir()) == []


def test_a_source_without_an_export_is_an_error_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "notes.json").write_text("{}")
    with pytest.raises(ExportError, match=r"nothing to preview: export/notes.json: not an export of a known format"):
        lines_of(tmp_path / "export")


@pytest.mark.parametrize(
    ("source", "conf", "messages", "sentence"),
    [
        ("", "", "", "make preview SOURCE="),
        ("s3://bucket/export.zip", "", "", "make preview SOURCE="),
        ("no/such.zip", "", "", "no/such.zip does not exist"),
        (".", '{"incluse": []}', "", "did you mean 'include'"),
        (".", '{"include": "general"}', "", r"CONF: Expected `array \| null`, got `str` - at `\$.include`"),
        (".", '{"since": "yesterday"}', "", "since: 'yesterday' is not a date"),
        (".", "", "few", "N=few is not a number"),
    ],
)
def test_a_preview_that_cannot_work_says_what_is_wrong(source: str, conf: str, messages: str, sentence: str) -> None:
    with pytest.raises(PermanentError, match=sentence):
        preview_source(source, conf, messages)


def test_the_command_prints_the_preview(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVEROS_API_VERSION", raising=False)
    assert preview_source(str(SAMPLES), "", "9") == 0
    assert capsys.readouterr() == (GOLDEN.read_text(encoding="utf-8"), "")


@given(st.integers(0, 40), st.lists(st.integers(1, 20), max_size=8))
def test_shares_use_all_of_the_number_and_differ_by_one_at_most(total: int, sizes: list[int]) -> None:
    shares = share(total, sizes)
    assert sum(shares) == min(total, sum(sizes))
    assert all(part <= size for part, size in zip(shares, sizes, strict=True))
    unfilled = [part for part, size in zip(shares, sizes, strict=True) if part < size]
    assert max(shares, default=0) - min(unfilled, default=max(shares, default=0)) <= 1
