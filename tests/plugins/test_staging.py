"""Rules of a run in an object store: its files are complete or ignored, no copies stay, the result is the same."""

import csv
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.sdk.io import fs as airflow_fs
from everos_provider import run
from everos_provider.assets import EVEROS, LOADED
from everos_provider.operators import EverOSFlushOperator, EverOSLoadOperator
from everos_provider.page_files import page_files
from everos_provider.params import import_params
from everos_provider.retry_policy import LOAD_RETRIES
from everos_provider.staging import object_store, scratch, sources
from everos_provider.staging.object_store import Objects
from everos_provider.staging.run_view import RunView
from everos_provider.staging.task_files import DONE, EXTRACT, PLAN, TaskFiles, task_folder
from fsspec.implementations.memory import MemoryFileSystem

from include import steps
from include.errors import ConfigurationError, ExportError, ImportIncomplete, StorageError, StoreUnavailable
from include.parsers import Export, ParseOptions, discover, open_export, parse, parts
from include.records import Conversation
from include.run_folder import HOME_VARIABLE, STAGING_VARIABLE, RunFolder
from include.standin import StandIn
from include.standin.journal import judge
from tests.support.builders import slack_channel, slack_export, slack_message, write_folder, write_zip

RUN = "manual__2026-03-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the semantics of a folder; tests/distributed use a real one."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(STAGING_VARIABLE, f"file://{tmp_path}/bucket")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    page_files.cache_clear()
    return tmp_path / "bucket"


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn.running(tmp_path / "standin") as server:
        monkeypatch.setenv("EVEROS_API_KEY", "test")
        monkeypatch.setenv("EVEROS_BASE_URL", server.base_url)
        yield server


class Store(dict[str, Any]):
    """A fake of Airflow's state store."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def in_store(bucket: Path, run_id: str = RUN) -> set[str]:
    top = bucket / "runs" / RunFolder.of(run_id).root.name
    return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}


def left_on_disk(tmp_path: Path) -> list[str]:
    """Return the files on the worker's disk, without the ledger."""
    places = (tmp_path / "scratch", tmp_path / "home")
    found = (path.relative_to(place) for place in places for path in place.rglob("*"))
    return [path.as_posix() for path in found if not path.parts[0].startswith("ledger.db")]


def a_context(source: str, run_id: str = RUN, **params: Any) -> Any:
    given = {name: param.value for name, param in import_params().items()} | {"source": source} | params
    return {
        "run_id": run_id,
        "params": given,
        "dag_run": SimpleNamespace(run_type="manual", start_date=datetime.now(UTC)),
        "asset_state_store": {EVEROS: Store()},
        "outlet_events": {LOADED: SimpleNamespace(add=lambda *_, **__: None)},
    }


def run_import(source: str, run_id: str = RUN, **params: Any) -> dict[str, Any]:
    """Run the tasks of the DAG one after the other; only values that fit into XCom are passed on."""
    exports = run.discover(a_context(source, run_id, **params))
    return go_on(source, json.loads(json.dumps(exports)), run_id, **params)


def go_on(
    source: str, exports: list[dict[str, str]], run_id: str = RUN, *, but: str = "", **params: Any
) -> dict[str, Any]:
    """
    Run the tasks after discover.

    :param but: Label or key of an export that is not extracted.
    """
    context = a_context(source, run_id, batch_size=4, **params)
    for export in exports:
        if but not in (export["label"], export["key"]):
            run.extract(export, context)
    run.transform(context)
    for chunk in run.plan(context):
        EverOSLoadOperator(task_id="load", chunk=chunk).execute(context | {"task_state_store": Store()})
    EverOSFlushOperator(task_id="flush").execute(context)
    return run.report(context | {"ti": SimpleNamespace(xcom_pull=lambda task_ids: exports)})


def group(name: str, count: int, **last: Any) -> dict[str, Any]:
    messages = [
        {
            "message_id": f"{name}-{n}",
            "sender_id": "ann",
            "role": "user",
            "timestamp": 1_767_312_000_000 + n * 60_000,
            "content": f"{SAID} {n}",
        }
        for n in range(count)
    ]
    return {"group_id": name, "messages": [*messages[:-1], messages[-1] | last]}


def a_source(folder: Path) -> str:
    """A Slack export in a folder, two group files, in one of them a message without a time, a zip, and a stray file."""
    slack = [slack_message(text=f"{SAID} {n}", ts=f"1767312{n:03d}.000100") for n in range(9)]
    write_folder(folder / "acme", slack_export(*slack))
    whole, broken, zipped = group("whole", 6), group("broken", 5, timestamp="soon"), group("zipped", 7)
    write_folder(folder, {"whole.json": whole, "broken.json": broken, "stray.md": {"no": "export"}})
    write_zip(folder / "more.zip", {"zipped.json": zipped})
    return str(folder)


SAID = "the launch code is"


def figures(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report without times and places."""
    changing = ("started_at", "finished_at", "target", "loading")
    return {name: value for name, value in document.items() if name not in changing}


def calls_in(folder: Path) -> set[tuple[str, str]]:
    """Conversation and key of each call, as ``loaded.csv`` has them."""
    with (folder / "loaded.csv").open(newline="", encoding="utf-8") as file:
        return {(row["conversation_id"], row["key"]) for row in csv.DictReader(file)}


def report_in(bucket: Path, run_id: str = RUN) -> dict[str, Any]:
    path = bucket / "runs" / RunFolder.of(run_id).root.name / "report.json"
    return dict(json.loads(path.read_bytes()))


def test_a_run_in_a_store_has_the_report_of_one_in_a_folder_and_leaves_no_files_on_the_workers(
    standin: StandIn, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = a_source(tmp_path / "in")
    returned = run_import(source)
    assert returned["report"] == f"file://{bucket}/runs/{RunFolder.of(RUN).root.name}/report.json"
    assert left_on_disk(tmp_path) == []
    staged_report, staged_calls = report_in(bucket), calls_in(bucket / "runs" / RunFolder.of(RUN).root.name)
    assert staged_report["loaded"] == 9 + 6 + 4 + 7
    sent = {name: [message["message_id"] for message in group(name, n)["messages"]] for name, n in GROUPS}
    judged = judge(standin.journal(), sent)
    assert all(judged[name].clean and judged[name].flushes == 1 for name in sent), judged

    monkeypatch.delenv(STAGING_VARIABLE)
    with StandIn.running(tmp_path / "another") as another:
        monkeypatch.setenv("EVEROS_BASE_URL", another.base_url)
        monkeypatch.setenv("EVEROS_API_KEY", "of-another-account")
        returned = run_import(source)
    run = RunFolder.of(RUN)
    assert returned["report"] == str(run.report_json)
    report = json.loads(run.report_json.read_bytes())
    assert figures(staged_report) == figures(report)
    assert staged_report["loading"]["calls"] == report["loading"]["calls"] == len(staged_calls)
    assert staged_calls == calls_in(run.root)
    assert all(key for _, key in staged_calls)
    here = {path.relative_to(run.root).as_posix() for path in run.root.rglob("*") if path.is_file()}
    assert {name for name in in_store(bucket) if not name.endswith(DONE)} == here
    assert {name for name in in_store(bucket) if name.endswith(DONE)} == {
        f"{name.rpartition('/')[0]}/{DONE}" for name in here if "/" in name
    }


GROUPS = (("whole", 6), ("broken", 4), ("zipped", 7))


def test_a_second_run_in_a_store_sends_nothing_twice(standin: StandIn, bucket: Path, tmp_path: Path) -> None:
    source = a_source(tmp_path / "in")
    first, second = run_import(source, "first"), run_import(source, "second")
    assert (first["loaded"], second["loaded"], second["already_loaded"]) == (26, 0, 26)


def stage(files: Mapping[str, str], files_of_task: TaskFiles, **names: str) -> None:
    with task_folder(RUN, files_of_task, **names) as folder:
        for name, text in files.items():
            path = folder.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def seen(*reads: str) -> dict[str, str]:
    with task_folder(RUN, TaskFiles(reads=reads)) as folder:
        files = [path for path in folder.root.rglob("*") if path.is_file()]
        return {path.relative_to(folder.root).as_posix(): path.read_text() for path in files}


class Broken(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", range(6))
def test_a_folder_whose_writing_was_interrupted_does_not_count(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files replace three: at any interruption, all visible files are of one try or of the other."""
    old = {f"extracted/a/{n}": "old" for n in "123"}
    new = {f"extracted/a/{n}": "new" for n in "234"}
    stage(old, EXTRACT, export="a")
    left = iter(range(after))

    def interrupted(work: Any) -> Any:
        def wrapped(*arguments: Any) -> None:
            if next(left, None) is None:
                raise Broken
            work(*arguments)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(object_store, "_AT_ONCE", 1)
        for name in ("_upload", "_remove", "_create_empty"):
            patch.setattr(object_store.Objects, name, interrupted(getattr(object_store.Objects, name)))
        with pytest.raises(Broken):
            stage(new, EXTRACT, export="a")
    assert seen("extracted/*") in (old, {})
    stage(new, EXTRACT, export="a")
    assert seen("extracted/*") == new


def test_an_extract_that_was_interrupted_is_left_out_and_named(
    standin: StandIn, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = a_source(tmp_path / "in")
    exports = run.discover(a_context(source, dry_run=True))
    [lost] = [export for export in exports if "acme" in export["label"]]
    with monkeypatch.context() as patch:
        patch.setattr(object_store.Objects, "create_empty", lambda *_: None)
        run.extract(lost, a_context(source))
    assert any(name.startswith(f"extracted/{lost['key']}/messages") for name in in_store(bucket))
    with pytest.raises(ImportIncomplete, match=r"^in/acme could not be read"):
        go_on(source, exports, but=lost["label"])
    assert report_in(bucket)["loaded"] == 6 + 4 + 7


def test_a_part_of_an_export_that_was_not_read_is_named(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    monkeypatch.setenv(parts.VARIABLE, "2")
    source = write_folder(tmp_path / "in", {"a.json": group("a", 6), "b.json": group("b", 7)})
    first, second = run.discover(a_context(str(source)))
    with pytest.raises(ImportIncomplete, match=r"^in \(part 2 of 2\) could not be read"):
        go_on(str(source), [first, second], but=second["key"])


def test_a_source_that_each_task_copies_is_read_in_one_part(
    standin: StandIn, objects: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    monkeypatch.setenv(parts.VARIABLE, "2")
    for name in "ab":
        objects.pipe(f"/in/{name}.json", json.dumps(group(name, 3)).encode())
    assert len(run.discover(a_context("memory://in/", dry_run=True))) == 1


def test_files_of_a_failed_task_are_not_uploaded(tmp_path: Path, bucket: Path) -> None:
    with pytest.raises(RuntimeError), task_folder(RUN, PLAN) as folder:
        folder.plan.mkdir(parents=True)
        (folder.plan / "chunk-000.parquet").write_bytes(b"half")
        raise RuntimeError
    assert (in_store(bucket), left_on_disk(tmp_path)) == (set(), [])


def test_a_task_removes_the_scratch_folders_of_killed_tasks_and_not_those_in_use(tmp_path: Path) -> None:
    killed = tmp_path / "scratch" / f"{scratch.PREFIX}killed"
    killed.mkdir()
    (killed / "messages-000.parquet").write_bytes(b"text")
    with scratch.scratch_folder() as one, scratch.scratch_folder() as other:
        assert not killed.exists()
        assert one.is_dir()
        assert other.is_dir()
    assert left_on_disk(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "kind", "action"),
    [
        ("file:///proc/no/such/place", StorageError, "fail"),
        ("gopher://nobody@nowhere/x", StorageError, "fail"),
        ("staging", ConfigurationError, "fail"),
    ],
)
def test_a_store_that_refuses_a_call_is_an_error_with_address_and_remedy(
    address: str, kind: type[Exception], action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STAGING_VARIABLE, address)
    with pytest.raises(kind) as caught:
        stage({"plan/a": ""}, PLAN)
    assert address in str(caught.value)
    assert LOAD_RETRIES.evaluate(caught.value, try_number=1, max_tries=3).action.value == action


def test_a_full_scratch_disk_is_an_error_that_names_the_object(monkeypatch: pytest.MonkeyPatch, bucket: Path) -> None:
    stage({"plan/a": "1"}, PLAN)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.get_file", full)
    with pytest.raises(StorageError, match=r"^file://.*/plan/a: .*No space left on device.* TMPDIR"):
        seen("plan/*")


def test_a_task_is_retried_if_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch, bucket: Path) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.find", away)
    with pytest.raises(StoreUnavailable, match=r"^file://.*: nobody there\. .* Check the store") as caught:
        stage({}, PLAN)
    assert LOAD_RETRIES.evaluate(caught.value, try_number=1, max_tries=3).action.value == "retry"


def test_a_correction_in_the_store_is_loaded_by_another_run(standin: StandIn, bucket: Path, tmp_path: Path) -> None:
    run_import(a_source(tmp_path / "in"), "first")
    path = bucket / "runs" / "first" / "corrections.json"
    documents = json.loads(path.read_bytes())
    for message in (message for document in documents for message in document["messages"]):
        message["timestamp"] = 1_767_313_000_000
    path.write_text(json.dumps(documents))
    assert run_import("rejects:first", "second")["loaded"] == 1
    assert left_on_disk(tmp_path) == []
    with pytest.raises(ConfigurationError, match=r"^rejects:nobody: file://.*/runs/nobody/corrections.json does not"):
        run.discover(a_context("rejects:nobody", "third"))


@pytest.mark.parametrize("staging", [True, False])
def test_corrections_are_loaded_into_the_conversation_of_the_first_run_whatever_the_parameters_of_theirs(
    staging: bool, standin: StandIn, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not staging:
        monkeypatch.delenv(STAGING_VARIABLE)
    private = slack_export(slack_message(), slack_message(ts=...), channels=[], groups=[slack_channel("C1", "general")])
    source = str(write_folder(tmp_path / "in", private))
    run_import(source, "first", conversation_id="{channel_id}", include_private=True, redact=True)
    path = (bucket if staging else tmp_path / "home") / "runs" / "first" / "corrections.json"
    for run_id, key in (("second", "AKIAIOSFODNN7EXAMPLE"), ("third", "AKIAIOSFODNN8EXAMPLE")):
        documents = json.loads(path.read_bytes())
        documents[0]["messages"][0] |= {"timestamp": 1_767_313_000_000, "content": key, "message_id": run_id}
        path.write_text(json.dumps(documents))
        run_import("rejects:first", run_id)
        report = json.loads((path.parents[1] / run_id / "report.json").read_bytes())
        assert [(row["conversation_id"], row["loaded"]) for row in report["conversations"]] == [("C1", 1)]
        assert report["redacted"] == {"aws key": 1}
    assert {entry.conversation for entry in standin.journal() if entry.kind == "add"} == {"C1"}


def test_corrections_of_corrections_are_loaded_into_the_conversation_of_the_first_run(
    standin: StandIn, bucket: Path, tmp_path: Path
) -> None:
    source = str(write_folder(tmp_path / "in", slack_export(slack_message(ts=...))))
    run_import(source, "first", conversation_id="{channel_id}")
    run_import("rejects:first", "second")
    path = bucket / "runs" / "second" / "corrections.json"
    path.write_text(path.read_text().replace('"timestamp": null', '"timestamp": 1767313000000'))
    run_import("rejects:second", "third")
    assert {entry.conversation for entry in standin.journal() if entry.kind == "add"} == {"C1"}


@pytest.mark.parametrize("staging", [True, False])
def test_a_source_in_a_store_is_read_like_one_in_a_folder(
    staging: bool, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not staging:
        monkeypatch.delenv(STAGING_VARIABLE)
    source = a_source(tmp_path / "in")
    found = run.discover(a_context(source, "found", dry_run=True))
    exports = run.discover(a_context(f"file://{source}", RUN, dry_run=True))
    assert [each | {"path": f"file://{each['path']}"} for each in found] == exports
    assert run_import(f"file://{source}")["loaded"] == 26
    assert list((tmp_path / "scratch").iterdir()) == []


class Keys(MemoryFileSystem):
    """A store in which a key may begin with another one and "/"."""

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        Path(lpath).write_bytes(self.store[rpath].getvalue())


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """A store that is not a folder: its keys may be any text."""
    monkeypatch.setitem(airflow_fs._BUILTIN_SCHEME_TO_FS, "memory", lambda *_: Keys())
    airflow_fs._register_filesystems.cache_clear()
    yield Keys()
    MemoryFileSystem.store.clear()
    airflow_fs._register_filesystems.cache_clear()


def test_only_its_own_files_are_downloaded_for_an_export(tmp_path: Path, objects: MemoryFileSystem) -> None:
    objects.put(a_source(tmp_path / "in"), "/bucket/in", recursive=True)
    for found in run.discover(a_context("memory://bucket/in", dry_run=True)):
        with sources.local_export(msgspec.convert(found, Export)) as export:
            path = Path(export.path)
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            downloaded = {file.relative_to(path).parts[:1] for file in files if file.stat().st_size}
        wanted = {"in/acme": {("acme",)}, "more.zip": {()}}.get(found["label"])
        assert downloaded == (wanted or {("whole.json",), ("broken.json",), ("stray.md",), ("acme",)}), found["label"]


def test_keys_that_cannot_be_files_together_do_not_stop_the_others(tmp_path: Path, objects: MemoryFileSystem) -> None:
    """``a`` beside ``a/b``, names longer than a file's; those that are just not too long are downloaded."""
    export = json.dumps(group("one", 3)).encode()
    keys = {"a": b"", "a/b.json": export, "c.json": b"x", "c.json/d.json": export, f"{'x' * 250}.json": export}
    left_out = {f"{'ä' * 126}.json": export, f"{'y' * 256}/z.json": export, "nul\0.json": export}
    for key, content in sorted((keys | left_out).items(), reverse=True):  # this store takes "a" only after "a/b"
        objects.pipe(f"/bucket/in/{key}", content)
    with sources.local_source("memory://bucket/in") as source:
        files = {path.relative_to(source.path).as_posix() for path in source.path.rglob("*") if path.is_file()}
    assert files == keys.keys() - {"a", "c.json"}


def test_an_export_is_downloaded_by_the_names_that_it_was_found_under(objects: MemoryFileSystem) -> None:
    """macOS decomposes names, and unpackers leave backslashes in them; exports are found under the composed name."""
    files = slack_export(slack_message())
    for above in ("e\u0301", "b\\c"):
        objects.pipe({f"/bucket/in/{above}/{name}": json.dumps(value).encode() for name, value in files.items()})
    found = run.discover(a_context("memory://bucket/in", dry_run=True))
    assert {export["root"] for export in found} == {"\u00e9/", "b/c/"}
    for each in found:
        with sources.local_export(msgspec.convert(each, Export)) as export, open_export(export) as archive:
            assert set(archive.names()) == files.keys()
            assert archive.size_bytes("channels.json")


def test_an_archive_in_an_archive_in_a_store_is_read(tmp_path: Path, objects: MemoryFileSystem) -> None:
    inner = write_zip(tmp_path / "inner.zip", slack_export(slack_message())).read_bytes()
    objects.pipe("/bucket/in/outer.zip", write_zip(tmp_path / "o.zip", {"x/inner.zip": inner, "b": b""}).read_bytes())
    [found] = run.discover(a_context("memory://bucket/in", dry_run=True))
    assert (found["path"], found["inside"]) == ("memory://bucket/in/outer.zip", "x/inner.zip")
    with sources.local_export(msgspec.convert(found, Export)) as export, open_export(export) as archive:
        assert set(archive.names()) == slack_export().keys()


def test_lists_of_another_part_of_an_export_are_downloaded_with_it(tmp_path: Path, objects: MemoryFileSystem) -> None:
    parts = {"acme 1": slack_export(slack_message()), "acme 2": {"board/2026-01-02.json": [slack_message()]}}
    for name, files in parts.items():
        objects.pipe(f"/bucket/in/{name}.zip", write_zip(tmp_path / f"{name}.zip", files).read_bytes())
    found = {export["label"]: export for export in run.discover(a_context("memory://bucket/in", dry_run=True))}
    assert found["acme 2.zip"]["lists"][0]["path"] == "memory://bucket/in/acme 1.zip"
    with sources.local_export(msgspec.convert(found["acme 2.zip"], Export)) as export:
        [conversation] = [record for record in parse(export, ParseOptions()) if isinstance(record, Conversation)]
    assert conversation.private_reason == "not listed in channels.json"


def test_an_address_of_a_local_folder_is_read_like_a_path(tmp_path: Path) -> None:
    """Links that lead out are refused, nothing waits for a pipe, and nothing is copied."""
    folder = write_folder(tmp_path / "in", {"a.json": group("one", 3)})
    secret = write_folder(tmp_path / "secret", {"s.json": group("secret", 3)})
    (folder / "out.json").symlink_to(secret / "s.json")
    (folder / "up").symlink_to(secret)
    os.mkfifo(folder / "pipe.json")
    with sources.local_source(f"file://{folder}") as source:
        exports, rejected = discover(source.path)
        located = [source.for_workers(export) for export in exports]
        assert source.path == folder
    assert {Path(record.origin).name for record in rejected} == {"out.json", "up", "pipe.json"}
    with sources.local_export(located[0]) as export, open_export(export) as archive:
        assert tuple(archive.names()) == ("a.json",)
    with (
        pytest.raises(ExportError, match="not a file or a folder"),
        sources.local_source(f"file://{folder}/pipe.json") as pipe,
    ):
        discover(pipe.path)


@pytest.mark.parametrize(
    ("address", "remedy"),
    [("gs://exports/acme.zip", "Install apache-airflow-providers-google"), ("ftp://exports/acme.zip", "Use a path")],
)
def test_an_address_without_its_packages_names_them(address: str, remedy: str) -> None:
    with pytest.raises(StorageError, match="no installed package opens addresses with") as caught:
        Objects.below(address)
    assert caught.value.remedy.startswith(remedy)


def test_a_missing_source_is_an_error_and_an_empty_drop_folder_is_not(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^file://.*acme\.zip: there is nothing at this address"):
        run.discover(a_context(f"file://{tmp_path}/acme.zip"))
    with sources.local_source(f"file://{tmp_path}/drop/") as source:
        assert steps.discover(source.path, RunFolder.of(RUN), may_be_empty=True) == []


def test_an_object_whose_name_leads_out_of_the_folder_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("../x", "a/../../x", "a//b", "/etc/x", "", "folder/", "a/b.json")
    names = {f"{tmp_path}/in/{key}": {"size": 1} for key in keys}
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.find", lambda *_, **__: names)
    assert object_store.Objects.below(f"file://{tmp_path}/in").versions().keys() == {"a/b.json"}


def test_a_page_downloads_only_what_has_changed_in_the_store(bucket: Path) -> None:
    stage({"plan/a": "1", "plan/b": "1", "estimate.json": "1"}, TaskFiles(writes=["*"]))
    view = RunView(RUN)
    assert not view.run.root.exists()
    folder = view.refresh("plan/a", "estimate.json")
    assert {path.name for path in folder.root.rglob("*") if path.is_file()} == {"a", "estimate.json"}
    before = (folder.root / "plan" / "a").stat().st_ino
    stage({"estimate.json": "22"}, TaskFiles(writes=["estimate.json"]))
    view.refresh("plan/a", "estimate.json")
    assert ((folder.root / "estimate.json").read_text(), (folder.root / "plan" / "a").stat().st_ino) == ("22", before)
    stage({}, TaskFiles(writes=["plan/*"]))
    view.refresh("plan/a", "estimate.json")
    assert not folder.plan.exists()
