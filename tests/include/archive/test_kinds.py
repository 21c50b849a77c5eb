"""Rules of archives that are not a plain zip: tars, compressed files, archives in archives, unread kinds."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from include.archive import Limits, open_archive
from include.errors import EntryUnreadable, ExportError, LimitExceeded, StorageError
from include.parsers import ParseOptions, discover, parse
from include.records import Message
from tests.support.builders import slack_export, slack_message, write_folder, write_zip

FILES = {"channels.json": b"[1]", "general/2026-01-01.json": b"[2]", "general/2026-01-02.json": b""}
COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def a_tar(files: Mapping[str, bytes], *more: tarfile.TarInfo, format_: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info, io.BytesIO(b"\0" * info.size))
    return buffer.getvalue()


def a_zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read_all(path: Path, inside: str = "", limits: Limits | None = None) -> dict[str, bytes]:
    with open_archive(path, limits, inside) as archive:
        streamed = {}
        for name in archive.names():
            with archive.open(name) as stream:
                streamed[name] = stream.read()
        assert {name: archive.read(name) for name in archive.names()} == streamed
        return streamed


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("ending", ["", *COMPRESSED])
def test_a_tar_is_read_as_a_zip_is(tmp_path: Path, ending: str, format_: int) -> None:
    data = a_tar({f"./acme/{name}": content for name, content in FILES.items()}, format_=format_)
    path = written(tmp_path / f"acme.tar{ending}", COMPRESSED.get(ending, bytes)(data))
    assert read_all(path) == FILES


@pytest.mark.parametrize("ending", COMPRESSED)
def test_a_compressed_file_is_its_own_entry_without_the_ending(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"general.json{ending}", COMPRESSED[ending](b"[1]"))
    assert read_all(path) == {"general.json": b"[1]"}


def test_a_kind_is_detected_by_content_not_by_name(tmp_path: Path) -> None:
    assert read_all(written(tmp_path / "a.bin", gzip.compress(a_tar(FILES)))) == FILES
    assert read_all(written(tmp_path / "a.tar.gz", a_zip(FILES))) == FILES
    assert read_all(written(tmp_path / "a.zip", a_tar(FILES))) == FILES
    assert read_all(written(tmp_path / "b.gz", b"[1]")) == {"b.gz": b"[1]"}


def test_a_zip_behind_a_program_that_unpacks_it_is_read(tmp_path: Path) -> None:
    assert read_all(written(tmp_path / "a.exe", b"MZ" + bytes(3000) + a_zip(FILES))) == FILES


def test_a_file_that_only_mentions_a_zip_is_no_zip(tmp_path: Path) -> None:
    text = b'["PK\x05\x06' + b"x" * 30 + b'"]'
    assert read_all(written(tmp_path / "a.json", text)) == {"a.json": text}


def test_unsafe_entries_of_a_tar_are_refused_by_name_and_the_rest_is_read(tmp_path: Path) -> None:
    odd = []
    for kind, name in ((tarfile.SYMTYPE, "s"), (tarfile.LNKTYPE, "h"), (tarfile.FIFOTYPE, "f"), (tarfile.CHRTYPE, "c")):
        info = tarfile.TarInfo(f"{name}.json")
        info.type, info.linkname = kind, "/etc/passwd"
        odd.append(info)
    folder = tarfile.TarInfo("general")
    folder.type = tarfile.DIRTYPE
    data = a_tar(FILES | {"../out.json": b"", "/etc/x.json": b"", "a\\..\\..\\x.json": b""}, *odd, folder)
    for path in (written(tmp_path / "a.tar", data), written(tmp_path / "a.tgz", gzip.compress(data))):
        with open_archive(path) as archive:
            assert dict(archive.refused) == {
                "../out.json": "a name that leads out of the archive",
                "etc/x.json": "an absolute name",
                "a/../../x.json": "a name that leads out of the archive",
                "s.json": "a symbolic link",
                "h.json": "a hard link",
                "f.json": "a pipe, a socket or a device",
                "c.json": "a pipe, a socket or a device",
            }
            assert tuple(archive.names()) == tuple(FILES)


@pytest.mark.parametrize("ending", ["", *COMPRESSED])
def test_a_tar_that_is_cut_or_damaged_is_an_error(tmp_path: Path, ending: str) -> None:
    whole = a_tar({"a.json": os.urandom(3000), "b.json": os.urandom(3000)})
    cut = [whole[:2000], whole[:4700], whole[:3684] + b"x" * 200 + whole[3884:], whole[:3700]]
    packed = [COMPRESSED.get(ending, bytes)(data) for data in cut]
    if ending:
        complete = COMPRESSED[ending](whole)
        packed += [complete[:-1], complete[: len(complete) // 2], complete[:-30] + b"x" * 10 + complete[-20:]]
    for number, data in enumerate(packed):
        path = written(tmp_path / f"{number}.tar{ending}", data)
        with pytest.raises(ExportError, match=rf"{number}\.tar.*cannot be opened: .*fetch the file again"):
            open_archive(path)


def test_a_tar_without_an_end_marker_is_read(tmp_path: Path) -> None:
    assert read_all(written(tmp_path / "a.tar", a_tar({"a.json": b"[1]"})[:1024])) == {"a.json": b"[1]"}


def test_names_that_no_disk_takes_are_read_from_archives(tmp_path: Path) -> None:
    """``a`` beside ``a/b``, names that differ in case only, names of 300 characters."""
    files = {"a": b"1", "a/b": b"2", "A/b": b"3", f"{'ä' * 300}.json": b"4"}
    for name, data in {"a.zip": a_zip(files), "a.tgz": gzip.compress(a_tar(files)), "a.tar": a_tar(files)}.items():
        assert read_all(written(tmp_path / name, data)) == files


def test_media_in_a_compressed_tar_are_listed_and_not_decompressed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tgz", gzip.compress(a_tar({"a.json": b"[1]", "b.PNG": b"x" * 100})))
    with open_archive(path) as archive:
        assert tuple(archive.names()) == ("a.json", "b.PNG")
        with pytest.raises(EntryUnreadable, match=r"b\.PNG: .*media in a compressed tar are not read"):
            archive.open("b.PNG")
        with pytest.raises(EntryUnreadable, match="media"):
            archive.read("b.PNG")


def test_limits_hold_while_a_tar_is_decompressed(tmp_path: Path) -> None:
    data = a_tar({f"{number}.json": os.urandom(30_000) for number in range(4)})
    path = written(tmp_path / "a.tgz", gzip.compress(data))
    with pytest.raises(LimitExceeded, match=r"a\.tgz: .*100000 bytes .*limit total_bytes"):
        open_archive(path, Limits(total_bytes=100_000))
    with pytest.raises(LimitExceeded, match="more than 3 entries"):
        open_archive(path, Limits(entries=3))
    with open_archive(path, Limits(entry_bytes=29_999)) as archive, pytest.raises(EntryUnreadable, match="entry_bytes"):
        archive.read("1.json")
    read_all(path, limits=Limits(total_bytes=10 * len(data)))


@pytest.mark.parametrize("name", ["b.tgz", "b.json.gz"])
def test_a_bomb_in_a_compressed_file_is_stopped(tmp_path: Path, name: str) -> None:
    content = bytes(30 << 20)
    path = written(tmp_path / name, gzip.compress(a_tar({"a.json": content}) if "tgz" in name else content))
    with pytest.raises(LimitExceeded, match=r"limit ratio is 250"):
        open_archive(path)


@pytest.mark.parametrize(
    "inner", ["acme.zip", "exports/acme.ZIP", "exports/acme.tar.gz", "acme.tar", "deep/down/x.tgz"]
)
@pytest.mark.parametrize("outer", ["outer.zip", "outer.tar.gz", "outer.tar"])
def test_an_archive_in_an_archive_is_read(tmp_path: Path, outer: str, inner: str) -> None:
    plain = {
        path.relative_to(tmp_path / "e").as_posix(): path.read_bytes()
        for path in write_folder(tmp_path / "e", slack_export(slack_message())).rglob("*.json")
    }
    packed = {".zip": a_zip, ".tar": a_tar}.get(inner[-4:].lower(), lambda files: gzip.compress(a_tar(files)))(plain)
    files = {inner: packed, "readme.txt": b"hello"}
    data = {"outer.zip": a_zip, "outer.tar": a_tar}.get(outer, lambda files: gzip.compress(a_tar(files)))(files)
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in" / outer, data)
    for source in (path, path.parent):
        exports, rejected = discover(source)
        assert [(export.format, export.path, export.inside, export.label) for export in exports] == [
            ("slack", str(path), inner, f"{outer}/{inner}")
        ]
        assert not rejected
        read = [item for item in parse(exports[0], ParseOptions()) if isinstance(item, Message)]
        assert len(read) == 1


def test_an_archive_three_levels_deep_is_refused_by_name(tmp_path: Path) -> None:
    deep = a_zip({"b.zip": a_zip({"c.zip": a_zip({"a.json": b"[]"})}), "README.md": b""})
    exports, rejected = discover(written(tmp_path / "a.zip", deep))
    assert not exports
    assert [(record.origin, record.reason) for record in rejected] == [
        ("a.zip/b.zip/c.zip", "an archive three levels deep is not read. Unpack the outer ones and import them.")
    ]


def test_an_archive_that_was_attached_to_a_message_is_no_export(tmp_path: Path) -> None:
    attached = a_zip({"channels.json": b'[{"id": "C9"}]'})
    files = slack_export(slack_message()) | {
        "__uploads/F1/x.zip": attached,
        "general/attachments/F2-y.tar.gz": attached,
    }
    exports, rejected = discover(write_zip(tmp_path / "e.zip", files))
    assert ([export.inside for export in exports], rejected) == ([""], [])


def test_a_damaged_archive_in_an_archive_does_not_stop_the_others(tmp_path: Path) -> None:
    good = a_zip({"a.json": b'{"group_id": "g", "messages": [{"sender_id": "a", "content": "b", "timestamp": 1}]}'})
    files = {"bad.zip": good[:-30], "no.zip": b"<html>", "bad.tgz": gzip.compress(a_tar(FILES))[:-9], "good.zip": good}
    exports, rejected = discover(written(tmp_path / "o.zip", a_zip(files)))
    assert [export.inside for export in exports] == ["good.zip"]
    assert {record.origin for record in rejected} == {"o.zip/bad.zip", "o.zip/no.zip", "o.zip/bad.tgz"}


def test_a_bomb_in_an_archive_in_an_archive_is_measured_by_the_outer_one(tmp_path: Path) -> None:
    """Each of the two is within the limit, both together are not."""
    inner = a_zip({f"{number}.json": bytes(1 << 20) for number in range(8)})
    limits = Limits(ratio=1100)
    open_archive(written(tmp_path / "inner.zip", inner), limits).close()
    path = written(tmp_path / "outer.zip", a_zip({"inner.zip": inner}))
    with pytest.raises(LimitExceeded, match=r"outer\.zip/inner\.zip: .*limit ratio is 1100"):
        open_archive(path, limits, "inner.zip")


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "7z"),
        ("a.rar", b"Rar!\x1a\x07\x01\0", "rar"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd", "zstd"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_a_remedy(tmp_path: Path, name: str, start: bytes, kind: str) -> None:
    path = written(tmp_path / name, start + bytes(100))
    sentence = f"a {kind} archive, which is not read. Unpack it and import the folder."
    with pytest.raises(ExportError) as caught:
        discover(path)
    assert str(caught.value).endswith(f"{name}: {sentence}")
    write_zip(tmp_path / "good.zip", slack_export(slack_message()))
    exports, rejected = discover(tmp_path)
    assert [export.label for export in exports] == ["good.zip"]
    assert [(record.origin, record.reason) for record in rejected] == [(name, sentence)]
    outer = written(tmp_path / "outer.zip", a_zip({name: path.read_bytes()}))
    assert [record.reason for record in discover(outer)[1]] == [sentence]


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = written(tmp_path / "o.zip", a_zip({"i.tgz": gzip.compress(a_tar(FILES))}))
    with open_archive(path, inside="i.tgz") as archive:
        assert archive.read("channels.json") == b"[1]"
        assert list((tmp_path / "scratch").iterdir()) == []


def test_a_scratch_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match=r"nowhere: an archive cannot be decompressed here: .*TMPDIR"):
        open_archive(written(tmp_path / "a.tgz", gzip.compress(a_tar(FILES))))


GZIPPED = {
    "channels.json.gz": gzip.compress(b"[1]"),
    "general/2026-01-01.json.GZ": gzip.compress(b"[2,") + gzip.compress(b" 3]"),
    "general/unpacked by a browser.jsonl.gz": b"[4]",
    "general/both.json": b"[5]",
    "general/both.json.gz": gzip.compress(b"[5]"),
}


@pytest.mark.parametrize("container", ["folder", "a.zip", "a.tar", "a.tgz"])
def test_json_that_is_compressed_file_by_file_is_read(tmp_path: Path, container: str) -> None:
    path = tmp_path / container
    pack = {"a.zip": a_zip, "a.tar": a_tar, "a.tgz": lambda files: gzip.compress(a_tar(files))}.get(container)
    path = written(path, pack(GZIPPED)) if pack else write_folder(path, GZIPPED)
    assert read_all(path) == {
        "channels.json": b"[1]",
        "general/2026-01-01.json": b"[2, 3]",
        "general/both.json": b"[5]",
        "general/both.json.gz": GZIPPED["general/both.json.gz"],
        "general/unpacked by a browser.jsonl": b"[4]",
    }


def test_a_compressed_file_that_is_damaged_or_a_bomb_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    files = {
        "bomb.json.gz": gzip.compress(bytes(30 << 20)),
        "cut.json.gz": gzip.compress(os.urandom(9_000))[:-500],
        "good.json.gz": gzip.compress(b"[1]"),
    }
    for path in (write_folder(tmp_path / "f", files), written(tmp_path / "a.zip", a_zip(files))):
        with open_archive(path) as archive:
            for name, reason in (("bomb.json", "limit ratio"), ("cut.json", "damaged")):
                with pytest.raises(EntryUnreadable, match=reason):
                    archive.read(name)
            assert archive.read("good.json") == b"[1]"
