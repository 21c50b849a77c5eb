"""Rules of malicious archives: reading them ends in an error or a refusal, in bounded memory and time."""

import bz2
import gzip
import io
import lzma
import os
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.archive import Limits, open_archive
from include.errors import EntryUnreadable, ExportError, LimitExceeded
from include.parsers import discover
from tests.support.builders import slack_export, slack_message, write_folder

ROOT = Path(__file__).parents[3]
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
MEMORY_BYTES = 32 << 20
"""What reading may take; without bounds it would take four times as much or more."""


@dataclass(kw_only=True)
class Part:
    """An entry of a zip to write, with correct or wrong fields."""

    name: bytes
    data: bytes = b""
    """As packed."""
    method: int = STORED
    size: int | None = None
    checksum: int | None = None
    flags: int = 0
    extra: bytes = b""
    offset: int | None = None
    packed: int | None = None


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zip_of(path: Path, *parts: Part) -> Path:
    """Write a zip by hand: local headers with data, directory, end."""
    body, directory = bytearray(), bytearray()
    for part in parts:
        size = len(part.data) if part.size is None else part.size
        checksum = zlib.crc32(part.data) if part.checksum is None else part.checksum
        packed = len(part.data) if part.packed is None else part.packed
        offset = len(body) if part.offset is None else part.offset
        common = struct.pack(
            "<4H3L2H", part.flags, part.method, 0, 33, checksum, packed, size, len(part.name), len(part.extra)
        )
        if part.offset is None:
            body += b"PK\3\4" + struct.pack("<H", 20) + common + part.name + part.extra + part.data
        directory += b"PK\1\2" + struct.pack("<2H", 20, 20) + common
        directory += struct.pack("<3H2L", 0, 0, 0, 0, offset) + part.name + part.extra
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(parts) & 0xFFFF, len(parts) & 0xFFFF, len(directory), len(body), 0
    )
    path.write_bytes(body + directory + end)
    return path


def in_a_process(path: Path, code: str, **how: Any) -> tuple[str, int]:
    """Run code on an ``archive`` in a new process; return what it prints, and by how many bytes its memory grew."""
    script = f"""
import os, resource, sys
from pathlib import Path
from include.archive import Limits, open_archive
from include.errors import ChatImportError
{how.pop("first", "")}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with open_archive(Path(sys.argv[1])) as archive:
        print({code})
except ChatImportError as error:
    print(type(error).__name__, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""
    command = [sys.executable, "-c", script, str(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, **how)
    said, taken = run.stdout.splitlines()
    return said, int(taken)


def zeros(compressor: Callable[[], Any]) -> bytes:
    """Compress 128 MiB of zeros."""
    packer, chunk = compressor(), bytes(1 << 20)
    return b"".join(packer.compress(chunk) for _ in range(128)) + bytes(packer.flush())


@pytest.fixture(scope="module")
def deflated_zeros() -> bytes:
    return zeros(lambda: zlib.compressobj(6, zlib.DEFLATED, -15))


@pytest.mark.parametrize("code", ["archive.read('a.json')", "archive.open('a.json').read()"])
@pytest.mark.parametrize("claimed", [0, 1, 1000, 1 << 20, 0xFFFFFFFE])
def test_a_deflated_entry_with_a_wrong_size_takes_no_memory(
    tmp_path: Path, code: str, claimed: int, deflated_zeros: bytes
) -> None:
    part = Part(name=b"a.json", data=deflated_zeros, method=DEFLATED, size=claimed)
    path = zip_of(tmp_path / "e.zip", part, Part(name=b"b"))
    said, taken = in_a_process(path, code)
    assert "a.json: damaged" in said or "limit ratio" in said
    assert taken < MEMORY_BYTES


@pytest.mark.parametrize(("method", "label"), [(BZIP2, "bzip2"), (LZMA, "LZMA"), (93, "Zstandard"), (1, "method 1")])
def test_a_method_that_is_not_read_is_refused_with_a_remedy(tmp_path: Path, method: int, label: str) -> None:
    path = zip_of(tmp_path / "e.zip", Part(name=b"a.json", data=b"x", method=method), Part(name=b"b.json", data=b"[]"))
    with open_archive(path) as archive:
        assert dict(archive.refused) == {
            "a.json": f"compressed by {label}, which is not read; unpack the zip and import the folder"
        }
        assert archive.read("b.json") == b"[]"


@pytest.mark.parametrize("claimed", [0, 69_999, 70_001, 140_000])
@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_a_size_that_is_not_the_real_one_is_damage_whether_the_checksum_fits_or_not(
    tmp_path: Path, claimed: int, method: int
) -> None:
    content = os.urandom(35_000) * 2
    data = deflated(content) if method else content
    for checksum in (zlib.crc32(content), zlib.crc32(content[:claimed])):
        part = Part(name=b"a.json", data=data, method=method, size=claimed, checksum=checksum)
        with open_archive(zip_of(tmp_path / "e.zip", part, Part(name=b"b.json", data=b"[]"))) as archive:
            with pytest.raises(EntryUnreadable, match=r"a\.json: damaged"):
                archive.read("a.json")
            with pytest.raises(EntryUnreadable, match=r"a\.json: damaged"), archive.open("a.json") as stream:
                stream.read()
            assert archive.read("b.json") == b"[]"


def test_entries_that_claim_to_reach_behind_the_end_are_damaged(tmp_path: Path) -> None:
    for packed, offset in ((1 << 30, None), (10, 1 << 30), (0xFFFFFFF0, None)):
        part = Part(name=b"z.json", data=b"0123456789", packed=packed, size=packed, offset=offset)
        with open_archive(zip_of(tmp_path / "e.zip", Part(name=b"b.json", data=b"[]"), part)) as archive:
            with pytest.raises(EntryUnreadable, match=r"z\.json: damaged"):
                archive.read("z.json")
            assert archive.read("b.json") == b"[]"


def quoted_overlap(path: Path, count: int) -> Path:
    """Write David Fifield's construction: a stored block in each entry quotes the header of the next one."""
    kernel = deflated(bytes(900_000))
    parts = [Part(name=b"%04d" % number, method=DEFLATED) for number in range(count)]
    tail, size, checksum_of = kernel, 900_000, bytes(900_000)
    parts[-1].data, parts[-1].size, parts[-1].checksum = kernel, size, zlib.crc32(checksum_of)
    body = b""
    offsets: list[int] = []
    blocks = [b""] * count
    for number in reversed(range(count)):
        part = parts[number]
        header = (
            b"PK\3\4"
            + struct.pack("<5H3L2H", 20, 0, DEFLATED, 0, 33, 0, len(tail), size, len(part.name), 0)
            + part.name
        )
        blocks[number] = header
        part.packed, part.size, part.checksum = len(tail), size, 0
        tail = b"\0" + struct.pack("<2H", len(header), len(header) ^ 0xFFFF) + header + tail
        size += len(header)
    body, offsets = b"", []
    for number in range(count):
        offsets.append(len(body))
        body += blocks[number]
        if number < count - 1:
            body += b"\0" + struct.pack("<2H", len(blocks[number + 1]), len(blocks[number + 1]) ^ 0xFFFF)
    body += kernel
    directory = b""
    for part, offset in zip(parts, offsets, strict=True):
        directory += (
            b"PK\1\2"
            + struct.pack(
                "<6H3L5H2L",
                20,
                20,
                0,
                DEFLATED,
                0,
                33,
                0,
                part.packed,
                part.size,
                len(part.name),
                0,
                0,
                0,
                0,
                0,
                offset,
            )
            + part.name
        )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


def test_a_zip_whose_entries_overlap_is_refused(tmp_path: Path) -> None:
    path = quoted_overlap(tmp_path / "e.zip", 200)
    with pytest.raises(ExportError, match=r"e\.zip: cannot be opened: the entries at bytes 0 and 39 overlap"):
        open_archive(path)
    same = [Part(name=b"a", data=b"x" * 100), *(Part(name=b"%d" % n, data=b"x" * 100, offset=0) for n in range(3))]
    with pytest.raises(ExportError, match="overlap"):
        open_archive(zip_of(tmp_path / "same.zip", *same))


def test_a_zip_that_lists_an_entry_twice_is_read(tmp_path: Path) -> None:
    parts = [Part(name=b"a.json", data=b"[1]"), Part(name=b"a.json", data=b"[1]", offset=0), Part(name=b"b", data=b"2")]
    with open_archive(zip_of(tmp_path / "e.zip", *parts)) as archive:
        assert (archive.read("a.json"), archive.read("b"), archive.refused) == (b"[1]", b"2", [])


def test_entries_that_are_small_each_and_a_bomb_together_are_refused(tmp_path: Path) -> None:
    parts = [Part(name=b"%d" % n, data=deflated(bytes(1 << 20)), method=DEFLATED, size=1 << 20) for n in range(3)]
    path = zip_of(tmp_path / "e.zip", *parts)
    with pytest.raises(LimitExceeded, match=r"e\.zip: the archive is packed \d+ times .*limit ratio is 250.*_LIMITS"):
        open_archive(path)
    open_archive(path, Limits(ratio=2000)).close()


def test_two_entries_with_one_name_and_content_are_no_reason_to_report(tmp_path: Path) -> None:
    parts = [
        Part(name=b"a.json", data=b"[1]"),
        Part(name=b"a.json", data=deflated(b"[1]"), method=DEFLATED, size=3, checksum=zlib.crc32(b"[1]")),
        Part(name=b"b.json", data=b"[2]"),
    ]
    with open_archive(zip_of(tmp_path / "e.zip", *parts)) as archive:
        assert (archive.read("a.json"), archive.refused) == (b"[1]", [])


@pytest.mark.parametrize(
    "bad",
    [
        Part(name=b"a\0.json"),
        Part(name=b"a.json", flags=1),
        Part(name=b"a.json", size=0xFFFFFFFF, extra=struct.pack("<2HL", 1, 4, 0)),
        Part(name=b"a.json", size=0xFFFFFFFF),
        Part(name=b"a.json", extra=struct.pack("<2HBL", 0x7075, 6, 1, zlib.crc32(b"a.json")) + b"\xff"),
    ],
)
def test_one_bad_entry_does_not_stop_the_others(tmp_path: Path, bad: Part) -> None:
    with open_archive(zip_of(tmp_path / "e.zip", bad, Part(name=b"b.json", data=b"[]"))) as archive:
        assert archive.read("b.json") == b"[]"
        read = []
        for name in archive.names():
            try:
                archive.read(name)
                read.append(name)
            except EntryUnreadable:
                pass
        assert read == ["b.json"]


def test_a_name_with_a_wrong_utf8_flag_and_a_new_version_are_read(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "e.zip", Part(name=b"\xff\xfe.json", data=b"[1]", flags=0x800), Part(name=b"b.json"))
    data = path.read_bytes().replace(b"PK\1\2" + struct.pack("<2H", 20, 20), b"PK\1\2" + struct.pack("<2H", 20, 99))
    path.write_bytes(data)
    with open_archive(path) as archive:
        assert len(archive.names()) == 2


def test_sizes_and_places_beyond_4_gib_are_read_as_zip64_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = struct.pack("<2H2Q", 1, 16, 3, 3)
    path = zip_of(
        tmp_path / "e.zip", Part(name=b"a.json", data=b"[1]", extra=extra, size=0xFFFFFFFF, packed=0xFFFFFFFF)
    )
    with open_archive(path) as archive:
        assert (archive.size_bytes("a.json"), archive.read("a.json")) == (3, b"[1]")
    buffer = io.BytesIO()
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # so it writes the end of a large zip
    with zipfile.ZipFile(buffer, "w") as real:
        for name in ("a.json", "b", "c"):
            with real.open(name, "w", force_zip64=True) as file:
                file.write(b"[1]")
    assert b"PK\6\6" in buffer.getvalue()
    for prefix in (b"", b"MZ" + bytes(100)):
        path.write_bytes(prefix + buffer.getvalue())
        with open_archive(path) as archive:
            assert (archive.read("a.json"), len(archive.names())) == (b"[1]", 3)


def test_a_part_of_a_split_zip_is_named_as_one(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "e.zip", Part(name=b"a.json"))
    data = bytearray(path.read_bytes())
    data[-18:-14] = struct.pack("<2H", 2, 2)
    path.write_bytes(bytes(data))
    with pytest.raises(ExportError, match="one of the parts of a split zip; join them first"):
        open_archive(path)


def test_an_archive_with_many_members_is_read_at_once(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "e.zip", *(Part(name=b"c/%d.json" % number) for number in range(20_000)))
    with pytest.raises(LimitExceeded, match="more than 19999 entries"):
        open_archive(path, Limits(entries=19_999))
    with open_archive(path, Limits(entries=20_000)) as archive:
        assert len(archive.names()) == 20_000


TAR_BOMBS = {
    "GNU long name": lambda: tar_header(b"L", 128 << 20) + bytes(128 << 20),
    "PAX header": lambda: tar_header(b"x", 128 << 20) + bytes(128 << 20),
    "headers of headers": lambda: (tar_header(b"x", 512) + b"11 path=abc" + bytes(501)) * 50_000,
    "negative size": lambda: tar_header(b"0", -1024) + bytes(2048),
    "sparse map without an end": lambda: tar_header(b"S", 0, more=True) + (bytes(504) + b"\1" + bytes(7)) * 400_000,
}


def tar_header(kind: bytes, size_bytes: int, *, more: bool = False) -> bytes:
    info = tarfile.TarInfo("a.json")
    info.type, info.size = kind, size_bytes
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if more:
        header[482] = 1
        header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header)


@pytest.mark.parametrize("name", TAR_BOMBS)
def test_a_tar_with_malicious_headers_is_an_error_and_takes_no_memory(tmp_path: Path, name: str) -> None:
    data = TAR_BOMBS[name]()
    (tmp_path / "e.tar").write_bytes(data)
    (tmp_path / "e.tgz").write_bytes(gzip.compress(data, 1))
    del data
    for path in (tmp_path / "e.tar", tmp_path / "e.tgz"):
        said, taken = in_a_process(path, "", env=os.environ | {"EVEROS_IMPORT_LIMITS": '{"ratio": 10000}'})
        assert said.startswith("ExportError "), said
        assert taken < MEMORY_BYTES


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_a_bomb_of_any_compression_takes_no_memory(tmp_path: Path, ending: str) -> None:
    packer: Callable[[], Any] = {
        "gz": lambda: zlib.compressobj(6, zlib.DEFLATED, 31),
        "bz2": lambda: bz2.BZ2Compressor(1),
        "xz": lambda: lzma.LZMACompressor(preset=0),
    }[ending]
    path = tmp_path / f"e.json.{ending}"
    path.write_bytes(zeros(packer))
    said, taken = in_a_process(path, "")
    assert "limit ratio is 250" in said
    assert taken < MEMORY_BYTES


def odd_folder(folder: Path) -> Sequence[str]:
    write_folder(folder, {**slack_export(slack_message()), "sub/x.json": b"[]"})
    os.mkfifo(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.json"))
    (folder / "loop.json").symlink_to(folder / "loop.json")
    (folder / "one.json").symlink_to(folder / "two.json")
    (folder / "two.json").symlink_to(folder / "one.json")
    (folder / "gone.json").symlink_to(folder / "nothing")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "pipe2.json").symlink_to(folder / "pipe.json")
    (folder / "up").symlink_to(folder)
    (folder / "sub2").symlink_to(folder / "sub")
    (folder / "sub/again").symlink_to(folder.parent)
    return ("pipe", "socket", "loop", "one", "two", "gone", "zero", "pipe2")


def test_a_file_that_is_not_regular_is_refused_by_name_without_waiting(tmp_path: Path) -> None:
    names = odd_folder(tmp_path / "e")
    with open_archive(tmp_path / "e") as archive:
        refused = dict(archive.refused)
        assert set(refused) == {*(f"{name}.json" for name in names), "up", "sub2", "sub/again"}
        assert refused["loop.json"] == refused["one.json"] == "a link that leads back to itself"
        assert refused["gone.json"] == "a link that leads nowhere"
        assert refused["zero.json"] == "a link that leads out of the folder"
        assert refused["pipe.json"] == refused["socket.json"] == "a pipe, a socket or a device"
        assert refused["pipe2.json"] == "a link to a pipe, a socket or a device"
        assert refused["sub2"] == refused["up"] == "a link to a folder; the folder is read where it is"
        assert refused["sub/again"] == "a link that leads out of the folder"
        assert len(archive.names()) == len(slack_export()) + 1
    exports, rejected = discover(tmp_path / "e")
    assert [export.format for export in exports] == ["slack"]
    assert {record.origin for record in rejected} >= {"e/pipe.json", "e/up"}


def test_a_file_that_was_replaced_by_a_pipe_is_opened_without_waiting(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "e", {"a.json": b"[1]"})
    with open_archive(path) as archive:
        (path / "a.json").unlink()
        os.mkfifo(path / "a.json")
        reader = threading.Thread(target=lambda: archive.read("a.json"), daemon=True)
        reader.start()
        reader.join(10)
        assert not reader.is_alive()


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_a_source_that_is_neither_file_nor_folder_is_an_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "source.json")
    with pytest.raises(ExportError, match=r"source\.json: cannot be opened: .*(not a file or a folder|symbolic links)"):
        discover(tmp_path / "source.json")


def test_a_folder_that_cannot_be_read_is_refused_by_name_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", {"a.json": b"[1]", "locked/b.json": b"[2]", "c.json": b"[3]"})
    (folder / "locked").chmod(0)
    (folder / "c.json").chmod(0)
    for above in (folder, *folder.parents):
        if above.is_relative_to(tmp_path.parents[1]) or above.name.startswith("pytest-of-"):
            above.chmod(0o755)
    drop = "if os.geteuid() == 0: os.setuid(65534)"
    said, _ = in_a_process(folder, "archive.refused, archive.names(), archive.read('a.json')", first=drop)
    reason = "a folder that cannot be read: Permission denied"
    assert said == f"[Refused(name='locked', reason='{reason}')] ('a.json', 'c.json') b'[1]'"
    said, _ = in_a_process(folder, "archive.read('c.json')", first=drop)
    assert said.startswith("EntryUnreadable c.json: damaged: [Errno 13] Permission denied")
