"""Rules of owners.json: what each run says about the conversations that it imports."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import steps
from include.memory_api.contract import Target
from include.memory_layout import memory_layout
from include.parsers import ParseOptions
from include.report.owners import read_owners
from include.run_folder import HOME_VARIABLE, RunFolder
from include.window import Window
from tests.support.builders import write_folder

V1, V2 = (Target(base_url="http://127.0.0.1:9", api_version=version, key_fingerprint="0") for version in ("v1", "v2"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def reported(source: Path, target: Target, *, dry_run: bool = False) -> RunFolder:
    """A run of a group and a personal history, up to its report; nothing is loaded."""
    message = {
        "role": "user",
        "sender_id": "ann",
        "sender_name": "Ann",
        "timestamp": 1_767_312_000_000,
        "content": "hi",
    }
    documents: dict[str, Any] = {
        "group.json": {"group_id": "general", "messages": [message]},
        "personal.json": {"user_id": "ann", "session_id": "s-1", "messages": [message]},
    }
    run, ledger = RunFolder.of("run"), steps.open_ledger(target)
    for export in steps.discover(write_folder(source, documents), run):
        steps.extract(export, ParseOptions(include_private=True), run)
    steps.transform(run, Window(), ledger, layout=memory_layout(target.api_version))
    steps.plan(run, batch_size=None)
    started = datetime.now(UTC)
    steps.report(run, ledger, run_id="run", target=target, started_at=started, dry_run=dry_run, problems=[])
    return run


@pytest.mark.parametrize(("target", "owners"), [(V1, 0), (V2, 2)])
def test_a_run_names_its_conversations_their_members_and_on_v2_their_owners(
    tmp_path: Path, home: Path, target: Target, owners: int
) -> None:
    reported(tmp_path / "export", target)
    [document] = read_owners(home, target)
    assert len(document.owners) == owners
    group, personal = sorted(document.conversations, key=lambda each: each.kind)
    assert (group.conversation_id, group.private, group.user_id) == ("general", False, None)
    assert [(each.sender_id, each.sender_name) for each in group.members] == [("ann", "Ann")]
    assert (personal.private, personal.user_id, personal.session_id) == (True, "ann", "s-1")
    assert {each.owner: each.private for each in document.owners if personal.conversation_id in each.conversations} == (
        {"ann": True} if owners else {}
    )
    assert read_owners(home, V1 if target is V2 else V2) == []


def test_a_dry_run_says_nothing_of_memories_that_it_does_not_make(tmp_path: Path, home: Path) -> None:
    run = reported(tmp_path / "export", V2, dry_run=True)
    assert not run.owners.exists()
    assert "owners.json" not in json.loads(run.report_json.read_bytes())["files"]
