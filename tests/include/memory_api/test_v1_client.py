"""Every way a call to EverOS v1 can end, produced by a real server and named by what to do next."""

import asyncio
import json
import logging
import re
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from itertools import repeat
from pathlib import Path

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.delivery.settings import LoadSettings
from include.delivery.state_machine import wait_after_s
from include.errors import (
    ChatImportError,
    ConfigurationError,
    NotSent,
    OutcomeUnknown,
    PermanentError,
    QuotaExhausted,
    Refused,
    Throttled,
)
from include.memory_api import Settings, connect, failures
from include.memory_api.contract import Evidence, FlushStatus, MemoryAPI, Name, Readback, Receipt, TaskState
from include.records import Conversation, Outgoing, Role
from include.standin import Fault, StandIn

START_MS = 1_767_225_600_000
LOOK = {"batch_key": "b", "timestamps_ms": [START_MS, START_MS + 1000, START_MS + 2000], "senders": ["U1"]}
PATIENCE_S = 30
SECRET = "the vault code is four seven one one"
CONVERSATION = Conversation(
    conversation_id="slack_general", source="slack", kind="group", channel_id="C1", name="general"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.running(tmp_path_factory.mktemp("standin")) as standin:
        yield standin


@pytest.fixture
def server_with(server: StandIn) -> Iterator[Callable[..., StandIn]]:
    """The server, with faults for this test only and nothing from the tests before it."""
    server.reset()

    def arm(*faults: Fault) -> StandIn:
        server.set_faults(*faults)
        return server

    yield arm
    server.set_faults()


def messages(count: int = 3, first: int = 0, **changes: str) -> list[Outgoing]:
    return [
        Outgoing(
            message_id=changes.get("message_id", f"m{n}"),
            timestamp_ms=START_MS + n * 1000,
            sender_id="U1",
            sender_name="Ada",
            role="user",
            text=changes.get("text", SECRET),
        )
        for n in range(first, first + count)
    ]


def ask[T](base_url: str, call: Callable[[MemoryAPI], Awaitable[T]], **settings: object) -> T:
    async def talk() -> T:
        api = connect(Settings(base_url=base_url, api_key="k", **settings))  # type: ignore[arg-type]
        try:
            return await call(api)
        finally:
            await api.aclose()

    return asyncio.run(talk())


async def worked_on(server: StandIn) -> None:
    """Wait until every batch that the server accepted is stored, or has failed."""

    def is_going_on() -> bool:
        return any(entry.kind == "add" and entry.task_id and entry.ended_s is None for entry in server.journal())

    async with asyncio.timeout(PATIENCE_S):
        while is_going_on():  # noqa: ASYNC110 - a thread stores
            await asyncio.sleep(0.01)


def arrived(server: StandIn, count: int) -> int:
    """Return how many calls the server has received; a call that was given up may arrive after that."""
    deadline_s = time.monotonic() + PATIENCE_S
    while len(server.journal()) < count and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return len(server.journal())


def add(api: MemoryAPI) -> Awaitable[object]:
    return api.add(CONVERSATION, messages())


def flush(api: MemoryAPI) -> Awaitable[object]:
    return api.flush(CONVERSATION)


def poll(api: MemoryAPI) -> Awaitable[object]:
    return api.task_state("some-task")


def find(api: MemoryAPI) -> Awaitable[Evidence]:
    return api.find(CONVERSATION, ["m0", "m1", "m2"], **LOOK)  # type: ignore[arg-type]


CALLS = [add, flush, poll, find]
DATES = r"(Mon|Fri), [0-9]{1,3} (Jan|Dec) [0-9]{1,9} [0-9]{1,3}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4,9})"
SERVER_ERRORS = [Fault(does="status", status=status) for status in (500, 502, 503, 504, 520)]
AMBIGUOUS = [
    *SERVER_ERRORS,
    Fault(does="status", status=408),
    Fault(does="status", status=409),
    Fault(does="reset_before"),
    Fault(does="reset_after"),
    Fault(does="status_after", status=500),
    Fault(does="hang_before"),
    Fault(does="hang_after"),
    Fault(does="trickle_headers", delay_s=0.05),
    Fault(does="trickle_body", delay_s=0.05),
]


def fault_name(fault: Fault) -> str:
    return f"{fault.does}-{fault.status}"


def is_told_as_open(error: OutcomeUnknown) -> bool:
    """Return whether an error says that the call may have changed something, which no question does."""
    return "may or may not have been carried out" in str(error)


@pytest.mark.parametrize("fault", AMBIGUOUS, ids=fault_name)
@pytest.mark.parametrize("call", CALLS)
def test_whatever_may_have_been_carried_out_is_unknown_and_not_repeated(server_with, fault, call) -> None:
    server = server_with(fault)
    limits = {"connect_timeout_s": 0.7, "read_timeout_s": 0.3} if fault.does.startswith(("hang", "trickle")) else {}
    with pytest.raises(OutcomeUnknown) as caught:
        ask(server.base_url, call, **limits)
    assert is_told_as_open(caught.value) == (call in (add, flush))
    assert arrived(server, 1) == 1


@pytest.mark.parametrize("does", ["endless", "gzip_bomb"])
@pytest.mark.parametrize("call", [add, flush, find])
def test_an_answer_that_is_too_long_or_compressed_is_unknown_and_not_repeated(server_with, does, call) -> None:
    server = server_with(Fault(does=does))
    with pytest.raises(OutcomeUnknown, match=r"the answer is ") as caught:
        ask(server.base_url, call)
    assert is_told_as_open(caught.value) == (call in (add, flush))
    assert len(server.journal()) == 1


@pytest.mark.parametrize("call", CALLS)
def test_429_is_throttled_and_waits_as_long_as_the_server_says(server_with, call) -> None:
    for header, wait_s in [(None, None), ("7", 7.0), ("0.5", 0.5), ("soon", None), ("-3", 0.0), ("inf", None)]:
        server = server_with(Fault(does="status", status=429, retry_after=header))
        with pytest.raises(Throttled) as caught:
            ask(server.base_url, call)
        assert caught.value.retry_after_s == wait_s


@given(
    st.text(max_size=40) | st.floats().map(str) | st.integers().map(str) | st.from_regex(DATES, fullmatch=True),
    st.text(),
)
def test_a_wait_that_a_server_asks_for_is_bounded_whatever_it_says(value: str, date: str) -> None:
    asked = failures.retry_after_s({"retry-after": value, "date": date})
    assert asked is None or 0 <= asked <= failures.MOST_WAIT_S
    assert (
        0 <= wait_after_s(Throttled("429", retry_after_s=asked), 3, 1.0, LoadSettings()) <= 1.1 * failures.MOST_WAIT_S
    )


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0.0),
        ("-7", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e9", 300.0),
        ("31536000", 300.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("Fri, 31 Dec 99999999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_a_wait_of_years_is_cut_and_one_before_now_is_none(value: str, wait_s: float | None) -> None:
    assert failures.retry_after_s({"retry-after": value}) == wait_s


def test_a_server_that_asks_for_no_wait_is_not_called_without_one() -> None:
    for asked in (0.0, 0.001, None):
        waits = [wait_after_s(Throttled("429", retry_after_s=asked), tries, 0.5, LoadSettings()) for tries in (0, 3, 6)]
        assert waits == [0.25, 2.0, 16.0]


def test_a_date_to_retry_after_is_measured_by_the_servers_clock() -> None:
    """This machine's may be hours off, and nobody should wait that long."""
    three_hours_on = time.time() + 3 * 3600
    dates = {"date": formatdate(three_hours_on), "retry-after": formatdate(three_hours_on + 30)}
    assert failures.retry_after_s(dates) == 30


def test_retry_after_may_be_a_date(server_with) -> None:
    server = server_with(Fault(does="status", status=429, retry_after=formatdate(time.time() + 120, usegmt=True)))
    with pytest.raises(Throttled) as caught:
        ask(server.base_url, add)
    assert caught.value.retry_after_s == pytest.approx(120, abs=60)


@pytest.mark.parametrize("code", ["quota_exceeded", "resource_exhausted", "QUOTA_EXCEEDED"])
def test_429_with_a_quota_code_stops_instead_of_waiting(server_with, code) -> None:
    server = server_with(Fault(does="status", status=429, code=code))
    with pytest.raises(QuotaExhausted):
        ask(server.base_url, add)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_refused_for_its_content_says_so_with_status_and_reason(server_with, status) -> None:
    server = server_with(Fault(does="status", status=status))
    with pytest.raises(Refused) as caught:
        ask(server.base_url, add)
    assert caught.value.status == status
    assert caught.value.reason == "HTTP_ERROR"


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 410, 426])
def test_a_wrong_key_or_address_is_not_the_fault_of_a_batch(server_with, status) -> None:
    """Refused batches are taken apart to find the bad message: a wrong key must not reject every message so."""
    server = server_with(Fault(does="status", status=status))
    with pytest.raises(ConfigurationError, match=r"Check (the|that)|use the address that it redirects to"):
        ask(server.base_url, add)


def test_a_refused_message_is_told_by_its_place_and_never_by_its_text(server_with) -> None:
    server = server_with()
    with pytest.raises(Refused, match=r"HTTP_ERROR at messages\[1\]\.content") as caught:
        ask(server.base_url, lambda api: api.add(CONVERSATION, [*messages(1), *messages(1, first=1, text="")]))
    assert SECRET not in str(caught.value)


def test_a_refused_batch_stores_nothing(server_with) -> None:
    server = server_with(Fault(does="refuse", message_ids=("m1",)))
    with pytest.raises(Refused):
        ask(server.base_url, add)
    assert ask(server.base_url, find) == Evidence.ABSENT


def test_half_a_surrogate_pair_is_refused_before_anything_is_sent(server_with) -> None:
    server = server_with()
    with pytest.raises(Refused, match="nothing was sent"):
        ask(server.base_url, lambda api: api.add(CONVERSATION, messages(1, text="broken \ud83d emoji")))
    assert server.journal() == []


@pytest.mark.parametrize("group_meta", ["no JSON", "[1]", "{", "[" * 100_000])
def test_a_group_meta_that_is_no_json_object_is_refused_before_anything_is_sent(server_with, group_meta) -> None:
    server = server_with()
    conversation = msgspec.structs.replace(CONVERSATION, group_meta=group_meta)
    with pytest.raises(Refused, match="group_meta is no JSON object; nothing was sent"):
        ask(server.base_url, lambda api: api.add(conversation, messages()))
    assert server.journal() == []


def test_accepted_without_a_task_id_is_unknown(server_with) -> None:
    with pytest.raises(OutcomeUnknown, match="without a task id"):
        ask(server_with(Fault(does="no_task_id")).base_url, add)


def test_a_task_that_answers_404_is_missing(server_with) -> None:
    server = server_with(Fault(does="task_404_stored", kind="add"))

    async def story(api: MemoryAPI) -> TaskState:
        receipt = await api.add(CONVERSATION, messages())
        return await api.task_state(str(receipt.task_id))

    assert ask(server.base_url, story) == TaskState.MISSING


@pytest.mark.parametrize(
    ("does", "state"),
    [
        ("task_failed", TaskState.FAILED),
        ("task_failed_stored", TaskState.FAILED),
        ("task_stuck", TaskState.PROCESSING),
    ],
)
def test_a_task_says_how_its_batch_fares(server_with, does, state) -> None:
    server = server_with(Fault(does=does, kind="add"))

    async def story(api: MemoryAPI) -> TaskState:
        receipt = await api.add(CONVERSATION, messages())
        await worked_on(server)
        return await api.task_state(str(receipt.task_id))

    assert ask(server.base_url, story) == state


def test_a_batch_stored_in_part_is_not_provable(server_with) -> None:
    server = server_with(Fault(does="partial"))
    with pytest.raises(OutcomeUnknown):
        ask(server.base_url, add)
    assert ask(server.base_url, find) == Evidence.UNPROVABLE


def test_a_batch_whose_answer_was_lost_is_found(server_with) -> None:
    server = server_with(Fault(does="reset_after", count=1))

    async def story(api: MemoryAPI) -> Evidence:
        with pytest.raises(OutcomeUnknown):
            await api.add(CONVERSATION, messages())
        await worked_on(server)
        return await find(api)

    assert ask(server.base_url, story) == Evidence.PRESENT


def test_a_window_full_of_older_messages_proves_nothing(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, episode_messages=500) as server:

        async def story(api: MemoryAPI) -> list[Evidence]:
            seen = []
            for pending in (99, 1):
                await api.add(CONVERSATION, messages(pending, first=-200 + len(seen) * 100))
                await worked_on(server)
                seen.append(await find(api))
            return seen

        assert ask(server.base_url, story) == [Evidence.ABSENT, Evidence.UNPROVABLE]


def by_turns(count: int, *people: tuple[str, Role], first: int = 0) -> list[Outgoing]:
    return [
        Outgoing(
            message_id=f"m{n}",
            timestamp_ms=START_MS + n * 1000,
            sender_id=people[n % len(people)][0],
            sender_name="",
            role=people[n % len(people)][1],
            text=f"note {n}",
        )
        for n in range(first, first + count)
    ]


def look_for(api: MemoryAPI, conversation: Conversation, batch: Sequence[Outgoing]) -> Awaitable[Evidence]:
    return api.find(
        conversation,
        [message.message_id for message in batch],
        batch_key="b",
        timestamps_ms=[message.timestamp_ms for message in batch],
        senders=[],
        writers=[message.sender_id for message in batch],
    )


@pytest.mark.parametrize(
    ("conversation", "people"),
    [
        (CONVERSATION, (("U1", "user"), ("U2", "user"), ("B1", "assistant"))),
        (
            Conversation(
                conversation_id="c",
                source="everos",
                kind="personal",
                channel_id="",
                name="",
                user_id="U1",
                session_id="s",
            ),
            (("U1", "user"), ("helper", "assistant")),
        ),
    ],
    ids=["group", "personal"],
)
def test_a_batch_behind_a_full_window_is_settled_by_asking_for_each_person(
    tmp_path: Path, conversation, people
) -> None:
    with StandIn.running(tmp_path, episode_messages=500) as server:

        async def story(api: MemoryAPI) -> list[Evidence]:
            await api.add(conversation, by_turns(150, *people))
            await worked_on(server)
            batch = by_turns(20, *people, first=150)
            before = await look_for(api, conversation, batch)
            await api.add(conversation, batch)
            await worked_on(server)
            return [before, await look_for(api, conversation, batch)]

        assert ask(server.base_url, story) == [Evidence.ABSENT, Evidence.PRESENT]


def test_a_batch_stored_in_part_behind_a_full_window_is_settled_message_by_message(tmp_path: Path) -> None:
    people: list[tuple[str, Role]] = [("U1", "user"), ("U2", "user"), ("U3", "user")]
    with StandIn.running(tmp_path, episode_messages=500) as server:

        async def story(api: MemoryAPI) -> list[Evidence]:
            await api.add(CONVERSATION, by_turns(200, *people))
            await worked_on(server)
            server.set_faults(Fault(does="partial", kind="add", keep=4))
            batch = by_turns(6, *people, first=200)
            with pytest.raises(OutcomeUnknown):
                await api.add(CONVERSATION, batch)
            ids, times_ms = [m.message_id for m in batch], [m.timestamp_ms for m in batch]
            writers = [m.sender_id for m in batch]
            return [
                await api.find(
                    CONVERSATION, ids, batch_key="b", timestamps_ms=times_ms, senders=[], writers=writers, part=part
                )
                for part in (slice(0, 6), slice(0, 3), slice(3, 4), slice(4, 6))
            ]

        present, absent, mixed = Evidence.PRESENT, Evidence.ABSENT, Evidence.UNPROVABLE
        assert ask(server.base_url, story) == [mixed, present, present, absent]


def test_one_person_s_messages_behind_a_window_full_of_them_prove_nothing(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, episode_messages=500) as server:

        async def story(api: MemoryAPI) -> Evidence:
            await api.add(CONVERSATION, by_turns(150, ("U1", "user")))
            await worked_on(server)
            return await look_for(api, CONVERSATION, by_turns(20, ("U1", "user"), first=150))

        assert ask(server.base_url, story) == Evidence.UNPROVABLE


def shown(pending: Sequence[Outgoing] = (), episode_ends: Sequence[Outgoing] = ()) -> str:
    def iso(message: Outgoing) -> str:
        return datetime.fromtimestamp(message.timestamp_ms / 1000, UTC).isoformat()

    raw = [{"message_id": m.message_id, "sender_id": m.sender_id, "timestamp": iso(m)} for m in pending]
    episodes = [{"id": m.message_id, "timestamp": iso(m)} for m in episode_ends]
    return json.dumps({"data": {"raw_messages": raw, "episodes": episodes, "total_count": len(episodes)}})


@pytest.mark.parametrize(("ends", "evidence"), [(119, Evidence.PRESENT), (130, Evidence.UNPROVABLE)])
def test_extraction_in_the_middle_of_a_look_is_not_taken_for_absence(ends: int, evidence: Evidence) -> None:
    """The older messages were still waiting when the look began, and the batch no longer when its writer was asked."""
    everything = by_turns(140, ("U1", "user"))
    answers = [shown(everything[:100]), shown(), shown(), shown(), shown(episode_ends=[everything[ends]])]
    assert answering(200, answers, lambda api: look_for(api, CONVERSATION, everything[100:120])) == evidence


def test_a_server_that_shows_no_list_of_one_person_proves_nothing() -> None:
    """Asked for one person, it shows nothing, though messages of that person wait: the list says nothing of others."""
    everything = by_turns(140, ("U1", "user"))
    full = shown(everything[:100])
    answers = [full, shown(), shown(), full, shown()]
    assert answering(200, answers, lambda api: look_for(api, CONVERSATION, everything[100:120])) == Evidence.UNPROVABLE


@pytest.mark.parametrize(("status", "kind"), [(429, Throttled), (422, Refused), (401, ConfigurationError)])
@pytest.mark.parametrize(("body", "headers"), [("x" * 5 * 2**20, ""), ("nothing gzip", "Content-Encoding: gzip\r\n")])
def test_a_status_that_says_enough_counts_whatever_its_body_is(body, headers, status, kind) -> None:
    with pytest.raises(kind):
        answering(status, body, add, headers)


@pytest.mark.parametrize(
    ("episodes", "doubled"),
    [
        ([("1", None, "05.001"), ("2", None, "02.001")], 0),
        ([("1", None, "05.001"), ("2", None, "05.001")], 1),
        ([("1", None, "05.001"), ("2", "U1", "05.001")], 0),  # the group's own, and a copy for somebody in it
        ([("1", "U1", "05.001"), ("2", "U1", "05.001"), ("3", None, "05.001")], 1),
        ([("1", None, "05.001"), ("1", None, "05.001")], 0),  # one, shown on two pages
        ([("1", None, "05.000"), ("2", None, "05.000")], 0),  # a target may keep whole seconds only
        ([("1", None, "31.001"), ("2", None, "31.001")], 0),  # not of this stretch
    ],
)
def test_two_episodes_of_one_owner_that_end_at_one_message_are_a_double(episodes, doubled) -> None:
    items = [
        {"id": name, "group_id": "g", "user_id": owner, "timestamp": f"2026-01-01T00:00:{end}Z"}
        for name, owner, end in episodes
    ]
    body = json.dumps({"data": {"raw_messages": [], "episodes": items, "total_count": len(items)}})

    def read(api: MemoryAPI) -> Awaitable[Readback]:
        return api.readback(CONVERSATION, ["U1"], since_ms=START_MS, until_ms=START_MS + 10_000)

    assert answering(200, body, read).doubled == doubled


@pytest.mark.parametrize("elsewhere", ["group", "session"])
def test_what_a_user_wrote_elsewhere_says_nothing_about_a_personal_history(server_with, elsewhere) -> None:
    """Ids are unique in a conversation only, and a search for a user's raw messages shows all that the user wrote."""
    server = server_with()
    personal = {"kind": "personal", "user_id": "U1", "source": "everos", "channel_id": "", "name": ""}
    mine = Conversation(conversation_id="U1", **personal)  # type: ignore[arg-type]
    other = Conversation(conversation_id="U1s", session_id="s", **personal)  # type: ignore[arg-type]

    async def story(api: MemoryAPI) -> list[Evidence]:
        await api.add(CONVERSATION if elsewhere == "group" else other, messages())
        await worked_on(server)
        seen = [await api.find(mine, ["m0", "m1", "m2"], **LOOK)]  # type: ignore[arg-type]
        await api.add(mine, messages())
        await worked_on(server)
        return [*seen, await api.find(mine, ["m0", "m1", "m2"], **LOOK)]  # type: ignore[arg-type]

    assert ask(server.base_url, story) == [Evidence.ABSENT, Evidence.PRESENT]


def test_names_are_made_known(server_with) -> None:
    server = server_with()

    async def story(api: MemoryAPI) -> None:
        for name in (*api.names_in(CONVERSATION, messages()), Name(kind="sender", id="U1", name="Ada")):
            await api.set_name(name)

    ask(server.base_url, story)
    assert [entry.status for entry in server.journal() if entry.kind == "register"] == [200, 200]
    assert server.name_of("group", "slack_general") == "general"


def test_people_are_named_in_calls_of_their_own_where_messages_carry_no_names(server_with) -> None:
    personal = Conversation(
        conversation_id="U1", source="everos", kind="personal", channel_id="U1", name="", user_id="U1"
    )

    async def names_in(api: MemoryAPI) -> list[list[tuple[str, str, str]]]:
        found = (api.names_in(conversation, messages()) for conversation in (CONVERSATION, personal))
        return [[(name.kind, name.id, name.name) for name in names] for names in found]

    server = server_with()
    assert ask(server.base_url, names_in) == [[("group", "slack_general", "general")], [("sender", "U1", "Ada")]]
    assert server.journal() == []


def test_a_name_that_meets_a_429_is_not_repeated_behind_deliverys_back(server_with) -> None:
    server = server_with(Fault(does="status", status=429, retry_after="0", kind="register", count=1))
    with pytest.raises(Throttled):
        ask(server.base_url, lambda api: api.set_name(Name(kind="sender", id="U1", name="Ada")))
    assert len(server.journal()) == 1


def test_a_name_that_is_refused_raises_an_error_of_ours(server_with) -> None:
    server = server_with(Fault(does="status", status=403, kind="register"))
    with pytest.raises(ConfigurationError):
        ask(server.base_url, lambda api: api.set_name(Name(kind="group", id="slack_general", name="general")))


def answering[T](
    status: int, answers: str | Sequence[str], call: Callable[[MemoryAPI], Awaitable[T]], headers: str = ""
) -> T:
    """Talk to a server that gives one answer to everything, or one after the other."""
    left = repeat(answers) if isinstance(answers, str) else iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int((re.search(rb"content-length: (\d+)", head, re.IGNORECASE) or [0, 0])[1]))
        body = next(left)
        writer.write(f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async def talk() -> T:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        api = connect(Settings(base_url=f"http://127.0.0.1:{port}", api_key="k"))
        try:
            return await call(api)
        finally:
            await api.aclose()
            server.close()

    return asyncio.run(talk())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<p>Welcome to our wireless network</p>"),
        (200, ""),
        (202, '{"data": null}'),
        (202, '{"data": {"more": ' + "[" * 100_000 + "]" * 100_000 + "}}"),
        (202, '{"data": {"message_count": 2, "task_id": "t"}}'),
        (200, '{"data": {"status": "exploded"}}'),
    ],
)
def test_an_answer_that_does_not_confirm_the_whole_batch_leaves_it_unknown(status: int, body: str) -> None:
    with pytest.raises(OutcomeUnknown):
        answering(status, body, add)


def test_a_server_that_does_the_work_at_once_needs_no_task() -> None:
    """The open-source server knows no async_mode."""
    answer = (
        '{"data": {"request_id": "r", "message_count": 3, "status": "accumulated", "message": "Messages accepted"}}'
    )
    assert answering(200, answer, add) == Receipt(task_id=None, landed=True)


@pytest.mark.parametrize("status", ["queued", "pending", "missing-ish"])
def test_a_task_status_nobody_has_heard_of_is_not_final(status: str) -> None:
    assert answering(200, f'{{"data": {{"status": "{status}", "task_id": "t"}}}}', poll) == TaskState.PROCESSING


def test_a_name_that_does_not_resolve_never_had_the_call() -> None:
    with pytest.raises(NotSent):
        ask("http://no-such-host.invalid", add)


def test_https_to_a_server_without_it_is_a_configuration_error(server_with) -> None:
    base_url = server_with().base_url.replace("http:", "https:")
    with pytest.raises(ConfigurationError, match="certificate"):
        ask(base_url, add)


def test_a_certificate_nobody_vouches_for_is_a_configuration_error(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subprocess.run([*made, "-subj", "/CN=x", "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def story() -> None:
        server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=context)
        api = connect(Settings(base_url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", api_key="k"))
        try:
            with pytest.raises(ConfigurationError, match="CERTIFICATE_VERIFY_FAILED"):
                await add(api)
        finally:
            await api.aclose()
            server.close()

    asyncio.run(story())


def test_only_a_call_without_a_connection_was_not_sent() -> None:
    """aiohttp has no exception that says so: a new one in a later version leaves the outcome unknown."""
    kinds = [
        kind for kind in vars(aiohttp).values() if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
    ]
    named = {kind.__name__: type(failures.from_transport("a call", kind.__new__(kind))) for kind in kinds}
    bad_address = {name for name, error in named.items() if error is ConfigurationError}
    assert bad_address == {"InvalidURL", "InvalidUrlClientError", "InvalidUrlRedirectClientError"}
    assert {error for name, error in named.items() if name not in bad_address} == {OutcomeUnknown}
    assert isinstance(failures.from_transport("a call", failures.NotConnected()), NotSent)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"detail": [{"loc": ["body", "role"], "msg": "must be user"}]}', "at role"),
        ('{"detail": [{"loc": ["body", "messages", 3, "content"], "msg": "x"}]}', "at messages[3].content"),
        (
            '{"detail": [{"loc": ["body", "messages", 3, "x y"]}, {"loc": [1, "session_id"]}]}',
            "at messages[3], session_id",
        ),
        ('{"code": "HTTP_ERROR", "message": "no such group: group_id"}', "HTTP_ERROR at group_id"),
        (
            '{"code": "HTTP_ERROR", "message": "messages[7].content must not be empty"}',
            "HTTP_ERROR at messages[7].content",
        ),
        (
            '{"error": {"code": "INVALID_INPUT", "message": "Field required: messages.12.role"}}',
            "INVALID_INPUT at messages[12].role",
        ),
        ('{"error": {"code": "quota_exceeded", "message": "wait"}}', "QUOTA_EXCEEDED"),
        ('{"detail": "not allowed"}', ""),
        ('{"code": "teapot"}', ""),
        ('{"code": 17}', ""),
        ('{"detail": [{"loc": ["body", "messages", 3.5]}]}', ""),
        ("[1]", ""),
        ("", ""),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", ""),
    ],
)
def test_a_reason_is_a_known_code_and_the_fields_that_it_is_about(body: str, reason: str) -> None:
    assert failures.read_error(body.encode())[1] == reason


WORDS = ["the", "vault", "code", "is", "four", "seven", "one", "Grüße", "naïve", "OK", "kaboom", "x1y2", "<b>bold</b>"]


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), data=st.data())
def test_nothing_that_was_submitted_is_in_a_reason_whatever_the_server_repeats(
    words: list[str], data: st.DataObject
) -> None:
    text = " ".join(words)
    forms = [
        text,
        text.upper(),
        text.title(),
        text[::-1],
        text[:4],
        text.replace(" ", "_"),
        f"messages[1].{text}",
        *words,
    ]
    form = st.sampled_from([*forms, *(f"messages[{n}].content {form}" for n, form in enumerate(forms))])
    leaf = form | st.integers(0, 600) | st.none()
    value = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(form, inner, max_size=3), max_leaves=9
    )
    names = st.sampled_from(["code", "message", "error", "detail", "loc", "msg", "input", "status"])
    detail = st.lists(st.fixed_dictionaries({"loc": st.lists(leaf, max_size=4), "msg": form}), max_size=3)
    body = data.draw(st.dictionaries(names, value | detail, max_size=4) | st.fixed_dictionaries({"detail": detail}))
    _, reason = failures.read_error(msgspec.json.encode(body))
    assert re.fullmatch(r"([A-Z_]+)? ?(at [a-z_.,0-9 \[\]]+)?", reason)
    shown = set(re.findall(r"[a-z_]+", reason)) - {"at"}
    assert shown <= {"messages", "content", "code", "text", "status"} - {"code"}
    assert not set(re.findall(r"[A-Z_]{2,}", reason)) & {word.upper() for word in words}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
def test_a_server_that_repeats_a_message_in_every_field_is_quoted_nowhere(server_with, call, status, caplog) -> None:
    """In an error, and in an answer that takes the batch: a task's id goes to the ledger."""
    caplog.set_level(logging.DEBUG)
    server = server_with(Fault(does="echo", status=status))
    said = ""
    try:
        ask(server.base_url, call)
    except ChatImportError as error:
        said = f"{error!r} {getattr(error, 'reason', '')}"
    for word in ("vault", "four", "seven"):
        assert word not in (said + caplog.text).lower()


@pytest.mark.parametrize(
    ("task_id", "kept"),
    [
        ("7f3c1b9e-1d1c-4f4e-9f6e-0c2f4a7d8e21", True),
        ("task-1", True),
        (SECRET, False),
        ("VAULT", False),
        ("seven one", False),
        ("vault\\u0020code", False),
        ("Vault_Code-is", False),
        ("x" * 129, False),
        ("", False),
    ],
)
def test_what_repeats_a_message_is_no_name_of_a_task(task_id: str, kept: bool) -> None:
    body = f'{{"data": {{"message_count": 3, "task_id": "{task_id}"}}}}'
    if kept:
        assert answering(202, body, add) == Receipt(task_id=task_id, landed=False)
    else:
        with pytest.raises(OutcomeUnknown, match="without a task id"):
            answering(202, body, add)


def test_no_log_line_holds_chat_text_even_at_debug(server_with, caplog) -> None:
    server = server_with()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("everos").setLevel(logging.DEBUG)
        ask(server.base_url, add)
    assert SECRET not in caplog.text


def test_the_key_is_in_no_error_and_no_repr(server_with) -> None:
    settings = Settings(base_url="https://x.test", api_key="sk-very-secret")
    assert "sk-very-secret" not in repr(settings) + repr(settings.target)
    with pytest.raises(ConfigurationError) as caught:
        Settings(api_key="sk-very\nsecret")
    assert "sk-very" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"base_url": "api.evermind.ai"}, "not an address"),
        ({"base_url": "https://api.evermind.ai/api/v1"}, "leave out the path"),
        ({"base_url": "https://user:pw@host"}, "not an address"),
        ({"api_key": ""}, "API key is empty"),
        ({"api_version": "v3"}, "one of v1, v2"),
        ({"app_id": "a"}, "belong to v2"),
    ],
)
def test_wrong_settings_are_refused_with_the_remedy(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Settings(**{"api_key": "k", **wrong})  # type: ignore[arg-type]
    assert "pw" not in str(caught.value)
    assert isinstance(caught.value, PermanentError)


def test_a_flush_says_whether_there_was_anything_to_cut(server_with) -> None:
    server = server_with()

    async def story(api: MemoryAPI) -> list[FlushStatus]:
        await api.add(CONVERSATION, messages())
        await worked_on(server)
        return [await api.flush(CONVERSATION), await api.flush(CONVERSATION)]

    assert ask(server.base_url, story) == [FlushStatus.EXTRACTED, FlushStatus.NO_EXTRACTION]
