"""What a Discord message says, as plain text: pure functions over message objects of exporter, API and data package."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from include.parsers.values import file_name_in, mapping, objects, string, without_query

_TOKEN = re.compile(
    r"<(?:"
    r"@!?(?P<user>[0-9]+)"
    r"|@&(?P<role>[0-9]+)"
    r"|#(?P<channel>[0-9]+)"
    r"|a?:(?P<emoji>\w+):[0-9]+"
    r"|t:(?P<epoch_s>-?[0-9]{1,20})(?::[a-zA-Z])?"
    r"|/(?P<command>[^<>:\n]+):[0-9]+"
    r"|id:(?P<page>\w+)"
    r"|(?P<link>[a-zA-Z][a-zA-Z0-9+.-]*://[^<>\s]+)"
    r")>"
)
"""Discord's message formatting (docs.discord.com, "Message Formatting"), and links in angle brackets."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_plain_text(text: str, names: Mapping[str, str]) -> str:
    """
    Resolve mentions, custom emoji, timestamps, commands and bracketed links in one pass, as Discord does.

    Markdown, spoilers and ``@everyone`` stay as written. A time no calendar can hold stays as it is.

    :param names: Names by id: users, channels and roles share one space of ids.

    >>> to_plain_text("<@1> see <#2> at <t:1767312000:R> <:kek:77>", {"1": "Ann", "2": "general"})
    '@Ann see #general at 2026-01-02T00:00:00Z :kek:'
    """
    if "<" not in text:
        return text
    return _TOKEN.sub(lambda token: _resolved(token, names), text)


def _resolved(token: re.Match[str], names: Mapping[str, str]) -> str:
    kind = token.lastgroup or ""
    value = token[kind]
    match kind:
        case "user" | "role":
            return f"@{names.get(value) or f'{kind}-{value}'}"
        case "channel":
            return f"#{names.get(value) or value}"
        case "epoch_s":
            return _utc(int(value)) or token[0]
        case _:
            return {"emoji": f":{value}:", "command": f"/{value}"}.get(kind, value)


def _utc(epoch_s: int) -> str | None:
    try:
        moment = _EPOCH + timedelta(seconds=epoch_s)
    except OverflowError:
        return None
    return moment.isoformat().replace("+00:00", "Z")


def text_of(message: Mapping[str, Any], names: Mapping[str, str], *, bot: bool) -> str:
    """
    Return everything a message says, one part per line, or ``""`` when it says nothing.

    Words first, then what was forwarded, stickers, polls, embeds and files as placeholders. Embeds of a person's
    message are previews of its links, words the person never wrote: they count only when there is nothing else.
    Never raises, whatever ``message`` holds.
    """
    parts = [to_plain_text(string(message.get("content")), names).strip()]
    parts += [part for key, tell in _PARTS if (value := message.get(key)) for part in tell(value, names)]
    files = [f"[file: {file_name(attachment)}]" for attachment in objects(message.get("attachments"))]
    said = "\n".join(part for part in parts if part)
    if bot or not (said or files):
        embeds = (_embed(embed, names) for embed in objects(message.get("embeds")))
        said = "\n".join([part for part in (said, *(embed for embed in embeds if embed not in said)) if part])
    return "\n".join([said, *files] if said else files)


def _forwarded(message: object, names: Mapping[str, str]) -> Iterator[str]:
    """Tell a forwarded message; forwards do not nest."""
    inner = {
        key: value for key, value in mapping(message).items() if key not in ("forwardedMessage", "message_snapshots")
    }
    if words := text_of(inner, names, bot=False):
        yield f"[forwarded] {words}"


def _snapshots(snapshots: object, names: Mapping[str, str]) -> Iterator[str]:
    for snapshot in objects(snapshots):
        yield from _forwarded(snapshot.get("message"), names)


def _stickers(stickers: object, _: Mapping[str, str]) -> Iterator[str]:
    for sticker in objects(stickers):
        yield f"[sticker: {string(sticker.get('name')) or 'unnamed'}]"


def _poll(poll: object, _: Mapping[str, str]) -> Iterator[str]:
    """Tell a poll's question and answers; only the API has them, the exporter leaves them out."""
    asked = [mapping(poll).get("question")]
    asked += [answer.get("poll_media") for answer in objects(mapping(poll).get("answers"))]
    if words := " / ".join(text for media in asked if (text := string(mapping(media).get("text")))):
        yield f"[poll: {words}]"


_PARTS = (
    ("forwardedMessage", _forwarded),
    ("message_snapshots", _snapshots),
    ("stickers", _stickers),
    ("sticker_items", _stickers),
    ("poll", _poll),
)
"""What can stand beside the content, in the exporter's and in the API's words."""


def _embed(embed: Mapping[str, Any], names: Mapping[str, str]) -> str:
    fields = [(string(field.get("name")), string(field.get("value"))) for field in objects(embed.get("fields"))]
    if result := [value for name, value in fields if name in ("poll_question_text", "victor_answer_text") and value]:
        return f"[poll result: {' / '.join(result)}]"
    parts = [string(embed.get("title")), string(embed.get("description"))]
    parts += [f"{name}: {value}" if name else value for name, value in fields]
    words = "\n".join(part for part in parts if part)
    return to_plain_text(words, names).strip() or without_query(string(embed.get("url")))


def file_name(attachment: Mapping[str, Any]) -> str:
    """Return an attachment's name, never its address: addresses carry expiring access tokens."""
    named = string(attachment.get("fileName")) or string(attachment.get("filename")) or string(attachment.get("title"))
    return named or file_name_in(string(attachment.get("url")))
