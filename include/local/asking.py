"""
Asks the memory that imports have made: whose memory a question goes to, and the passages that answer it.

A question goes to the public conversations, which is one query where the workspace owns them; private conversations and
personal histories are asked by name, or all with ``private``. Of a passage in a thread the whole thread is read:
replies that came days later, or that no word of the question is in, answer as well.
"""

import asyncio
import difflib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from include.errors import ConfigurationError
from include.memory_api import MemoryAPI
from include.memory_api.contract import MOST_EPISODES, Episode, Target
from include.records import Conversation
from include.report.owners import OwnedConversation, Owners, read_owners
from include.transform.segments import conversation_of, thread_of

_NEAREST = 3
"""Names that are offered for one that matches no conversation."""


@dataclass(frozen=True)
class Memories:
    """What the runs of a state folder have loaded into one target."""

    documents: Sequence[Owners]
    """Newest first."""

    @cached_property
    def conversations(self) -> Mapping[str, OwnedConversation]:
        """All conversations by id, each as the newest run knows it."""
        return {each.conversation_id: each for document in reversed(self.documents) for each in document.conversations}

    @property
    def public(self) -> list[OwnedConversation]:
        """Conversations that everyone may read."""
        return [each for each in self.conversations.values() if not each.private]

    @property
    def of_persons(self) -> bool:
        """Whether owners are persons, whose memories have private and public conversations."""
        return self.documents[0].layout.memory_of == "person"

    def owners(self, names: Set[str]) -> list[str]:
        """
        Return who owns the memory of any of these conversations.

        A conversation that became public or private has had two owners.
        """
        owners = (owner for document in self.documents for owner in document.owners)
        return sorted({owner.owner for owner in owners if not names.isdisjoint(owner.conversations)})

    def title(self, conversation: OwnedConversation) -> str:
        """Return the name, with the id where several conversations have the name."""
        same = sum(each.name == conversation.name for each in self.conversations.values())
        return conversation.name if same == 1 else f"{conversation.name} ({conversation.conversation_id})"

    def named(self, name: str) -> OwnedConversation:
        """
        Return the conversation of this id or name.

        :raises ConfigurationError: None has it, or several have.
        """
        if name in self.conversations:
            return self.conversations[name]
        wanted = name.removeprefix("#").casefold()
        found = [each for each in self.conversations.values() if each.name.casefold() == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(each.conversation_id for each in found)
            raise ConfigurationError(
                f"several conversations are named {name!r}; nothing was asked.", remedy=f"Name one by its id: {ids}."
            )
        raise ConfigurationError(
            f"no conversation {name!r} was imported; nothing was asked.",
            remedy=f"Nearest names: {', '.join(map(repr, self._nearest(wanted)))}.",
        )

    def _nearest(self, wanted: str) -> list[str]:
        """Return the names or ids of the conversations that are most like a text."""
        known = {
            text.casefold(): (each.conversation_id, text)
            for each in self.conversations.values()
            for text in (each.conversation_id, each.name)
        }
        nearest: dict[str, str] = {}
        for found in difflib.get_close_matches(wanted, known, n=2 * _NEAREST, cutoff=0):
            nearest.setdefault(*known[found])
        return list(nearest.values())[:_NEAREST]


def memories_of(home: Path, target: Target) -> Memories:
    """
    Return what the runs of a state folder have loaded into a target.

    :raises ConfigurationError: Nothing.
    """
    documents = read_owners(home, target)
    if not documents:
        raise ConfigurationError(
            f"no run in {home / 'runs'} has loaded anything into {target.base_url} (API {target.api_version}, account "
            f"{target.account}, store {target.app_id}/{target.project_id}): whose memory to ask is not known, and "
            "nothing was asked.",
            remedy="Import an export first, or name the state folder of the import with EVEROS_IMPORT_HOME=….",
        )
    return Memories(documents)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A passage that answers, or the thread that it is in. Its text must not be logged."""

    title: str
    """Name of the conversation; of one that no run of the state folder knows, the id of the segment."""

    conversation: OwnedConversation | None
    found: Episode
    passages: Sequence[Episode]
    """By time; one of them has the text of ``found``."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers, best first, and what was asked for them."""

    answers: Sequence[Answer]
    owners: int
    """Owners that were asked, each with one query; 0 on v1."""

    conversations: int
    """Conversations that the question was about."""

    private: int
    """Private conversations that were not asked."""

    left_out: int
    """Passages that the owners hold of private conversations."""


async def ask(
    api: MemoryAPI,
    memories: Memories,
    question: str,
    *,
    only: OwnedConversation | None = None,
    private: bool = False,
    limit: int = 5,
) -> Answers:
    """
    Ask one question.

    :param only: The one conversation to ask, private or not; by default all public ones.
    :param private: Ask private conversations and personal histories as well.
    :param limit: Answers to return, at most :data:`include.memory_api.contract.MOST_EPISODES`.
    """
    asked = [only] if only else list(memories.conversations.values()) if private else memories.public
    names = {each.conversation_id for each in asked}
    owners = memories.owners(names)
    by_conversation = only is not None or api.target.api_version == "v1"
    scope = [each.record() for each in asked] if by_conversation else []
    shows_unknown = not only and (private or not memories.of_persons)
    for most in sorted({limit, MOST_EPISODES}):
        found = await api.search(question, owners, scope, limit=most)
        best: dict[str, tuple[str | None, Episode]] = {}
        left_out = 0
        for number, episode in enumerate(found):
            name = conversation_of(episode.segment_id, memories.conversations.keys())
            if name in names or (name is None and shows_unknown):
                best.setdefault(thread_of(episode.segment_id) or f"{number}", (name, episode))
            else:
                left_out += 1
        if len(best) >= limit or len(found) < most:
            break
    chosen = list(best.values())[:limit]
    passages = await asyncio.gather(*(_thread(api, episode) for _, episode in chosen))
    answers = []
    for (name, episode), thread in zip(chosen, passages, strict=True):
        known = memories.conversations.get(name or "")
        title = memories.title(known) if known else episode.segment_id
        answers.append(Answer(title=title, conversation=known, found=episode, passages=thread))
    return Answers(
        answers=answers,
        owners=len(owners),
        conversations=len(asked),
        private=0 if only else sum(each.private for each in memories.conversations.values() if each not in asked),
        left_out=left_out,
    )


async def _thread(api: MemoryAPI, found: Episode) -> Sequence[Episode]:
    """Return all passages of the thread that a passage is in; outside threads the passage alone."""
    name = thread_of(found.segment_id)
    if name is None:
        return [found]
    segment = Conversation(conversation_id=name, segment_id=name, source="", kind="group", channel_id="", name="")
    thread = await api.episodes(segment, found.owner)
    # the index that lists episodes may be behind the one that searches them
    return thread if found.text in {episode.text for episode in thread} else [found]
