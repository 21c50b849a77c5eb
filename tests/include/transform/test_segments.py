"""Rules of segments: which message is in which, and what that means for order, runs and owners."""

import asyncio
import doctest
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include import steps, transform
from include.errors import ChatImportError, ConfigurationError, LedgerError, NotSent, OutcomesUnknown, OutcomeUnknown
from include.memory_api.contract import WHOLE, Evidence, FlushStatus, Receipt, Target
from include.memory_api.v2_wire import session_of, sessions_of
from include.memory_layout import MemoryLayout, memory_layout
from include.parsers import ParseOptions
from include.plan import chunk_name, owners, read_batches, read_plan
from include.records import Conversation, Message, Outgoing
from include.run_folder import PROJECT, RunFolder
from include.transform import segments
from include.window import Window
from tests.support.delivery_runs import QUICK, PromptMemory, World
from tests.support.make_tables import a_conversation, a_message, extracted, ledger_table

DAY_S = 86_400
FIRST_S = 1_772_323_200  # 2026-03-01, midnight UTC
LAYOUT = MemoryLayout(segments="thread-day", memory_of="workspace")


def ts(second: int) -> str:
    return f"{FIRST_S + second}.000100"


def said(second: int, thread: int | None = None, text: str = "hello", **fields: object) -> Message:
    """A Slack message so many seconds after the first of March; ``thread`` is when its root was written."""
    given: dict[str, object] = {
        "sent_at_us": (FIRST_S + second) * 1_000_000 + 100,
        "thread_id": None if thread is None else ts(thread),
        "text": text,
    }
    return a_message(ts(second), **(given | fields))


def transformed(folder: Path, messages: Sequence[Message], **arguments: Any) -> dict[str, str]:
    """Transform one export; return the segment of each message that is left to load, in order."""
    conversations = arguments.pop("conversations", None)
    ordered = sorted(messages, key=lambda message: message.conversation_id)
    out = RunFolder(folder / "run")
    transform.transform(
        [extracted(folder / "export", ordered, conversations=conversations)], out, layout=LAYOUT, **arguments
    )
    rows = [row for part in out.message_parts() for row in pq.read_table(part).to_pylist()]
    return {row["message_id"]: row["segment_id"] for row in rows}


# --- which message is in which segment ------------------------------------------------------------------------------


def test_a_thread_with_its_root_is_a_segment_and_the_rest_of_a_day_is_one(tmp_path: Path) -> None:
    found = transformed(
        tmp_path, [said(10), said(20), said(30, thread=20), said(40), said(DAY_S), said(2 * DAY_S, thread=20)]
    )
    thread = f"slack_general.2026-03-01.thread-{ts(20)}"
    assert found == {
        ts(10): "slack_general.2026-03-01",
        ts(20): thread,
        ts(30): thread,
        ts(40): "slack_general.2026-03-01",
        ts(DAY_S): "slack_general.2026-03-02",
        ts(2 * DAY_S): thread,
    }


def test_days_are_those_of_utc(tmp_path: Path) -> None:
    assert list(transformed(tmp_path, [said(-1), said(0)]).values()) == [
        "slack_general.2026-02-28",
        "slack_general.2026-03-01",
    ]


@pytest.mark.parametrize("source", ["discord", "everos"])
def test_replies_elsewhere_make_no_segments(tmp_path: Path, source: str) -> None:
    conversations = [a_conversation(source=source)]
    found = transformed(
        tmp_path, [said(1, source=source), said(2, thread=1, source=source)], conversations=conversations
    )
    assert set(found.values()) == {"slack_general.2026-03-01"}


def test_a_personal_history_is_one_segment_the_session_as_it_was_given(tmp_path: Path) -> None:
    conversations = [a_conversation("notes", source="everos", kind="personal", user_id="ann")]
    messages = [said(day * DAY_S, source="everos", conversation_id="notes") for day in range(3)]
    assert set(transformed(tmp_path, messages, conversations=conversations).values()) == {"notes"}


def test_what_does_not_fit_goes_into_numbered_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MAX_MESSAGES", 2)
    found = transformed(tmp_path, [said(second) for second in range(5)])
    assert list(found.values()) == ["slack_general.2026-03-01"] * 2 + ["slack_general.2026-03-01.2"] * 2 + [
        "slack_general.2026-03-01.3"
    ]


@given(
    st.text("aü", min_size=1, max_size=128),
    st.sampled_from(["2026-03-01", f"2026-03-01.thread-{ts(0)}", "thread-" + "f" * 16]),
    st.integers(1, 99_999),
)
def test_the_id_of_a_segment_is_never_too_long(conversation_id: str, name: str, number: int) -> None:
    made = segments.segment_id_of(conversation_id, name, number)
    assert len(made) <= 128
    assert made.endswith(name if number == 1 else f"{name}.{number}")
    assert made != segments.segment_id_of(conversation_id + "b", name, number)


entries = st.lists(
    st.tuples(
        st.integers(0, 4 * DAY_S),
        st.booleans(),
        st.integers(0, 30),
        st.sampled_from(["a", "ü" * 9, "z" * 40]),
        st.sampled_from(["slack_a", "slack_b"]),
    ),
    max_size=60,
    unique_by=lambda entry: (entry[0], entry[4]),
)


def history(drawn: Sequence[tuple[int, bool, int, str, str]]) -> list[Message]:
    """Messages of which some are in the thread of an earlier one of their conversation."""
    made: list[Message] = []
    roots: dict[str, list[int]] = defaultdict(list)
    for second, is_reply, which, text, conversation_id in sorted(drawn):
        known = roots[conversation_id]
        root = known[which % len(known)] if is_reply and known else None
        if root is None:
            known.append(second)
        made.append(said(second, root, text, conversation_id=conversation_id))
    return made


@settings(max_examples=min(60, settings().max_examples))
@given(drawn=entries, batch_rows=st.integers(1, 20), landed=st.sets(st.integers(0, 59)), since=st.integers(0, DAY_S))
def test_every_message_is_in_one_segment_in_order_within_the_limits_whatever_was_loaded_before(
    drawn: list[tuple[int, bool, int, str, str]], batch_rows: int, landed: set[int], since: int
) -> None:
    messages = history(drawn)
    known = [(m.conversation_id, m.message_id) for n, m in enumerate(messages) if n in landed]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(segments, "MAX_MESSAGES", 3)
        patch.setattr(segments, "MAX_BYTES", 60)
        whole = segments_by_message(Path(folder) / "whole", messages)
        patch.setattr("include.transform.staging.BATCH_ROWS", batch_rows)
        assert segments_by_message(Path(folder) / "in pieces", messages) == whole
        rest = segments_by_message(
            Path(folder) / "rest",
            messages,
            landed=lambda _: ledger_table(known),
            since_us=(FIRST_S + since) * 1_000_000,
        )
    assert whole.keys() == {(m.conversation_id, m.message_id) for m in messages}
    assert rest.items() <= whole.items()
    members: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        members[whole[message.conversation_id, message.message_id]].append(message)
    with_replies = {(m.conversation_id, m.thread_id) for m in messages if m.thread_id}
    last: dict[str, int] = {}
    for name, some in members.items():
        assert len(name) <= 128
        assert len(some) <= 3
        assert len(some) == 1 or sum(len(m.text.encode()) for m in some) <= 60
        threads = {
            m.thread_id or (m.message_id if (m.conversation_id, m.message_id) in with_replies else None) for m in some
        }
        assert len({(m.conversation_id, thread) for m in some for thread in threads}) == 1
        if threads == {None}:
            assert len({m.sent_at_us // 1_000_000 // DAY_S for m in some}) == 1
        series = re.sub(r"(2026-03-\d\d(?:\.thread-\d+\.\d+)?)(\.\d+)?$", r"\1", name)
        if series in last:
            assert last[series] < some[0].sent_at_us
        last[series] = some[-1].sent_at_us


def segments_by_message(folder: Path, messages: Sequence[Message], **arguments: Any) -> dict[tuple[str, str], str]:
    out = RunFolder(folder / "run")
    ordered = sorted(messages, key=lambda message: message.conversation_id)
    transform.transform([extracted(folder / "export", ordered)], out, layout=LAYOUT, **arguments)
    rows = [row for part in out.message_parts() for row in pq.read_table(part).to_pylist()]
    assert rows == sorted(rows, key=lambda row: (row["conversation_id"].encode(), row["timestamp_ms"]))
    return {(row["conversation_id"], row["message_id"]): row["segment_id"] for row in rows}


# --- runs -----------------------------------------------------------------------------------------------------------


class Sessions(PromptMemory):
    """A v2 store in this process: messages by session, and how many sessions were being written to at once."""

    target = Target(base_url="https://prompt.example", api_version="v2")

    def __init__(self, delay_s: float = 0) -> None:
        super().__init__()
        self.sessions: dict[str, list[Outgoing]] = defaultdict(list)
        self.at_once = self.most_at_once = 0
        self.writing: set[str] = set()
        self._delay_s = delay_s

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        session = session_of(conversation)
        assert session not in self.writing, "one batch of a session at a time"
        self.writing.add(session)
        self.most_at_once = max(self.most_at_once, len(self.writing))
        await asyncio.sleep(self._delay_s)
        self.writing.discard(session)
        self.sessions[session] += messages
        return Receipt(task_id=None, landed=True)

    async def flush(self, conversation: Conversation) -> Any:
        self.flushes.append(session_of(conversation))
        return FlushStatus.EXTRACTED


class Nights:
    """Runs into one store, each with an export of its own."""

    def __init__(self, home: Path, memory: Sessions | None = None) -> None:
        self.memory = memory or Sessions()
        self.world = World(home, self.memory)
        self._exports = home / "exports"

    def staged(
        self,
        run_id: str,
        messages: Sequence[Message],
        layout: MemoryLayout = LAYOUT,
        conversations: Sequence[Conversation] | None = None,
        **arguments: Any,
    ) -> tuple[RunFolder, list[Any]]:
        run = RunFolder.of(run_id, self.world.home)
        run.make()
        ordered = sorted(messages, key=lambda message: message.conversation_id)
        (run.root / "extracted").mkdir()
        extracted(run.root / "extracted" / "export", ordered, conversations=conversations)
        steps.transform(run, Window(), self.world.ledger, layout=layout)
        return run, steps.plan(run, batch_size=2, **arguments)

    def load(self, run_id: str, messages: Sequence[Message], **arguments: Any) -> RunFolder:
        run, chunks = self.staged(run_id, messages, **arguments)
        for chunk in chunks:
            self.world.load(run, chunk, run_id=run_id)
        self.world.flush(run, run_id=run_id)
        return run


def test_a_thread_whose_replies_come_over_three_nights_ends_as_one_session_in_order(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    thread = f"slack_general.2026-03-01.thread-{ts(20)}"
    first = [said(10), said(20), said(30, thread=20), said(40)]
    second = [*first, said(DAY_S), said(DAY_S + 1, thread=20), said(DAY_S + 2, thread=20), said(DAY_S + 3, thread=20)]
    third = [*second, said(2 * DAY_S, thread=20)]
    for night, messages in enumerate((first, second, third)):
        nights.load(f"night {night}", messages)
    held = {name: [message.message_id for message in some] for name, some in nights.memory.sessions.items()}
    assert held == {
        "slack_general.2026-03-01": [ts(10), ts(40)],
        thread: [ts(second) for second in (20, 30, DAY_S + 1, DAY_S + 2, DAY_S + 3, 2 * DAY_S)],
        "slack_general.2026-03-02": [ts(DAY_S)],
    }
    assert nights.memory.flushes.count(thread) == 3


def test_a_message_that_got_replies_later_is_not_sent_again(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    nights.load("night 1", [said(10), said(20)])
    nights.load("night 2", [said(10), said(20), said(DAY_S, thread=10)])
    sent = [message.message_id for some in nights.memory.sessions.values() for message in some]
    assert sorted(sent) == [ts(10), ts(20), ts(DAY_S)]


def test_a_run_that_is_cleared_after_a_later_one_does_not_send_what_that_one_put_elsewhere(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    early, chunks = nights.staged("early", [said(10), said(20)])
    nights.load("late", [said(10), said(20), said(30, thread=10)])
    for chunk in chunks:
        nights.world.load(early, chunk, run_id="early")
    sent = [message.message_id for some in nights.memory.sessions.values() for message in some]
    assert sorted(sent) == [ts(10), ts(20), ts(30)]


def test_segments_of_one_conversation_go_side_by_side_each_in_order(tmp_path: Path) -> None:
    nights = Nights(tmp_path, Sessions(delay_s=0.02))
    messages = [said(day * DAY_S + second) for day in range(8) for second in range(6)]
    nights.load("run 1", messages)
    assert 2 < nights.memory.most_at_once <= QUICK.concurrency
    assert len(nights.memory.sessions) == 8
    for some in nights.memory.sessions.values():
        times = [message.timestamp_ms for message in some]
        assert times == sorted(set(times))
        assert len(times) == 6


def test_a_large_conversation_is_spread_over_chunks_and_a_segment_is_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.plan.chunks.WORTHWHILE", 10)
    run, chunks = Nights(tmp_path).staged("run 1", [said(day * DAY_S + n) for day in range(20) for n in range(5)])
    assert len(chunks) == 10
    assert {chunk.messages for chunk in chunks} == {10}
    planned = read_plan(run)
    assert len({segment.segment_id for segment in planned}) == len(planned) == 20


class Unreliable(Sessions):
    """Answers with nothing where it has stored a batch, stored half of it, or nothing of it; or is away."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.good = False
        self._random = Random(seed)

    async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
        how = (
            "good" if self.good else self._random.choice(["good", "good", "lost after", "lost before", "half", "away"])
        )
        if how == "away":
            raise NotSent("connection refused")
        stored = {"good": len(messages), "lost after": len(messages), "half": len(messages) // 2}.get(how, 0)
        receipt = await super().add(conversation, messages[:stored])
        if how != "good":
            raise OutcomeUnknown("no answer")
        return receipt

    async def find(
        self, conversation: Conversation, message_ids: Sequence[str], *, part: slice = WHOLE, **_: object
    ) -> Evidence:
        held = {message.message_id for message in self.sessions[session_of(conversation)]}
        found = {message_id in held for message_id in message_ids[part]}
        if len(found) == 2:
            return Evidence.UNPROVABLE
        return Evidence.PRESENT if found == {True} else Evidence.ABSENT


def test_a_message_of_unknown_outcome_stays_in_its_segment_also_when_it_gets_replies(tmp_path: Path) -> None:
    class Silent(Unreliable):
        async def add(self, conversation: Conversation, messages: Sequence[Outgoing]) -> Receipt:
            receipt = await Sessions.add(self, conversation, messages)
            if not self.good:
                raise OutcomeUnknown("no answer")
            return receipt

        async def find(self, *args: Any, **kwargs: Any) -> Evidence:
            return await super().find(*args, **kwargs) if self.good else Evidence.UNPROVABLE

    memory = Silent(0)
    nights = Nights(tmp_path, memory)
    run, chunks = nights.staged("run 1", [said(10)])
    with pytest.raises(OutcomesUnknown):
        nights.world.load(run, chunks[0], settings=replace(QUICK, settle_s=0.02))
    memory.good = True
    nights.load("run 2", [said(10), said(20, thread=10)])
    held = {name: [message.message_id for message in some] for name, some in memory.sessions.items()}
    assert held == {"slack_general.2026-03-01": [ts(10)], f"slack_general.2026-03-01.thread-{ts(10)}": [ts(20)]}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_each_message_is_in_its_session_once_and_in_order(tmp_path: Path, seed: int) -> None:
    memory = Unreliable(seed)
    nights = Nights(tmp_path, memory)
    messages = [said(day * DAY_S + n, None if n % 3 else day * DAY_S) for day in range(4) for n in range(9)]
    run, chunks = nights.staged("run 1", messages)
    patience = replace(QUICK, settle_s=0.02, give_up_after_s=0.2)
    for tried in range(20):
        memory.good = tried > 5
        try:
            for chunk in chunks:
                nights.world.load(run, chunk, settings=patience)
            break
        except ChatImportError:
            continue
    outcome = nights.world.outcomes(run)["slack_general"]
    assert (outcome.loaded, outcome.pending, outcome.unknown) == (36, 0, 0)
    sent = [message.message_id for some in memory.sessions.values() for message in some]
    assert sorted(sent) == sorted(message.message_id for message in messages)
    for some in memory.sessions.values():
        times = [message.timestamp_ms for message in some]
        assert times == sorted(times)


# --- layouts and owners ---------------------------------------------------------------------------------------------


def test_a_store_that_was_loaded_in_one_layout_is_not_continued_in_another(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    nights.load("run 1", [said(10)])
    sent = dict(nights.memory.sessions)
    for other in (
        MemoryLayout(segments="conversation", memory_of="workspace"),
        MemoryLayout(segments="thread-day", memory_of="person"),
    ):
        with pytest.raises(LedgerError, match=r"memory_of=workspace.*memory_of=\w+\. Nothing was sent.*project_id"):
            nights.load(f"run in {other}", [said(10), said(20)], layout=other)
    assert nights.memory.sessions == sent


def test_a_layout_may_be_changed_as_long_as_nothing_was_sent(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    nights.world.ledger.keep_layout(MemoryLayout(segments="conversation", memory_of="person"))
    nights.load("run 1", [said(10)])
    assert list(nights.memory.sessions) == ["slack_general.2026-03-01"]


@pytest.mark.parametrize("given", [{"segments": "thread-day"}, {"memory_of": "workspace"}, {"segments": "week"}])
def test_a_layout_that_v1_cannot_have_is_refused(given: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        memory_layout("v1", **given)


def test_one_owner_has_the_public_conversations_and_private_ones_have_their_own(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    conversations = [
        a_conversation("slack_general", workspace="Acme & Co"),
        a_conversation("slack_secret", workspace="Acme & Co", private=True),
        a_conversation("notes", source="everos", kind="personal", user_id="U1"),
    ]
    messages = [
        said(1, sender_id="U1", sender_name="Ann"),
        said(2, sender_id="U2", sender_name="Ann"),
        said(3, sender_id="U3", sender_name="Bob"),
        said(4, sender_id="B1", sender_name="bot", role="assistant"),
        said(5, conversation_id="slack_secret"),
        said(6, conversation_id="notes", source="everos"),
    ]
    run, chunks = nights.staged("run 1", messages, conversations=conversations)
    for chunk in chunks:
        nights.world.load(run, chunk)
    said_by = {
        name: [(message.sender_id, message.sender_name, message.role) for message in some]
        for name, some in nights.memory.sessions.items()
    }
    assert said_by == {
        "slack_general.2026-03-01": [
            ("slack_Acme+20+26+20Co", "Ann (U1)", "user"),
            ("slack_Acme+20+26+20Co", "Ann (U2)", "user"),
            ("slack_Acme+20+26+20Co", "Bob", "user"),
            ("slack_Acme+20+26+20Co", "bot", "user"),
        ],
        "notes": [("U1", "Ann", "user")],
    }, "a private conversation is left out unless it is asked for"
    secret = owners.owner_of(conversations[1], LAYOUT)
    assert secret == "conversation_slack_secret"


def test_on_v1_a_segment_is_the_conversation_and_senders_stay_who_they_are(tmp_path: Path) -> None:
    world, run = World(tmp_path, PromptMemory()), RunFolder.of("run 1", tmp_path)
    for export in steps.discover(PROJECT / "include" / "samples", run):
        steps.extract(export, ParseOptions(), run)
    steps.transform(run, Window(), world.ledger)
    steps.plan(run, batch_size=None)
    extracted_senders: set[str] = set()
    for file in run.extracted_files("messages-*.parquet"):
        extracted_senders |= set(pq.read_table(file, columns=["sender_id"])["sender_id"].to_pylist())
    planned = read_plan(run)
    assert len(planned) > 5
    for segment in planned:
        assert segment.segment_id == segment.conversation_id
        for batch in read_batches(run.plan / chunk_name(segment.chunk), segment):
            assert {message.sender_id for message in batch.messages} <= extracted_senders


def test_a_limit_of_model_calls_leaves_the_rest_for_another_run(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    messages = [said(day * DAY_S + second) for day in range(4) for second in range(4)]
    each = 2 + 1 + 1 + 2  # batches, flush, cells, facts and profile of one owner
    run = nights.load("run 1", messages, max_model_calls=2 * each + 1)
    assert len(nights.memory.sessions) == 2
    outcome = nights.world.outcomes(run)["slack_general"]
    assert (outcome.loaded, outcome.pending) == (8, 8)
    nights.load("run 2", messages)
    assert sum(map(len, nights.memory.sessions.values())) == 16


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Mapping[str, Any]]:
    """The samples in a v2 store, with a limit that leaves some of them; and the run's report."""
    home = tmp_path_factory.mktemp("home")
    world, run = World(home, Sessions()), RunFolder.of("run 1", home)
    for export in steps.discover(PROJECT / "include" / "samples", run):
        steps.extract(export, ParseOptions(include_private=True), run)
    steps.transform(run, Window(), world.ledger, ParseOptions(include_private=True))
    for chunk in steps.plan(run, batch_size=None, max_model_calls=100):
        world.load(run, chunk)
    world.flush(run)
    report = steps.report(
        run,
        world.ledger,
        run_id="run 1",
        target=Sessions.target,
        started_at=datetime.now(UTC),
        dry_run=False,
        problems=[],
    )
    return run, report


def test_the_report_counts_segments_and_says_what_a_limit_has_left(
    sample_run: tuple[RunFolder, Mapping[str, Any]],
) -> None:
    _, report = sample_run
    assert report["conserved"]
    assert report["layout"] == {"segments": "thread-day", "memory_of": "workspace"}
    assert report["estimate"]["llm_calls"] <= 100
    [problem] = report["problems"]
    assert problem.startswith(f"{report['pending']:,} messages are left for another run")
    assert report["loaded"] == report["estimate"]["messages"] > 0
    assert max(row["segments"] for row in report["conversations"]) > 1
    assert {row["flushed"] for row in report["conversations"] if row["loaded"]} == {"extracted"}


def test_owners_json_keeps_private_conversations_apart(sample_run: tuple[RunFolder, Mapping[str, Any]]) -> None:
    run, report = sample_run
    assert "owners.json" in report["files"]
    found = json.loads(run.owners.read_bytes())
    private = {row["conversation_id"] for row in report["conversations"] if row["private_reason"]}
    assert private
    for owner in found["owners"]:
        assert owner["private"] == bool(private.intersection(owner["conversations"]))
        assert not owner["private"] or len(owner["conversations"]) == 1
    assert {each["conversation_id"] for each in found["conversations"] if each["private"]} == private
    assert all(each["members"] for each in found["conversations"])


IDS = st.text("ab.-_1é", min_size=1, max_size=128)


@given(
    conversation_id=IDS,
    others=st.sets(IDS, max_size=5),
    name=st.sampled_from(
        [
            "2026-03-01",
            "2026-03-01.thread-1772323200.000100",
            "2026-03-01.thread-17723232001.000000001",
            "thread-" + 16 * "a",
        ]
    ),
    number=st.sampled_from([1, 2, 12_345]),
)
def test_the_conversation_and_the_thread_of_a_segment_are_known_by_its_id(
    conversation_id: str, others: set[str], name: str, number: int
) -> None:
    segment = segments.segment_id_of(conversation_id, name, number)
    assert segments.conversation_of(segment, {conversation_id, *others} - {segment}) == conversation_id
    first = segment if number == 1 else segment.removesuffix(f".{number}")
    assert segments.thread_of(segment) == (first if "thread-" in name else None)


@given(conversation_id=IDS, number=st.sampled_from([1, 99_999]), name=st.sampled_from(["2026-03-01", 40 * "x"]))
def test_a_search_in_a_conversation_includes_all_its_segments(conversation_id: str, number: int, name: str) -> None:
    """40 characters and the number are the longest that a segment adds."""
    segment = segments.segment_id_of(conversation_id, name, number)
    conversation = Conversation(conversation_id=conversation_id, source="", kind="group", channel_id="", name="")
    whole, some = (each["session_id"] for each in sessions_of(conversation))
    assert whole == conversation_id
    assert some["gte"].encode() <= segment.encode() < some["lt"].encode()


def test_the_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(segments).failed == 0
    assert doctest.testmod(owners).failed == 0
