"""A provider that says what a test wrote down, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from softlaunch.gateway.provider.answer import ProviderAnswer
from softlaunch.gateway.provider.origin import request_bytes, target_of
from softlaunch.gateway.provider.pool import ProviderPool

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Scripted:
    """A listening provider and a pool that calls it."""

    port: int
    pool: ProviderPool
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    attempts: int = 0

    async def ask(self, content: bytes = b"{}", *, connect_seconds: float = 5.0) -> ProviderAnswer:
        """Ask it once."""
        target = target_of(f"http://127.0.0.1:{self.port}/v1/x")
        request = request_bytes("POST", target, {"content-type": "application/json"}, content)
        return await self.pool.ask(target, request, connect_seconds, self._count)

    async def ask_whole(self) -> bytes:
        """Ask it, read the whole answer, and give the connection back."""
        answer = await self.ask()
        body = await answer.whole(1_000_000)
        self.pool.give_back(answer, over=True)
        return body

    def _count(self) -> None:
        self.attempts += 1


@asynccontextmanager
async def provider(talk: Talk) -> AsyncIterator[Scripted]:
    """A provider whose connections are each handled by `talk`."""
    pool = ProviderPool(asyncio.get_running_loop())
    made = Scripted(0, pool)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        pool.close()
        server.close()
        await asyncio.sleep(0)


def saying(*answers: bytes, pieces: int = 1) -> Talk:
    """Answer one request after the other with these bytes, each in so many pieces; then close."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            size = -(-len(answer) // pieces)
            for start in range(0, len(answer), size):
                writer.write(answer[start : start + size])
                await writer.drain()
                if pieces > 1:
                    await asyncio.sleep(0.001)

    return talk


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A request, whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)
