"""Makes small chat exports from arguments; ``slack_generator`` makes large ones with a known outcome."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

type Files = Mapping[str, Any]
"""Names to contents: ``bytes`` as they are, anything else as JSON."""


class UnflaggedName(zipfile.ZipInfo):
    """A zip entry named as Slack names it: UTF-8, without the flag that says so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode(), self.flag_bits & ~0x800


def to_json(value: Any) -> bytes:
    """Encode as Slack does: UTF-8, indented, slashes escaped."""
    return json.dumps(value, ensure_ascii=False, indent=4).replace("/", "\\/").encode()


def content_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else to_json(value)


def write_folder(path: Path, files: Files) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content_of(content))
    return path


def write_zip(path: Path, files: Files) -> Path:
    """Write files into a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = UnflaggedName(name, (2026, 1, 1, 0, 0, 0))
            archive.writestr(entry, content_of(content), zipfile.ZIP_DEFLATED)
    return path


def slack_user(key: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return an entry of ``users.json``."""
    profile = {"real_name": name, "display_name": "", **fields.pop("profile", {})}
    handle = fields.pop("handle", name.lower())
    return {"id": key, "team_id": "T1", "name": handle, "is_bot": False, "profile": profile, **fields}


def slack_channel(key: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return an entry of ``channels.json``, ``groups.json`` or ``mpims.json``."""
    return {"id": key, "name": name, "members": [], "topic": {"value": ""}, "purpose": {"value": ""}, **fields}


def slack_message(
    ts: Any = "1767312000.000100", text: Any = "hello", user: Any = "U1", **fields: Any
) -> dict[str, Any]:
    """Return an ordinary entry of a day file; a field that is ``...`` is left out."""
    entry = {"type": "message", "user": user, "text": text, "ts": ts, **fields}
    return {key: value for key, value in entry.items() if value is not ...}


def rich_text(text: str, block_id: str = "b1") -> list[dict[str, Any]]:
    """Return the ``blocks`` of a typed message."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return [{"type": "rich_text", "block_id": block_id, "elements": [section]}]


def slack_export(*entries: Any, **index: Any) -> dict[str, Any]:
    """Return the files of an export with one channel and one day; ``index`` adds or replaces index files by stem."""
    files = {
        "channels": [slack_channel("C1", "general")],
        "users": [slack_user("U1", "Ann Lee"), slack_user("U2", "Bob Ray")],
    }
    return {f"{stem}.json": items for stem, items in (files | index).items()} | {
        "general/2026-01-01.json": list(entries)
    }
