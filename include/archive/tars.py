"""
Reads tars, compressed or not, and single files that are compressed.

A tar is read in place, by an index. Compressed data can only be read from its beginning, so it is decompressed once
to a scratch file, within the limits and without media files.
"""

import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from include.archive.containers import CHUNK_BYTES, Entry, Refused, Scratch, SpanContainer
from include.archive.kinds import DECOMPRESSED, HEAD_BYTES, TAR, is_tar, unpacked_name
from include.archive.limits import Limits
from include.archive.names import clean, decoder, unsafe

_MEDIA = re.compile(
    r"\.(png|jpe?g|gif|webp|avif|heic|svg|bmp|tiff?|mp4|m4v|mov|webm|mkv|avi|mp3|m4a|ogg|oga|opus|wav|flac|pdf|docx?|xlsx?|pptx?)$",
    re.IGNORECASE,
)
"""Files without messages, which have most of the bytes of an export."""

_HEADER_BYTES = 1 << 20
"""Limit for the headers of one entry; those of real tars have a few thousand bytes."""


class _Member(NamedTuple):
    """An entry according to its header; without ``entry`` it is refused for ``reason``."""

    name: bytes
    entry: Entry | None
    reason: str


class TarContainer(SpanContainer):
    """A tar, a compressed tar, or one compressed file; the handle of an entry is where its bytes begin."""

    def __init__(self, name: str, file: BinaryIO, kind: str, limits: Limits, packed_bytes: int | None = None) -> None:
        """
        Make an index of a tar, or decompress one.

        :param name: Of the file; the entry is named after it where a single file is compressed.
        :param packed_bytes: The bytes from which ``file`` itself was decompressed; default: its size.
        :raises OSError, EOFError, …: one of :data:`include.archive.kinds.DAMAGE`, if it is damaged.
        :raises LimitExceeded: it holds too many entries, or too many bytes for what it is packed in.
        """
        super().__init__(file, limits)
        self._name = name
        self._packed_bytes = os.fstat(file.fileno()).st_size if packed_bytes is None else packed_bytes
        self._scratch: Scratch | None = None
        if kind == TAR:
            self._fill(self._named(list(self._limited(_members(_Stream(file), self._keep_in_place)))))
            return
        self._scratch = Scratch()
        try:
            with DECOMPRESSED[kind](file) as raw:
                tar = is_tar(raw.read(HEAD_BYTES))
                raw.seek(0)
                stream = _Stream(raw, self._count_decompressed)
                if tar:
                    members = list(self._limited(_members(stream, self._keep)))
                    stream.read_on()  # the checksum is at the end
                else:
                    members = [_Member(unpacked_name(name).encode(), self._keep_all(stream), "")]
            self._file = self._scratch.done()
            self._fill(self._named(members))
        except BaseException:
            self._scratch.file.close()
            raise
        file.close()
        self._read_bytes = 0  # so far, what was decompressed; from here on, what is read

    def _raw(self, entry: Entry) -> BinaryIO:
        if entry.handle is None:
            raise OSError("media in a compressed tar are not read")
        return super()._raw(entry)

    def _whole(self, entry: Entry) -> bytes:
        if entry.handle is None:
            raise OSError("media in a compressed tar are not read")
        return super()._whole(entry)

    def _count_decompressed(self, new_bytes: int) -> None:
        self._count_total(self._name, new_bytes)
        self._check_ratio_of_all(self._read_bytes, self._packed_bytes)

    def _keep_in_place(self, _: "_Stream", info: tarfile.TarInfo) -> Entry:
        return Entry(info.offset_data, info.size)

    def _keep(self, stream: "_Stream", info: tarfile.TarInfo) -> Entry:
        """Copy an entry to the scratch file, unless it cannot be a part of an export that is read."""
        if _MEDIA.search(info.name) or info.size > self.limits.entry_bytes:
            return Entry(None, info.size)
        assert self._scratch is not None  # noqa: S101
        start, left = self._scratch.bytes, info.size
        while left:
            data = stream.content(min(left, CHUNK_BYTES))
            if not data:
                raise EOFError("the end is missing")
            self._scratch.write(data)
            left -= len(data)
        return Entry(start, info.size)

    def _keep_all(self, stream: "_Stream") -> Entry:
        assert self._scratch is not None  # noqa: S101
        while data := stream.content(CHUNK_BYTES):
            self._check_entry(self._name, Entry(None, 0), self._scratch.bytes + len(data))
            self._scratch.write(data)
        return Entry(0, self._scratch.bytes)

    def _named(self, members: Sequence[_Member]) -> Iterator[tuple[str, Entry]]:
        decode = decoder(
            [member.name for member in members],
            lambda: self._documents((member.name, member.entry) for member in members if member.entry),
        )
        for member in members:
            decoded = decode(member.name).replace("\\", "/")
            name = clean(decoded)
            reason = unsafe(decoded) or member.reason
            if reason:
                self.refused.append(Refused(name, reason))
            elif name and member.entry:
                yield name, member.entry


class _Stream:
    """
    The stream that :mod:`tarfile` reads: forward only, with a limit on the size of headers.

    A malicious header may have a name of 4 GiB or no end; tarfile would read it into memory.
    """

    def __init__(self, raw: BinaryIO, count: Callable[[int], None] | None = None) -> None:
        """
        Read from the beginning of ``raw``.

        :param count: Called with the number of bytes of each read. Without it ``raw`` is sought directly.
        """
        self._raw, self._count = raw, count
        self._at = self._header_bytes = 0
        self.last = b""
        """The last header that was read."""

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def read(self, size_bytes: int) -> bytes:
        """Read a part of a header."""
        self._header_bytes += size_bytes
        if self._header_bytes > _HEADER_BYTES:
            raise tarfile.ReadError(f"an entry's header is larger than {_HEADER_BYTES} bytes")
        self.last = self.content(size_bytes)
        return self.last

    def content(self, size_bytes: int) -> bytes:
        """Read a part of an entry's content."""
        data = self._raw.read(size_bytes)
        self._at += len(data)
        if self._count:
            self._count(len(data))
        return data

    def seek(self, position: int) -> None:
        """Go forward to a position; at the end of the data this stops without an error."""
        if position < self._at:
            raise tarfile.ReadError("an entry's size leads backwards")
        if not self._count:
            self._raw.seek(position)
            self._at = position
        while self._at < position and self.content(min(position - self._at, CHUNK_BYTES)):
            pass

    def begin_entry(self) -> None:
        """Forget the headers read so far."""
        self._header_bytes = 0

    def read_on(self) -> None:
        """Read to the end."""
        while self.content(CHUNK_BYTES):
            pass


def _members(stream: _Stream, keep: Callable[[_Stream, tarfile.TarInfo], Entry]) -> Iterator[_Member]:
    """
    Yield the entries of a tar, but for folders.

    :raises tarfile.TarError: it is damaged; tarfile itself reads damage after the first entry as the end.
    """
    number = 0
    try:
        tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
        while info := tar.next():
            number += 1
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has seen
            if not info.isdir():
                reason = _reason(info)
                entry = None if reason else keep(stream, info)
                yield _Member(info.name.encode("utf-8", "surrogateescape"), entry, reason)
            stream.begin_entry()
    except (RecursionError, ValueError, OverflowError) as error:  # headers of headers; numbers that are none
        raise tarfile.ReadError(f"damaged after {number} entries") from error
    if stream.last.strip(b"\0"):
        raise tarfile.ReadError(f"damaged after {number} entries")


def _reason(info: tarfile.TarInfo) -> str:
    """Return why an entry is not read; empty if it is read."""
    if info.issym() or info.islnk():
        return "a symbolic link" if info.issym() else "a hard link"
    if info.issparse():
        return "a sparse file"
    if not info.isreg():
        return "a pipe, a socket or a device"
    return ""
