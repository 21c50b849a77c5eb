"""Rules of reading archives in place: odd ones are read, hostile ones are rejected and the others are read."""

import json
import zipfile
import zlib
from pathlib import Path

import pytest

from include.archive import Archive, Limits, limits_of_environment, open_archive
from include.errors import ConfigurationError, EntryUnreadable, ExportError, LimitExceeded
from tests.support.builders import write_folder, write_zip

FIXTURES = Path(__file__).parents[2] / "fixtures" / "slack"
DAY = b"[]"


def names_of(path: Path, limits: Limits | None = None) -> tuple[str, ...]:
    with open_archive(path, limits or Limits()) as archive:
        return tuple(archive.names())


def refusals_of(path: Path) -> dict[str, str]:
    with open_archive(path) as archive:
        return dict(archive.refused)


def raw_zip(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_a_zip_a_folder_and_a_file_are_read_the_same_way(tmp_path: Path) -> None:
    files = {"channels.json": b"[1]", "general/2026-01-01.json": b"[2]"}
    for path in (write_zip(tmp_path / "e.zip", files), write_folder(tmp_path / "e", files)):
        with open_archive(path) as archive:
            assert {name: archive.read(name) for name in archive.names()} == files
    with open_archive(tmp_path / "e" / "channels.json") as archive:
        assert archive.names() == ("channels.json",)
        assert archive.read("channels.json") == b"[1]"


def test_names_without_the_utf8_flag_are_decoded_as_slack_wrote_them(tmp_path: Path) -> None:
    """Python reads them as cp437, and joining ``channels.json`` with folders then loses the channel silently."""
    assert names_of(write_zip(tmp_path / "e.zip", {"チャネル/2026-01-01.json": DAY, "a.json": DAY})) == (
        "a.json",
        "チャネル/2026-01-01.json",
    )


def test_a_name_that_really_is_cp437_stays_as_it_is(tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "e.zip", [("caf_/a.json", DAY), ("b.json", DAY)])
    patched(path, b"caf_/a.json", b"caf\x82/a.json")
    assert names_of(path) == ("b.json", "café/a.json")


def test_backslashes_separate_folders() -> None:
    assert "general/2026-01-01.json" in names_of(FIXTURES / "slack_backslash.zip")


def test_one_wrapper_folder_is_removed_whatever_files_an_operating_system_has_added() -> None:
    with open_archive(FIXTURES / "slack_nested_root.zip") as archive:
        assert archive.names() == ("channels.json", "general/2026-01-01.json", "users.json")
        assert archive.wrapper == "My Slack export Jan 2026"


def test_files_of_operating_systems_are_left_out(tmp_path: Path) -> None:
    files = {
        ".DS_Store": b"",
        "a/.DS_Store": b"",
        "a/._x.json": b"",
        "__MACOSX/a/x.json": b"",
        "a/x.json": DAY,
        "b": b"",
    }
    assert names_of(write_zip(tmp_path / "e.zip", files)) == ("a/x.json", "b")


def test_unsafe_names_and_links_are_refused_by_name_and_the_rest_is_read() -> None:
    refused = refusals_of(FIXTURES / "evil_slip_symlink.zip")
    assert refused == {
        "../evil.json": "a name that leads out of the archive",
        "abs/evil.json": "an absolute name",
        "general/../../evil2.json": "a name that leads out of the archive",
        "C:evil.json": "a drive letter in the name",
        "general/2026-01-02.json": "a symbolic link",
    }
    assert "general/2026-01-01.json" in names_of(FIXTURES / "evil_slip_symlink.zip")


def test_backslashes_cannot_hide_a_path_out_of_the_folder(tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "e.zip", [("..~..~evil.json", DAY), ("a.json", DAY), ("b/c.json", DAY)])
    assert "a name that leads out of the archive" in refusals_of(patched(path, b"..~..~", b"..\\..\\")).values()


def test_a_link_that_leads_out_of_a_folder_is_refused_and_one_that_stays_inside_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_bytes(b'["secret"]')
    folder = write_folder(tmp_path / "export", {"a.json": b"[1]", "b/c.json": b"[2]"})
    (folder / "out.json").symlink_to(secret)
    (folder / "loop").symlink_to(tmp_path)
    (folder / "in.json").symlink_to(folder / "a.json")
    with open_archive(folder) as archive:
        assert archive.names() == ("a.json", "b/c.json", "in.json")
        assert {name for name, _ in archive.refused} == {"loop", "out.json"}


def test_a_bomb_is_refused_with_entry_and_limit_and_its_neighbours_are_read() -> None:
    with open_archive(FIXTURES / "evil_bomb_20MiB.zip") as archive:
        with pytest.raises(EntryUnreadable, match=r"general/2026-01-05\.json: .*limit ratio is 250"):
            archive.read("general/2026-01-05.json")
        with pytest.raises(EntryUnreadable, match="limit ratio"), archive.open("general/2026-01-05.json") as stream:
            stream.read()
        assert json.loads(archive.read("general/2026-01-01.json"))


def test_an_entry_over_its_limit_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "e", {"large.json": b"x" * 101, "small.json": b"x" * 100})
    with open_archive(path, Limits(entry_bytes=100)) as archive:
        with pytest.raises(EntryUnreadable, match=r"large\.json: 101 bytes or more, limit entry_bytes is 100"):
            archive.open("large.json")
        assert len(archive.read("small.json")) == 100


def test_a_file_that_grows_while_it_is_read_still_meets_its_limit(tmp_path: Path) -> None:
    """The size in a header can differ from the bytes that are read, so the bytes are counted."""
    path = write_folder(tmp_path / "e", {"a.json": b"x"})
    with open_archive(path, Limits(entry_bytes=1000)) as archive, archive.open("a.json") as stream:
        (path / "a.json").write_bytes(b"x" * 5000)
        with pytest.raises(EntryUnreadable, match="limit entry_bytes is 1000"):
            stream.read()


@pytest.mark.parametrize("claimed", [0, 10, 69_999])
def test_a_header_with_a_wrong_size_is_detected(tmp_path: Path, claimed: int) -> None:
    path = raw_zip(tmp_path / "e.zip", [("a.json", b" " * 70_000), ("b.json", DAY)])
    patched(path, (70_000).to_bytes(4, "little"), claimed.to_bytes(4, "little"))
    with open_archive(path) as archive:
        with pytest.raises(EntryUnreadable, match=r"a\.json: damaged"):
            archive.read("a.json")
        assert archive.read("b.json") == DAY


def test_everything_read_from_one_archive_is_counted_together(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "e", {"a.json": b"x" * 60, "b.json": b"x" * 60})
    with open_archive(path, Limits(total_bytes=100)) as archive:
        archive.read("a.json")
        with pytest.raises(LimitExceeded, match=r"b\.json: more than 100 bytes.*limit total_bytes"):
            archive.below("").read("b.json")


def test_limits_are_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_zip(tmp_path / "e.zip", [(f"{number}.json", DAY) for number in range(3)])
    monkeypatch.setenv("EVEROS_IMPORT_LIMITS", '{"entries": 2}')
    with pytest.raises(LimitExceeded, match="EVEROS_IMPORT_LIMITS"):
        open_archive(path)
    monkeypatch.setenv("EVEROS_IMPORT_LIMITS", '{"entries": 3, "ratio": 1000}')
    with open_archive(path) as archive:
        assert len(archive.names()) == 3


@pytest.mark.parametrize("given", ['{"entry": 2}', '{"entries": "many"}', "[]", "2 GB"])
def test_a_setting_with_an_unknown_limit_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVEROS_IMPORT_LIMITS", given)
    with pytest.raises(ConfigurationError, match="entry_bytes, total_bytes, entries, ratio"):
        limits_of_environment()


def test_an_archive_with_too_many_entries_is_not_opened(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", {f"{number}.json": DAY for number in range(4)})
    with pytest.raises(LimitExceeded, match="more than 3 entries"):
        open_archive(path, Limits(entries=3))


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "e.zip", [("a.json", DAY), ("b.json", DAY)])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    assert refusals_of(path) == {"a.json": "encrypted; export again without a password"}
    assert names_of(path) == ("b.json",)


def test_of_two_entries_with_one_name_the_later_is_read_and_the_other_reported(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = raw_zip(tmp_path / "e.zip", [("a.json", b"[1]"), ("a.json", b"[2]"), ("b.json", DAY)])
    with open_archive(path) as archive:
        assert archive.read("a.json") == b"[2]"
        assert [name for name, _ in archive.refused] == ["a.json"]


def test_a_damaged_entry_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.json", b'["first"]')
        archive.writestr("b.json", b'["second"]')
    patched(path, b'["first"]', b'["f1rst"]')
    with open_archive(path) as opened:
        with pytest.raises(EntryUnreadable, match=r"a\.json: damaged"):
            opened.read("a.json")
        assert opened.read("b.json") == b'["second"]'


def test_an_entry_with_a_wrong_checksum_is_damaged(tmp_path: Path) -> None:
    content = b" " * 1000
    path = raw_zip(tmp_path / "e.zip", [("a.json", content), ("b.json", DAY)])
    patched(path, zlib.crc32(content).to_bytes(4, "little"), b"\0\1\2\3")
    with open_archive(path) as opened:
        with pytest.raises(EntryUnreadable, match=r"a\.json: damaged"):
            opened.read("a.json")
        assert opened.read("b.json") == DAY


def test_an_entry_with_a_wrong_position_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "e.zip", [("a.json", b" " * 1000), ("b.json", b"1" * 1000)])
    data = path.read_bytes()
    second = data.index(b"PK\x03\x04", 4)
    patched(path, second.to_bytes(4, "little") + b"b.json", (second + 9).to_bytes(4, "little") + b"b.json")
    with open_archive(path) as opened:
        with pytest.raises(EntryUnreadable, match=r"b\.json: damaged"):
            opened.read("b.json")
        assert opened.read("a.json") == b" " * 1000


@pytest.mark.parametrize("content", [None, b"PK\x05\x06" + b"\xff" * 18])
def test_a_missing_or_damaged_archive_is_an_export_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "e.zip"
    if content:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=r"e\.zip: cannot be opened"):
        open_archive(path)


def test_a_part_of_an_archive_shows_only_its_own_files(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", {"a/x.json": b"[1]", "a/b/y.json": b"[2]", "z.json": b"[3]"})
    with open_archive(path) as archive:
        part: Archive = archive.only(["a/x.json", "a/b/y.json"]).below("a/").below("b/")
        assert part.names() == ("y.json",)
        assert part.read("y.json") == b"[2]"


def test_reading_writes_nothing(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "e.zip", {"a/x.json": DAY, "b.json": DAY})
    with open_archive(path) as archive:
        for name in archive.names():
            archive.read(name)
    assert list(tmp_path.rglob("*")) == [path]
