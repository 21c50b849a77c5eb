"""
Makes the conversation ids of a run: one for each channel, the same in every run.

An id that was made once stays, also when the channel is renamed (:class:`KnownIds`). Two channels never share one:
where names collide, ids take in the workspace, then the platform's id of the channel, then a digest.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from include.errors import LedgerError
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


class KnownIds:
    """
    The ids made so far for one id template, in a file beside the ledger.

    :param path: JSON: ``{template: [[identity, conversation id], …]}``. ``None``: nothing is remembered.
    :param read_only: Whether ids that are made now are forgotten, as in a dry run.
    :raises LedgerError: the file is damaged; nothing was sent.
    """

    def __init__(self, path: Path | None = None, template: str = "", *, read_only: bool = False) -> None:
        self._path, self._template, self._read_only = path, template, read_only
        self._all: dict[str, list[tuple[list[str], str]]] = {}
        if path is not None and path.exists():
            try:
                self._all = msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[list[str], str]]])
            except msgspec.MsgspecError as error:
                raise LedgerError(
                    f"{path} is damaged ({error}): it holds the ids of conversations that were loaded before. Nothing "
                    "was sent. Bring the file back from a backup of the ledger's folder."
                ) from error
        self.ids: dict[Identity, str] = {tuple(identity): id_ for identity, id_ in self._all.get(template, ())}

    def remember(self, ids: Mapping[Identity, str]) -> None:
        """Add ids to the file; it is replaced in one step."""
        if self._path is None or self._read_only or self.ids.items() >= ids.items():
            return
        self.ids.update(ids)
        self._all[self._template] = sorted((list(identity), id_) for identity, id_ in self.ids.items())
        draft = self._path.with_suffix(".tmp")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(json.dumps(self._all, ensure_ascii=False, indent=0).encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


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
