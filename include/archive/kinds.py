"""
Detects the kind of a container by its first bytes, not by its name.

Signatures: APPNOTE.TXT 4.3 (zip), RFC 1952 (gzip), RFC 8878 (Zstandard), the format descriptions of bzip2, xz, 7z, RAR.
"""

import bz2
import gzip
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

HEAD_BYTES = 512
"""Bytes that are needed to detect the kind of a file."""

ZIP = "zip"
TAR = "tar"
DECOMPRESSED: Mapping[str, Callable[[BinaryIO], BinaryIO]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    "bzip2": bz2.BZ2File,  # type: ignore[dict-item]
    "xz": lzma.LZMAFile,  # type: ignore[dict-item]
}
"""Kinds that the standard library decompresses as a stream, by a bounded number of bytes at a time."""

NOT_READ = frozenset({"zstd", "7z", "rar"})

DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, MemoryError)
"""Errors of decompressing damaged data; MemoryError where an xz header asks for a window of 4 GiB."""

_STARTS = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
)
_NAMED = re.compile(r"\.(zip|tar|t?gz|tbz2?|bz2|txz|xz|tzst|zst|7z|rar)$", re.IGNORECASE)
_PACKING = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)


def kind_of(head: bytes) -> str:
    """Return the kind of a container with these first bytes; empty if it is none."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    return TAR if is_tar(head) else ""


def is_tar(head: bytes) -> bool:
    """Return whether a block is the first of a tar, by its checksum: old tars have no signature."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def is_named_as_archive(name: str) -> bool:
    """Return whether a name has the ending of a container."""
    return _NAMED.search(name) is not None


def unpacked_name(name: str) -> str:
    """Return the name of the one file that is compressed as ``name``."""
    return _PACKING.sub("", name)
