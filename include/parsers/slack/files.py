"""
Makes text of the files of a Slack message: their kind and title, and the text that the export has of them.

Fields of file objects: https://docs.slack.dev/reference/objects/file-object; ``transcription``, and ``plain_text``,
``subject``, ``from`` of e-mails, by exports of 2021 to 2026. The file itself is never read.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from include.parsers.json.values import as_dict, as_dicts, as_str, file_name_in

type _File = Mapping[str, Any]

_GONE_MODES = ("tombstone", "hidden_by_limit")
_GONE_ACCESS = ("access_denied", "file_not_found")
_TAG = re.compile(r"<[^<>]{1,500}>")
_NEW_LINE = re.compile(r"<(?:br|hr|/?(?:p|div|h\d|li|ul|ol|tr|table|blockquote|pre))\b[^<>]{0,500}>", re.IGNORECASE)
_NEW_CELL = re.compile(r"</t[dh]>", re.IGNORECASE)
_CUT = "[cut in the export]"
_KINDS: Mapping[str, str] = {
    "snippet": "snippet",
    "post": "post",
    "space": "post",
    "quip": "canvas",
    "canvas": "canvas",
    "list": "list",
    "slack_audio": "voice message",
    "slack_video": "video message",
    "email": "email",
}
"""``mode``, ``subtype`` or ``filetype`` to the word in the text; default: file."""


def files_text(files: object) -> str:
    """
    Return one part for each file that still exists, with the text that the export has of it.

    ``[file: title]``, ``[snippet: title]`` and its lines, ``[voice message] words``, ``[email: subject, from name]``
    and its lines; ``[cut in the export]`` follows text that the export has only in part.
    """
    return "\n".join(
        _file(file)
        for file in as_dicts(files)
        if file and file.get("mode") not in _GONE_MODES and file.get("file_access") not in _GONE_ACCESS
    )


def _file(file: _File) -> str:
    kind = next((found for key in ("mode", "subtype", "filetype") if (found := _KINDS.get(_str(file, key)))), "file")
    if kind == "email":
        return _email(file)
    spoken = as_dict(as_dict(file.get("transcription")).get("preview"))
    words = _str(spoken, "content").strip()
    if words:
        media = _str(file, "mimetype").partition("/")[0]
        head = kind if kind.endswith("message") else f"{media if media == 'video' else 'audio'}: {_title(file)}"
        return f"[{head}] {words}{f' {_CUT}' if spoken.get('has_more') is True else ''}"
    head = f"[{kind}: {_title(file)}]"
    described = _str(file, "alt_txt").strip() or _str(as_dict(file.get("list_metadata")), "description").strip()
    if described:  # by the author of a picture or list
        return f"{head} {described}"
    return "\n".join([head, *_written(file, ("content", "preview", "plain_text"))])


def _email(file: _File) -> str:
    senders = [_sender(sender) for sender in as_dicts(file.get("from"))] or [_str(file, "from")]
    subject = _str(file, "subject").strip() or _title(file)
    senders = [sender for sender in senders if sender]
    head = f"{subject}, from {', '.join(senders)}" if senders else subject
    keys = ("plain_text", "simplified_html", "preview_plain_text", "preview")
    attached = [f"[file: {name}]" for item in as_dicts(file.get("attachments")) if (name := _str(item, "filename"))]
    return "\n".join([f"[email: {head}]", *_written(file, keys), *attached])


def _sender(sender: _File) -> str:
    return _str(sender, "name").strip() or _str(sender, "original").strip() or _str(sender, "address").strip()


def _written(file: _File, keys: tuple[str, ...]) -> list[str]:
    """Return the first text that is there, and a mark if the export has only a part."""
    for key in keys:
        words = _str(file, key)
        if words.lstrip().startswith("<") and _str(file, "mode") != "snippet":  # posts and canvases are HTML
            words = _without_tags(words)
        if words := words.strip("\n").rstrip():
            previews = (_str(file, other) for other in ("preview", "preview_plain_text"))
            whole = any(0 < len(preview) < len(words) for preview in previews)
            return [words, _CUT] if _is_cut(file) and not whole else [words]
    return []


def _without_tags(markup: str) -> str:
    """Return the words of HTML, a line per paragraph, item or row."""
    text = html.unescape(_TAG.sub("", _NEW_CELL.sub(" ", _NEW_LINE.sub("\n", markup))))
    return "\n".join(line for part in text.split("\n") if (line := " ".join(part.split())))


def _is_cut(file: _File) -> bool:
    more = file.get("lines_more")
    return file.get("preview_is_truncated") is True or file.get("has_more") is True or more not in (None, 0, "0", "")


def _title(file: _File) -> str:
    title, name = _str(file, "title").strip(), _str(file, "name").strip()
    if title in ("Untitled", "untitled"):  # Slack's default
        title = ""
    return title or name or "untitled"


def _str(item: _File, key: str) -> str:
    return as_str(item.get(key))


def picture_name(url: str) -> str:
    """Return ``[image: boat.gif]`` for the address of a picture; the address is left out."""
    return f"[image: {file_name_in(url)}]" if url else ""
