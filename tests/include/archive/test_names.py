"""Rules of names in archives: read in the encoding that they were written in, and by one form of Unicode."""

import io
import json
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from include.archive import open_archive
from include.parsers import ParseOptions, discover, parse
from include.records import Conversation
from tests.support.builders import slack_channel, slack_export, slack_message, write_folder

DAY = b"[]"


class RawName(zipfile.ZipInfo):
    """An entry whose name is written as the bytes that its text stands for in Latin-1, without the UTF-8 flag."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode("latin-1"), self.flag_bits & ~0x800


def zip_of(files: Mapping[bytes, bytes], extra: Mapping[bytes, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = RawName("x")
            info.filename = name.decode("latin-1")
            info.extra = (extra or {}).get(name, b"")
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_of(files: Mapping[bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.decode("latin-1"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def names_in(path: Path, data: bytes, inside: str = "") -> set[str]:
    path.write_bytes(data)
    with open_archive(path, inside=inside) as archive:
        return set(archive.names())


def index_of(*names: str) -> bytes:
    return json.dumps([{"id": f"C{number}", "name": name} for number, name in enumerate(names)]).encode()


NAMES = {
    "cp932": ("雑談", "人事", "予定表", "ソフト開発"),  # 0x5C, a backslash, ends 予 and 表, and is in ソ
    "gbk": ("闲聊", "人事部", "公告"),
    "big5": ("閒聊", "功能", "許可"),  # 0x5C in 功 and 許
    "euc_kr": ("잡담", "인사팀"),
    "cp1251": ("болтовня", "кадры"),
    "cp866": ("болтовня", "кадры"),
    "koi8_r": ("болтовня", "кадры"),
    "cp1252": ("général", "équipe-façade"),
    "cp850": ("général", "équipe-façade"),
    "cp1250": ("ogólny", "księgowość"),
    "cp852": ("ogólny", "księgowość"),
    "cp1253": ("γενικά", "προσωπικό"),
    "cp1254": ("çalışma", "iğne"),  # noqa: RUF001
    "cp1255": ("כללי", "צוות"),
    "cp1256": ("عام", "الموظفين"),
    "cp874": ("ทั่วไป", "ทีม"),
}


@pytest.mark.parametrize("wrapper", ["", "acme/", "書庫/"])
@pytest.mark.parametrize("encoding", NAMES)
def test_names_are_read_in_the_encoding_under_which_the_index_has_them(
    tmp_path: Path, encoding: str, wrapper: str
) -> None:
    names = NAMES[encoding]
    top = wrapper.encode(encoding, "ignore") if wrapper.isascii() or encoding == "cp932" else b"x/"
    files = {top + b"channels.json": index_of(*names)}
    files |= {top + f"{name}/2026-01-02.json".encode(encoding): DAY for name in names}
    files[top + "not in the index é.txt".encode("cp850")] = b""
    expected = {"channels.json", *(f"{name}/2026-01-02.json" for name in names)}
    assert names_in(tmp_path / "e.zip", zip_of(files)) >= expected
    assert names_in(tmp_path / "e.tar", tar_of(files)) >= expected
    assert names_in(tmp_path / "o.zip", zip_of({b"e.zip": zip_of(files)}), "e.zip") >= expected


def test_file_names_with_several_words_are_matched_word_by_word(tmp_path: Path) -> None:
    """As DiscordChatExporter names its files, beside which there is no index."""
    document = json.dumps({"guild": {"name": "開発 サーバー"}, "channel": {"name": "雑談"}, "messages": []}).encode()
    files = {"開発 サーバー - 一般 - 雑談 [123].json".encode("cp932"): document, b"b.json": b"{broken"}
    files["サーバー - 雑談 [124].json".encode("cp932")] = document
    assert "サーバー - 雑談 [124].json" in names_in(tmp_path / "e.zip", zip_of(files))


def test_names_that_no_file_of_the_archive_mentions_are_decoded_as_cp437(tmp_path: Path) -> None:
    files = {"雑談/2026-01-02.json".encode("cp932"): DAY, b"channels.json": index_of("人事", "général")}
    assert names_in(tmp_path / "e.zip", zip_of(files)) == {
        "channels.json",
        *(name.decode("cp437").replace("\\", "/") for name in files if b"2026" in name),
    }


def test_names_in_utf8_stay_so_beside_others(tmp_path: Path) -> None:
    files = {
        b"channels.json": index_of("雑談", "人事"),
        "雑談/a.json".encode("cp932"): DAY,
        "人事/b.json".encode(): DAY,
    }
    assert names_in(tmp_path / "e.zip", zip_of(files)) == {"channels.json", "雑談/a.json", "人事/b.json"}


@pytest.mark.parametrize(
    "document", [b"[" * 100_000, b"\xff\xfe", b"NaN", b'"\\ud800"', b"", json.dumps("x" * 9).encode()]
)
def test_a_document_that_is_no_json_does_not_stop_the_reading_of_names(tmp_path: Path, document: bytes) -> None:
    files = {b"a.json": document, b"channels.json": index_of("雑談"), "雑談/a.json".encode("cp932"): DAY}
    assert "雑談/a.json" in names_in(tmp_path / "e.zip", zip_of(files))


def test_the_unicode_path_of_info_zip_is_used_if_it_belongs_to_the_name(tmp_path: Path) -> None:
    def unicode_path(name: bytes, text: str) -> bytes:
        data = struct.pack("<BL", 1, zlib.crc32(name)) + text.encode()
        return struct.pack("<2H", 0x7075, len(data)) + data

    right, stale, out = "雑談/a.json".encode("cp932"), b"old/b.json", b"c.json"
    extra = {right: unicode_path(right, "雑談/a.json"), stale: unicode_path(b"x", "new/b.json")}
    extra[out] = unicode_path(out, "../c.json")
    path = tmp_path / "e.zip"
    assert names_in(path, zip_of({right: DAY, stale: DAY, out: DAY}, extra)) == {"雑談/a.json", "old/b.json"}
    with open_archive(path) as archive:
        assert [name for name, _ in archive.refused] == ["../c.json"]


def test_a_path_that_leaves_the_archive_only_after_decoding_is_refused(tmp_path: Path) -> None:
    files = {b"channels.json": index_of("雑談"), "雑談/a.json".encode("cp932"): DAY, b"x\\..\\..\\\x8eG.json": DAY}
    path = tmp_path / "e.zip"
    assert names_in(path, zip_of(files)) == {"channels.json", "雑談/a.json"}


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def test_names_that_macos_has_decomposed_are_composed_as_the_index_has_them(tmp_path: Path) -> None:
    names = ("ガイド", "général")
    files = {f"{decomposed(name)}/2026-01-02.json": DAY for name in names} | {"channels.json": index_of(*names)}
    expected = {"channels.json", *(f"{name}/2026-01-02.json" for name in names)}
    with open_archive(write_folder(tmp_path / "e", files)) as archive:
        assert set(archive.names()) == expected
        assert all(archive.read(name) for name in archive.names())
    assert names_in(tmp_path / "e.zip", zip_of({name.encode(): content for name, content in files.items()})) == expected


def test_two_folders_that_differ_in_the_form_of_unicode_only_are_not_joined(tmp_path: Path) -> None:
    files = {f"{decomposed('é')}/2026-01-01.json".encode(): b"[1]", "é/2026-01-02.json".encode(): b"[2]"}
    assert names_in(tmp_path / "e.zip", zip_of(files)) == {name.decode() for name in files}


def test_channels_of_a_japanese_windows_are_known_as_public_and_private(tmp_path: Path) -> None:
    export = slack_export(channels=[slack_channel("C1", "雑談")], groups=[slack_channel("G1", "予定表")])
    files = {name.encode(): json.dumps(content).encode() for name, content in export.items() if "/" not in name}
    files |= {
        f"{name}/2026-01-02.json".encode("cp932"): json.dumps([slack_message()]).encode() for name in ("雑談", "予定表")
    }
    (tmp_path / "acme.zip").write_bytes(zip_of(files))
    exports, _ = discover(tmp_path)
    read = [item for item in parse(exports[0], ParseOptions(include_private=True)) if isinstance(item, Conversation)]
    assert {(item.name, item.private) for item in read} == {("雑談", False), ("予定表", True)}
