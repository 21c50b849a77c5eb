"""The whole way under a real scheduler: what the stand-in received is the measure."""

import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil

from include.local.airflow import DAG_ID
from include.standin import Fault, StandIn
from include.standin.journal import Entry, Verdict, judge
from tests.e2e.conftest import KEY, LocalAirflow

MARKER = "xylophone-4711"
"""Stands in the texts of these tests, and must stand nowhere else."""


def group(name: str, count: int, **fields: Any) -> dict[str, Any]:
    messages = [
        {
            "role": "user",
            "sender_id": f"u{n % 3}",
            "sender_name": f"User {n % 3}",
            "timestamp": 1_767_312_000_000 + n * 60_000,
            "content": f"{MARKER} {n}",
            "message_id": f"{name}-{n:05d}",
        }
        for n in range(count)
    ]
    return {"group_id": name, "messages": messages} | fields


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        (folder / f"{document['group_id']}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def ids(document: dict[str, Any]) -> list[str]:
    return [message["message_id"] for message in document["messages"]]


def verdict(standin: StandIn, document: dict[str, Any]) -> Verdict:
    name = document["group_id"]
    return judge(standin.journal(), {name: ids(document)})[name]


def adds(standin: StandIn, names: Sequence[str]) -> list[Entry]:
    return [entry for entry in standin.journal() if entry.kind == "add" and entry.conversation in names]


def overlap(one: Entry, other: Entry) -> bool:
    return one.arrived_s < (other.ended_s or 0) and other.arrived_s < (one.ended_s or 0)


def all_text_under(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_conversations_go_side_by_side_and_each_of_them_in_order(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=0.4))
    groups = [group(f"side-{n}", 30) for n in range(4)]
    run = airflow.run_import(write(tmp_path / "in", *groups), {"batch_size": 10})
    assert run.state == "success", run.report.get("problems")
    for document in groups:
        judged = verdict(faultless, document)
        assert judged.clean, judged
        assert judged.flushes == 1
    sent = adds(faultless, [document["group_id"] for document in groups])
    assert any(overlap(a, b) for a, b in combinations(sent, 2) if a.conversation != b.conversation)
    assert len(airflow.tasks(run.run_id, "load")) > 1


def test_a_load_killed_in_the_middle_goes_on_where_it_stood(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    faultless.set_faults(Fault(kind="add", does="slow_task", delay_s=0.5))
    document = group("killed", 200)
    run_id = airflow.start_import(write(tmp_path / "in", document), {"batch_size": 10})
    airflow.wait_until(lambda: len(adds(faultless, ["killed"])) >= 6, "six batches were sent")
    [load] = airflow.tasks(run_id, "load")

    def cursor() -> dict[str, Any]:
        progress = airflow.task_state(run_id, load).get("progress") or {"under_way": {}}
        return progress["under_way"].get("0") or {"next_batch": 0}

    airflow.wait_until(lambda: cursor()["next_batch"] >= 4, "it is kept that four have landed")
    [process] = airflow.task_processes(run_id, "load")
    process.kill()
    airflow.wait_until(lambda: airflow.tasks(run_id, "load")[0].state == "up_for_retry", "the try is known to be dead")
    assert 4 <= cursor()["next_batch"] < cursor()["batches"] == 20
    run = airflow.wait(run_id)

    assert run.state == "success", run.report.get("problems")
    [load] = airflow.tasks(run_id, "load")
    assert load.try_number == 2
    progress = airflow.task_state(run_id, load)["progress"]
    assert (progress["begun"], progress["under_way"], progress["stopped"]) == (1, {}, [])
    judged = verdict(faultless, document)
    assert judged.clean, judged
    assert judged.flushes == 1
    [row] = run.report["conversations"]
    assert (row["loaded"], row["flushed"]) == (200, "extracted")


def test_what_is_broken_is_accounted_for_and_files_that_cannot_be_read_fail_the_run_after_the_rest_is_loaded(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    good = group("good", 5)
    bad = group("bad", 6)
    bad["messages"][0]["content"] = ""
    bad["messages"][1]["timestamp"] = "yesterday"
    bad["messages"][2] = None
    cut = group("cut", 8)
    source = write(tmp_path / "in", good, bad, cut)
    text = (source / "cut.json").read_text(encoding="utf-8")
    (source / "cut.json").write_text(text[: text.index('"message_id": "cut-00004"')], encoding="utf-8")
    (source / "notes.json").write_text('{"shopping": ["milk"]}', encoding="utf-8")

    run = airflow.run_import(source)
    assert (run.state, run.report["conserved"], run.report["pending"]) == ("failed", True, 0)
    [problem] = run.report["problems"]
    assert problem.startswith("2 files could not be read: ")
    assert "cut.json" in problem
    assert "in/notes.json (not an export of a known format)" in problem
    rows = {row["conversation_id"]: row for row in run.report["conversations"]}
    assert rows["good"]["loaded"] == 5
    assert (rows["bad"]["extracted"], rows["bad"]["loaded"], sum(rows["bad"]["rejected"].values())) == (6, 3, 3)
    assert (rows["cut"]["loaded"], sum(rows["cut"]["rejected"].values())) == (4, 1)
    assert sum(run.report["rejected"].values()) == 5
    assert run.report["extracted"] == 5 + 6 + 5 + 1
    for name, expected in (("good", ids(good)), ("bad", ids({"messages": bad["messages"][3:]})), ("cut", ids(cut)[:4])):
        assert judge(faultless.journal(), {name: expected})[name].clean


def test_a_lost_ledger_stops_the_import_instead_of_sending_everything_again(
    airflow: LocalAirflow, faultless: StandIn, tmp_path: Path
) -> None:
    """It held what last night's run has loaded from the drop folder."""
    airflow.wait_until(lambda: not airflow.api.unfinished_runs(DAG_ID), "last night's run is over")
    files = [path for path in airflow.state_folder.root.glob("ledger.db*") if path.is_file()]
    assert files
    calls = [entry for entry in faultless.journal() if entry.kind != "settings"]
    for path in files:
        shutil.move(path, tmp_path / path.name)
    try:
        run = airflow.run_import(airflow.state_folder.root / "drop")
        assert run.state == "failed"
        [transform] = airflow.tasks(run.run_id, "transform")
        assert "is older than what was sent" in json.dumps(airflow.log(run.run_id, transform))
        assert [entry for entry in faultless.journal() if entry.kind != "settings"] == calls  # that one checks the key
    finally:
        for path in airflow.state_folder.root.glob("ledger.db*"):
            if path.is_file():
                path.unlink()
        for path in files:
            shutil.move(tmp_path / path.name, path)


def test_chat_text_is_in_the_staged_files_and_nowhere_else(airflow: LocalAirflow) -> None:
    """Judges what all the runs above have left behind."""
    marker = MARKER.encode()
    staged = [path for path, content in all_text_under(airflow.state_folder.root) if marker in content]
    assert staged
    assert {path.name for path in staged if path.suffix != ".parquet"} == {"corrections.json"}
    assert {path.relative_to(airflow.state_folder.root).parts[0] for path in staged} == {"runs"}


def test_the_api_key_is_in_no_log_no_rendered_template_and_no_xcom(airflow: LocalAirflow) -> None:
    """All of them lie under the state folder: task logs, and Airflow's database with templates, XCom and state."""
    contents = list(all_text_under(airflow.state_folder.root))
    assert {".db", ".log"} <= {path.suffix for path, _ in contents}
    assert [path for path, content in contents if KEY.encode() in content] == []


def test_no_process_is_left_of_a_task_that_has_ended(airflow: LocalAirflow) -> None:
    tasks = [process for process in psutil.Process().children(recursive=True) if "task runner" in process.name()]
    assert tasks == []
