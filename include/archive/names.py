"""
Decodes the names in archives, whose encoding may be unknown, and detects unsafe names.

A zip without the UTF-8 flag has names in the encoding of the system that made it, without naming it. If they are not
UTF-8, the encoding is chosen with which most words of the names occur in the archive's own JSON files.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Set
from typing import Any

_ENCODINGS = (
    *("cp932", "gb18030", "cp950", "big5hkscs", "cp949", "johab", "euc_jp"),
    *("cp1251", "cp866", "koi8_r", "koi8_u", "cp855"),
    *("cp1252", "cp850", "cp858", "iso8859_15", "mac_roman", "cp1250", "cp852", "iso8859_2", "cp865", "cp860"),
    *("cp1253", "cp737", "cp869", "cp1254", "cp857", "cp1255", "cp862", "cp1256", "cp720", "cp864"),
    *("cp874", "cp1257", "cp775", "cp1258"),
)
"""
Encodings of Windows and DOS by region, and those of Unix and macOS. cp932 is Shift-JIS; gb18030 contains GBK, cp949
contains EUC-KR. If several fit equally, the first is used.
"""

_DEFAULT = "cp437"
"""The encoding of the format's specification; it decodes every byte."""

_WORD = re.compile(r"\w+")


def decoder(names: Collection[bytes], documents: Callable[[], Iterable[bytes]]) -> Callable[[bytes], str]:
    """
    Return a function that decodes the names of one archive: as UTF-8, and all others in one encoding.

    :param documents: Returns the JSON files with the words to compare; called only if a name is not UTF-8.
    """
    foreign = [name for name in names if not _is_utf8(name)]
    encoding = _encoding_of(foreign, _words(documents())) if foreign else _DEFAULT

    def decode_part(part: bytes) -> str:
        try:
            return part.decode(encoding)
        except UnicodeDecodeError:
            return part.decode(_DEFAULT)

    def decode(name: bytes) -> str:
        try:
            return name.decode()
        except UnicodeDecodeError:  # by part: a part that cannot be decoded does not affect the folders above it
            return "/".join(map(decode_part, name.split(b"/")))

    return decode


def unsafe(name: str) -> str:
    """Return why a ``/``-separated name is unsafe; empty if it is safe."""
    if "\x00" in name:
        return "a NUL in the name"
    if name.startswith("/"):
        return "an absolute name"
    if re.match(r"[A-Za-z]:", name):
        return "a drive letter in the name"
    if ".." in name.split("/"):
        return "a name that leads out of the archive"
    return ""


def clean(name: str) -> str:
    """Return a ``/``-separated name without empty parts and ``.``."""
    if "//" not in name and "./" not in name and not name.startswith("/"):
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def composed(names: Iterable[str]) -> dict[str, str]:
    """
    Return the names that are not in Unicode's composed form (NFC), with their composed form.

    macOS decomposes names, the JSON beside them is composed. Empty if two files or folders would get the same name.
    """
    foreign = [name for name in names if not name.isascii()]
    found = {name: unicodedata.normalize("NFC", name) for name in foreign}
    if all(name == form for name, form in found.items()):
        return {}
    paths = {name[:end] for name in foreign for end in _ends(name)}
    if len({unicodedata.normalize("NFC", path) for path in paths}) < len(paths):
        return {}
    return {name: form for name, form in found.items() if name != form}


def _ends(name: str) -> list[int]:
    return [match.start() for match in re.finditer("/|$", name)]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoding_of(names: Collection[bytes], words: Set[str]) -> str:
    """Return the encoding with which most path components consist of given words; the default if none do."""
    best, most = _DEFAULT, 0
    for encoding in _ENCODINGS if words else ():
        parts: set[str] = set()
        for name in names:
            try:
                parts.update(name.decode(encoding).replace("\\", "/").split("/"))
            except UnicodeDecodeError:
                continue
        count = sum(not part.isascii() and _words_of(part) <= words for part in parts)
        if count > most:
            best, most = encoding, count
    return best


def _words_of(text: str) -> set[str]:
    """Return the words that are not ASCII; the text itself if it has none, as one of symbols only."""
    words = {word for word in _WORD.findall(unicodedata.normalize("NFC", text)) if not word.isascii()}
    return words or {text}


def _words(documents: Iterable[bytes]) -> set[str]:
    words: set[str] = set()
    for document in documents:
        try:
            values: list[Any] = [json.loads(document)]
        except (ValueError, RecursionError):
            continue
        while values:
            value = values.pop()
            if isinstance(value, dict):
                values.extend(value)
                values.extend(value.values())
            elif isinstance(value, list):
                values.extend(value)
            elif isinstance(value, str) and not value.isascii():
                words |= _words_of(value)
    return words
