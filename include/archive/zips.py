"""
Reads a zip in place: directory, names and entries. Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

:mod:`zipfile` is not used: it fails for the whole zip at one name with a wrong UTF-8 flag, one damaged extra field or
one new version number, and decompresses bzip2 and LZMA without a bound.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast
from zipfile import BadZipFile

from include.archive.containers import CHUNK_BYTES, Container, Entry, Packed, Refused
from include.archive.limits import Limits
from include.archive.names import clean, decoder, unsafe

_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd", 99: "AES"}
_ENCRYPTED_FLAG = 0x1

_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_DIRECTORY_HEADER = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Before an entry's data: here only its signature and the lengths of what follows, a name and extra fields."""
_LONGEST_COMMENT = (1 << 16) - 1
_ZIP64, _UNICODE_PATH = 1, 0x7075
_WHOLE_BYTES = 1 << 26
"""Up to this an entry is decompressed in one call."""


class _Member(NamedTuple):
    """An entry as the directory has it."""

    name: bytes
    text: str
    """The name as the Unicode Path extra field has it; empty without one."""
    method: int
    checksum: int
    packed_bytes: int
    size_bytes: int
    offset: int
    """Of its local header in the file."""
    reason: str
    """The reason for which it is not read; empty if it is read."""


class ZipContainer(Container):
    """A zip. Its names, sizes and flags are not trusted."""

    is_divisible = True

    def __init__(self, file: BinaryIO, limits: Limits, packed_bytes: int | None = None) -> None:
        """
        Read the directory of a zip.

        :param packed_bytes: The bytes from which the zip itself was decompressed; default: its size.
        :raises BadZipFile: it is damaged, or its entries share bytes.
        :raises LimitExceeded: it has too many entries, or would be too large.
        """
        super().__init__(limits)
        self._file, self._descriptor = file, file.fileno()
        size_bytes = os.fstat(self._descriptor).st_size
        members = list(self._limited(_directory(self._descriptor, size_bytes)))
        _check_overlaps(members)
        self._fill(self._named(members))
        found = (entry.handle.entry if isinstance(entry.handle, Packed) else entry for entry in self.entries.values())
        whole = (
            entry.size_bytes
            for entry in found
            if entry.handle.offset + entry.handle.packed_bytes <= size_bytes and not self._is_over_a_limit(entry)
        )
        self._check_ratio_of_all(sum(whole), size_bytes if packed_bytes is None else packed_bytes)

    def close(self) -> None:
        """Close the zip."""
        self._file.close()

    def _named(self, members: Sequence[_Member]) -> Iterator[tuple[str, Entry]]:
        decode = decoder(
            [member.name for member in members if not member.text],
            lambda: self._documents((member.name, _entry(member)) for member in members if not member.reason),
        )
        for member in members:
            decoded = (member.text or decode(member.name)).replace("\\", "/")
            if decoded.endswith("/"):
                continue
            name = clean(decoded)
            reason = unsafe(decoded) or member.reason
            if reason:
                self.refused.append(Refused(name, reason))
            elif name:
                yield name, _entry(member)

    def _raw(self, entry: Entry) -> BinaryIO:
        return cast(BinaryIO, _Reader(self._descriptor, entry.handle))

    def _whole(self, entry: Entry) -> bytes:
        """Decompress in one call, which is faster for a day file than reading step by step."""
        member: _Member = entry.handle
        if max(member.packed_bytes, member.size_bytes) > _WHOLE_BYTES:
            reader = _Reader(self._descriptor, member)
            return b"".join(iter(lambda: reader.read(CHUNK_BYTES), b""))
        data = os.pread(self._descriptor, member.packed_bytes, _start(self._descriptor, member))
        complete = len(data) == member.packed_bytes
        if member.method == _DEFLATED:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflate.decompress(data, member.size_bytes + 1)  # one more, to see that it ends there
            complete = inflate.eof
        _check(member, len(data), zlib.crc32(data), complete=complete)
        return data


class _Reader:
    """Decompresses an entry in pieces of the size asked for, independently of other entries."""

    def __init__(self, descriptor: int, member: _Member) -> None:
        self._descriptor, self._member = descriptor, member
        self._at = _start(descriptor, member)
        self._end = self._at + member.packed_bytes
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        self._bytes = self._checksum = 0
        self._ended = False

    def read(self, size_bytes: int) -> bytes:
        """Return 1 to ``size_bytes`` bytes, none at the end; the last ones only if size and checksum are right."""
        data = b""
        while size_bytes and not data and not self._ended:
            data = self._next(size_bytes)
            self._bytes += len(data)
            self._checksum = zlib.crc32(data, self._checksum)
            if self._ended or self._bytes > self._member.size_bytes:
                complete = self._inflate.eof if self._inflate else self._at == self._end
                _check(self._member, self._bytes, self._checksum, complete=complete)
        return data

    def close(self) -> None:
        """Do not close the file, which the container closes."""

    def _next(self, size_bytes: int) -> bytes:
        if not self._inflate:
            data = self._packed(size_bytes)
            self._ended = self._at == self._end or not data
            return data
        packed = self._inflate.unconsumed_tail or self._packed(CHUNK_BYTES)
        data = self._inflate.decompress(packed, size_bytes)
        self._ended = self._inflate.eof or not (packed or data)
        return data

    def _packed(self, size_bytes: int) -> bytes:
        data = os.pread(self._descriptor, min(size_bytes, self._end - self._at), self._at)
        self._at += len(data)
        return data


def ends_as_zip(file: BinaryIO) -> bool:
    """Return whether a file is a zip after other data, such as a program that unpacks it."""
    descriptor = file.fileno()
    try:
        return next(_directory(descriptor, os.fstat(descriptor).st_size), None) is not None
    except BadZipFile:
        return False


def _entry(member: _Member) -> Entry:
    return Entry(member, member.size_bytes, member.packed_bytes, member.checksum)


def _directory(descriptor: int, size_bytes: int) -> Iterator[_Member]:
    """
    Yield the entries as the directory at the end of a zip has them.

    :raises BadZipFile: there is none, it is damaged, or is the directory of several files.
    """
    start, length, shift = _where(descriptor, size_bytes)
    data = os.pread(descriptor, length, start)
    at = 0
    while at < len(data):
        if at + _DIRECTORY_HEADER.size > len(data) or data[at : at + 4] != b"PK\1\2":
            raise BadZipFile(f"its directory is damaged {at} bytes after its beginning")
        header = _DIRECTORY_HEADER.unpack_from(data, at)
        at += _DIRECTORY_HEADER.size
        name_end, extra_end = at + header[12], at + header[12] + header[13]
        yield _member(header, data[at:name_end], data[name_end:extra_end], shift)
        at = extra_end + header[14]


def _where(descriptor: int, size_bytes: int) -> tuple[int, int, int]:
    """Return start and length of the directory, and the number to add to every offset."""
    tail_bytes = min(size_bytes, _END.size + _LONGEST_COMMENT)
    tail_start = size_bytes - tail_bytes
    tail = os.pread(descriptor, tail_bytes, tail_start)
    found = tail.rfind(b"PK\5\6", 0, max(len(tail) - _END.size + 4, 0))
    if found < 0:
        raise BadZipFile("a zip whose end is missing")
    _, disk, first_disk, _, _, length, start, _ = _END.unpack_from(tail, found)
    end = tail_start + found
    locator = os.pread(descriptor, _END_64_LOCATOR.size, max(end - _END_64_LOCATOR.size, 0))
    if len(locator) == _END_64_LOCATOR.size and locator.startswith(b"PK\6\7"):
        _, _, position, _ = _END_64_LOCATOR.unpack(locator)
        for end_64 in (
            position,
            end - _END_64_LOCATOR.size - _END_64.size,
        ):  # the second if something is before the zip
            record = os.pread(descriptor, _END_64.size, end_64) if 0 <= end_64 < end else b""
            if len(record) == _END_64.size and record.startswith(b"PK\6\6"):
                _, _, _, _, disk, first_disk, _, _, length, start = _END_64.unpack(record)
                end = end_64
                break
    if disk or first_disk:
        raise BadZipFile("one of the parts of a split zip; join them first, for example with zip -s 0")
    shift = end - length - start
    if shift < 0:
        raise BadZipFile("its directory is not where its end says")
    return start + shift, length, shift


def _member(header: tuple[int, ...], name: bytes, extra: bytes, shift: int) -> _Member:
    flags, method, checksum = header[5], header[6], header[9]
    packed, size, attributes, offset = header[10], header[11], header[17], header[18]
    text = reason = ""
    try:
        for kind, data in _extras(extra):
            if kind == _ZIP64:
                large = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
                size = next(large) if size == 0xFFFFFFFF else size
                packed = next(large) if packed == 0xFFFFFFFF else packed
                offset = next(large) if offset == 0xFFFFFFFF else offset
            elif kind == _UNICODE_PATH and data[:5] == struct.pack("<BL", 1, zlib.crc32(name)):
                text = data[5:].decode("utf-8")
    except (StopIteration, UnicodeDecodeError):
        reason = "its entry in the directory is damaged"
    if stat.S_ISLNK(attributes >> 16):
        reason = "a symbolic link"
    elif flags & _ENCRYPTED_FLAG:
        reason = "encrypted; export again without a password"
    elif method not in (_STORED, _DEFLATED):
        by = _METHODS.get(method, f"method {method}")
        reason = f"compressed by {by}, which is not read; unpack the zip and import the folder"
    return _Member(name, text, method, checksum, packed, size, offset + shift, reason)


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _check_overlaps(members: Iterable[_Member]) -> None:
    """
    Reject a zip whose entries share bytes.

    Every entry may then be within its limits while all together are 30 million times what they are packed in: David
    Fifield, A better zip bomb, USENIX WOOT 2019. No tool that packs files writes such a zip.
    """
    end, before = 0, None
    for member in sorted(members, key=lambda member: (member.offset, member.packed_bytes)):
        if member.offset < end and before and (member.name, member.offset) != (before.name, before.offset):
            raise BadZipFile(f"the entries at bytes {before.offset} and {member.offset} overlap, as in a zip bomb")
        end = max(end, member.offset + _LOCAL_HEADER.size + len(member.name) + member.packed_bytes)
        before = member


def _start(descriptor: int, member: _Member) -> int:
    header = os.pread(descriptor, _LOCAL_HEADER.size, member.offset) if member.offset < 1 << 62 else b""
    if not header.startswith(b"PK\3\4") or len(header) < _LOCAL_HEADER.size:
        raise BadZipFile("no entry where the directory says")
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    return member.offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _check(member: _Member, size_bytes: int, checksum: int, *, complete: bool) -> None:
    if size_bytes != member.size_bytes:
        more = "more" if size_bytes > member.size_bytes else "less"
        raise BadZipFile(f"{more} than the {member.size_bytes} bytes that the directory says")
    if not complete:
        raise BadZipFile("not complete")
    if checksum != member.checksum:
        raise BadZipFile("not what its checksum says")
