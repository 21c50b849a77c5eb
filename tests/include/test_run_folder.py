"""Rules of the home's folders: each run has one of its own, its files are private, nothing else is removed."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import corrections, run_folder, steps
from include.errors import StorageError
from include.memory_api.contract import Target
from include.parsers import ParseOptions
from include.report.calls_csv import write_calls
from include.run_folder import HOME_VARIABLE, LONGEST_NAME, RunFolder, folder_name, run_id_of
from include.window import Window

SAMPLES = Path(__file__).parents[2] / "include" / "samples"
TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
ODD = [
    *("", ".", "..", "...", ".hidden", "a.", "a..", "a ", " a", "a/b", "/", "../..", "/etc", "a/../b", "%", "%%"),
    *("%2e", "%2E", "%2e%2e", ".%2E", "\0", "a\0", "\n", "~", "\\", "..\\..", "C:", "雑談", "e\u0301", "é", "\ud800"),
    *("Run", "run", "RUN", "x" * 200, "x" * 201, "x" * 400, "." * 201, "x" * 199 + "..", "雑" * 250),
    *("x" * 199 + "/..", "x" * 198 + "%/y", "con", "-", "-rf"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def check_name(run_id: str) -> None:
    name = folder_name(run_id)
    parts = name.split("/")
    assert run_id_of(name) == run_id
    assert all(part and not part.startswith(".") and not part.endswith(".") for part in parts)
    assert all(len(part.encode()) <= LONGEST_NAME + 1 for part in parts)
    assert all(part.endswith("%") for part in parts[:-1])
    assert name == "%" or not parts[-1].endswith("%")


@pytest.mark.parametrize("run_id", ODD)
def test_an_odd_run_id_is_a_folder_name_that_can_be_read_back(run_id: str) -> None:
    check_name(run_id)


@given(st.text(max_size=400) | st.text(alphabet="./%2eE~\\ ", max_size=600))
def test_every_run_id_is_a_folder_name_that_can_be_read_back(run_id: str) -> None:
    check_name(run_id)


def test_two_run_ids_never_share_a_folder_and_none_is_inside_another() -> None:
    places = sorted(RunFolder.of(run_id).root for run_id in ODD)
    assert len(set(places)) == len(ODD)
    assert not [(one, other) for one in places for other in places if one in other.parents]


def test_the_folder_of_an_ordinary_run_is_the_one_that_links_name() -> None:
    run_id = "manual__2026-11-22T21:41:17.938715+00:00"
    assert folder_name(run_id) == "manual__2026-11-22T21%3A41%3A17.938715%2B00%3A00"


@pytest.mark.parametrize("run_id", ODD)
def test_a_run_that_begins_empties_only_its_own_folder(home: Path, run_id: str) -> None:
    others = [home / "runs" / "other" / "report.json", home / "ledger" / "x" / "target.json"]
    run = RunFolder.of(run_id)
    for path in (*others, run.root / "report.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    corrections.clear_run(run)
    assert not run.root.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("root", ["runs", ".", "..", "runs/one/.."])
def test_a_folder_that_holds_more_than_one_run_is_not_removed(home: Path, root: str) -> None:
    (home / "runs" / "one").mkdir(parents=True)
    with pytest.raises(StorageError, match="was not removed"):
        corrections.clear_run(RunFolder(home / root))
    assert (home / "runs" / "one").exists()


def test_what_is_outside_of_a_runs_folder_is_not_removed(home: Path) -> None:
    run, other = RunFolder.of("run"), home / "runs" / "other"
    other.mkdir(parents=True)
    run.root.mkdir()
    (run.root / "link").symlink_to(other)
    for path in (other, run.root / ".." / "other", run.root / "link"):
        with pytest.raises(StorageError, match="was not removed"):
            run.remove(path)
    assert other.exists()


def test_files_with_message_text_are_for_their_owner_alone_whatever_the_umask(home: Path) -> None:
    home.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        run, ledger = RunFolder.of("run"), steps.open_ledger(TARGET)
        for export in steps.discover(SAMPLES, run):
            steps.extract(export, ParseOptions(), run)
        steps.transform(run, Window(), ledger)
        steps.plan(run, batch_size=None)
        (run.root / "corrections.json").write_text("[]")
        started = datetime.now(UTC)
        steps.report(run, ledger, run_id="run", target=TARGET, started_at=started, dry_run=True, problems=[])
        with ledger.snapshot() as snapshot:
            write_calls(run, snapshot, "run")
    finally:
        os.umask(before)
    paths = [run.root.parent, run.root, *run.root.rglob("*")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths if path.name != "corrections.json"}
    assert len([path for path in modes if path.is_file()]) > 10
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_no_draft_is_left_after_an_error(home: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_folder.drafted(home / "folder") as draft:
        (draft / "file").write_text("half")
        _ = 1 / 0
    assert list(home.iterdir()) == []


def test_what_a_killed_extract_has_left_behind_is_in_no_list(home: Path) -> None:
    run = RunFolder.of("run")
    for folder in ("001-slack", ".002-slack.partial"):
        run.extracted(folder).mkdir(parents=True)
        for name in ("messages-000.parquet", "broken.parquet", ".messages-001.parquet.partial"):
            (run.extracted(folder) / name).touch()
    assert [path.name for path in run.all_extracted()] == ["001-slack"]
    assert [path.parent.name for path in run.extracted_files("*")] == ["001-slack", "001-slack"]


def test_only_run_folder_lists_the_files_of_a_run() -> None:
    root = run_folder.PROJECT
    # these list other files, or all of a run's
    elsewhere = {"files.py", "database.py", "scratch.py", "task_files.py"}
    listing = [
        path.relative_to(root).as_posix()
        for folder in ("include", "plugins")
        for path in (root / folder).rglob("*.py")
        if "glob(" in path.read_text(encoding="utf-8")
        if not {"standin", "archive", "parsers"}.intersection(path.parts)
    ]
    assert [name for name in listing if Path(name).name not in elsewhere] == ["include/run_folder.py"]
