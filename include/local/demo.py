"""The demo's question: what a memory is for, in one line and its answer."""

import textwrap
from collections.abc import Iterator

import msgspec
import pyarrow.parquet as pq

from include.layout import RunFolder
from include.local.standin import KEY
from include.memory_api import connect
from include.memory_api.settings import Settings
from include.records import Conversation

QUESTION = "Who owns the billing migration?"
_WIDTH = 100
_MOST_CHARACTERS = 700


async def ask(base_url: str, run: RunFolder) -> Iterator[str]:
    """Search the memory over all conversations of a run and return the best match in lines."""
    api = connect(Settings(base_url=base_url, api_key=KEY))
    try:
        episodes = await api.search(_conversations(run), QUESTION, limit=1)
    finally:
        await api.aclose()
    lines = ["(the memory knows nothing about it)"]
    for episode in episodes:
        text = textwrap.shorten(episode.text, _MOST_CHARACTERS, placeholder=" …")
        lines = [f"{episode.conversation_id}: {episode.title}", *textwrap.wrap(text, _WIDTH)]
    return (f"  {line}" for line in lines)


def _conversations(run: RunFolder) -> list[Conversation]:
    columns = list(Conversation.__struct_fields__)
    return msgspec.convert(pq.read_table(run.conversations, columns=columns).to_pylist(), list[Conversation])
