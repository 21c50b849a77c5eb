"""Plain text of a Discord message: pure functions over message objects of exporter, API and data package."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from include.parsers.json.values import as_dict, as_dicts, as_str, file_name_in, visible, without_query

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
_VOICE_FLAG = 1 << 13
_VOICE_FILE = "voice-message.ogg"
"""Every Discord client names a voice message so; the exporter keeps no other mark of one."""

_MARKUP = re.compile(r"[\s*_~`>|#]+")
_SHORT = 2
_SIGNED = re.compile(
    r"//(?:cdn|media|images-ext-\d+)\.discordapp\.|[?&](?:ex|hm|token|sig|signature|key|x-amz-\w+)=", re.I
)
_DEPTH = 20
"""Of components and unknown members. Discord nests components three levels deep."""


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


def text_of(message: Mapping[str, Any], names: Mapping[str, str], *, bot: bool, forwarded: bool = False) -> str:
    """
    Return all text of a message, one part per line, or ``""`` if it has none.

    Words first, then what was forwarded, stickers, polls, components, embeds, and files as placeholders. Embeds of a
    user's message are previews of its links, which the user did not write: they are used only if there is nothing
    else. A forward does not name its author; there an embed without an address is no preview and is used.
    Members unknown to this project are used if a message has no other text. Never raises.
    """
    content = visible(to_plain_text(as_str(message.get("content")), names).strip())
    parts = [content] if content else []
    for key, texts_of in _PARTS:
        if value := message.get(key):
            added = [part for part in texts_of(value, names) if part and part not in parts]
            parts += [part for part in added if not (key == "components" and _contains_words(content, part))]
    files = _files(message) if message.get("attachments") else []
    if embeds := message.get("embeds"):
        parts += _embeds(as_dicts(embeds), parts, names, bot=bot, forwarded=forwarded, alone=not (parts or files))
    if files:
        parts = [*(part for part in parts if part not in files), *files]
    if not parts:
        unknown = (value for key, value in message.items() if key not in _KNOWN)
        parts = [part for value in unknown for part in _words_in(value, names, 0)]
    return parts[0] if len(parts) == 1 else "\n".join(parts)


def one_line(text: str, limit: int) -> str:
    r"""
    Return a text on one line, cut to at most ``limit`` characters.

    >>> one_line("a  long\ntext", 8)
    'a long…'
    """
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def _forwarded(message: object, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a forwarded message; forwards do not nest."""
    inner = {
        key: value for key, value in as_dict(message).items() if key not in ("forwardedMessage", "message_snapshots")
    }
    if words := text_of(inner, names, bot=False, forwarded=True):
        yield f"[forwarded] {words}"


def _snapshots(snapshots: object, names: Mapping[str, str]) -> Iterator[str]:
    for snapshot in as_dicts(snapshots):
        yield from _forwarded(snapshot.get("message"), names)


def _stickers(stickers: object, _: Mapping[str, str]) -> Iterator[str]:
    for sticker in as_dicts(stickers):
        yield f"[sticker: {as_str(sticker.get('name')) or 'unnamed'}]"


def _poll(poll: object, _: Mapping[str, str]) -> Iterator[str]:
    """Yield a poll's question and answers; only the API has them, the exporter leaves them out."""
    asked: list[object] = [as_dict(poll).get("question")]
    answers = as_dict(poll).get("answers")
    for answer in answers if isinstance(answers, list) else []:
        asked.append(as_dict(answer).get("poll_media") or answer)
    if words := " / ".join(text for media in asked if (text := _member(media, "text"))):
        yield f"[poll: {words}]"


def _components(components: object, names: Mapping[str, str]) -> Iterator[str]:
    for component in as_dicts(components):
        yield from _component(component, names, 0)


_MEDIA, _GALLERY_ITEMS, _FILE = 11, "items", 13


def _component(component: Mapping[str, Any], names: Mapping[str, str], depth: int) -> Iterator[str]:
    """
    Yield the texts of a component and of those in it (docs.discord.com, "Component Reference").

    Buttons and menus have labels, which are no text of the message, and no content.
    """
    kind = component.get("type")
    if depth > _DEPTH:
        return
    if content := visible(to_plain_text(as_str(component.get("content")), names).strip()):
        yield content
    if kind == _MEDIA:
        yield from _medium(component)
    elif kind == _FILE:
        name = as_str(component.get("name")) or file_name(as_dict(component.get("file")))
        yield f"[file: {name}]"
    for key, value in component.items():
        for inner in [value] if isinstance(value, dict) else as_dicts(value):
            if key == _GALLERY_ITEMS:
                yield from _medium(inner)
            else:
                yield from _component(inner, names, depth + 1)


def _medium(item: Mapping[str, Any]) -> Iterator[str]:
    if description := one_line(as_str(item.get("description")), 1000):
        yield f"[image: {description}]"
    elif url := as_str(as_dict(item.get("media")).get("url")):
        yield f"[file: {name_in_address(url)}]"


_PARTS = (
    ("forwardedMessage", _forwarded),
    ("message_snapshots", _snapshots),
    ("stickers", _stickers),
    ("sticker_items", _stickers),
    ("poll", _poll),
    ("components", _components),
)
"""Members beside the content that hold text, under the exporter's and the API's names."""

_KNOWN = frozenset(
    (
        *("id", "type", "timestamp", "timestampEdited", "edited_timestamp", "callEndedTimestamp", "flags", "nonce"),
        *("guild", "guild_id", "channel", "channel_id", "channel_type", "thread", "author", "member", "roles"),
        *("content", "attachments", "embeds", "stickers", "sticker_items", "poll", "components"),
        *("reactions", "mentions", "mention_roles", "mention_channels", "mention_everyone", "inlineEmojis", "resolved"),
        *("reference", "message_reference", "referenced_message", "forwardedMessage", "message_snapshots"),
        *("interaction", "interaction_metadata", "application", "application_id", "webhook_id", "call"),
        *("isPinned", "pinned", "tts", "position", "role_subscription_data"),
    )
)
"""Members that hold no words of the message, or whose words are read elsewhere."""

_WORDY = ("title", "question", "content", "text", "description")


def _words_in(value: object, names: Mapping[str, str], depth: int) -> Iterator[str]:
    """Yield the texts in members of unknown form, under names that are usual for text."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for key in _WORDY:
            if words := to_plain_text(as_str(value.get(key)), names).strip():
                yield words
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            yield from _words_in(inner, names, depth + 1)


def _embeds(
    embeds: Sequence[dict[str, Any]],
    parts: Sequence[str],
    names: Mapping[str, str],
    *,
    bot: bool,
    forwarded: bool,
    alone: bool,
) -> list[str]:
    own, so_far = "\n".join(parts), list(parts)
    for embed in embeds:
        if bot or alone or (forwarded and not embed.get("url")):
            words = _embed(embed, own, "\n".join(so_far), names)
            so_far += [words] if words and words not in so_far else []
    return so_far[len(parts) :]


def _embed(embed: Mapping[str, Any], said: str, so_far: str, names: Mapping[str, str]) -> str:
    """
    Return the text of an embed, without what the message has already.

    :param so_far: The message with the embeds before this one. Words may be repeated; an address is given once.
    """
    fields = [
        (visible(as_str(field.get("name"))), visible(_member(field.get("value"), "")))
        for field in as_dicts(embed.get("fields"))
    ]
    if result := [value for name, value in fields if name in ("poll_question_text", "victor_answer_text") and value]:
        return f"[poll result: {' / '.join(result)}]"

    def plain(value: object) -> str:
        return visible(to_plain_text(as_str(value), names).strip())

    author, footer = plain(_member(embed.get("author"), "name")), plain(_member(embed.get("footer"), "text"))
    title, description = plain(embed.get("title")), plain(embed.get("description"))
    field_lines = [plain(f"{name}: {value}" if name and value else name or value) for name, value in fields]
    words = "\n".join(filter(None, (author, title, description, *field_lines, footer)))
    if said and words and _contains_words(said, words):
        return ""
    url = _address(as_str(embed.get("url")))
    link = "" if url in so_far or url in words else url
    if said:
        title, description = ("" if _contains_words(said, part) else part for part in (title, description))
    if title and link:
        title = f"{title} ({link})"
    words = "\n".join(filter(None, (author, title, description, *field_lines, footer)))
    return words or link or "\n".join(_embedded_media(embed))


def _embedded_media(embed: Mapping[str, Any]) -> Iterator[str]:
    """Yield placeholders for pictures and films of an embed without words."""
    for key, kind in (("images", "image"), ("image", "image"), ("video", "video"), ("thumbnail", "image")):
        value = embed.get(key)
        media = [value] if isinstance(value, dict) else as_dicts(value)
        if lines := [f"[{kind}: {name_in_address(url)}]" for medium in media if (url := as_str(medium.get("url")))]:
            yield from lines
            return


def _contains_words(said: str, words: str) -> bool:
    """
    Return whether a text holds words as whole words, regardless of case, markup and white space.

    Up to two words must be a line of it: so few words can be in it by chance.
    """
    wanted = _bare(words)
    if len(wanted.split()) <= _SHORT:
        return any(_bare(line) == wanted for line in said.split("\n"))
    return bool(re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", _bare(said)))


def _bare(text: str) -> str:
    return _MARKUP.sub(" ", text).strip().casefold()


def _member(value: object, key: str) -> str:
    """Return a text or number, or that of a member of an object."""
    if isinstance(value, dict):
        value = value.get(key)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else as_str(value)


def _address(url: str) -> str:
    """Return an address without the access tokens of Discord's and other stores of files."""
    return without_query(url) if _SIGNED.search(url) else url


def _files(message: Mapping[str, Any]) -> list[str]:
    flags = message.get("flags")
    voice = isinstance(flags, int) and flags & _VOICE_FLAG != 0
    return [_file(attachment, voice=voice) for attachment in as_dicts(message.get("attachments"))]


def _file(attachment: Mapping[str, Any], *, voice: bool) -> str:
    name = file_name(attachment)
    if voice or attachment.get("waveform"):
        name = _VOICE_FILE
    captions: list[str] = []
    said = {re.sub(r"\W", "", text) for text in ("", name, name.rpartition(".")[0])}
    for key in ("title", "description"):
        caption = one_line(as_str(attachment.get(key)), 1000)
        if (plain := re.sub(r"\W", "", caption)) not in said:
            said |= {plain, re.sub(r"\W", "", caption.rpartition(".")[0])}
            captions.append(caption)
    return file_text(name, *captions)


def file_text(name: str, *captions: str) -> str:
    """Return the placeholder of a file; a voice message has no name of its own."""
    return "[voice message]" if name == _VOICE_FILE else f"[file: {': '.join((name, *captions))}]"


def file_name(attachment: Mapping[str, Any]) -> str:
    """Return an attachment's name, never its address: addresses carry expiring access tokens."""
    named = as_str(attachment.get("fileName")) or as_str(attachment.get("filename")) or as_str(attachment.get("title"))
    return named or name_in_address(as_str(attachment.get("url")))


def name_in_address(url: str) -> str:
    """
    Return the name of the file at an address.

    >>> name_in_address("https://cdn.discordapp.com/attachments/1/2/a%20b.png?ex=66aa&hm=1f")
    'a b.png'
    """
    return " ".join(unquote(file_name_in(url)).split()) or "unnamed"
