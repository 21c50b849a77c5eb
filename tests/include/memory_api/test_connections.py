"""Rules of the connections, against servers that answer with any bytes."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from include.errors import ConfigurationError, NotSent, OutcomeUnknown, Throttled
from include.memory_api import MemoryAPI, Settings, connect
from include.memory_api.contract import TaskState

DONE = b'{"data": {"status": "success"}}'
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(DONE) + DONE


class Server:
    """Answers each call with the next bytes, in pieces of a size; keeps what it was asked, by connection."""

    def __init__(self, answers: Sequence[bytes], *, piece: int = 1 << 20, hang_up: bool = False) -> None:
        self._answers = iter(answers)
        self._piece, self._hang_up = piece, hang_up
        self.asked: list[list[bytes]] = []
        self.came, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[bytes] = []
        self.asked.append(asked)
        try:
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                self.came.set()
                answer = next(self._answers, b"")
                for at in range(0, len(answer), self._piece):
                    writer.write(answer[at : at + self._piece])
                    await writer.drain()
                    await asyncio.sleep(0)
                if self._hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def serving(server: Callable[..., Awaitable[None]], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve; yields the port."""
    listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


@asynccontextmanager
async def client(address: str, *, read_timeout_s: float = 5) -> AsyncIterator[MemoryAPI]:
    api = connect(Settings(base_url=address, api_key="k", read_timeout_s=read_timeout_s))
    try:
        yield api
    finally:
        await api.aclose()


async def poll(server: Server, times: int = 1, **settings: float) -> list[TaskState]:
    async with serving(server) as port, client(f"http://127.0.0.1:{port}", **settings) as api:
        return [await api.task_state("t") for _ in range(times)]


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("answer", "hang_up"),
    [
        (WHOLE, False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE, False),
        (
            OK
            + b"transfer-encoding: Chunked\r\n\r\n9;a=b\r\n"
            + DONE[:9]
            + b"\r\n16\r\n"
            + DONE[9:]
            + b"\r\n0\r\n\r\n",
            False,
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + DONE + b"\r\n0\r\nX-Sum: 1\r\n\r\n", False),
        (OK + b"Connection: close\r\n\r\n" + DONE, True),
        (b"HTTP/1.0 200 OK\r\n\r\n" + DONE, True),
    ],
    ids=["length", "interim", "chunks", "trailer", "close", "1.0"],
)
def test_an_answer_is_read_whole_however_it_is_framed_and_cut(answer: bytes, hang_up: bool, piece: int) -> None:
    assert asyncio.run(poll(Server([answer], piece=piece, hang_up=hang_up))) == [TaskState.SUCCESS]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        OK + b"no colon\r\n\r\n" + DONE,
        OK + b"Content-Length: 31\r\nContent-Length: 30\r\n\r\n" + DONE,
        OK + b"Content-Length: -1\r\n\r\n" + DONE,
        OK + b"Content-Length: 32\r\n\r\n" + DONE,
        OK + b"Transfer-Encoding: chunked\r\n\r\n1e\r\n" + DONE + b"\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + DONE + b"\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + DONE + b"\r\n",
        OK + b"X: " + b"x" * 100_000,
    ],
)
def test_an_answer_that_is_not_whole_and_not_http_is_an_unknown_outcome(answer: bytes) -> None:
    with pytest.raises(OutcomeUnknown, match="no answer"):
        asyncio.run(poll(Server([answer], hang_up=True)))


def test_a_status_that_says_enough_is_not_read_on() -> None:
    slow = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 99999999\r\n\r\n"
    with pytest.raises(Throttled) as caught:
        asyncio.run(poll(Server([slow])))
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("first", "connections"),
    [
        (WHOLE, 1),
        (WHOLE + WHOLE, 2),
        (WHOLE.replace(b"OK\r\n", b"OK\r\nConnection: Close\r\n"), 2),
        (WHOLE.replace(b"1.1", b"1.0"), 2),
    ],
    ids=["kept", "more than one answer", "close", "1.0"],
)
def test_a_connection_is_used_again_only_where_the_next_answer_cannot_be_an_old_one(
    first: bytes, connections: int
) -> None:
    server = Server([first, WHOLE])
    assert asyncio.run(poll(server, times=2)) == [TaskState.SUCCESS] * 2
    assert len(server.asked) == connections


def test_a_connection_that_the_server_has_closed_without_a_word_is_not_used_again() -> None:
    server = Server([WHOLE] * 5, hang_up=True)
    assert asyncio.run(poll(server, times=5)) == [TaskState.SUCCESS] * 5
    assert len(server.asked) == 5


def test_a_call_that_is_given_up_closes_its_connection() -> None:
    async def story() -> None:
        server = Server([])
        async with serving(server) as port, client(f"http://127.0.0.1:{port}") as api:
            call = asyncio.create_task(api.task_state("t"))
            await server.came.wait()
            call.cancel()
            await asyncio.wait_for(server.ended.wait(), 5)

    asyncio.run(story())


def test_a_server_that_is_silent_is_an_unknown_outcome_after_the_time_limit_of_an_answer() -> None:
    with pytest.raises(OutcomeUnknown, match="SocketTimeoutError"):
        asyncio.run(poll(Server([]), read_timeout_s=0.1))


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Set the environment's proxy for a scheme."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda scheme, port: monkeypatch.setenv(f"{scheme}_proxy", f"ada:pass@127.0.0.1:{port}")


def test_a_proxy_gets_the_whole_address_and_its_login(proxied: Callable[[str, int], None]) -> None:
    async def story() -> None:
        proxy = Server([WHOLE])
        async with serving(proxy) as port:
            proxied("http", port)
            async with client("http://everos.example") as api:
                assert await api.task_state("t") == TaskState.SUCCESS
        [[asked]] = proxy.asked
        assert asked.startswith(b"GET http://everos.example/api/v1/tasks/t HTTP/1.1\r\n")
        assert b"\r\nProxy-Authorization: Basic YWRhOnBhc3M=\r\n" in asked

    asyncio.run(story())


def test_a_proxy_is_a_tunnel_to_a_server_with_tls_and_never_sees_the_key(
    proxied: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=everos.example", "-addext", "subjectAltName=DNS:everos.example"]
    subprocess.run([*made, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    heads: list[bytes] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            heads.append(data)
            writer.write(data)
        writer.close()

    async def story() -> None:
        server = Server([WHOLE, WHOLE])

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)

        async with serving(server, context) as port, serving(tunnel) as proxy_port:
            proxied("https", proxy_port)
            async with client("https://everos.example") as api:
                assert [await api.task_state("t") for _ in range(2)] == [TaskState.SUCCESS] * 2
        assert len(server.asked) == 1
        assert b"\r\nauthorization: bearer k\r\n" in server.asked[0][0].lower()
        assert heads[0].startswith(b"CONNECT everos.example:443 HTTP/1.1\r\n")
        assert not any(b"bearer" in head.lower() for head in heads)

    asyncio.run(story())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", b"no\r\n\r\n", b""])
def test_what_a_proxy_does_not_pass_on_was_not_sent(proxied: Callable[[str, int], None], answer: bytes) -> None:
    async def story() -> None:
        async with serving(Server([answer], hang_up=True)) as port:
            proxied("https", port)
            async with client("https://everos.example") as api:
                await api.task_state("t")

    with pytest.raises(NotSent, match="nothing was sent"):
        asyncio.run(story())


def test_a_proxy_that_is_not_one_of_http_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://ada:pass@127.0.0.1:1080")
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="not an HTTP proxy") as caught:
        connect(Settings(base_url="http://everos.example", api_key="k"))
    assert "pass" not in str(caught.value)
