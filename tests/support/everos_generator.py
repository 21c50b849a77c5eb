"""Makes a file of group chats as EverOS's import guide has them: ``python tests/everos_generator.py out.json``."""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.support.slack_generator import PEOPLE, WORDS

FIRST_MS = 1_700_000_000_000
GROUPS = 20


def generate(path: Path, *, messages: int, seed: int = 0) -> None:
    """Write an array of groups, indented, with so many messages in all."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        for number in range(GROUPS):
            said = list(_messages(dice, number, messages // GROUPS + (number < messages % GROUPS)))
            group = {"group_id": f"group-{number}", "group_meta": {"name": f"Group {number}"}, "messages": said}
            file.write(b",\n" if number else b"[")
            file.write(msgspec.json.format(msgspec.json.encode(group), indent=2))
        file.write(b"]\n")


def _messages(dice: random.Random, group: int, count: int) -> Iterator[dict[str, Any]]:
    moment_ms = FIRST_MS
    for number in range(count):
        moment_ms += dice.randint(1, 60_000)
        person = dice.randrange(len(PEOPLE))
        yield {
            "message_id": f"{group}-{number}",
            "sender_id": f"U{person}",
            "sender_name": PEOPLE[person],
            "role": "user",
            "timestamp": moment_ms,
            "content": " ".join(dice.choices(WORDS, k=dice.randint(2, 40))),
        }


def main() -> None:
    """Write a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generate(given.path, messages=given.messages, seed=given.seed)


if __name__ == "__main__":
    main()
