"""What a provider may send, and what is made of it."""

import asyncio
import random
from contextlib import suppress

import pytest

from softlaunch.gateway.provider.answer import ProviderAnswer
from softlaunch.gateway.provider.errors import (
    AnswerTooLargeError,
    BrokenOffError,
    DroppedError,
    InvalidHttpError,
    ProviderCallError,
)
from tests.gateway.provider.scripted import provider, read_request, saying

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.mark.parametrize("pieces", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(WHOLE, id="with a length"),
        pytest.param(CHUNKED, id="in chunks"),
        pytest.param(UNTIL_CLOSE, id="until the connection ends"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE, id="interim"),
        pytest.param(WHOLE.replace(b"1.1", b"1.0"), id="of HTTP/1.0"),
    ],
)
def test_an_answer_is_read_however_it_comes(sent: bytes, pieces: int) -> None:
    """Pieces of any size give the same status, headers and body."""

    async def run() -> tuple[int, bytes]:
        async with provider(saying(sent, pieces=pieces)) as there:
            answer = await there.ask()
            return answer.status, await answer.whole(1000)

    assert asyncio.run(run()) == (200, b"hello")


def test_headers_behind_a_body_are_left_out() -> None:
    """A trailer is no header of the answer."""

    async def run() -> ProviderAnswer:
        async with provider(saying(CHUNKED)) as there:
            answer = await there.ask()
            await answer.whole(1000)
            return answer

    assert asyncio.run(run()).raw_headers == [(b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        pytest.param(b"", DroppedError, id="nothing"),
        pytest.param(b"HTTP/1.1 200", DroppedError, id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH_9\r\n\r\n", InvalidHttpError, id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", InvalidHttpError, id="bare line feeds"),
        pytest.param(WHOLE.replace(b"5", b"5, 6"), InvalidHttpError, id="two lengths"),
        pytest.param(
            WHOLE.replace(b"Content-Type", b"Transfer-Encoding: chunked\r\nX"), InvalidHttpError, id="CL and TE"
        ),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            InvalidHttpError,
            id="an upgrade",
        ),
        pytest.param(WHOLE.replace(b" 200 ", b" 999 "), InvalidHttpError, id="a status that isn't"),
        pytest.param(WHOLE.replace(b" 200 ", b" 000 "), InvalidHttpError, id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, InvalidHttpError, id="an endless head"),
        pytest.param(WHOLE[:-1], BrokenOffError, id="a body cut short"),
        pytest.param(CHUNKED[:-9], BrokenOffError, id="no last chunk"),
        pytest.param(CHUNKED.replace(b"3\r\nhel", b"zz\r\nhel"), BrokenOffError, id="a chunk without a size"),
        pytest.param(WHOLE.replace(b"Length: 5", b"Length: 2000") + b"x" * 1995, AnswerTooLargeError, id="too large"),
    ],
)
def test_what_is_no_answer(sent: bytes, error: type[ProviderCallError]) -> None:
    """It ends in an error that says what it was."""

    async def run() -> bytes:
        async with provider(saying(sent)) as there:
            return await (await there.ask()).whole(1000)

    with pytest.raises(error):
        asyncio.run(asyncio.wait_for(run(), 10))


def test_what_came_before_a_break_is_handed_over() -> None:
    """A stream's reader gets every byte, and then the error."""

    async def run() -> list[bytes]:
        got: list[bytes] = []
        async with provider(saying(WHOLE[:-1])) as there:
            answer = await there.ask()
            got.append(await anext(answer))
            with pytest.raises(BrokenOffError):
                await anext(answer)
        return got

    assert b"".join(asyncio.run(run())) == b"hell"


def test_a_reader_that_takes_its_time_holds_the_provider_back() -> None:
    """What isn't taken isn't read: memory stays bounded."""
    size = 20_000_000

    async def run() -> tuple[int, int]:
        sent = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 100_000):
                writer.write(b"x" * 100_000)
                await writer.drain()
                sent += 100_000

        async with provider(talk) as there:
            answer = await there.ask()
            await asyncio.sleep(0.3)
            held_back = sent
            total = 0
            async for piece in answer:
                total += len(piece)
        return held_back, total

    held_back, total = asyncio.run(run())
    assert held_back < size / 2  # what kernels buffer on the way
    assert total == size


def mutated(draw: random.Random) -> bytes:
    """An answer with a few bytes changed, left out or put in."""
    sent = bytearray(draw.choice([WHOLE, CHUNKED, UNTIL_CLOSE, WHOLE + WHOLE]))
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(sent))
        kind = draw.randrange(3)
        if kind == 0:
            sent[place] = draw.randrange(256)
        elif kind == 1:
            del sent[place : place + draw.randint(1, 5)]
        else:
            sent[place:place] = draw.choice([b"\r\n", b"\n", b"\0", b"0", b"Content-Length: 1\r\n", b" ", b":"])
    return bytes(sent)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_bytes_come_the_call_ends(seed: int) -> None:
    """Mutated answers end in an answer or in an error of the client's own, and never in a hang."""
    draw = random.Random(seed)

    async def run() -> None:
        for _ in range(25):
            async with provider(saying(mutated(draw), pieces=draw.randint(1, 3))) as there:
                with suppress(ProviderCallError):
                    await there.ask_whole()

    asyncio.run(asyncio.wait_for(run(), 60))
