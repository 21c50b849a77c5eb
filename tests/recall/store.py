"""Reads one store of the self-hosted server: its Markdown, and its answers to questions."""

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from include.local.everos import SelfHosted

_HEAD_LINES = 2
"""Of an episode's text: the mark of the stand-in, and the time."""

MOST_PASSAGES = 60
_PATIENCE_S = 300


@dataclass(frozen=True, kw_only=True)
class Line:
    """One message in a passage."""

    speaker: str
    body: str

    def __str__(self) -> str:
        return f"{self.speaker}: {self.body}"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """An episode, as somebody who asks reads it."""

    session: str
    at: datetime
    """Time of its last message, UTC."""

    lines: tuple[Line, ...]
    score: float = 0.0


@dataclass(frozen=True)
class Store:
    """One project of a server."""

    server: SelfHosted
    project: str

    def episodes(self) -> dict[str, list[Passage]]:
        """Return what each owner has, as the Markdown files hold it."""
        found: dict[str, list[Passage]] = {}
        for path in sorted((self.server.data / "default_app" / self.project / "users").glob("*/episodes/*.md")):
            entries = re.findall(r"<!-- entry:.*?<!-- /entry:", path.read_text(encoding="utf-8"), re.DOTALL)
            found.setdefault(path.parts[-3], []).extend(map(_entry, entries))
        return found

    async def indexed(self, http: httpx.AsyncClient, episodes: Mapping[str, Sequence[Passage]]) -> None:
        """Wait until search knows everything that the Markdown holds."""
        async with asyncio.timeout(_PATIENCE_S):
            for owner, held in episodes.items():
                while await self._count(http, owner) < len(held):  # noqa: ASYNC110 - nobody notifies
                    await asyncio.sleep(0.5)

    async def ask(
        self, http: httpx.AsyncClient, query: str, owner: str, sessions: Collection[str] | None = None
    ) -> list[Passage]:
        """
        Return an owner's best passages, best first.

        :param sessions: Look in these alone.
        """
        asked: dict[str, Any] = {"user_id": owner, "query": query, "method": "keyword", "top_k": MOST_PASSAGES}
        if sessions is not None:
            asked["filters"] = {"OR": [{"session_id": session} for session in sessions]}
        return [_passage(item) for item in (await self._post(http, "search", asked))["episodes"]]

    async def _count(self, http: httpx.AsyncClient, owner: str) -> int:
        data = await self._post(http, "get", {"user_id": owner, "memory_type": "episode", "page": 1, "page_size": 1})
        return int(data["total_count"])

    async def _post(self, http: httpx.AsyncClient, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await http.post(
            f"{self.server.base_url}/api/v2/memory/{call}",
            json={"app_id": "default", "project_id": self.project, **body},
        )
        return dict(answer.raise_for_status().json()["data"])


def merged(answers: Iterable[Sequence[Passage]]) -> list[Passage]:
    """Put the answers of several owners together, best first; what several of them have comes once."""
    best: dict[tuple[str, datetime, tuple[Line, ...]], Passage] = {}
    for passage in (passage for answer in answers for passage in answer):
        key = passage.session, passage.at, passage.lines
        if key not in best or best[key].score < passage.score:
            best[key] = passage
    return sorted(best.values(), key=lambda passage: -passage.score)


def _entry(entry: str) -> Passage:
    fields = dict(re.findall(r"^\*\*(\w+)\*\*: (.+)$", entry, re.MULTILINE))
    _, _, text = entry.partition("### Content\n")
    lines = text.strip().splitlines()[:-1]
    return Passage(
        session=fields["session_id"], at=datetime.fromisoformat(fields["timestamp"]), lines=tuple(_lines(lines))
    )


def _passage(item: Mapping[str, Any]) -> Passage:
    return Passage(
        session=item["session_id"],
        at=datetime.fromisoformat(item["timestamp"]).astimezone(UTC),
        lines=tuple(_lines(item["episode"].splitlines())),
        score=item["score"] or 0.0,
    )


def _lines(lines: Sequence[str]) -> Iterator[Line]:
    for line in lines[_HEAD_LINES:]:
        speaker, _, body = line.partition(": ")
        yield Line(speaker=speaker, body=body)
