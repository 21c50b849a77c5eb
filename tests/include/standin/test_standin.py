"""The stand-in behaves as EverOS v1 wherever an import can fail, and produces exactly the faults that are set."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.standin import Fault, Latency, StandIn, judge
from include.standin.store import read_journal

HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Clients with this context do not load certificates."""

PROJECT = Path(__file__).parents[3]


class Client:
    """A client without any code of this project, so that the test sees the server's answers."""

    def __init__(self, base_url: str, **options: Any) -> None:
        headers = {"Authorization": "Bearer any"}
        self._http = httpx.Client(base_url=base_url, headers=headers, verify=NO_TLS, **options)

    def get(self, path: str) -> httpx.Response:
        return self._http.get(f"/api/v1{path}")

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self._http.post(f"/api/v1{path}", json=body)

    def add(self, messages: list[dict[str, Any]], *, group_id: str = "g", async_mode: bool = False) -> httpx.Response:
        return self.post("/memories/group", group_id=group_id, messages=messages, async_mode=async_mode)

    def accept(self, messages: list[dict[str, Any]], **where: Any) -> str:
        response = self.add(messages, async_mode=True, **where)
        assert response.status_code == 202
        return str(response.json()["data"]["task_id"])

    def task(self, task_id: str) -> str | None:
        response = self.get(f"/tasks/{task_id}")
        return response.json()["data"]["status"] if response.status_code == 200 else None

    def settle(self, task_id: str) -> str | None:
        wait_for(lambda: self.task(task_id) != "processing")
        return self.task(task_id)

    def flush(self, group_id: str = "g") -> str:
        return str(self.post("/memories/group/flush", group_id=group_id).json()["data"]["status"])

    def pending(self, top_k: int = 100, **filters: Any) -> list[str]:
        body = {"filters": filters or {"group_id": "g"}, "query": "*", "memory_types": ["raw_message"], "top_k": top_k}
        return [raw["message_id"] for raw in self.post("/memories/search", **body).json()["data"]["raw_messages"]]

    def episodes(self, **more: Any) -> dict[str, Any]:
        body = {"filters": {"group_id": "g"}, "memory_type": "episodic_memory", **more}
        data: dict[str, Any] = self.post("/memories/get", **body).json()["data"]
        return data


def message(n: int, *, at_ms: int | None = None, **changes: Any) -> dict[str, Any]:
    made = {
        "message_id": f"m{n}",
        "sender_id": "U1",
        "sender_name": "Ada",
        "role": "user",
        "timestamp": START_MS + n * 1000 if at_ms is None else at_ms,
        "content": f"note number {n}",
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not ...}


def messages(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [message(n) for n in range(first, first + count)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.running(tmp_path_factory.mktemp("standin")) as standin:
        yield standin


@pytest.fixture
def server(shared: StandIn) -> StandIn:
    shared.reset()
    return shared


@pytest.fixture
def client(server: StandIn) -> Client:
    return Client(server.base_url)


# -- refusals


BAD_MESSAGES = {
    "empty content": message(1, content=""),
    "no content": message(1, content=...),
    "no timestamp": message(1, timestamp=...),
    "zero timestamp": message(1, timestamp=0),
    "timestamp in words": message(1, timestamp="2026-01-01"),
    "other role": message(1, role="tool"),
    "no sender in a group": message(1, sender_id=...),
    "reserved message id": message(1, message_id="gen_1"),
    "reserved sender id": message(1, sender_id="gen_1"),
    "not an object": "hello",
}


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_one_bad_message_makes_the_whole_batch_422_and_nothing_is_stored(client: Client, bad: Any) -> None:
    response = client.add([message(0), bad, message(2)])
    assert response.status_code == 422
    assert "messages[1]" in response.json()["message"]
    assert client.pending() == []


def test_a_refusal_never_repeats_content(client: Client) -> None:
    response = client.add([message(0, content="a very private thought", role="tool")])
    assert "private" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {"group_id": "gen_g", "messages": messages(1)},
        {"group_id": "", "messages": messages(1)},
        {"group_id": "g", "messages": []},
        {"group_id": "g", "messages": messages(501)},
        {"group_id": "g"},
    ],
)
def test_a_batch_needs_a_group_and_1_to_500_messages(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/memories/group", **body).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"session_id": "-1", "messages": [message(0, sender_id="U1")]},
        {"messages": [message(0, sender_id="U2")]},
        {"messages": [message(0, sender_id="U1", role="assistant")]},
    ],
)
def test_a_personal_history_is_the_users_own(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/memories", user_id="U1", **body).status_code == 422


def test_without_a_bearer_token_nothing_is_answered(server: StandIn, tmp_path: Path) -> None:
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic x"}):
        assert httpx.get(f"{server.base_url}/api/v1/settings", headers=headers).status_code == 401


def test_with_a_key_it_accepts_no_other(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, key="right") as server:
        for key, status in [("right", 200), ("wrong", 401)]:
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.get(f"{server.base_url}/api/v1/settings", headers=headers).status_code == status


# -- storing and extracting


def test_a_batch_sent_twice_is_stored_twice(server: StandIn, client: Client) -> None:
    for _ in range(2):
        client.add(messages(2))
    assert client.pending() == ["m0", "m1", "m0", "m1"]
    assert judge(server.journal(), {"g": ["m0", "m1"]})["g"].doubled == ("m0", "m1")


def test_pending_messages_of_one_sender_in_a_group_are_shown_with_both_filters(client: Client) -> None:
    by_turns = [message(n, sender_id=f"U{n % 2}", role="user" if n % 2 else "assistant") for n in range(50)]
    client.add(by_turns, group_id="g")
    client.add([message(500, sender_id="U0")], group_id="other")
    wanted = [f"m{n}" for n in range(0, 50, 2)]
    assert client.pending(group_id="g", user_id="U0") == wanted
    assert client.pending(user_id="U0") == [*wanted, "m500"]
    assert client.pending(group_id="g", user_id="U7") == []


def test_a_missing_message_id_is_derived_from_the_time_and_can_collide(client: Client) -> None:
    client.add([message(0, message_id=...), message(1, message_id=..., at_ms=START_MS), message(2, message_id=...)])
    one, two, three = client.pending()
    assert one == two != three
    assert one.startswith("gen_msg_")


def test_a_timestamp_in_seconds_is_taken_as_seconds(client: Client) -> None:
    client.add([message(0, at_ms=START_MS // 1000)])
    client.flush()
    assert client.episodes()["episodes"][0]["timestamp"].startswith("2026-01-01T00:00:00")


def test_raw_messages_are_the_oldest_pending_100_at_most_and_minus_one_means_10(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, episode_messages=500) as server:
        client = Client(server.base_url)
        client.add(messages(120))
        assert client.pending(top_k=500) == client.pending(top_k=100) == [f"m{n}" for n in range(100)]
        assert len(client.pending(top_k=-1)) == 10


def test_a_silence_ends_an_episode_and_the_last_piece_stays_pending(client: Client) -> None:
    late = START_MS + HOUR_MS
    response = client.add([message(0), message(1), message(2, at_ms=late), message(3, at_ms=late + 1)])
    assert response.json()["data"]["status"] == "extracted"
    assert client.pending() == ["m2", "m3"]
    assert [e["timestamp"] for e in client.episodes()["episodes"]] == ["2026-01-01T00:00:01+00:00"]


def test_a_long_conversation_is_cut_so_that_raw_messages_show_all_that_is_pending(client: Client) -> None:
    client.add(messages(150))
    assert client.pending() == [f"m{n}" for n in range(120, 150)]


def test_a_flush_cuts_what_is_pending_once(client: Client) -> None:
    client.add(messages(3))
    assert [client.flush(), client.flush()] == ["extracted", "no_extraction"]
    assert client.pending() == []
    assert client.episodes()["total_count"] == 1


def test_an_episode_is_made_of_sentences_that_people_wrote(client: Client) -> None:
    client.add([message(0, content="The printer jams on Mondays"), message(1, sender_id="U2", sender_name="Bo")])
    client.flush()
    body = {"filters": {"group_id": "g"}, "query": "When does the printer jam?", "memory_types": ["episodic_memory"]}
    (hit,) = client.post("/memories/search", **body).json()["data"]["episodes"]
    assert "Ada: The printer jams on Mondays\nBo: note number 1" in hit["episode"]
    assert hit["participants"] == ["Ada", "Bo"]
    assert hit["score"] > 0


def test_a_message_older_than_what_was_extracted_falls_outside_the_window(server: StandIn, client: Client) -> None:
    client.add([message(10), message(20, at_ms=START_MS + HOUR_MS)])
    client.add([message(5)])
    assert [entry.outside_window for entry in server.journal() if entry.kind == "add"] == [(), ("m5",)]
    client.flush()
    assert not any("number 5" in episode["episode"] for episode in client.episodes()["episodes"])


def test_after_a_flush_an_older_load_is_safe(server: StandIn, client: Client) -> None:
    client.add([message(10), message(20, at_ms=START_MS + HOUR_MS)])
    client.flush()
    client.add([message(5)])
    assert server.journal()[-1].outside_window == ()


def test_episodes_come_in_pages_newest_first_and_by_group(client: Client) -> None:
    client.add([message(n, at_ms=START_MS + n * HOUR_MS) for n in range(5)])
    client.flush()
    page = client.episodes(page=2, page_size=2)
    assert (page["count"], page["total_count"]) == (2, 5)
    assert [episode["subject"] for episode in page["episodes"]] == ["note number 2", "note number 1"]
    assert client.episodes(filters={"group_id": {"in": ["g", "h"]}})["total_count"] == 5
    assert client.episodes(filters={"group_id": {"in": ["h"]}})["total_count"] == 0


@pytest.mark.parametrize(
    "filters", [{}, {"session_id": "s"}, {"group_id": "g", "colour": "red"}, {"group_id": {"like": "g"}}]
)
def test_a_filter_it_does_not_know_is_refused(client: Client, filters: dict[str, Any]) -> None:
    response = client.post("/memories/get", filters=filters, memory_type="episodic_memory")
    assert response.status_code == 422


def test_a_users_raw_messages_are_what_the_user_wrote(client: Client) -> None:
    talk = [message(0), message(1, role="assistant", sender_id=...)]
    client.post("/memories", user_id="U1", messages=talk, session_id="s")
    client.add([message(2)])
    assert client.pending(user_id="U1") == ["m0", "m2"]
    (raw,) = client.post(
        "/memories/search", filters={"user_id": "U1"}, query="*", memory_types=["raw_message"], top_k=1
    ).json()["data"]["raw_messages"]
    assert raw["group_id"].startswith("gen_solo_")
    assert client.pending(group_id=raw["group_id"]) == ["m0", "m1"]


# -- tasks


def test_an_asynchronous_batch_is_stored_when_it_is_due(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, latency=Latency(base_s=0.3)) as server:
        client = Client(server.base_url)
        task_id = client.accept(messages(2))
        assert (client.task(task_id), client.pending()) == ("processing", [])
        assert (client.settle(task_id), client.pending()) == ("success", ["m0", "m1"])


def test_batches_of_one_conversation_race(tmp_path: Path) -> None:
    """Only the client keeps the order, so that errors of order become visible."""
    with StandIn.running(tmp_path, latency=Latency(per_message_s=0.02)) as server:
        client = Client(server.base_url)
        tasks = [client.accept(messages(20)), client.accept(messages(1, first=20))]
        assert [client.settle(task) for task in tasks] == ["success", "success"]
        verdict = judge(server.journal(), {"g": [f"m{n}" for n in range(21)]})["g"]
    assert verdict.out_of_order == tuple(f"m{n}" for n in range(20))
    assert len(verdict.overlapping) == 1


def test_a_task_is_unknown_after_its_time(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, task_kept_s=0.2) as server:
        client = Client(server.base_url)
        task_id = client.accept(messages(1))
        assert client.settle(task_id) == "success"
        time.sleep(0.25)
        assert client.task(task_id) is None


@pytest.mark.parametrize(
    ("does", "state", "stored"),
    [
        ("task_failed", "failed", False),
        ("task_failed_stored", "failed", True),
        ("task_404_failed", None, False),
        ("task_404_stored", None, True),
    ],
)
def test_a_fault_sets_the_end_of_a_task(server: StandIn, client: Client, does: Any, state: Any, stored: bool) -> None:
    server.set_faults(Fault(does=does))
    task_id = client.accept(messages(2))
    wait_for(lambda: server.journal()[0].ended_s is not None)
    assert client.task(task_id) == state
    assert bool(client.pending()) is stored


@pytest.mark.parametrize(("does", "stored"), [("task_stuck", False), ("task_stuck_stored", True)])
def test_a_stuck_task_reports_processing_whether_it_is_stored_or_not(
    server: StandIn, client: Client, does: Any, stored: bool
) -> None:
    server.set_faults(Fault(does=does))
    task_id = client.accept(messages(2))
    wait_for(lambda: server.journal()[0].ended_s is not None)
    assert client.task(task_id) == "processing"
    assert bool(client.pending()) is stored


# -- faults


@pytest.mark.parametrize(
    ("does", "stored"),
    [("status", 0), ("status_after", 4), ("reset_before", 0), ("reset_after", 4), ("partial", 2)],
)
def test_a_fault_happens_before_or_after_storing(server: StandIn, client: Client, does: Any, stored: int) -> None:
    server.set_faults(Fault(does=does, kind="add", count=1))
    if does.startswith("reset"):
        with pytest.raises(httpx.ReadError):
            client.add(messages(4))
        assert server.journal()[0].status is None
    else:
        assert client.add(messages(4)).status_code == 500
    assert len(client.pending()) == stored
    assert client.add(messages(1, first=9)).status_code == 200


def test_a_hanging_call_ends_with_its_client_or_with_the_server(tmp_path: Path) -> None:
    with StandIn.running(tmp_path, faults=[Fault(does="hang_after", kind="add")]) as server:
        impatient = Client(server.base_url, timeout=0.2)
        with pytest.raises(httpx.ReadTimeout):
            impatient.add(messages(1))
        assert Client(server.base_url).pending() == ["m0"]


def test_an_answer_can_trickle_and_ends_with_its_client(server: StandIn, client: Client) -> None:
    for does in ("trickle_headers", "trickle_body"):
        server.set_faults(Fault(does=does, delay_s=0.01))
        with socket.create_connection(("127.0.0.1", int(server.base_url.rsplit(":", 1)[1]))) as raw:
            raw.sendall(b"GET /api/v1/settings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n")
            pieces = [raw.recv(1000) for _ in range(5)]
        assert b"".join(pieces).startswith(b"HTTP/1.1" if does == "trickle_body" else b"HT")
        assert all(len(piece) < 20 for piece in pieces[1:])
        server.set_faults()
        assert client.get("/settings").status_code == 200


def test_an_answer_can_be_endless_or_unpack_to_gigabytes(server: StandIn, client: Client) -> None:
    for does in ("endless", "gzip_bomb"):
        server.set_faults(Fault(does=does))
        with httpx.stream("GET", f"{server.base_url}/api/v1/settings", headers={"Authorization": "Bearer k"}) as answer:
            assert answer.status_code == 200
            length = 0
            for chunk in answer.iter_bytes():
                length += len(chunk)
                if length > 100 * 2**20:
                    break
        assert length > 100 * 2**20


def test_an_error_can_repeat_what_was_submitted_in_every_field(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(does="echo", status=422))
    answer = client.add([message(1, content="my cat is ill")])
    assert answer.status_code == 422
    assert answer.json()["code"] == "MY_CAT_IS_ILL"
    assert answer.json()["detail"][0]["input"] == "my cat is ill"
    assert answer.headers["location"] == "http://my cat is ill/"


def test_a_slow_answer_comes_late(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(does="slow", delay_s=0.3))
    begun = time.monotonic()
    assert client.add(messages(1)).status_code == 200
    assert time.monotonic() - begun >= 0.3


def test_a_fault_keeps_to_its_kind_its_conversation_and_its_count(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(does="status", kind="add", conversation="g", count=2, after=1, status=503))
    assert [client.add(messages(1)).status_code for _ in range(4)] == [200, 503, 503, 200]
    server.set_faults(Fault(does="status", kind="add", conversation="g"))
    assert client.add(messages(1), group_id="h").status_code == 200
    assert client.flush() == "extracted"


def test_equal_seeds_give_equal_faults(server: StandIn, client: Client) -> None:
    def statuses(seed: int) -> list[int]:
        server.set_faults(Fault(does="status", kind="task", probability=0.5, seed=seed))
        return [client.get("/tasks/x").status_code for _ in range(12)]

    first = statuses(1)
    assert set(first) == {500, 404}
    assert first == statuses(1) != statuses(2)


def test_a_rate_limit_accepts_that_many_calls_in_a_second(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(does="rate_limit", kind="flush", rate_per_s=3, retry_after="1"))
    answers = [client.post("/memories/group/flush", group_id="g") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"


def test_a_message_can_be_refused_by_its_id(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(does="refuse", message_ids=("m1",)))
    assert [client.add([m]).status_code for m in messages(3)] == [200, 422, 200]


def test_questions_about_one_batch_can_fail(server: StandIn, client: Client) -> None:
    server.set_faults(Fault(kind="task", does="status", message_ids=("m1",)))
    tasks = [client.add([m], async_mode=True).json()["data"]["task_id"] for m in messages(3)]
    assert [client.get(f"/tasks/{task}").status_code for task in tasks] == [200, 500, 200]


def test_faults_can_be_set_over_http(server: StandIn, client: Client) -> None:
    control = httpx.Client(base_url=f"{server.base_url}/standin", verify=NO_TLS)
    assert control.post("/faults", json=[{"does": "status", "kind": "add", "status": 502}]).json() == {"armed": 1}
    assert client.add(messages(1)).status_code == 502
    assert [(e.kind, e.status, e.fault) for e in server.journal()] == [("add", 502, "status 502")]
    assert control.post("/faults", json=[{"does": "explode"}]).status_code == 422
    assert control.get("/stats").json() == {"messages": 0, "episodes": 0, "tasks": 0, "journal": 1}
    server.reset()
    assert control.get("/stats").json() == {"messages": 0, "episodes": 0, "tasks": 0, "journal": 0}
    assert client.add(messages(1)).status_code == 200


# -- as a process


def start(data: Path, *options: str, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "include.standin", "--port", str(port), "--data", str(data), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert process.stdout
    return process, process.stdout.readline()


def test_its_one_line_names_it_as_a_stand_in_with_address_and_data(tmp_path: Path) -> None:
    process, line = start(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert re.fullmatch(
        rf"STAND-IN for EverOS v1 \(not EverOS\) at http://127\.0\.0\.1:\d+, data in {re.escape(str(tmp_path))}\n", line
    )
    assert process.stdout
    assert process.stdout.read() == ""


def test_a_port_in_use_is_one_sentence_and_not_a_traceback(server: StandIn, tmp_path: Path) -> None:
    port = server.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "include.standin", "--port", port, "--data", str(tmp_path / "other")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert f"127.0.0.1:{port}" in ended.stderr


def test_after_sigkill_and_a_restart_it_has_everything_that_it_had_accepted(tmp_path: Path) -> None:
    process, line = start(tmp_path, "--latency-s", "0.5")
    base_url = line.split(" at ")[1].split(",")[0]
    client = Client(base_url)
    done = client.accept(messages(2))
    assert client.settle(done) == "success"
    waiting = client.accept(messages(2, first=2))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)

    process, again = start(tmp_path, "--latency-s", "0.5", port=int(base_url.rpartition(":")[2]))
    try:
        assert base_url in again
        assert (client.task(done), client.settle(waiting)) == ("success", "success")
        assert client.pending() == ["m0", "m1", "m2", "m3"]
        assert [entry.order for entry in read_journal(tmp_path) if entry.kind == "add"] == [1, 2]
    finally:
        process.kill()
        process.wait(10)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
