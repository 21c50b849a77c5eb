"""Asks a model all questions of the self-hosted server, with the server's code; it runs in the server's environment."""

import asyncio
import json
import sys

from everalgo.boundary import detect_boundaries
from everalgo.llm import build_client
from everalgo.llm.config import LLMConfig
from everalgo.llm.protocols import LLMClient
from everalgo.types import ChatMessage, MemCell
from everalgo.user_memory import AtomicFactExtractor, EpisodeExtractor, ForesightExtractor, ProfileExtractor


async def main(base_url: str) -> None:
    """Read conversations, each a list of messages, from standard input and write what becomes of each, as JSON."""
    llm = build_client(LLMConfig(model="any", api_key="none", base_url=base_url))
    json.dump([await remembered(llm, conversation) for conversation in json.load(sys.stdin)], sys.stdout)


async def remembered(llm: LLMClient, conversation: list[dict[str, object]]) -> dict[str, object]:
    """Make memories of one conversation."""
    messages = [ChatMessage.model_validate(message) for message in conversation]
    cells, _ = await detect_boundaries(messages, llm=llm, is_final=True)
    episodes = [await EpisodeExtractor(llm=llm).aextract(cell, sender_id=None) for cell in cells]
    facts = [
        await AtomicFactExtractor(llm=llm).aextract_from_text(episode.episode, timestamp=episode.timestamp)
        for episode in episodes
    ]
    await background(llm, cells, messages[0])
    return {
        "cells": [[item.id for item in cell.items] for cell in cells],
        "episodes": [{"title": each.subject, "text": each.episode} for each in episodes],
        "facts": [[fact.content for fact in each] for each in facts],
    }


async def background(llm: LLMClient, cells: list[MemCell], first: ChatMessage) -> None:
    """Ask what the server asks in the background; an answer that it cannot use raises."""
    profiles = ProfileExtractor(llm=llm)
    profile = await profiles.aextract(cells, sender_id=first.sender_id)
    await profiles.aextract(cells, sender_id=first.sender_id, old_profile=profile)
    await ForesightExtractor(llm=llm).aextract(cells[0], sender_id=first.sender_id)


asyncio.run(main(sys.argv[1]))
