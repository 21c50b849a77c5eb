"""Rules of asking: who is asked, what is left out, and what an answer shows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from include.errors import ConfigurationError, StorageError
from include.local.answers import lines
from include.local.asking import Answers, Memories, ask, memories_of
from include.memory_api.contract import MOST_EPISODES, Episode, Target
from include.memory_layout import MemoryLayout
from include.records import Conversation
from include.report.owners import Member, OwnedConversation, Owner, Owners
from include.run_folder import RunFolder

V1, V2 = (Target(base_url="https://memory.example", api_version=version) for version in ("v1", "v2"))
DAY_MS = 86_400_000
FIRST_MS = 1_772_323_200_000  # 2026-03-01
ROOT = "slack_general.2026-03-01.thread-1772323200.000100"

ANN, BEN, BENS_NAMESAKE = (
    Member(sender_id=f"U{number}", sender_name=name) for number, name in enumerate(("Ann", "Ben", "Ben"))
)


def conversation(name: str, *members: Member, private: bool = False) -> OwnedConversation:
    return OwnedConversation(
        conversation_id=f"slack_{name}", name=name, kind="group", private=private, members=members or (ANN,)
    )


GENERAL, OPS, BOARD = conversation("general", ANN, BEN), conversation("ops"), conversation("board", private=True)


def document(
    *conversations: OwnedConversation, written_at: str = "2026-03-02", target: Target = V2, **owners: Sequence[str]
) -> Owners:
    """What a run wrote; ``owners`` by name, each with the names of conversations, default: those of a workspace."""
    if not owners:
        owners = {"slack_acme": [each.name for each in conversations if not each.private]}
        owners |= {f"conversation_slack_{each.name}": [each.name] for each in conversations if each.private}
    private = {each.name for each in conversations if each.private}
    return Owners(
        run_id="run",
        written_at=written_at,
        target=target.name,
        layout=MemoryLayout(segments="thread-day", memory_of="workspace" if "slack_acme" in owners else "person"),
        owners=tuple(
            Owner(owner=owner, private=bool(private & {*of}), conversations=tuple(f"slack_{name}" for name in of))
            for owner, of in owners.items()
        ),
        conversations=conversations,
    )


def passage(segment_id: str, text: str, *, day: int = 0, owner: str = "slack_acme", score: float = 1) -> Episode:
    at_ms = FIRST_MS + day * DAY_MS
    return Episode(segment_id=segment_id, owner=owner, title="", text=text, timestamp_ms=at_ms, score=score)


@dataclass
class Memory:
    """A store that finds all that its owners hold, the best score first."""

    held: Sequence[Episode]
    target: Target = V2
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def search(
        self, query: str, owners: Sequence[str], conversations: Sequence[Conversation] = (), *, limit: int = 3
    ) -> list[Episode]:
        names = [each.conversation_id for each in conversations]
        self.asked.append({"owners": list(owners), "conversations": names, "limit": limit})
        found = [each for each in self.held if each.owner in owners or self.target is V1]
        found = [each for each in found if not names or each.segment_id.startswith(tuple(names))]
        return sorted(found, key=lambda each: -(each.score or 0))[:limit]

    async def episodes(self, segment: Conversation, owner: str, *, limit: int = MOST_EPISODES) -> list[Episode]:
        found = [each for each in self.held if each.owner == owner and each.segment_id.startswith(segment.segment_id)]
        return sorted(found, key=lambda each: each.timestamp_ms or 0)[:limit]


def answers(memory: Memory, *documents: Owners, **arguments: Any) -> Answers:
    return asyncio.run(ask(memory, Memories(documents), "why?", **arguments))  # type: ignore[arg-type]


def texts(found: Answers) -> list[list[str]]:
    return [[each.text for each in answer.passages] for answer in found.answers]


def shown(found: Answers) -> str:
    return "\n".join(lines(found))


def test_the_whole_company_is_asked_with_one_query_without_a_list_of_sessions() -> None:
    memory = Memory([passage("slack_general.2026-03-01", "a"), passage("slack_ops.2026-03-01", "b", score=2)])
    found = answers(memory, document(GENERAL, OPS), limit=2)
    assert texts(found) == [["b"], ["a"]]
    assert memory.asked == [{"owners": ["slack_acme"], "conversations": [], "limit": 2}]


def test_a_private_conversation_is_asked_only_by_its_name_or_with_private() -> None:
    secret = passage("slack_board.2026-03-01", "secret", owner="conversation_slack_board")
    memory, company = Memory([secret]), document(GENERAL, BOARD)
    found = answers(memory, company)
    assert (texts(found), found.private) == ([], 1)
    assert "1 private conversation was not asked: IN=<name> asks one, PRIVATE=1 asks all." in shown(found)
    assert all("conversation_slack_board" not in each["owners"] for each in memory.asked)
    assert texts(answers(memory, company, only=BOARD)) == [["secret"]]
    everything = answers(memory, company, private=True)
    assert (texts(everything), everything.private, everything.owners) == ([["secret"]], 0, 2)


def test_a_person_who_is_asked_for_the_company_tells_nothing_private_and_nothing_of_unknown_places() -> None:
    held = [
        passage("slack_board.2026-03-01", "secret", owner="U0", score=3),
        passage("slack_elsewhere.2026-03-01", "unknown", owner="U0", score=2),
        passage("slack_general.2026-03-01", "open", owner="U0"),
    ]
    people = document(GENERAL, BOARD, U0=["general", "board"], U1=["general"])
    found = answers(Memory(held), people, limit=1)
    assert (texts(found), found.owners, found.left_out) == ([["open"]], 2, 2)
    assert "Left out: 2 passages of conversations that were not asked." in shown(found)


def test_a_conversation_that_has_become_private_is_no_longer_shown() -> None:
    then = document(GENERAL, OPS, written_at="2026-03-02")
    now = document(GENERAL, conversation("ops", private=True), written_at="2026-03-03")
    memory = Memory([passage("slack_ops.2026-03-01", "was open")])
    assert texts(answers(memory, now, then)) == []
    by_name = answers(memory, now, then, only=now.conversations[1])
    assert (texts(by_name), by_name.owners) == ([["was open"]], 2)


def test_one_conversation_is_asked_of_its_owners_only() -> None:
    memory = Memory([passage("slack_general.2026-03-01", "a"), passage("slack_ops.2026-03-01", "b")])
    found = answers(memory, document(GENERAL, OPS), only=OPS)
    assert texts(found) == [["b"]]
    assert memory.asked[0]["conversations"] == ["slack_ops"]


def test_on_v1_public_groups_are_searched_by_their_ids() -> None:
    memory = Memory([passage("slack_general", "a", owner="")], target=V1)
    found = answers(memory, document(GENERAL, OPS, BOARD, target=V1))
    assert texts(found) == [["a"]]
    assert memory.asked[0]["conversations"] == ["slack_general", "slack_ops"]
    assert "Asked the memory for 2 conversations." in shown(
        answers(memory, document(GENERAL, OPS, target=V1, nobody=[]))
    )


def test_a_thread_is_one_answer_and_read_whole_with_its_late_replies_and_continuations() -> None:
    held = [
        passage(ROOT, "Ann: shall we?", score=1),
        passage(f"{ROOT}.2", "Ben: go", day=9, score=0),
        passage(ROOT, "Ben: which one", day=2, score=2),
        passage("slack_general.2026-03-01", "of the day", score=0.5),
    ]
    found = answers(Memory(held), document(GENERAL), limit=2)
    assert texts(found) == [["Ann: shall we?", "Ben: which one", "Ben: go"], ["of the day"]]
    assert "1. general, 2026-03-01 to 2026-03-10: Ann, Ben (thread of 3 passages)" in shown(found)


def test_a_long_thread_shows_its_beginning_and_what_was_found() -> None:
    held = [passage(ROOT, f"{number} " + "word " * 200, day=number, score=float(number == 7)) for number in range(9)]
    found = answers(Memory(held), document(GENERAL), limit=1)
    printed = shown(found)
    assert [number for number in range(9) if f"   {number} word" in printed] == [0, 7]
    assert printed.count("   …") == 2
    assert len(printed) < 4_000


@pytest.mark.parametrize(
    ("text", "speakers"),
    [
        ("Then Ben (U1) agreed with Ann; Annabel was not there.", "Ben (U1), Ann"),
        ("10:00\nAnn: ask Ben (U1)", "Ann"),
        ("Nobody spoke.", ""),
    ],
)
def test_speakers_are_the_members_at_the_beginning_of_lines_or_in_prose_those_named(text: str, speakers: str) -> None:
    """Two of one name are told apart as in the messages that were sent."""
    place = conversation("general", BENS_NAMESAKE, BEN, ANN)
    heading = f"1. general, 2026-03-01{': ' if speakers else ''}{speakers}\n"
    assert heading in shown(answers(Memory([passage("slack_general", text)]), document(place)))


def test_the_heading_names_the_conversation_and_its_id_where_two_have_one_name() -> None:
    held = [passage("slack_ops.2026-03-01", "a"), passage("slack_general", "b"), passage("slack_unknown", "c")]
    other = msgspec.structs.replace(OPS, conversation_id="discord_ops")
    found = answers(Memory(held), document(GENERAL, OPS, other))
    assert [answer.title for answer in found.answers] == ["ops (slack_ops)", "general", "slack_unknown"]


def test_what_a_message_says_cannot_control_the_terminal() -> None:
    found = answers(Memory([passage("slack_general", "\x1b[2Jgone\u202e")]), document(GENERAL))
    assert shown(found).isascii()


@pytest.mark.parametrize("name", ["slack_ops", "ops", "#Ops"])
def test_a_conversation_is_known_by_its_id_and_by_its_name(name: str) -> None:
    assert Memories([document(GENERAL, OPS)]).named(name) is OPS


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("genral", r"no conversation 'genral' was imported.* Nearest names: 'general'"),
        ("ops", "slack_ops, discord_ops"),
    ],
)
def test_a_name_of_no_conversation_or_of_several_is_refused(name: str, sentence: str) -> None:
    other = msgspec.structs.replace(OPS, conversation_id="discord_ops")
    with pytest.raises(ConfigurationError, match=sentence):
        Memories([document(GENERAL, OPS, other)]).named(name)


def write(home: Path, run_id: str, content: bytes) -> None:
    run = RunFolder.of(run_id, home)
    run.make()
    run.owners.write_bytes(content)


def test_what_the_newest_run_into_the_target_says_of_a_conversation_counts(tmp_path: Path) -> None:
    renamed = msgspec.structs.replace(OPS, name="operations")
    elsewhere = Target(base_url="https://other.example", api_version="v2")
    for number, each in enumerate(
        [
            document(renamed, written_at="2026-03-03"),
            document(OPS, GENERAL, written_at="2026-03-02"),
            document(BOARD, written_at="2026-03-04", target=elsewhere),
        ]
    ):
        write(tmp_path, f"run {number} " + "x" * 300, msgspec.json.encode(each))
    known = memories_of(tmp_path, V2).conversations
    assert {name: each.name for name, each in known.items()} == {"slack_ops": "operations", "slack_general": "general"}


def test_without_a_run_into_the_target_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no run in .* has loaded anything into https://memory.example"):
        memories_of(tmp_path, V2)


def test_a_file_of_another_version_is_named(tmp_path: Path) -> None:
    write(tmp_path, "old", b'{"run_id": "old", "owners": []}')
    with pytest.raises(StorageError, match=r"old/owners.json is not an owners.json of this version"):
        memories_of(tmp_path, V2)
