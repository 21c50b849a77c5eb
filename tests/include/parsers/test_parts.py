"""Rules of parts: several tasks that each read a part of an export find what one task finds in the whole."""

import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include import steps
from include.errors import ConfigurationError
from include.extract import extract
from include.memory_api.contract import Target
from include.parsers import Export, ParseOptions, discover, parts
from include.parsers.json.values import in_natural_order
from include.report.figures import conversation_figures, notes_of, totals_of
from include.run_folder import HOME_VARIABLE, RunFolder
from include.transform import transform
from include.window import Window
from tests.support.builders import slack_channel, slack_export, slack_message, slack_user, write_folder, write_zip
from tests.support.everos_generator import generate as generate_everos
from tests.support.slack_generator import generate as generate_slack

KINDS = ("messages", "skipped", "rejected", "broken")
TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")

type Content = dict[str, Any]


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)


def rows(run: RunFolder, name: str) -> list[dict[str, Any]]:
    return [row for path in run.extracted_files(f"{name}*.parquet") for row in pq.read_table(path).to_pylist()]


def read_in(number: int, source: Path, folder: Path, **options: Any) -> tuple[int, Content]:
    """Read a source in so many parts; return how many there were, and everything that the next steps get."""
    exports, unknown = discover(source, most_parts=number)
    assert not unknown
    run = RunFolder(folder / f"run-{number}")
    for export in reversed(exports):  # tasks end in any order
        extract(export, ParseOptions(**options), run.extracted(export.key))
    transform(run.all_extracted(), run)
    found: Content = {name: rows(run, name) for name in KINDS}
    found["ordered"] = [path.read_bytes() for path in run.message_parts()]
    found["conversations"] = pq.read_table(run.conversations).to_pylist()
    found["notes"] = sorted(map(str, notes_of(run)))
    found["figures"] = conversation_figures(run, {})
    found["totals"] = totals_of(found["figures"], run)
    return len(exports), found


def everos_folder(path: Path) -> Path:
    path.mkdir()
    for number in range(12):
        generate_everos(path / f"chat-{number}.json", messages=60, seed=number)  # all with the same groups
    (path / "chat-5.json").write_text('[{"group_id": "group-1", "messages": [{"role": "user"}, 7')
    return path


def test_a_slack_export_in_parts_is_the_same_as_in_one(tmp_path: Path) -> None:
    for name in ("export", "export.zip"):
        generate_slack(tmp_path / name, messages=1_500, channels=7, days=5, seed=3)
        number, whole = read_in(1, tmp_path / name, tmp_path / f"of-{name}")
        assert number == 1
        for most in (2, 5):
            number, found = read_in(most, tmp_path / name, tmp_path / f"of-{name}")
            assert number == most
            assert found == whole


def test_a_folder_of_everos_json_in_parts_is_the_same_as_in_one(tmp_path: Path) -> None:
    source = everos_folder(tmp_path / "export")
    _, whole = read_in(1, source, tmp_path)
    assert whole["rejected"]
    for most in (2, 5):
        number, found = read_in(most, source, tmp_path)
        assert number == most
        assert found == whole


PROFILES = {"U80": "Eve Ext", "U81": "Eve Ext", "U82": "Ann Lee", "U83": "Bo"}


def guest(user: str, **fields: Any) -> dict[str, Any]:
    profile = {"real_name": PROFILES[user], "name": user.lower()}
    return slack_message(user=user, user_profile=profile, **fields)


ENTRIES: Mapping[str, dict[str, Any]] = {
    **{f"guest {user}": guest(user) for user in PROFILES},
    **{f"{user} without a profile": slack_message(user=user) for user in ("U80", "U81", "U1", "U404")},
    **{f"mention of {user}": slack_message(text=f"ask <@{user}>") for user in (*PROFILES, "U1", "B7", "U99")},
    "bot": slack_message(user=..., subtype="bot_message", bot_id="B7"),
    "bot with a name": slack_message(user=..., subtype="bot_message", bot_id="B7", username="ci"),
    "bot with a profile": slack_message(user="U90", bot_id="B7", bot_profile={"name": "Builder"}),
    "bot with another name": slack_message(user="U90", bot_id="B7", bot_profile={"name": "Deployer"}),
    "installation": slack_message(text="added <https://x.slack.com/services/B7|Hub>", subtype="bot_add"),
    "new kind": slack_message(subtype="ai_recap"),
    "broken": slack_message(ts="soon"),
}


def written(path: Path, channels: Sequence[Sequence[str]]) -> Path:
    """Write an export with these entries in each channel, half of them in a second day file."""
    files: dict[str, Any] = {
        "users.json": [slack_user("U1", "Ann Lee")],
        "channels.json": [slack_channel(f"C{number}", f"c{number}") for number in range(len(channels))],
    }
    for number, kinds in enumerate(channels):
        said = [ENTRIES[kind] | {"ts": f"17673120{place:02}.000100"} for place, kind in enumerate(kinds)]
        said = [{**entry, "ts": "soon"} if kind == "broken" else entry for entry, kind in zip(said, kinds, strict=True)]
        files[f"c{number}/2026-01-01.json"] = said[: len(said) // 2]
        files[f"c{number}/2026-01-02.json"] = said[len(said) // 2 :]
    return write_folder(path, files)


@settings(max_examples=min(50, settings().max_examples))
@given(
    channels=st.lists(st.lists(st.sampled_from(sorted(ENTRIES)), max_size=6), min_size=2, max_size=5),
    most=st.integers(2, 5),
)
def test_names_do_not_depend_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory, channels: list[list[str]], most: int
) -> None:
    """Guests and bots are named by messages alone, and these may be in another part."""
    folder = tmp_path_factory.mktemp("parts")
    source = written(folder / "export", channels)
    assert read_in(most, source, folder)[1] == read_in(1, source, folder)[1]


def test_what_concerns_the_whole_export_is_told_once(tmp_path: Path) -> None:
    listed = [slack_channel("C024BE91L", "general"), slack_channel("C9", "empty")]
    files = slack_export(slack_message(), channels=listed, groups=b"[{")
    files |= {"plans/2026-01-01.json": [slack_message()], "canvases.json": [{"id": "F1"}]}
    source = write_folder(tmp_path / "export", files)
    number, found = read_in(2, source, tmp_path)
    assert number == 2
    assert len([row for row in found["rejected"] if row["origin"] == "groups.json"]) == 1
    assert found == read_in(1, source, tmp_path)[1]


def test_workspaces_of_an_organisation_may_be_in_different_parts(tmp_path: Path) -> None:
    """They are read one after the other, whatever their folders are called; channels of one name stay apart."""
    files: dict[str, Any] = {"org_users.json": [slack_user("U1", "Ann Lee")]}
    for number, team in enumerate(("acme", "globex", "zeta")):
        files[f"teams/{team}/channels.json"] = [slack_channel(f"C{number}{place}", f"c{place}") for place in range(3)]
        for place in range(3):
            files[f"teams/{team}/c{place}/2026-01-01.json"] = [slack_message(text=f"{team} {place}", subtype="new")]
    source = write_folder(tmp_path / "export", files | {"zz/2026-01-01.json": [slack_message()]})
    whole = read_in(1, source, tmp_path)[1]
    assert len(whole["conversations"]) == 10
    for most in (2, 4):
        number, found = read_in(most, source, tmp_path)
        assert number == most
        assert found == whole


@given(
    names=st.lists(st.from_regex(r"[a-c]{1,2}[0-9]{0,2}", fullmatch=True), min_size=2, max_size=9, unique=True),
    late=st.from_regex(r"[a-c]{1,2}[0-9]{0,2}", fullmatch=True),
    most=st.integers(2, 6),
)
def test_a_file_that_comes_while_the_export_is_read_is_in_one_part(names: list[str], late: str, most: int) -> None:
    names.sort(key=in_natural_order)
    beginnings = parts.cuts([parts.Unit(name, 9) for name in names], most)
    found = parts.divided(Export(key="1", format="", path="", label=""), beginnings)
    holding = Counter(name for part in found for name in {*names, late} if parts.holds(part, name, in_natural_order))
    assert holding == dict.fromkeys({*names, late}, 1)


def test_parts_have_about_the_same_size_and_none_is_empty() -> None:
    units = [parts.Unit(f"{number:03}", size) for number, size in enumerate([250] + [10] * 75)]
    beginnings = parts.cuts(units, 4)
    assert [int(name) for name in beginnings] == [1, 26, 51]
    assert parts.cuts([parts.Unit("a", 1000), parts.Unit("b", 1)], 8) == ("b",)


def test_an_export_that_is_not_large_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1 << 20)
    generate_slack(tmp_path / "export", messages=500, channels=5, days=2)
    [export] = discover(tmp_path / "export", most_parts=8)[0]
    assert (export.parts, export.key) == (1, "001-slack-export")


def test_an_export_that_is_read_from_beginning_to_end_stays_whole(tmp_path: Path) -> None:
    """A tar, an archive in another one, a single file: each part would read all of it."""
    generate_slack(tmp_path / "export", messages=500, channels=5, days=2)
    with tarfile.open(tmp_path / "export.tar", "w") as tar:
        tar.add(tmp_path / "export", "export")
    files = slack_export(slack_message()) | {"ops/2026-01-01.json": [slack_message()]}
    write_zip(tmp_path / "outer.zip", {"inner.zip": write_zip(tmp_path / "inner.zip", files).read_bytes()})
    generate_everos(tmp_path / "chat.json", messages=500)
    for name in ("export.tar", "outer.zip", "chat.json"):
        assert [export.parts for export in discover(tmp_path / name, most_parts=8)[0]] == [1]
    assert len(discover(tmp_path / "inner.zip", most_parts=8)[0]) == 2


def test_parts_of_an_earlier_try_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    generate_slack(tmp_path / "export", messages=500, channels=5, days=2, awkward=False)
    run = RunFolder.of("run")
    counts = []
    for most in ("4", "1", "3"):
        monkeypatch.setenv(parts.VARIABLE, most)
        exports = steps.discover(tmp_path / "export", run)
        assert len(exports) == int(most)
        for export in exports:
            steps.extract(export, ParseOptions(), run)
        counts.append(steps.transform(run, Window(), steps.open_ledger(TARGET), dry_run=True))
    assert counts[0] == counts[1] == counts[2]


def test_one_part_that_is_tried_again_replaces_its_own_files_only(tmp_path: Path) -> None:
    generate_slack(tmp_path / "export", messages=500, channels=5, days=2)
    exports, _ = discover(tmp_path / "export", most_parts=3)
    run = RunFolder(tmp_path / "run")
    for export in (*exports, exports[1]):
        extract(export, ParseOptions(), run.extracted(export.key))
    assert [folder.name for folder in run.all_extracted()] == [export.key for export in exports]
    whole = read_in(1, tmp_path / "export", tmp_path)[1]
    assert rows(run, "messages") == whole["messages"]


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_parts_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(parts.VARIABLE, given)
    with pytest.raises(ConfigurationError, match=f"{parts.VARIABLE} is '{given}'"):
        parts.most_parts()
