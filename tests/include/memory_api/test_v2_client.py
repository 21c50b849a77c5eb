"""The v2 client against a server that answers whatever a test wants: what it sends, and what it makes of answers."""

import asyncio
import contextlib
import dataclasses
import gzip
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any

import pytest

from include.errors import (
    ChatImportError,
    ConfigurationError,
    NotSent,
    OutcomeUnknown,
    QuotaExhausted,
    Refused,
    Throttled,
)
from include.memory_api import MemoryAPI, Settings, connect
from include.memory_api.contract import WHOLE, Evidence, FlushStatus, Receipt, TaskState
from include.records import Conversation, Outgoing

START_MS = 1_767_225_600_000
SECRET = "the launch code is swordfish and nobody may read it in a log"
CONVERSATION = Conversation(
    conversation_id="slack_general", source="slack", kind="group", channel_id="C1", name="general"
)
QUEUED = {"request_id": "task-1", "data": {"status": "queued", "message_count": 3, "pending": 1}}


@dataclasses.dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class _Listening(ThreadingHTTPServer):
    request_queue_size = 128  # by default the sixth connection of a moment may be reset


class Server:
    """Answers by a function of what was asked: ``(status, body)``, pieces to write, or ``None`` to hang up."""

    def __init__(self, answers: Callable[[Asked], tuple[int, Any] | Iterator[bytes] | None]) -> None:
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = 0
        self.headers: dict[str, str] = {}
        outer, counting = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = Asked(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
                with counting:
                    outer.asked.append(asked)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                answer = answers(asked)
                with counting:
                    outer.at_once -= 1
                if answer is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if isinstance(answer, Iterator):
                    with contextlib.suppress(OSError):
                        for piece in answer:
                            self.connection.sendall(piece)
                    return
                status, content = answer
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = handle_any  # noqa: N815 - the names that http.server wants

            def log_message(self, *_: object) -> None:
                pass

        self._http = _Listening(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Server"]:
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()


def always(status: int, body: Any) -> Callable[[Asked], tuple[int, Any]]:
    return lambda _: (status, body)


def messages(count: int = 3, **changes: Any) -> list[Outgoing]:
    return [
        Outgoing(
            message_id=f"m{n}",
            timestamp_ms=changes.get("timestamp_ms", START_MS + n * 1000),
            sender_id=changes.get("sender_id", "U1"),
            sender_name="Ada",
            role="user",
            text=changes.get("text", SECRET),
        )
        for n in range(count)
    ]


def ask[T](base_url: str, call: Callable[[MemoryAPI], Awaitable[T]], **settings: Any) -> T:
    async def talk() -> T:
        api = connect(Settings(base_url=base_url, api_version="v2", **settings))
        try:
            return await call(api)
        finally:
            await api.aclose()

    return asyncio.run(talk())


def answered[T](answers: Callable[[Asked], Any], call: Callable[[MemoryAPI], Awaitable[T]], **settings: Any) -> T:
    with Server(answers).running() as server:
        return ask(server.base_url, call, **settings)


def add(api: MemoryAPI) -> Awaitable[Receipt]:
    return api.add(CONVERSATION, messages())


def flush(api: MemoryAPI) -> Awaitable[FlushStatus]:
    return api.flush(CONVERSATION)


def poll(api: MemoryAPI) -> Awaitable[TaskState]:
    return api.task_state("task-1")


def find(api: MemoryAPI) -> Awaitable[Evidence]:
    times = [START_MS, START_MS + 1000, START_MS + 2000]
    return api.find(CONVERSATION, ["m0", "m1", "m2"], batch_key="b", timestamps_ms=times, senders=["U1"])


CALLS = [add, flush, poll, find]


def test_a_batch_is_a_session_s_messages_and_the_envelope_names_its_task() -> None:
    with Server(always(202, QUEUED)).running() as server:
        receipt = ask(server.base_url, add, api_key="key", app_id="shop")
    assert receipt == Receipt(task_id="task-1", landed=False)
    sent = server.asked[0]
    assert (sent.method, sent.path, sent.headers["Authorization"]) == ("POST", "/api/v2/memory/add", "Bearer key")
    first = sent.body.pop("messages")[0]
    assert sent.body == {"session_id": "slack_general", "app_id": "shop", "project_id": "default", "async_mode": True}
    assert first == {
        "sender_id": "U1",
        "sender_name": "Ada",
        "role": "user",
        "timestamp": START_MS,
        "content": SECRET,
    }


def test_without_a_key_none_is_sent() -> None:
    with Server(always(202, QUEUED)).running() as server:
        ask(server.base_url, add)
    assert "authorization" not in {name.lower() for name in server.asked[0].headers}


def test_a_server_that_does_the_work_at_once_has_no_task() -> None:
    done = {"request_id": "r", "data": {"status": "extracted", "message_count": 3}}
    assert answered(always(200, done), add) == Receipt(task_id=None, landed=True)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"status": "queued", "message_count": 3}},
        {"request_id": "r", "data": {"status": "queued", "message_count": 2}},
        {"request_id": "r"},
        "<html>a proxy's page</html>",
    ],
)
def test_an_acceptance_that_does_not_add_up_is_an_unknown_outcome(answer) -> None:
    with pytest.raises(OutcomeUnknown):
        answered(always(202, answer), add)


def error(code: str, message: str = "why") -> dict[str, Any]:
    return {"request_id": "r", "error": {"code": code, "message": message, "timestamp": "t", "path": "p"}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (413, error("PAYLOAD_TOO_LARGE"), Refused, "nothing was stored"),
        (422, error("INVALID_INPUT"), Refused, "refused"),
        (429, error("QUEUE_SATURATED"), Throttled, "too many calls"),
        (429, error("quota_exceeded"), QuotaExhausted, "quota"),
        (429, error("RESOURCE_EXHAUSTED"), QuotaExhausted, "quota"),
        (402, error("payment"), QuotaExhausted, "quota"),
        (401, error("unauthorized"), ConfigurationError, "API key"),
        (403, error("VERSION_NOT_ALLOWED"), ConfigurationError, "not enabled for this version"),
        (404, {"detail": "Not Found"}, ConfigurationError, "base URL"),
        (307, "", ConfigurationError, "redirects"),
        (409, error("CONFLICT"), OutcomeUnknown, "may or may not"),
        (500, error("INTERNAL_ERROR"), OutcomeUnknown, "may or may not"),
        (503, error("EXTERNAL_SERVICE_UNAVAILABLE"), OutcomeUnknown, "may or may not"),
        (502, "<html>", OutcomeUnknown, "may or may not"),
    ],
)
def test_an_error_says_what_to_do_next_and_is_not_repeated(status, body, kind, told) -> None:
    for call in (add, flush):
        with Server(always(status, body)).running() as server:
            server.headers = {"location": "/elsewhere"} if status == 307 else {}
            with pytest.raises(ChatImportError, match=told) as caught:
                ask(server.base_url, call)
        assert type(caught.value) is kind
        assert len(server.asked) == 1


def test_the_server_s_wait_is_taken_over() -> None:
    with Server(always(429, error("slow_down"))).running() as server:
        server.headers = {"Retry-After": "7"}
        with pytest.raises(Throttled) as caught:
            ask(server.base_url, add)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("call", CALLS)
def test_a_connection_that_breaks_after_sending_is_an_unknown_outcome_and_nothing_is_repeated(call) -> None:
    with Server(lambda _: None).running() as server, pytest.raises(OutcomeUnknown) as caught:
        ask(server.base_url, call)
    assert ("may or may not have been carried out" in str(caught.value)) == (call in (add, flush))
    assert len(server.asked) == 1


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome(call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OutcomeUnknown, match="SocketTimeoutError"):
            ask(address, call, read_timeout_s=0.2)


def slowly(data: bytes) -> Iterator[bytes]:
    for byte in data:
        time.sleep(0.05)
        yield bytes([byte])


HEAD = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\n"
ANSWER = json.dumps(QUEUED).encode()


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (lambda: slowly(HEAD + b"\r\n" + ANSWER), "no whole answer within 0.7 s"),
        (lambda: chain([HEAD + b"\r\n"], slowly(ANSWER)), "no whole answer within 0.7 s"),
        (lambda: chain([HEAD + b"\r\n"], repeat(b" " * 65_536)), "longer than (4|64) MiB"),
        (lambda: chain([HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(ANSWER)]), "compressed"),
    ],
    ids=["headers trickle", "body trickles", "endless", "compressed"],
)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_does_not_end_in_time_or_in_size_is_an_unknown_outcome(call, pieces, told) -> None:
    with (
        Server(lambda _: pieces()).running() as server,
        pytest.raises(OutcomeUnknown, match=told),
    ):
        ask(server.base_url, call, **({"connect_timeout_s": 0.4, "read_timeout_s": 0.3} if "0.7 s" in told else {}))
    assert len(server.asked) == 1
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("headers", [b"", b"Content-Encoding: gzip\r\n"])
def test_a_status_that_says_enough_counts_whatever_its_body_is(headers: bytes) -> None:
    head = b"HTTP/1.1 429 Slow\r\nConnection: close\r\nRetry-After: 7\r\n" + headers + b"\r\n"
    with pytest.raises(Throttled) as caught:
        answered(lambda _: chain([head], repeat(b"x" * 65_536)), add)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_cut_off_is_an_unknown_outcome(call) -> None:
    head = HEAD + b"Content-Length: 1000\r\n\r\n"
    with pytest.raises(OutcomeUnknown, match="no answer"):
        answered(lambda _: iter([head + ANSWER]), call)


def test_a_call_that_was_given_up_leaves_its_place_to_the_next_ones() -> None:
    answers = iter([slowly(HEAD + b" " * 1000) for _ in range(3)])

    async def story(api: MemoryAPI) -> Receipt:
        for _ in range(3):
            with pytest.raises(OutcomeUnknown, match="no whole answer"):
                await add(api)
        return await add(api)

    with Server(lambda _: next(answers, (202, QUEUED))).running() as server:
        assert ask(server.base_url, story, connect_timeout_s=0.2, read_timeout_s=0.2, connections=1).task_id == "task-1"


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_connection_was_never_a_call(call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotSent, match="nothing was sent"):
        ask(f"http://127.0.0.1:{port}", call)


def test_a_server_without_tls_behind_an_https_address_is_a_wrong_address() -> None:
    with Server(always(200, {})).running() as server, pytest.raises(ConfigurationError, match="no secure connection"):
        ask(server.base_url.replace("http:", "https:"), add)


def test_a_proxy_of_the_environment_is_used_unless_the_address_is_exempt(monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(always(202, QUEUED)).running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.replace("http://", "ada:pass@"))
        assert ask("http://everos.example", add).task_id == "task-1"
        assert proxy.asked[0].path == "http://everos.example/api/v2/memory/add"
        assert proxy.asked[0].headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with Server(always(202, QUEUED)).running() as server:
            ask(server.base_url, add)
        assert len(proxy.asked) == len(server.asked) == 1


@pytest.mark.parametrize(
    "echo",
    [
        error("INVALID_INPUT", f"cannot take {SECRET!r}"),
        error("SWORDFISH", "messages[0].content is swordfish"),
        error("INVALID_INPUT", SECRET.upper()),
        error("INVALID_INPUT", " ".join(SECRET)),
        {"detail": [{"loc": ["messages", 0], "msg": "bad", "input": SECRET}]},
        {"detail": [{"loc": ["messages", 0, "swordfish"], "msg": SECRET, "type": "swordfish"}], "swordfish": SECRET},
        {"error": SECRET, "detail": SECRET},
    ],
)
def test_what_was_written_comes_back_in_no_error(echo) -> None:
    with pytest.raises(Refused) as caught:
        answered(always(422, echo), add)
    said = (str(caught.value) + caught.value.reason).lower()
    assert "swordfish" not in said.replace(" ", "")
    assert "launch" not in said


def test_what_repeats_a_message_is_no_name_of_a_task() -> None:
    for echo in (SECRET, "swordfish", "Launch", SECRET.replace(" ", "_")):
        with pytest.raises(OutcomeUnknown, match="without a request id"):
            answered(always(202, {**QUEUED, "request_id": echo}), add)


@pytest.mark.parametrize(
    ("conversation_id", "changes", "told"),
    [
        ("s" * 129, {}, "session id has 129 characters"),
        ("s", {"sender_id": "a b"}, "sender id 'a b'"),
        ("s", {"sender_id": ".."}, "sender id '..'"),
        ("s", {"sender_id": "x" * 129}, "sender id"),
        ("s", {"timestamp_ms": START_MS // 1000}, "timestamp 1767225600"),
        ("s", {"text": "half \ud83d of a pair"}, "surrogate"),
    ],
)
def test_what_v2_cannot_take_is_refused_before_anything_is_sent(conversation_id, changes, told) -> None:
    conversation = Conversation(
        conversation_id=conversation_id, source="everos", kind="group", channel_id="c", name="n"
    )
    with Server(always(202, QUEUED)).running() as server:
        with pytest.raises(Refused, match=told):
            ask(server.base_url, lambda api: api.add(conversation, messages(**changes)))
        assert server.asked == []


def task(status: str, *, finished: bool) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z" if finished else None
    return {"id": "task-1", "status": status, "finished_at": at, "task_type": "memory_add"}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (task("queued", finished=False), TaskState.PROCESSING),
        (task("pending", finished=False), TaskState.PROCESSING),
        (task("something new", finished=False), TaskState.PROCESSING),
        (task("success", finished=True), TaskState.SUCCESS),
        (task("success", finished=False), TaskState.SUCCESS),
        (task("failed", finished=True), TaskState.FAILED),
        (task("cancelled", finished=True), TaskState.FAILED),
    ],
)
def test_a_task_is_over_when_it_says_when_it_ended(told, state) -> None:
    assert answered(always(200, {"request_id": "r", "data": told}), poll) == state


def test_a_task_that_nobody_knows_is_missing() -> None:
    assert answered(always(404, error("NOT_FOUND")), poll) == TaskState.MISSING


def store(*, tasks: list[dict[str, Any]], waiting: list[int], episodes: dict[str, list[int]]) -> Any:
    """A server that shows this of the session; times are seconds after the start."""

    def iso(second: int) -> str:
        return f"2026-01-01T00:00:{second:02d}.000Z"

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.startswith("/api/v2/tasks"):
            return 200, {"request_id": "r", "data": {"items": tasks}}
        if asked.path == "/api/v2/memory/search":
            return 200, {"data": {"unprocessed_messages": [{"timestamp": iso(at)} for at in waiting]}}
        ends = sorted(episodes.get(asked.body["user_id"], []), reverse=True)
        items = [{"id": str(n), "session_id": "slack_general", "timestamp": iso(end)} for n, end in enumerate(ends)]
        return 200, {"data": {"episodes": items, "total_count": len(items)}}

    return answer


def test_nothing_is_said_of_a_batch_while_the_server_works_on_the_session() -> None:
    working = store(tasks=[task("success", finished=True), task("queued", finished=False)], waiting=[], episodes={})
    with pytest.raises(OutcomeUnknown, match="still works on 1"):
        answered(working, find)


@pytest.mark.parametrize(
    ("waiting", "episodes", "evidence"),
    [
        ([0, 1, 2], {}, Evidence.PRESENT),
        ([], {"U1": [2]}, Evidence.PRESENT),
        ([], {"U2": [2]}, Evidence.ABSENT),  # of somebody who wrote nothing in the batch, and is not asked for
        ([], {}, Evidence.ABSENT),
        ([0, 1], {}, Evidence.UNPROVABLE),
        ([], {"U1": [1]}, Evidence.UNPROVABLE),
        ([7], {}, Evidence.ABSENT),
    ],
)
def test_a_batch_is_known_by_its_times(waiting, episodes, evidence) -> None:
    assert answered(store(tasks=[], waiting=waiting, episodes=episodes), find) == evidence


@pytest.mark.parametrize(
    ("part", "evidence"), [(slice(0, 2), Evidence.PRESENT), (slice(2, 3), Evidence.ABSENT), (None, Evidence.UNPROVABLE)]
)
def test_a_batch_stored_in_part_is_told_part_by_part(part: slice | None, evidence: Evidence) -> None:
    def look(api: MemoryAPI) -> Awaitable[Evidence]:
        times = [START_MS, START_MS + 1000, START_MS + 2000]
        where = {"batch_key": "b", "timestamps_ms": times, "senders": ["U1"], "part": part or WHOLE}
        return api.find(CONVERSATION, ["m0", "m1", "m2"], **where)  # type: ignore[arg-type]

    assert answered(store(tasks=[], waiting=[0, 1], episodes={}), look) == evidence


def test_what_may_be_a_page_of_waiting_messages_proves_no_absence() -> None:
    full = store(tasks=[], waiting=[50] * 100, episodes={})
    assert answered(full, find) == Evidence.UNPROVABLE


def test_tasks_are_asked_for_in_the_store_they_belong_to() -> None:
    with Server(store(tasks=[], waiting=[], episodes={})).running() as server:
        ask(server.base_url, find, app_id="shop", project_id="eu")
    listed = next(asked.path for asked in server.asked if asked.method == "GET")
    assert listed == "/api/v2/tasks?session_id=slack_general&page_size=100&app_id=shop&project_id=eu"
    assert {(a.body["app_id"], a.body["project_id"]) for a in server.asked if a.body} == {("shop", "eu")}


def test_episodes_are_counted_once_however_many_people_share_them() -> None:
    shown = store(tasks=[], waiting=[9], episodes={"U1": [2, 5], "U2": [5, 8, 30]})

    def read(api: MemoryAPI) -> Awaitable[Any]:
        return api.readback(CONVERSATION, ["U1", "U2"], since_ms=START_MS, until_ms=START_MS + 10_000)

    found = answered(shown, read)
    assert (found.unprocessed, found.episodes) == (1, 3)
    assert (found.first_ms, found.last_ms) == (START_MS + 2000, START_MS + 8000)


@pytest.mark.parametrize(
    ("theirs", "doubled"),
    [
        ({"U1": ["02.001", "05.001"], "U2": ["05.001"]}, 0),  # one episode, of two people
        ({"U1": ["02.001", "05.001", "05.001"], "U2": ["05.001", "05.001"]}, 1),
        ({"U1": ["02.001", "05.000", "05.000"]}, 0),  # a target may keep whole seconds only
        ({"U1": ["31.001", "31.001"]}, 0),  # not of this stretch
    ],
)
def test_two_episodes_of_one_person_that_end_at_one_message_are_a_double(theirs, doubled) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/api/v2/memory/search":
            return 200, {"data": {"unprocessed_messages": []}}
        ends = sorted(theirs.get(asked.body["user_id"], []), reverse=True)
        items = [{"id": str(n), "timestamp": f"2026-01-01T00:00:{end}Z"} for n, end in enumerate(ends)]
        return 200, {"data": {"episodes": items, "total_count": len(items)}}

    def read(api: MemoryAPI) -> Awaitable[Any]:
        return api.readback(CONVERSATION, ["U1", "U2"], since_ms=START_MS, until_ms=START_MS + 10_000)

    assert answered(answer, read).doubled == doubled


def test_without_anybody_to_ask_for_there_is_no_evidence_of_episodes() -> None:
    def read(api: MemoryAPI) -> Awaitable[Any]:
        return api.readback(CONVERSATION, [], since_ms=START_MS, until_ms=START_MS)

    found = answered(store(tasks=[], waiting=[], episodes={"U1": [0]}), read)
    assert (found.unprocessed, found.episodes) == (0, None)


def test_a_search_of_many_owners_is_one_call_each_and_returns_shared_episodes_once() -> None:
    """None of the calls names a session unless the search is for a conversation."""
    shared = {"session_id": "slack_general.2026-01-01", "timestamp": "2026-01-01T00:00:02Z", "episode": "shared"}
    own = {"session_id": "slack_ops.2026-01-01", "timestamp": "2026-01-01T00:00:02Z", "episode": "own"}
    held = {"U1": [{**shared, "score": 1.0}], "U2": [{**own, "score": 2.0}, {**shared, "score": 3.0}]}

    def answer(asked: Asked) -> tuple[int, Any]:
        return 200, {"data": {"episodes": held.get(asked.body["user_id"], [])}}

    owners = [f"U{number}" for number in range(50)]
    with Server(answer).running() as server:
        found = ask(server.base_url, lambda api: api.search("why", owners, limit=5))
        ask(server.base_url, lambda api: api.search("why", ["U1"], [CONVERSATION, CONVERSATION.segment("one")]))
    assert [(each.text, each.owner) for each in found] == [("shared", "U2"), ("own", "U2")]
    *everywhere, there = server.asked
    assert len(everywhere) == 50
    assert all("filters" not in each.body for each in everywhere)
    [whole, day, segment] = there.body["filters"]["OR"]
    assert (whole, segment) == ({"session_id": "slack_general"}, {"session_id": "one"})
    assert day["session_id"]["gte"] == "slack_general."


def test_a_flush_that_waits_in_the_queue_is_not_asked_for_again_before_it_is_done() -> None:
    flushes = iter([(202, {"request_id": "f", "data": {"status": "queued"}}), (200, {"data": {"status": "extracted"}})])
    tasks = iter([task("queued", finished=False), task("success", finished=True)])

    def answer(asked: Asked) -> tuple[int, Any]:
        return next(flushes) if asked.method == "POST" else (200, {"data": next(tasks)})

    async def thrice(api: MemoryAPI) -> list[FlushStatus]:
        return [await api.flush(CONVERSATION) for _ in range(3)]

    with Server(answer).running() as server:
        assert ask(server.base_url, thrice) == [FlushStatus.QUEUED, FlushStatus.QUEUED, FlushStatus.EXTRACTED]
    assert [f"{a.method} {a.path}" for a in server.asked] == [
        "POST /api/v2/memory/flush",
        "GET /api/v2/tasks/f",
        "GET /api/v2/tasks/f",
        "POST /api/v2/memory/flush",
    ]


def test_the_event_loop_goes_on_while_calls_wait_and_no_more_of_them_than_allowed_are_under_way() -> None:
    release = threading.Event()

    def answer(_: Asked) -> tuple[int, Any]:
        release.wait(20)
        return 202, QUEUED

    async def story(api: MemoryAPI) -> None:
        calls = [asyncio.create_task(api.add(CONVERSATION, messages())) for _ in range(9)]
        while server.at_once < 3:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.01)
        release.set()  # reached only because nothing of the above blocks
        await asyncio.gather(*calls)

    with Server(answer).running() as server:
        ask(server.base_url, story, connections=3)
    assert (server.most_at_once, len(server.asked)) == (3, 9)


def test_a_cancelled_call_does_not_wait_for_its_answer() -> None:
    release = threading.Event()

    def answer(_: Asked) -> tuple[int, Any]:
        release.wait(20)
        return 202, QUEUED

    async def story(api: MemoryAPI) -> float:
        call = asyncio.create_task(api.add(CONVERSATION, messages()))
        while not server.asked:  # noqa: ASYNC110 - another thread counts
            await asyncio.sleep(0.01)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        still_waiting = server.at_once
        release.set()
        return still_waiting

    with Server(answer).running() as server:
        assert ask(server.base_url, story) == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"api_version": "v2"}, "API key is empty"),
        ({"api_version": "v1", "base_url": "https://everos.example"}, "API key is empty"),
        ({"api_version": "v2", "api_key": "k", "app_id": ".."}, "app_id"),
        ({"api_version": "v2", "api_key": "k", "app_id": "default_app"}, "reserved"),
        ({"api_version": "v2", "api_key": "k", "project_id": "a/b"}, "project_id 'a/b'"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, told) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Settings(**wrong)


def test_another_store_has_another_ledger_and_the_default_one_keeps_its_name() -> None:
    def name(**changes: Any) -> str:
        return Settings(api_version="v2", base_url="http://127.0.0.1:8000", **changes).target.name

    assert name() == name(app_id="default") == name(app_id="default", project_id="default")
    assert len({name(), name(app_id="shop"), name(project_id="shop"), name(app_id="shop", project_id="eu")}) == 4


def test_a_v1_ledger_keeps_its_name() -> None:
    """Folders of ledgers in use are called so: another name would be an empty ledger."""
    assert Settings(api_key="k").target.name == "api.evermind.ai-v1-default-52d1b397"
