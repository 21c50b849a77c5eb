"""Whatever happens to a file on its way: reading it fails with a word to a person, or accounts for all that is read."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import ChatImportError, NotConserved
from include.extract import extract
from include.parsers import FORMATS, ParseOptions, discover
from tests.support.builders import content_of, rich_text, slack_export, slack_message, slack_user

SNOWFLAKE = 1_456_000_000_000_000_000


def discord_message(number: int, **fields: Any) -> dict[str, Any]:
    author = {"id": "11", "name": "ann", "nickname": "Ann", "isBot": False, "roles": [{"id": "70", "name": "dev"}]}
    given = {"id": str(SNOWFLAKE + (number << 22)), "type": "Default", "timestamp": "2026-01-01T00:00:00.18+07:00"}
    return {**given, "content": "<@11> hello <t:0:R>", "author": author, "mentions": [], **fields}


API_AUTHOR = {"id": "11", "username": "ann", "global_name": "Ann"}
PACKAGE_ROW = {"ID": SNOWFLAKE, "Timestamp": "2025-01-16 18:47:37", "Contents": "hi <#444>", "Attachments": ""}
EXPORTS: dict[str, Any] = {
    **{
        f"acme/{name}": content
        for name, content in slack_export(
            slack_message(
                text="<@U1> &amp; <https://x.example|x>", blocks=rich_text("deep"), edited={"ts": "1767312001"}
            ),
            slack_message("1767312000.000200", "", ..., subtype="bot_message", attachments=[{"fallback": "built"}]),
            slack_message("1767312000.000300", subtype="huddle_thread", room={"created_by": "U1", "date_start": 1}),
            dms=[{"id": "D1", "members": ["U1", "U2"]}],
            usergroups=[{"id": "S1", "handle": "ops"}],
        ).items()
    },
    "dumps/C1.json": {
        "channel_id": "C1",
        "name": "dev",
        "messages": [slack_message(slackdump_thread_replies=[slack_message()])],
    },
    "dumps/users.json": [slack_user("U1", "Ann")],
    "exporter.json": {
        "guild": {"id": "1", "name": "Srv"},
        "channel": {"id": "2", "type": "GuildTextChat", "category": "Text", "name": "general", "topic": None},
        "messages": [discord_message(0), discord_message(1, content="", stickers=[{"name": "wave"}])],
        "messageCount": 2,
    },
    "api.jsonl": b"\n".join(content_of(discord_message(n, author=API_AUTHOR)).replace(b"\n", b"") for n in range(3)),
    "package/account/user.json": {"id": "11", "username": "ann"},
    "package/messages/index.json": {"444": "general in Srv"},
    "package/messages/c444/channel.json": {"id": "444", "type": "GUILD_TEXT", "guild": {"id": "1", "name": "Srv"}},
    "package/messages/c444/messages.json": [PACKAGE_ROW, PACKAGE_ROW | {"ID": SNOWFLAKE + 1}],
    "package/messages/c444/messages.csv": (
        b'ID,Timestamp,Contents,Attachments\r\n1456000000000000007,,"a ""b""\r\nc",\r\n'
    ),
    "everos.json": [
        {"group_id": "g", "messages": [{"role": "user", "sender_id": "u", "timestamp": 1767312000000, "content": "x"}]},
        {
            "user_id": "u",
            "messages": [{"role": "user", "timestamp": "2026-01-02T00:00:00Z", "content": [{"text": "y"}]}],
        },
        {
            "conversation_meta": {"group_id": "h", "default_timezone": "Asia/Tokyo"},
            "conversation_list": [{"create_time": "2026-01-01T00:00:00", "sender": "u", "content": "z"}],
        },
    ],
}
"""Every format in one zip."""

FILES = {name: content_of(content) for name, content in EXPORTS.items()}


def zipped(files: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ZIPS = [zipped(FILES, zipfile.ZIP_DEFLATED), zipped(FILES, zipfile.ZIP_STORED)]


class Damage(NamedTuple):
    """Bytes taken out and put in somewhere."""

    where: float
    removed: int
    added: bytes


HOSTILE = [b"\xff", b"\x00", b'"', b"\\ud83d", b"[" * 2_000, b"9" * 5_000, b"null", b"1e999", b"NaN", b",", b"}", b"\n"]
DAMAGES = st.lists(
    st.builds(
        Damage,
        st.floats(0, 1),
        st.integers(0, 3) | st.sampled_from([50, 10_000]),
        st.binary(max_size=4) | st.sampled_from(HOSTILE),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, damages: list[Damage]) -> bytes:
    for where, removed, added in damages:
        start = int(where * len(data))
        data = data[:start] + added + data[start + removed :]
    return data


def read_through(data: bytes) -> set[str]:
    """
    Find and extract everything, and return the formats read; what cannot be read may only say so.

    :raises NotConserved: an entry got lost, or was made up.
    """
    formats = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"
        path.write_bytes(data)
        try:
            for export in discover(path)[0]:
                extract(export, ParseOptions(include_private=True), Path(folder) / export.key)
                formats.add(export.format)
        except NotConserved:
            raise
        except ChatImportError:
            pass
    return formats


@pytest.mark.parametrize("data", ZIPS)
def test_all_formats_are_in_the_undamaged_export(data: bytes) -> None:
    assert read_through(data) == FORMATS.keys() - {"slack_txt"}


@given(st.sampled_from(ZIPS), DAMAGES)
def test_a_damaged_zip_is_read_as_far_as_it_goes_or_refused(data: bytes, damages: list[Damage]) -> None:
    read_through(damaged(data, damages))


@given(st.sampled_from(sorted(FILES)), DAMAGES)
def test_a_damaged_file_costs_no_more_than_an_error(name: str, damages: list[Damage]) -> None:
    export = {other: FILES[other] for other in FILES if other.partition("/")[0] == name.partition("/")[0]}
    read_through(zipped(export | {name: damaged(FILES[name], damages)}, zipfile.ZIP_STORED))
