"""Writes messages as a Slack export folder: ``users.json``, ``channels.json`` and a file per channel and day."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who writes; ``bot_id`` is set for bots."""

    id: str
    name: str
    bot_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One message of a channel, with its text as Slack's markup."""

    channel: str
    by: Person
    at_us: int
    """Unix microseconds; unique in a set, so that :attr:`ts` names the message."""

    text: str
    thread: str | None = None
    """``ts`` of the root, for replies."""

    edited_us: int | None = None

    @property
    def ts(self) -> str:
        """Slack's id and time of the message."""
        return ts_of(self.at_us)


def ts_of(at_us: int) -> str:
    """Return a time as Slack writes it: seconds with six decimals."""
    return f"{at_us // 1_000_000}.{at_us % 1_000_000:06d}"


def write_export(
    folder: Path,
    team: str,
    people: Iterable[Person],
    channels: Mapping[str, str],
    posts: Sequence[Post],
    *,
    base: Path | None = None,
) -> None:
    """
    Write an export; the same arguments give the same bytes.

    :param channels: Channel ids by name.
    :param base: An export folder whose public channels are part of the same workspace.
    """
    users, listed = _lists(base) if base else ([], [])
    known = {user["id"] for user in users}
    users += [_user(person, team) for person in people if person.id not in known]
    names = {channel["name"] for channel in listed}
    members = sorted({person.id for person in people})
    listed += [_channel(name, channels[name], members) for name in channels if name not in names]
    _write(folder / "users.json", users)
    _write(folder / "channels.json", listed)
    days: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for channel in listed:
        for path in sorted((base / channel["name"]).glob("*.json")) if base else ():
            days[channel["name"], path.stem] += json.loads(path.read_bytes())
    replies: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        if post.thread:
            replies[post.thread].append(post)
    authors = {post.ts: post.by.id for post in posts}
    for post in posts:
        day = datetime.fromtimestamp(post.at_us // 1_000_000, UTC).date().isoformat()
        days[post.channel, day].append(_entry(post, team, replies.get(post.ts, ()), authors))
    for (channel_name, day), entries in sorted(days.items()):
        _write(folder / channel_name / f"{day}.json", sorted(entries, key=lambda entry: str(entry.get("ts"))))


def _lists(base: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return json.loads((base / "users.json").read_bytes()), json.loads((base / "channels.json").read_bytes())


def _user(person: Person, team: str) -> dict[str, Any]:
    name = person.name.split()[0].lower()
    profile = {"real_name": person.name, "display_name": name, "team": team}
    if person.bot_id:
        profile["bot_id"] = person.bot_id
    return {
        "id": person.id,
        "team_id": team,
        "name": name,
        "deleted": False,
        "real_name": person.name,
        "profile": profile,
        "is_bot": bool(person.bot_id),
    }


def _channel(name: str, channel_id: str, members: Sequence[str]) -> dict[str, Any]:
    return {"id": channel_id, "name": name, "is_archived": False, "is_general": name == "general", "members": members}


def _entry(post: Post, team: str, replies: Sequence[Post], authors: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "message", "ts": post.ts}
    if post.by.bot_id:
        title, _, text = post.text.partition("\n")
        attachment = {"id": 1, "fallback": f"{title}: {text}", "title": title, "text": text}
        entry |= {"subtype": "bot_message", "text": "", "bot_id": post.by.bot_id, "username": post.by.name}
        entry |= {"attachments": [attachment]}
    else:
        entry |= {"text": post.text, "user": post.by.id, "team": team}
    if post.edited_us:
        entry["edited"] = {"user": post.by.id, "ts": ts_of(post.edited_us)}
    if post.thread:
        entry |= {"thread_ts": post.thread, "parent_user_id": authors[post.thread]}
    elif replies:
        listed = [{"user": reply.by.id, "ts": reply.ts} for reply in replies]
        entry |= {"thread_ts": post.ts, "reply_count": len(listed), "replies": listed, "latest_reply": listed[-1]["ts"]}
    return entry


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
