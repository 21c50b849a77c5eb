"""
Makes a DiscordChatExporter file of one channel and any size.

``python -m tests.support.discord_generator out.json --mb 200``. The file is written while it is made, so that memory
stays small.
"""

import argparse
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from tests.support.slack_generator import PEOPLE, WORDS

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
SNOWFLAKE_EPOCH_MS = 1_420_070_400_000
HEAD = {
    "guild": {"id": "100", "name": "Harbor", "iconUrl": "https://cdn.example/i.png"},
    "channel": {
        "id": "200",
        "type": "GuildTextChat",
        "categoryId": "300",
        "category": "Text",
        "name": "general",
        "topic": None,
    },
    "dateRange": {"after": None, "before": None},
    "exportedAt": "2026-01-01T00:00:00+00:00",
}


def generate(path: Path, *, size_bytes: int, seed: int = 0) -> int:
    """Write a file of about ``size_bytes`` and return how many messages are in it; every one of them says something."""
    dice = random.Random(seed)
    moment = FIRST
    ids = ["0"]
    written = count = 0
    with path.open("wb") as file:
        file.write(
            msgspec.json.format(msgspec.json.encode(HEAD), indent=2).removesuffix(b"\n}") + b',\n  "messages": ['
        )
        while written < size_bytes:
            moment += timedelta(milliseconds=dice.randint(1, 60_000))
            message = _message(dice, moment, ids[-1])
            ids = [*ids[-20:], message["id"]]
            text = msgspec.json.format(msgspec.json.encode(message), indent=2)
            written += file.write((b",\n" if count else b"\n") + text)
            count += 1
        file.write(f'\n  ],\n  "messageCount": {count}\n}}\n'.encode())
    return count


def _message(dice: random.Random, moment: datetime, before: str) -> dict[str, Any]:
    number = dice.randrange(len(PEOPLE))
    other = dice.randrange(len(PEOPLE))
    content = " ".join(dice.choices(WORDS, k=dice.randint(2, 40)))
    message: dict[str, Any] = {
        "id": str((int(moment.timestamp() * 1000) - SNOWFLAKE_EPOCH_MS) << 22),
        "type": "Default",
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "timestampEdited": moment.isoformat() if dice.random() < 0.05 else None,
        "callEndedTimestamp": None,
        "isPinned": False,
        "content": content,
        "author": _person(number),
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
        "inlineEmojis": [],
    }
    if dice.random() < 0.2:
        message |= {"type": "Reply", "reference": {"messageId": before, "channelId": "200", "guildId": "100"}}
    if dice.random() < 0.1:
        message |= {"content": f"@{PEOPLE[other]} **{content}** <:ok:1>", "mentions": [_person(other)]}
    if dice.random() < 0.05:
        url = "https://cdn.example/attachments/1/2/plan.pdf?ex=1&hm=2"
        message["attachments"] = [{"id": "1", "url": url, "fileName": "plan.pdf", "fileSizeBytes": 1000}]
    if dice.random() < 0.05:
        users = [_person(user) for user in range(len(PEOPLE))]
        message["reactions"] = [{"emoji": {"id": "", "name": "👍", "code": "thumbsup"}, "count": 8, "users": users}]
    return message


def _person(number: int) -> dict[str, Any]:
    name = PEOPLE[number]
    role = {"id": "400", "name": "crew", "color": "#3498DB", "position": 1}
    return {
        "id": str(1000 + number),
        "name": name.split()[0].lower(),
        "discriminator": "0000",
        "nickname": name,
        "color": "#3498DB",
        "isBot": False,
        "roles": [role],
        "avatarUrl": f"https://cdn.example/avatars/{1000 + number}/a.png?size=512",
    }


def main() -> None:
    """Write a file and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--mb", type=int, default=200, help="size in megabytes")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count = generate(arguments.path, size_bytes=arguments.mb * 1_000_000, seed=arguments.seed)
    print(f"{count} messages")  # noqa: T201


if __name__ == "__main__":
    main()
