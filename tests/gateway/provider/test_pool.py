"""Which connections are kept, which are not, and what is sent again."""

import asyncio

import pytest

from softlaunch.gateway.provider.connection import ProviderConnection
from softlaunch.gateway.provider.errors import ConnectTimeoutError, DroppedError, UnreachableError
from softlaunch.gateway.provider.origin import Origin, request_bytes, target_of
from softlaunch.gateway.provider.pool import ProviderPool
from tests.gateway.provider.scripted import provider, read_request, saying

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_connection_serves_one_request_after_the_other() -> None:
    """Both sides keep it."""

    async def run() -> tuple[list[bytes], int]:
        async with provider(saying(WHOLE, WHOLE, WHOLE)) as there:
            return [await there.ask_whole() for _ in range(3)], there.connections

    assert asyncio.run(run()) == ([b"hello"] * 3, 1)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="it says that it closes"),
        pytest.param(WHOLE.replace(b"1.1", b"1.0"), id="it speaks HTTP/1.0"),
        pytest.param(WHOLE + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", id="it answers unasked"),
    ],
)
def test_a_connection_that_is_not_kept(sent: bytes) -> None:
    """What comes unasked is never taken for the next answer."""

    async def run() -> tuple[list[bytes], int]:
        async with provider(saying(sent, sent)) as there:
            got = []
            for _ in range(2):
                got.append(await there.ask_whole())
                await asyncio.sleep(0.05)
            return got, there.connections

    assert asyncio.run(run()) == ([b"hello"] * 2, 2)


def test_a_kept_connection_that_was_closed_costs_no_request() -> None:
    """It is replaced by a fresh one, once; both attempts are counted."""

    async def run() -> tuple[bytes, int, int]:
        async with provider(saying(WHOLE)) as there:
            await there.ask_whole()
            return await there.ask_whole(), there.attempts, there.connections

    body, attempts, connections = asyncio.run(run())
    assert body == b"hello"
    assert connections == 2
    assert attempts in {2, 3}  # its end may have been seen before the request was sent


def test_a_request_that_was_dropped_is_not_sent_again() -> None:
    """On a connection of its own it may have been worked on."""

    async def run() -> tuple[int, int]:
        async with provider(saying(b"")) as there:
            with pytest.raises(DroppedError):
                await there.ask()
            return there.attempts, there.connections

    assert asyncio.run(run()) == (1, 1)


def test_who_gives_up_waiting_leaves_no_answer_behind() -> None:
    """The next request gets its own answer on another connection."""

    async def run() -> tuple[bytes, int]:
        late = True

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal late
            await read_request(reader)
            if late:
                late = False
                await asyncio.sleep(0.3)
                writer.write(WHOLE.replace(b"hello", b"first"))
            else:
                writer.write(WHOLE)
            await writer.drain()

        async with provider(talk) as there:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(there.ask(), 0.1)
            body = await there.ask_whole()
            await asyncio.sleep(0.3)
            return body, there.connections

    assert asyncio.run(run()) == (b"hello", 2)


@pytest.mark.parametrize(("rest", "connections"), [(b"data: [DONE]\n\n", 1), (b"x" * 100_000, 2)])
def test_what_follows_an_answer_that_is_over(rest: bytes, connections: int) -> None:
    """A little is read away and the connection kept; much isn't waited for."""

    async def run() -> int:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(2):
                await read_request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello" % (5 + len(rest)))
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.write(rest)
                await writer.drain()

        async with provider(talk) as there:
            for _ in range(2):
                answer = await there.ask()
                assert await anext(aiter(answer)) == b"hello"
                there.pool.give_back(answer, over=True)
                await asyncio.sleep(0.2)
            return there.connections

    assert asyncio.run(run()) == connections


def test_an_answer_before_the_request_was_sent() -> None:
    """It is read, and the connection isn't used again."""

    async def run() -> tuple[int, int]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.5)

        async with provider(talk) as there:
            for _ in range(2):
                answer = await there.ask(b"x" * 20_000_000)
                await answer.whole(100)
                there.pool.give_back(answer, over=True)
            return answer.status, there.connections

    assert asyncio.run(run()) == (413, 2)


def test_where_nobody_listens() -> None:
    """It is an error of its own, at once."""

    async def run() -> None:
        pool = ProviderPool(asyncio.get_running_loop())
        try:
            await pool.ask(target_of("http://127.0.0.1:1/"), b"", 5.0, lambda: None)
        finally:
            pool.close()

    with pytest.raises(UnreachableError, match="ConnectionRefusedError"):
        asyncio.run(run())


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_a_host_that_can_not_be(host: str) -> None:
    """A name that no resolver takes is a host that can't be reached."""

    async def run() -> None:
        pool = ProviderPool(asyncio.get_running_loop())
        try:
            await pool.ask(target_of(f"http://{host}/"), b"", 5.0, lambda: None)
        finally:
            pool.close()

    with pytest.raises(UnreachableError):
        asyncio.run(run())


def test_a_connection_that_ended_before_it_was_used() -> None:
    """Nobody waits on it."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        connection = ProviderConnection(Origin("h", 80, tls=False), loop, lambda _: None)
        connection.connection_made(asyncio.Transport())
        connection.connection_lost(None)
        await asyncio.wait_for(connection.ask(b"x"), 5)

    with pytest.raises(DroppedError):
        asyncio.run(run())


def test_a_connection_that_is_never_made() -> None:
    """TLS that isn't answered is given up in time."""

    async def run() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with provider(silent) as there:
            target = target_of(f"https://127.0.0.1:{there.port}/")
            await there.pool.ask(target, b"", 0.2, lambda: None)

    with pytest.raises(ConnectTimeoutError, match=r"no connection within 0\.2 s"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://h/v1/x", "/v1/x HTTP/1.1\r\nhost: h\r\n"),
        ("https://h:443/v1/x?api-version=1", "/v1/x?api-version=1 HTTP/1.1\r\nhost: h\r\n"),
        ("http://[::1]:8080/a b", "/a%20b HTTP/1.1\r\nhost: [::1]:8080\r\n"),
        ("http://bücher.example/ü", "/%C3%BC HTTP/1.1\r\nhost: xn--bcher-kva.example\r\n"),
    ],
)
def test_how_a_url_is_asked(url: str, line: str) -> None:
    """Path and query as they are, the host with its port where that isn't the scheme's."""
    assert target_of(url).line == line


def test_who_is_named_in_a_url() -> None:
    """Goes as the header Authorization, unless there is one."""
    target = target_of("http://me:secret@h/")
    assert b"authorization: Basic bWU6c2VjcmV0\r\n" in request_bytes("POST", target, {}, b"")
    assert b"Basic" not in request_bytes("POST", target, {"authorization": "Bearer k"}, b"")
