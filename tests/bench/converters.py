"""
What extract is compared with: typed decoding, which any importer must do, and converters as plain as they can be.

A converter decodes with msgspec into the few fields it needs, and writes those columns as Parquet with pyarrow. It
resolves no markup or mention, knows no blocks, attachments, files, bots, private channels or duplicates, tells no
position, counts nothing, gives up the file in which anything is odd, and holds a whole file in memory.
"""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from include.records import MESSAGE_SCHEMA

_GROUP_ROWS = 25_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_NAMES = ("conversation_id", "message_id", "sent_at_us", "sender_id", "sender_name", "role", "text", "thread_id")
_SCHEMA = pa.schema([pa.field(name, MESSAGE_SCHEMA.field(name).type) for name in _NAMES])
_REPEATED: Any = ["conversation_id", "sender_id", "sender_name", "role", "thread_id"]

type _Row = tuple[str, str, int, str, str, str, str, str | None]


class _Profile(msgspec.Struct, gc=False):
    real_name: str = ""


class _SlackUser(msgspec.Struct, gc=False):
    id: str
    profile: _Profile


class _SlackMessage(msgspec.Struct, gc=False):
    ts: str = ""
    user: str = ""
    text: str | None = ""
    subtype: str = ""
    thread_ts: str | None = None


class _Author(msgspec.Struct, gc=False):
    id: str
    name: str = ""
    nickname: str = ""
    is_bot: bool = msgspec.field(name="isBot", default=False)


class _Reference(msgspec.Struct, gc=False):
    message_id: str | None = msgspec.field(name="messageId", default=None)


class _DiscordMessage(msgspec.Struct, gc=False):
    id: str
    timestamp: datetime
    content: str
    author: _Author
    reference: _Reference | None = None


class _DiscordChannel(msgspec.Struct, gc=False):
    name: str


class _DiscordFile(msgspec.Struct, gc=False):
    channel: _DiscordChannel
    messages: list[_DiscordMessage]


class _EverosMessage(msgspec.Struct, gc=False):
    sender_id: str
    timestamp: int
    content: str
    role: str = "user"
    message_id: str = ""
    sender_name: str = ""


class _EverosConversation(msgspec.Struct, gc=False):
    group_id: str
    messages: list[_EverosMessage]


_SLACK = msgspec.json.Decoder(list[_SlackMessage])
_SLACK_USERS = msgspec.json.Decoder(list[_SlackUser])
_DISCORD = msgspec.json.Decoder(_DiscordFile)
_EVEROS = msgspec.json.Decoder(list[_EverosConversation])
_FORMATS: dict[str, msgspec.json.Decoder[Any]] = {"slack": _SLACK, "discord": _DISCORD, "everos": _EVEROS}


def format_of(export: Path) -> str:
    """Return the format that the name of a generated export begins with."""
    return next(name for name in _FORMATS if export.name.startswith(name))


def decode_typed(export: Path) -> int:
    """Read and decode every file into the fields a converter needs; return how many files could be."""
    decoder = _FORMATS[format_of(export)]
    count = 0
    for _, content in _contents(export):
        with suppress(msgspec.DecodeError):
            decoder.decode(content)
            count += 1
    return count


def convert(export: Path, out: Path) -> int:
    """Write an export as Parquet; return the number of messages."""
    out.parent.mkdir(parents=True, exist_ok=True)
    pieces = {"slack": _slack, "discord": _discord, "everos": _everos}[format_of(export)](export)
    rows: list[_Row] = []
    count = 0
    with pq.ParquetWriter(out, _SCHEMA, compression="zstd", use_dictionary=_REPEATED) as writer:
        for piece in pieces:
            rows += piece
            if len(rows) >= _GROUP_ROWS:
                count += _write(writer, rows)
                rows.clear()
        return count + (_write(writer, rows) if rows else 0)


def _write(writer: pq.ParquetWriter, rows: Sequence[_Row]) -> int:
    for start in range(0, len(rows), _GROUP_ROWS):
        columns = zip(*rows[start : start + _GROUP_ROWS], strict=True)
        arrays: dict[str, Any] = dict(zip(_SCHEMA.names, columns, strict=True))
        writer.write_table(pa.table(arrays, schema=_SCHEMA))
    return len(rows)


def _slack(export: Path) -> Iterator[Iterable[_Row]]:
    names: dict[str, str] = {}
    for name, content in _contents(export):
        folder, _, file = name.rpartition("/")
        with suppress(msgspec.DecodeError):
            if file == "users.json":
                names |= {user.id: user.profile.real_name for user in _SLACK_USERS.decode(content)}
            elif folder:
                conversation = f"slack_{folder.rpartition('/')[2]}"
                yield [
                    (
                        conversation,
                        message.ts,
                        int(message.ts.replace(".", "")),
                        message.user,
                        names.get(message.user, message.user),
                        "user",
                        message.text,
                        message.thread_ts,
                    )
                    for message in _SLACK.decode(content)
                    if message.text and message.ts.replace(".", "").isdecimal() and not message.subtype
                ]


def _discord(export: Path) -> Iterator[Iterable[_Row]]:
    for _, content in _contents(export):
        file = _DISCORD.decode(content)
        conversation = f"discord_{file.channel.name}"
        yield (
            (
                conversation,
                message.id,
                (message.timestamp - _EPOCH) // _MICROSECOND,
                message.author.id,
                message.author.nickname or message.author.name,
                "assistant" if message.author.is_bot else "user",
                message.content,
                message.reference.message_id if message.reference else None,
            )
            for message in file.messages
            if message.content
        )


def _everos(export: Path) -> Iterator[Iterable[_Row]]:
    for _, content in _contents(export):
        for conversation in _EVEROS.decode(content):
            yield [
                (
                    conversation.group_id,
                    message.message_id,
                    message.timestamp * 1000,
                    message.sender_id,
                    message.sender_name,
                    message.role,
                    message.content,
                    None,
                )
                for message in conversation.messages
                if message.content
            ]


def _contents(export: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON files of a folder, a zip, or one file; lists of people before what they wrote."""
    if export.is_dir():
        paths = sorted(export.rglob("*.json"), key=lambda path: (path.name != "users.json", path))
        yield from ((path.relative_to(export).as_posix(), path.read_bytes()) for path in paths)
    elif export.suffix == ".zip":
        with zipfile.ZipFile(export) as archive:
            names = sorted(archive.namelist(), key=lambda name: (name != "users.json", name))
            yield from ((name, archive.read(name)) for name in names if name.endswith(".json"))
    else:
        yield export.name, export.read_bytes()
