"""
Makes the conversation ids of a run: one for each channel, the same in every run.

An id that was made once stays, also when the channel is renamed (:class:`KnownIds`). Two channels never share one:
where names collide, ids take in the workspace, then the platform's id of the channel, then a digest.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from include.ids import MAX_ID_CHARACTERS, conversation_id_of
from include.records import Conversation

type Identity = tuple[str, ...]
"""See :attr:`include.records.Conversation.identity`."""


class Named(Protocol):
    """A channel that needs an id."""

    @property
    def conversation(self) -> Conversation:
        """Its description."""
        ...

    @property
    def imported(self) -> int:
        """Messages of it that are imported."""
        ...


@dataclass(frozen=True, kw_only=True)
class KnownIds:
    """The ids made so far for one id template; none by default."""

    ids: Mapping[Identity, str] = field(default_factory=dict)
    remember: Callable[[Mapping[Identity, str]], None] = lambda _: None
    """Keeps the ids of a run for the next ones; those that are known already are among them."""


def make_ids(channels: Mapping[Identity, Named], template: str, known: Mapping[Identity, str]) -> dict[Identity, str]:
    """
    Return the conversation id of each channel.

    An id that is known belongs to its channel for good, whether or not this run holds that channel. Ids that the source
    gives itself come next, then those made of the template. A channel of which nothing is imported never takes the id
    of one that is.

    :param template: As accepted by :func:`include.ids.check_id_template`.
    """
    ids = {identity: known[identity] for identity in channels if identity in known}
    taken = set(known.values())

    def assign(candidate: _Candidate, waiting: Sequence[Identity], *, alone: bool) -> None:
        """Give an id to those whose candidate no other wants; unless ``alone``, the first of several gets it."""
        wanted: dict[str, list[Identity]] = defaultdict(list)
        for identity in waiting:
            if identity not in ids and (id_ := candidate(channels[identity].conversation)):
                wanted[id_].append(identity)
        for id_, identities in wanted.items():
            if id_ not in taken and (len(identities) == 1 or not alone):
                ids[identities[0]] = id_
                taken.add(id_)

    ordered = sorted(channels)  # groups before personal histories
    imported = [identity for identity in ordered if channels[identity].imported]
    for waiting in (imported, ordered):
        assign(_given, waiting, alone=False)
        assign(_by_template(template), waiting, alone=True)
        *longer, longest = _longer(template)
        for made in longer:
            assign(made, waiting, alone=True)
        assign(longest, waiting, alone=False)
    return ids


def is_longer_id(id_: str, conversation: Conversation, template: str) -> bool:
    """Tell whether an id is one that a conversation gets only where another has or wants the plain one."""
    if id_.endswith(_digest(conversation)):
        return True
    return id_ != _plain(conversation, template) and any(id_ == made(conversation) for made in _longer(template))


type _Candidate = Callable[[Conversation], str]
"""Returns an id for a conversation; empty if it makes none."""


def _longer(template: str) -> tuple[_Candidate, ...]:
    return _with_workspace(template), _with_channel_id(template), _with_digest(template)


def _plain(conversation: Conversation, template: str) -> str:
    return _given(conversation) or _by_template(template)(conversation)


def _given(conversation: Conversation) -> str:
    return "" if conversation.channel else conversation.conversation_id


def _by_template(template: str) -> _Candidate:
    def candidate(conversation: Conversation) -> str:
        if not conversation.channel:
            return ""
        return conversation_id_of(
            template,
            source=conversation.source,
            workspace=conversation.workspace,
            channel=conversation.channel,
            channel_id=conversation.channel_id,
        )

    return candidate


def _with_workspace(template: str) -> _Candidate:
    if "{workspace}" in template:
        return lambda _: ""
    longer = template.replace("{channel", "{workspace}_{channel", 1)
    made = _by_template(longer)
    return lambda conversation: made(conversation) if conversation.workspace else ""


def _with_channel_id(template: str) -> _Candidate:
    return _by_template(template if "{channel_id}" in template else f"{template}_{{channel_id}}")


def _with_digest(template: str) -> _Candidate:
    def candidate(conversation: Conversation) -> str:
        digest = _digest(conversation)
        return f"{_plain(conversation, template)[: MAX_ID_CHARACTERS - len(digest)]}{digest}"

    return candidate


def _digest(conversation: Conversation) -> str:
    digest = hashlib.sha256("\x1f".join(conversation.identity).encode("utf-8", "surrogatepass")).hexdigest()
    return f"_{digest[:12]}"
